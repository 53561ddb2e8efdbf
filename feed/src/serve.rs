//! What is the same for all four over HTTP: addresses, names, pages, `POST /api/messages`, limits,
//! headers, start and stop.

use std::collections::{BTreeSet, HashMap};
use std::io::{
    self, ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable, ErrorKind::PermissionDenied,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::{env, fmt, future, path::Path, time::Duration};

use actix_files::Files;
use actix_web::error::{ErrorBadRequest, Result};
use actix_web::{App, HttpMessage as _, HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_web::{guard as method, middleware::from_fn};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use crate::{Feed, News, Reader, guard, print_line, stdout};

/// How many bytes of an answer wait in actix before more of it is made.
const UNWRITTEN: usize = 8 * 1024;
/// How many bytes wait unsent in the kernel before it takes more: so few that what a slow client
/// has room for is soon more, as `TCP_USER_TIMEOUT` counts only what fits as a sign of life.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 2 * 1024;

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

/// `200` with all that a reader has to read as a JSON array, `news` first. Where that is more than
/// a batch, it is made while the client reads it; it ends before a gap, of which the next answer
/// tells.
pub fn array(mut reader: Reader, news: News) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if news.gap {
        response.insert_header(("Feed-Gap", "true"));
    }
    let more = reader.newer();
    if more.updates.is_empty() {
        return response.json(news.updates);
    }
    let rest = stream::unfold(reader, async |mut reader| Some((reader.newer(), reader)));
    let rest = stream::once(future::ready(more)).chain(rest);
    let rest = rest.take_while(|news| future::ready(!news.gap && !news.updates.is_empty()));
    let json = |news: &News| serde_json::to_string(&news.updates).expect("text and numbers");
    let first = json(&news).trim_end_matches(']').to_owned();
    let rest = rest.map(move |news| json(&news).trim_end_matches(']').replacen('[', ",", 1));
    let array = stream::iter([first]).chain(rest).chain(stream::iter(["]".to_owned()]));
    response
        .content_type("application/json")
        .streaming(array.map(|part| Ok::<_, io::Error>(part.into())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    update: String,
    event: Option<String>,
}

/// `POST /api/messages`: client A's message becomes an update for everyone.
async fn receive(
    from: HttpRequest,
    body: web::Bytes,
    feed: web::Data<Feed>,
) -> Result<HttpResponse> {
    // A page of another site can't say so: its browser would have to ask first (CORS).
    if !from.content_type().eq_ignore_ascii_case("application/json") {
        return Err(ErrorBadRequest("a message is sent as Content-Type: application/json"));
    }
    let object = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"));
    let message = object.and_then(|body| serde_json::from_slice::<Message>(&body).ok());
    let expected = r#"a message is {"update": "TEXT"}, with "event": "NAME" or without"#;
    let message = message.ok_or_else(|| ErrorBadRequest(expected))?;
    let update = feed.publish(&message.update, message.event.as_deref()).await;
    Ok(HttpResponse::Created().json(update.map_err(ErrorBadRequest)?))
}

/// Listens at every address that the host has here, at one port: of `localhost`'s two, a browser
/// may try either first.
fn listen(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut addresses: BTreeSet<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if host.eq_ignore_ascii_case("localhost") {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        addresses.extend(both.map(|address| SocketAddr::new(address, port)));
    }
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut nowhere = AddrNotAvailable.into();
    for mut address in addresses {
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        match TcpListener::bind(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == AddrInUse && port == 0 => return listen(host, port),
            Err(error) if [AddrInUse, PermissionDenied].contains(&error.kind()) => {
                return Err(io::Error::new(error.kind(), format!("{address}: {error}")));
            }
            Err(error) => nowhere = error, // as where there is no IPv6
        }
    }
    if listeners.is_empty() { Err(nowhere) } else { Ok(listeners) }
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
    let host = env::var("HOST").unwrap_or_else(|_| "localhost".into());
    let port = env::var("PORT").unwrap_or_else(|_| default_port.to_string());
    let failed = |why: &dyn fmt::Display| format!("can't listen at HOST={host} PORT={port}: {why}");
    let number: u16 = port.parse().map_err(|_| failed(&"a port is a number from 0 to 65535"))?;
    let listeners = listen(&host, number).map_err(|why| failed(&why))?;
    let addresses =
        listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let guarded = addresses.iter().all(|address| address.ip().is_loopback())
        || env::var("ALLOWED_HOSTS").is_ok_and(|names| !names.is_empty());

    let feed = Feed::default();
    let generate = async |number| {
        let update = feed.publish(&format!("Real-Time Update {number}"), None).await;
        update.map(|update| format!("SENT: {}", update.update))
    };
    let mut sent = generate(1).await?;

    let data = web::Data::new(feed.clone());
    let page = Path::new(crate_dir).join("public/html");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public");
    let mut server = HttpServer::new(move || {
        let reads = || method::Any(method::Get()).or(method::Head());
        App::new()
            .wrap(from_fn(move |request, next| guard::around(guarded, request, next)))
            .app_data(data.clone())
            .configure(technique)
            .route(
                "/",
                web::route().guard(reads()).to(async || web::Redirect::to("/html/index.html")),
            )
            .route("/api/messages", web::post().to(receive))
            .service(Files::new("/html", &page).index_file("index.html").guard(reads()))
            .service(Files::new("/public", &shared).guard(reads()))
            .service(web::resource("/{other}*")) // 405 where others match
    })
    .h1_allow_half_closed(false) // a client that closes its half is gone
    .tcp_nodelay(true) // an update does not wait until the one before is acknowledged
    .client_request_timeout(Duration::from_secs(50)) // longer than a browser keeps a spare one
    .keep_alive(Duration::from_secs(30)) // longer than a client waits between two polls
    .max_connections(20_000) // for each worker
    .shutdown_timeout(1) // second: an open stream would hold a stop for 30
    .h1_write_buffer_size(UNWRITTEN);
    // A client that no longer reads, or whose machine is gone: only the kernel can end that (RFC
    // 5482), as whatever the server still has to say waits behind a full buffer.
    #[cfg(target_os = "linux")]
    {
        server = server.on_connect(|connection, _| {
            let socket =
                connection.downcast_ref::<rt::net::TcpStream>().map(socket2::SockRef::from);
            let _ = socket.map(|socket| {
                socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
                socket.set_tcp_notsent_lowat(UNSENT)
            });
        });
    }
    for listener in listeners {
        socket2::SockRef::from(&listener).listen(4096)?; // a room full of browsers comes at once
        server = server.listen(listener)?;
    }

    let announce_and_generate = async {
        print_line(format_args!("Listening at http://localhost:{}", addresses[0].port()));
        for next in 2u64.. {
            print_line(sent);
            if env::var("QUIET").is_ok_and(|quiet| quiet == "1") {
                break;
            }
            rt::time::sleep(Duration::from_secs(rand::random_range(2..=9))).await;
            sent = generate(next).await?;
        }
        future::pending().await
    };
    // The server first: by the time it says that it listens, a signal can stop it.
    let end = tokio::select! {
        biased;
        end = server.run() => end.map_err(Into::into),
        end = announce_and_generate => end,
    };
    stdout::printed().await;
    end
}
