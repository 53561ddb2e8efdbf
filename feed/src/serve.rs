//! What all four do in HTTP: the start and the stop of a server, its routes, its pages, its generated
//! updates; and a file for each thing that no technique has to think of.

mod guard;
mod http;
mod listen;
mod stdout;

pub use guard::is_own_page;
pub use http::{after, array, parse_id};
pub use stdout::print_line;

use std::{env, fmt, fs::File, future, io, net::TcpListener, path::Path, time::Duration};

use actix_files::Files;
use actix_web::error::ErrorServiceUnavailable;
use actix_web::{App, HttpResponse, HttpServer, guard as method, middleware::from_fn, rt, web};

use crate::Feed;

/// How many bytes of an answer wait in actix before more of it is made.
const UNWRITTEN: usize = 8 * 1024;

/// `404` for a page that there is not; but `503` where none can be opened, as too many files are
/// open already, each connection being one.
async fn no_page() -> HttpResponse {
    match File::open(env!("CARGO_MANIFEST_DIR")) {
        Ok(_) => HttpResponse::NotFound().finish(),
        Err(why) => ErrorServiceUnavailable(why).into(),
    }
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
    let listeners = listen::listen(&host, number).map_err(|why| failed(&why))?;
    let addresses =
        listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let guarded = addresses.iter().all(|address| address.ip().is_loopback())
        || env::var("ALLOWED_HOSTS").is_ok_and(|names| !names.is_empty());

    let feed = match env::var("REDIS_URL") {
        Err(_) => Feed::default(),
        #[cfg(feature = "redis")]
        Ok(url) => {
            Feed::connect(&url).await.map_err(|why| format!("can't use REDIS_URL: {why}"))?
        }
        #[cfg(not(feature = "redis"))]
        Ok(_) => Err("REDIS_URL needs a server built with --features feed/redis")?,
    };
    let generate = async |number| {
        let sent = feed.publish(&format!("Real-Time Update {number}"), None).await;
        sent.map(|sent| format!("SENT: {}", sent.update))
    };
    let first = generate(1).await.map_err(|_| "can't use REDIS_URL: it stores no update")?;

    let data = web::Data::new(feed.clone());
    let page = Path::new(crate_dir).join("public/html");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public");
    let mut server = HttpServer::new(move || {
        let reads = || method::Any(method::Get()).or(method::Head());
        let files =
            |at, folder| Files::new(at, folder).guard(reads()).default_handler(web::to(no_page));
        App::new()
            .wrap(from_fn(move |request, next| Box::pin(guard::around(guarded, request, next))))
            .app_data(data.clone())
            .configure(technique)
            .route(
                "/",
                web::route().guard(reads()).to(async || web::Redirect::to("/html/index.html")),
            )
            .route("/api/messages", web::post().to(http::receive))
            .service(files("/html", &page).index_file("index.html"))
            .service(files("/public", &shared))
            .service(web::resource("/{other}*")) // 405 where others match
    })
    .h1_allow_half_closed(false) // a client that closes its half is gone
    .tcp_nodelay(true) // an update does not wait until the one before is acknowledged
    .client_request_timeout(Duration::from_secs(50)) // longer than a browser keeps a spare one
    .keep_alive(Duration::from_secs(30)) // longer than a client waits between two polls
    .max_connections(20_000) // for each worker
    .shutdown_timeout(1) // second: an open stream would hold a stop for 30
    .h1_write_buffer_size(UNWRITTEN)
    .on_connect(|connection, _| listen::tune(connection));
    for listener in listeners {
        server = server.listen(listener)?;
    }

    let announce_and_generate = async {
        print_line(format_args!("Listening at http://localhost:{}", addresses[0].port()));
        print_line(first);
        for next in 2u64.. {
            if env::var("QUIET").is_ok_and(|quiet| quiet == "1") {
                break;
            }
            rt::time::sleep(Duration::from_secs(rand::random_range(2..=9))).await;
            let sent = generate(next).await;
            print_line(sent.unwrap_or_else(|_| "not sent: the engine is away".into()));
        }
        future::pending::<()>().await;
    };
    // The server first: by the time it says that it listens, a signal can stop it.
    let end = tokio::select! {
        biased;
        end = server.run() => end.map_err(Into::into),
        () = announce_and_generate => unreachable!("it does not end"),
    };
    stdout::printed().await;
    end
}
