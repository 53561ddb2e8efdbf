//! The crate tokio-tungstenite of crates.io, and the smallest program around it: a cursor, and a wait.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = std::env::var("SERVER").expect("SERVER says where the server is");
    let server = server.replace("http", "ws");
    let (mut cursor, mut is_over) = (0, false);
    while !is_over {
        let url = format!("{server}/websocket?after={cursor}");
        match listen(&url, &mut cursor).await {
            Ok(ended) => is_over = ended,
            Err(why) => eprintln!("{why}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Prints until the connection ends; true where SIGTERM has ended it.
async fn listen(url: &str, cursor: &mut u64) -> Result<bool, Error> {
    let mut term = signal(SignalKind::terminate())?;
    let request = ClientRequestBuilder::new(url.parse().expect("it is a URL"));
    let (mut socket, _) = connect_async(request.with_sub_protocol("json")).await?;
    loop {
        let message = tokio::select! {
            _ = term.recv() => return socket.close(None).await.map(|()| true),
            message = socket.next() => message,
        };
        let Some(message) = message.transpose()? else { return Ok(false) };
        let Ok(update) = serde_json::from_slice::<Value>(&message.into_data()) else { continue };
        println!("{update}");
        *cursor = update["id"].as_u64().unwrap_or(*cursor);
    }
}
