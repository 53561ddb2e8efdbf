//! What is the same for all four over HTTP: address, pages, `POST /api/messages`, headers, limits,
//! start and stop.

use std::io::{self, Write as _};
use std::{collections::HashMap, env, fmt, net::ToSocketAddrs as _, path::Path, time::Duration};

use actix_files::Files;
use actix_web::error::{ErrorBadRequest, ErrorPayloadTooLarge, ErrorRequestTimeout};
use actix_web::{App, HttpMessage as _, HttpRequest, HttpResponse, HttpServer, Result};
use actix_web::{middleware::DefaultHeaders, rt, web, web::Payload};
use serde::Deserialize;

use crate::Feed;

/// The most bytes of a message's body, and how long they may take to arrive.
const MAX_BODY: (usize, Duration) = (4096, Duration::from_secs(10));

/// The query's `after=ID`: the last id that the client has seen, if it says one.
///
/// # Errors
/// 400 where it says something that is no id.
pub fn after(request: &HttpRequest) -> Result<Option<u64>> {
    let query = web::Query::<HashMap<String, String>>::from_query(request.query_string())?;
    let no_id = || ErrorBadRequest("after takes a whole number, as in after=0");
    query.get("after").map(|id| parse_id(id).ok_or_else(no_id)).transpose()
}

/// The id that a text says in digits. One with too many of them is beyond all ids.
pub fn parse_id(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Prints one line, with a client's control characters escaped; goes on when nobody reads it.
pub fn print_line(line: impl fmt::Display) {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    let _ = writeln!(io::stdout(), "{}", line.to_string().chars().map(escape).collect::<String>());
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    update: String,
    event: Option<String>,
}

/// `POST /api/messages`: client A's message becomes an update for everyone.
async fn receive(from: HttpRequest, body: Payload, feed: web::Data<Feed>) -> Result<HttpResponse> {
    // A page of another site can't say so: its browser would have to ask first (CORS).
    if !from.content_type().eq_ignore_ascii_case("application/json") {
        return Err(ErrorBadRequest("a message is sent as Content-Type: application/json"));
    }
    let body = rt::time::timeout(MAX_BODY.1, body.to_bytes_limited(MAX_BODY.0)).await;
    let body = body.map_err(|_| ErrorRequestTimeout("the message took too long"))?;
    let body = body.map_err(|_| ErrorPayloadTooLarge("a message has at most 4096 bytes"))??;
    let object = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"));
    let message = object.and_then(|body| serde_json::from_slice::<Message>(&body).ok());
    let expected = r#"a message is {"update": "TEXT"}, with "event": "NAME" or without"#;
    let message = message.ok_or_else(|| ErrorBadRequest(expected))?;
    let update = feed.publish(&message.update, message.event.as_deref());
    Ok(HttpResponse::Created().json(update.map_err(ErrorBadRequest)?))
}

/// Serves a technique's routes, its crate's page and all that is common, at `HOST` and `PORT` from
/// the environment, until Ctrl-C or SIGTERM. With `QUIET=1` only the first update is made.
///
/// # Errors
/// Says in one line why nothing can listen there.
pub async fn serve(
    default_port: u16,
    crate_dir: &str,
    technique: fn(&mut web::ServiceConfig),
) -> Result<(), Box<dyn std::error::Error>> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let port = env::var("PORT").unwrap_or_else(|_| default_port.to_string());
    let failed = |why: &dyn fmt::Display| format!("can't listen at HOST={host} PORT={port}: {why}");
    let number: u16 = port.parse().map_err(|_| failed(&"a port is a number from 0 to 65535"))?;
    let address = (&*host, number).to_socket_addrs().map_err(|why| failed(&why))?.next();

    let feed = Feed::default();
    let generate = |number| {
        let update = feed.publish(&format!("Real-Time Update {number}"), None);
        update.map(|update| format!("SENT: {}", update.update))
    };
    let mut sent = generate(1)?;

    let data = web::Data::new(feed.clone());
    let page = Path::new(crate_dir).join("public/html");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public");
    let headers = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-cache")];
    let server = HttpServer::new(move || {
        App::new()
            .wrap(headers.into_iter().fold(DefaultHeaders::new(), DefaultHeaders::add))
            .app_data(data.clone())
            .configure(technique)
            .route("/", web::get().to(async || web::Redirect::to("/html/index.html")))
            .route("/api/messages", web::post().to(receive))
            .service(Files::new("/html", &page).index_file("index.html"))
            .service(Files::new("/public", &shared))
    })
    .h1_allow_half_closed(false) // a client that closes its half is gone
    .tcp_nodelay(true) // an update does not wait until the one before is acknowledged
    .keep_alive(Duration::from_secs(30)) // longer than a client waits between two polls
    .max_connections(20_000) // for each worker
    .backlog(4096) // a room full of browsers comes at once
    .shutdown_timeout(1); // second: an open stream would hold a stop for 30
    // A client that no longer reads, or whose machine is gone: only the kernel can end that (RFC
    // 5482), as whatever the server still has to say waits behind a full buffer.
    #[cfg(target_os = "linux")]
    let server = server.on_connect(|connection, _| {
        let socket = connection.downcast_ref::<rt::net::TcpStream>().map(socket2::SockRef::from);
        let _ = socket.map(|socket| socket.set_tcp_user_timeout(Some(Duration::from_secs(30))));
    });
    let server = server.bind(address.as_slice()).map_err(|why| failed(&why))?;

    let port = server.addrs()[0].port();
    let announce_and_generate = async {
        print_line(format_args!("Listening at http://localhost:{port}"));
        for next in 2u64.. {
            print_line(sent);
            if env::var("QUIET").is_ok_and(|quiet| quiet == "1") {
                break;
            }
            rt::time::sleep(Duration::from_secs(rand::random_range(2..=9))).await;
            sent = generate(next)?;
        }
        std::future::pending().await
    };
    // The server first: by the time it says that it listens, a signal can stop it.
    tokio::select! { biased; end = server.run() => Ok(end?), end = announce_and_generate => end }
}
