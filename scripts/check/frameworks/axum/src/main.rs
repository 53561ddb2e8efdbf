//! Server-sent events with axum: a broadcast channel, and a stream of it for each client.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Sse, sse::Event, sse::KeepAlive};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast::Sender};
use tokio_stream::wrappers::BroadcastStream;

static NEWEST: AtomicU64 = AtomicU64::new(0);

async fn publish(
    State(updates): State<Sender<String>>,
    Json(message): Json<Value>,
) -> impl IntoResponse {
    let text = message["update"].as_str().unwrap_or_default();
    let _ = updates.send(text.into()); // nobody may be there
    let id = NEWEST.fetch_add(1, Ordering::Relaxed) + 1;
    (StatusCode::CREATED, Json(json!({"id": id, "update": text})))
}

async fn stream(State(updates): State<Sender<String>>) -> impl IntoResponse {
    let updates = BroadcastStream::new(updates.subscribe());
    let events = updates.map(|text| text.map(|text| Event::default().data(text)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8003);
    let app = Router::new()
        .route("/api/messages", post(publish))
        .route("/events", get(stream))
        .route("/server-sent-events", get(stream))
        .with_state(Sender::new(16));
    let listener = TcpListener::bind(("localhost", port)).await?;
    println!("Listening at http://localhost:{port}");
    axum::serve(listener, app).await
}
