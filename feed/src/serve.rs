//! What all four do in HTTP: the start and the end of a server, its routes, its pages, its
//! generated updates. The files of the folder `serve` do the things that no technique has to think
//! of.

mod connection;
mod generated;
mod guard;
mod http;
mod listen;
mod names;
mod pages;
mod stdout;
mod stop;

pub use http::{after, array, parse_id};
pub use names::is_own_page;
pub use stdout::print_line;

use std::{env, error::Error, fmt, process::ExitCode};

use actix_files::Files;
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::mime::TEXT_HTML;
use actix_web::{App, guard as method, http::header, rt, web};

use crate::Feed;

/// Serves a technique's routes, its page and what all four have in common, at `HOST` and `PORT` from
/// the environment, until Ctrl-C or SIGTERM. `QUIET` says which updates it makes by itself: see
/// `generated.rs`. A server that can't start says why in one line on stderr, and the exit code is 1.
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
    let first = match feed.newest() {
        Some(_) => None, // another server on this engine has made it
        None => Some(generated::send(&feed, 1).await),
    };
    let first = first.transpose().map_err(|_| "can't use REDIS_URL: it stores no update")?;
    let data = web::Data::new(feed.clone());
    let app = move || {
        let reads = || method::Any(method::Get()).or(method::Head());
        let files = |at, folder| {
            Files::new(at, folder).guard(reads()).default_handler(web::to(pages::none))
        };
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
    };
    // As actix-web's `HttpServer` does it; but that has no place for `Connection`.
    let mut server = Server::build()
        // As many as the process may open files; further ones wait in the kernel until others close.
        .max_concurrent_connections(usize::MAX)
        .shutdown_signal(stop::stop(feed.clone()))
        .shutdown_timeout(1); // second, for connections that are still open then
    let stopping = server.graceful_shutdown_signal();
    let http = move || {
        let stopping = stopping.clone();
        let stopping = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let app = map_config(app(), |()| AppConfig::default());
        fn_service(connection::accept)
            .and_then(connection::http().graceful_shutdown_signal(stopping).finish(app))
    };
    for listener in listeners {
        server = server.listen("http", listener, http.clone())?;
    }

    let server = server.run();
    // This task's turn comes when the server waits: by then, a signal can stop it.
    rt::spawn(async move {
        print_line(format_args!("Listening at http://localhost:{port}"));
        first.into_iter().for_each(print_line);
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
