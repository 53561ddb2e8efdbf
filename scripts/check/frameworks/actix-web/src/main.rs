//! WebSockets with actix-web and actix-ws: a broadcast channel, and a task for each client.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_ws::Message;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::broadcast;

type Updates = web::Data<broadcast::Sender<String>>;

static NEWEST: AtomicU64 = AtomicU64::new(0);

async fn publish(message: web::Json<Value>, updates: Updates) -> HttpResponse {
    let text = message["update"].as_str().unwrap_or_default();
    let _ = updates.send(text.into()); // nobody may be there
    let id = NEWEST.fetch_add(1, Ordering::Relaxed) + 1;
    HttpResponse::Created().json(json!({"id": id, "update": text}))
}

async fn open(
    request: HttpRequest,
    body: web::Payload,
    updates: Updates,
) -> Result<HttpResponse, Error> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let mut news = updates.subscribe();
    rt::spawn(async move {
        loop {
            tokio::select! {
                text = news.recv() => {
                    let Ok(text) = text else { break };
                    if session.text(text).await.is_err() { break }
                }
                message = messages.next() => match message {
                    Some(Ok(Message::Text(text))) => { let _ = updates.send(text.to_string()); }
                    Some(Ok(Message::Ping(data))) => { let _ = session.pong(&data).await; }
                    Some(Ok(Message::Pong(_))) => {}
                    _ => break,
                },
            }
        }
        let _ = session.close(None).await;
    });
    Ok(response)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8004);
    let updates = web::Data::new(broadcast::Sender::<String>::new(16));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(updates.clone())
            .route("/api/messages", web::post().to(publish))
            .route("/", web::get().to(open))
            .route("/websocket", web::get().to(open))
    });
    let server = server.bind(("localhost", port))?;
    println!("Listening at http://localhost:{port}");
    server.run().await
}
