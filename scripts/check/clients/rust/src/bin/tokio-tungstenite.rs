//! The crate tokio-tungstenite of crates.io, and the smallest program around it: a cursor, and a wait.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = std::env::var("SERVER").expect("SERVER says where the server is");
    let server = server.replace("http", "ws");
    let mut term = signal(SignalKind::terminate()).expect("signals can be heard");
    let mut cursor = 0;
    loop {
        let url = format!("{server}/websocket?after={cursor}");
        if let Err(why) = listen(&url, &mut cursor, &mut term).await {
            eprintln!("{why}");
        }
        tokio::select! {
            _ = term.recv() => return,
            () = sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Prints until the connection ends; at SIGTERM it ends the program, by a close.
async fn listen(url: &str, cursor: &mut u64, term: &mut Signal) -> Result<(), Error> {
    let request = ClientRequestBuilder::new(url.parse().expect("it is a URL"));
    let (mut socket, _) = connect_async(request.with_sub_protocol("json")).await?;
    loop {
        let message = tokio::select! {
            _ = term.recv() => {
                socket.close(None).await?;
                std::process::exit(0);
            }
            message = socket.next() => message,
        };
        let Some(message) = message.transpose()? else { return Ok(()) };
        let Ok(update) = serde_json::from_slice::<Value>(&message.into_data()) else { continue };
        println!("{update}");
        *cursor = update["id"].as_u64().unwrap_or(*cursor);
    }
}
