//! Polling: the client asks again and again, the server answers at once.
//!
//! Run it with `cargo run -p polling`, open <http://localhost:8001/html/index.html>, or ask it
//! yourself:
//!
//! ```text
//! curl -i localhost:8001/
//! curl -i 'localhost:8001/api/messages?after=0'
//! curl -i localhost:8001/api/messages --json '{"update": "Hello"}'
//! ```

use actix_web::{Error, HttpRequest, Responder, web};
use feed::Feed;

/// The newest update. There always is one.
async fn newest(feed: web::Data<Feed>) -> impl Responder {
    web::Json(feed.newest())
}

/// All updates that are kept, oldest first. With `?after=ID` only newer ones: perhaps none, `[]`.
async fn newer(request: HttpRequest, feed: web::Data<Feed>) -> Result<impl Responder, Error> {
    let mut reader = feed.reader(feed::after(&request)?.or(Some(0))).await;
    let news = reader.newer();
    Ok(feed::array(reader, news))
}

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    feed::serve(8001, env!("CARGO_MANIFEST_DIR"), |routes| {
        routes.route("/", web::get().to(newest));
        routes.route("/", web::head().to(newest));
        routes.route("/api/messages", web::get().to(newer));
        routes.route("/api/messages", web::head().to(newer));
    })
    .await
}
