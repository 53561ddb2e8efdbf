//! The crate eventsource-client of crates.io, and the smallest program around it.

use eventsource_client::{Client as _, ClientBuilder, SSE};
use futures_util::StreamExt as _;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = std::env::var("SERVER").expect("SERVER says where the server is");
    let url = format!("{server}/server-sent-events");
    let client = ClientBuilder::for_url(&url).expect("it is an address").build_http();
    let mut stream = client.stream();
    while let Some(came) = stream.next().await {
        match came {
            Ok(SSE::Event(it)) if it.event_type == "gap" => println!("{}", json!({"gap": true})),
            Ok(SSE::Event(it)) => {
                let id = it.id.and_then(|id| id.parse::<u64>().ok());
                let mut update = json!({"id": id, "update": it.data});
                if it.event_type != "message" {
                    update["event"] = it.event_type.into();
                }
                println!("{update}");
            }
            Ok(_) => {}
            Err(why) => eprintln!("{why}"),
        }
    }
}
