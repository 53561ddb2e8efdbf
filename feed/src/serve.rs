//! What all four do in HTTP: the start and the end of a server, its routes, its pages, its generated
//! updates. What no technique has to think of is in the files of the folder `serve`.

mod generated;
mod guard;
mod http;
mod listen;
mod names;
mod pages;
mod stdout;

pub use http::{after, array, parse_id};
pub use names::is_own_page;
pub use stdout::print_line;

use std::{env, error::Error, fmt, fs::File, process::ExitCode, time::Duration};

use actix_files::Files;
use actix_web::error::ErrorServiceUnavailable;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::mime::TEXT_HTML;
use actix_web::{
    App, HttpResponse, HttpServer, guard as method, http::header, rt, rt::signal, web,
};

use crate::Feed;

/// How many bytes of an answer actix makes ahead of the connection.
const UNWRITTEN: usize = 8 * 1024;
/// How many connections a worker serves at once; there is a worker for each processor. Further ones
/// wait in the kernel until others close.
const CONNECTIONS: usize = 20_000;
/// How long an idle connection is kept: longer than a client waits between two polls.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long the head of the first request may take. A browser opens a connection ahead of need
/// (*preconnect*), and keeps it for less than this.
const FIRST_REQUEST: Duration = Duration::from_secs(50);

/// Serves a technique's routes, its page and what all four have in common, at `HOST` and `PORT` from
/// the environment, until Ctrl-C or SIGTERM. With `QUIET=1` only the first update is generated.
/// A server that can't start says why in one line on stderr, and the exit code is 1.
pub async fn serve(
    default_port: u16,
    crate_dir: &str,
    technique: fn(&mut web::ServiceConfig),
) -> ExitCode {
    match run(default_port, crate_dir, technique).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("Error: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(
    default_port: u16,
    crate_dir: &str,
    technique: fn(&mut web::ServiceConfig),
) -> Result<(), Box<dyn Error>> {
    let pages = pages::find(crate_dir)?;
    let host = env::var("HOST").unwrap_or_else(|_| "localhost".into());
    let port = env::var("PORT").unwrap_or_else(|_| default_port.to_string());
    let failed = |why: &dyn fmt::Display| format!("can't listen at HOST={host} PORT={port}: {why}");
    let number: u16 = port.parse().map_err(|_| failed(&"a port is a number from 0 to 65535"))?;
    let listeners = listen::listen(&host, number).map_err(|why| failed(&why))?;
    let port = listeners[0].local_addr()?.port();
    let is_loopback = listeners
        .iter()
        .all(|listener| listener.local_addr().is_ok_and(|address| address.ip().is_loopback()));
    let has_names = !names::allowed_hosts()?.is_empty();
    let guarded = is_loopback || has_names;

    let feed = match env::var("REDIS_URL") {
        Err(_) => Feed::default(),
        #[cfg(feature = "redis")]
        Ok(url) => {
            Feed::connect(&url).await.map_err(|why| format!("can't use REDIS_URL: {why}"))?
        }
        #[cfg(not(feature = "redis"))]
        Ok(_) => Err("REDIS_URL needs a server built with --features feed/redis")?,
    };
    let first =
        generated::send(&feed, 1).await.map_err(|_| "can't use REDIS_URL: it stores no update")?;
    let data = web::Data::new(feed.clone());
    let mut server = HttpServer::new(move || {
        let reads = || method::Any(method::Get()).or(method::Head());
        let files =
            |at, folder| Files::new(at, folder).guard(reads()).default_handler(web::to(no_page));
        // Relative: the server may be reached under a path.
        let to_page = || web::to(async || web::Redirect::to("html/index.html"));
        App::new()
            .wrap(from_fn(move |request, next| Box::pin(guard::around(guarded, request, next))))
            .wrap(
                DefaultHeaders::new() // where a handler says nothing else
                    .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                    .add((header::CACHE_CONTROL, "no-cache")),
            )
            .app_data(data.clone())
            .route("/", to_page().guard(method::All(reads()).and(method::fn_guard(prefers_html))))
            .configure(technique)
            .route("/", to_page().guard(reads()))
            .route("/api/messages", web::post().to(http::receive))
            .service(files("/html", &pages.own).index_file("index.html"))
            .service(files("/public", &pages.shared))
            .service(web::resource("/{other}*")) // 405 where others match
    })
    .h1_allow_half_closed(false) // a client that closes its half is gone
    .tcp_nodelay(true) // an update does not wait until the one before is acknowledged
    .client_request_timeout(FIRST_REQUEST)
    .keep_alive(KEEP_ALIVE)
    .max_connections(CONNECTIONS)
    .shutdown_signal(stop(feed.clone()))
    .shutdown_timeout(1) // second, for what is still open then
    .h1_write_buffer_size(UNWRITTEN)
    .on_connect(|connection, _| listen::tune(connection));
    for listener in listeners {
        server = server.listen(listener)?;
    }

    let server = server.run();
    // This task's turn comes when the server waits: by then, a signal can stop it.
    rt::spawn(async move {
        print_line(format_args!("Listening at http://localhost:{port}"));
        print_line(first);
        generated::send_all(&feed).await;
    });
    let end = server.await;
    stdout::printed().await;
    Ok(end?)
}

/// Whether a browser asks for something to show: its `Accept` prefers HTML.
fn prefers_html(request: &method::GuardContext<'_>) -> bool {
    request.header::<header::Accept>().is_some_and(|accept| accept.preference() == TEXT_HTML)
}

/// Waits until Ctrl-C or SIGTERM, and ends the feed. So who waits for updates learns of the stop.
async fn stop(feed: Feed) {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate()).ok();
    #[cfg(unix)]
    let terminate = async { terminate.as_mut()?.recv().await };
    #[cfg(not(unix))]
    let terminate = async { None };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        Some(()) = terminate => {}
    }
    feed.end();
}

/// `404`: there is no such page. But `503` where no file can be opened, as connections have taken all
/// file descriptors.
async fn no_page() -> HttpResponse {
    match File::open("/") {
        Ok(_) => HttpResponse::NotFound().finish(),
        Err(why) => ErrorServiceUnavailable(why).into(),
    }
}
