//! Long polling: the client asks, the server answers when there is something to tell.
//!
//! Run it with `cargo run -p long-polling`, open <http://localhost:8002/html/index.html>, or ask it
//! yourself, and send a message from another terminal:
//!
//! ```text
//! curl -i localhost:8002/api/messages/long-poll
//! curl -i localhost:8002/api/messages --json '{"update": "Hello"}'
//! ```

use std::{mem, time::Duration};

use actix_web::dev::{ServiceRequest, ServiceResponse, fn_service};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{Error, HttpResponse, web};
use feed::Feed;
use tokio::time::timeout;

/// How many seconds a request is held when the client asks for no other time.
const WAIT: u64 = 25;
/// How many seconds a request is held at the most.
const MAX_WAIT: u64 = 60;

/// Tells the client which of its preferences was followed (RFC 7240 §3).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The updates newer than `?after=ID`, as soon as there are any; without `after`, the next ones. If
/// nothing comes in time: 204.
async fn long_poll(mut request: ServiceRequest) -> Result<ServiceResponse, Error> {
    let feed = request.app_data::<web::Data<Feed>>().expect("all routes have it");
    let mut reader = match feed::after(request.request()) {
        Ok(after) => feed.reader(after).await,
        Err(error) => return Ok(request.error_response(error)),
    };
    // The headers are half of the memory of a request that waits: they are dropped before it does.
    let preferred = preferred_wait(&mem::take(request.headers_mut()));
    let wait = Duration::from_secs(preferred.unwrap_or(WAIT));

    let mut response = match timeout(wait, reader.next()).await {
        Ok(Some(news)) => feed::array(reader, news),
        _ => HttpResponse::NoContent().finish(), // the time is over, or the server stops
    };
    if let Some(seconds) = preferred {
        let applied = format!("wait={seconds}").try_into().expect("letters and digits");
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(request.into_response(response))
}

/// The seconds of the first `Prefer: wait=N`, if there is one (RFC 7240 §2 and §4.3).
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let fields = headers.get_all("Prefer").filter_map(|field| field.to_str().ok());
    let wait = fields.flat_map(preferences).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    feed::parse_id(wait).map(|seconds| seconds.min(MAX_WAIT))
}

/// The preferences of a field: the parts between its commas. A comma in quotes is none.
fn preferences(field: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    field.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
}

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    feed::serve(8002, env!("CARGO_MANIFEST_DIR"), |routes| {
        routes.route("/api/messages/long-poll", web::get().service(fn_service(long_poll)));
    })
    .await
}
