//! The crate reqwest-eventsource of crates.io, and the smallest program around it.

use futures_util::StreamExt as _;
use reqwest_eventsource::{Event, EventSource};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = std::env::var("SERVER").expect("SERVER says where the server is");
    let mut source = EventSource::get(format!("{server}/server-sent-events"));
    while let Some(event) = source.next().await {
        match event {
            Ok(Event::Open) => {}
            Ok(Event::Message(it)) if it.event == "gap" => println!("{}", json!({"gap": true})),
            Ok(Event::Message(it)) => {
                let mut update = json!({"id": it.id.parse::<u64>().ok(), "update": it.data});
                if it.event != "message" {
                    update["event"] = it.event.into();
                }
                println!("{update}");
            }
            Err(why) => eprintln!("{why}"),
        }
    }
}
