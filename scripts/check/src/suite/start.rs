//! Address, first line, page.

use std::{collections::BTreeSet, fs, net::TcpListener, path::Path, path::PathBuf};

use reqwest::redirect::Policy;
use tokio::net::TcpStream;

use lab::client::{answer, publish};
use lab::server::{Server, command, is_other, refuses_to_start};

/// Connections are accepted from then on, and the generator's first line comes after it.
pub async fn the_first_line_says_where(name: &'static str) {
    for _ in 0..5 {
        let mut server = Server::start(name).await; // checks the first line
        TcpStream::connect(("127.0.0.1", server.port())).await.expect("it accepts");
        server.prints(|line| line.starts_with("SENT: ")).await;
        assert_eq!(server.printed()[1..], ["SENT: Real-Time Update 1"]);
        assert_eq!(server.complained(), [""; 0]);
    }
}

/// `PORT=0` takes one, and says which.
pub async fn any_free_port(name: &'static str) {
    let mut servers = Vec::new();
    for _ in 0..2 {
        let server = Server::start_with(name, &[("PORT", "0"), ("QUIET", "1")]).await;
        let connected = TcpStream::connect(("127.0.0.1", server.port())).await;
        assert!(connected.is_ok(), "with PORT=0 it says port {}: nobody is there", server.port());
        servers.push(server);
    }
    assert_ne!(servers[0].port(), servers[1].port(), "each has a port of its own");
}

/// One line on stderr names it, and the exit code is not 0.
pub async fn a_port_that_is_none(name: &'static str) {
    for port in ["port", "-1", "65536", "99999999999999999999", "1.5", "80x", " 80", ""] {
        assert_refused(name, &[("PORT", port)], port.trim()).await;
    }
}

/// The same as for a port that is none.
pub async fn a_port_that_is_taken(name: &'static str) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    assert_refused(name, &[("PORT", &port)], &port).await;
    if !is_other() {
        let host = "no.such.host.invalid";
        assert_refused(name, &[("HOST", host)], host).await;
    }
}

/// It does not start, and says why in one line.
pub(super) async fn assert_refused(name: &str, variables: &[(&str, &str)], says: &str) {
    let refusal = refuses_to_start(name, variables).await;
    let complaint = String::from_utf8_lossy(&refusal.stderr);
    assert!(!refusal.status.success(), "{variables:?} is accepted");
    assert!(refusal.status.code().is_some(), "{variables:?}: {}", refusal.status);
    assert_eq!(complaint.trim_end().lines().count(), 1, "{variables:?} leads to: {complaint}");
    let names = if is_other() { String::new() } else { format!("{}=", variables[0].0) };
    let is_said = complaint.contains(says) && complaint.contains(&names);
    assert!(is_said, "{variables:?} leads to: {complaint}");
    let stdout = String::from_utf8_lossy(&refusal.stdout);
    assert!(!stdout.contains("Listening at"), "{variables:?}: it says {stdout}");
    assert!(is_other() || stdout.is_empty(), "{variables:?}: it says {stdout}");
}

/// Each technique has its own. Somebody may be using it on this machine: then it says which.
pub async fn the_default_port(name: &'static str) {
    let port = match name {
        "polling" => 8001,
        "long-polling" => 8002,
        "server-sent-events" => 8003,
        _ => 8004,
    };
    if TcpListener::bind(("127.0.0.1", port)).is_ok() {
        let server = Server::spawn(name, command(name).env_remove("PORT")).await;
        assert_eq!(server.port(), port);
    } else {
        let refusal = command(name).env_remove("PORT").output().await.expect("it starts");
        assert!(String::from_utf8_lossy(&refusal.stderr).contains(&format!("PORT={port}")));
    }
}

/// Without `HOST`, for this machine only; with it, for whom it says. On Linux all of 127.0.0.0/8
/// is this machine, so that 127.0.0.2 is an address of it at which nobody listens by default.
pub async fn host_says_for_whom(name: &'static str) {
    let rows = [
        (None, "127.0.0.1", true),
        (None, "127.0.0.2", false),
        (Some("127.0.0.2"), "127.0.0.2", true),
        (Some("127.0.0.2"), "127.0.0.1", false),
        (Some("0.0.0.0"), "127.0.0.2", true),
        (Some("localhost"), "127.0.0.1", true),
        (Some("::1"), "::1", true),
    ];
    for (host, address, open) in rows {
        let variables = host.map(|host| ("HOST", host));
        let server = Server::start_with(name, variables.as_slice()).await;
        let connection = TcpStream::connect((address, server.port())).await;
        assert_eq!(connection.is_ok(), open, "HOST is {host:?}, and {address} is tried");
    }
}

/// To the byte as they are in the checkout.
pub async fn the_page_and_what_pages_share(name: &'static str) {
    let server = Server::start(name).await;
    let page = checkout().join(name).join("public/html/index.html");
    let page = fs::read(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let response = get(&server, "/html/index.html").await;
    assert_eq!(response.status(), 200);
    assert_eq!(content_type(&response), "text/html; charset=utf-8");
    assert_eq!(response.bytes().await.expect("a body"), page);

    let shared = files_below(&checkout().join("public"));
    assert!(!shared.is_empty(), "the pages share something");
    for file in shared {
        let path = file.strip_prefix(checkout()).expect("it is there").display().to_string();
        let response = get(&server, &format!("/{path}")).await;
        assert_eq!(response.status(), 200, "{path}");
        let expected = match file.extension().and_then(|extension| extension.to_str()) {
            Some("css") => "text/css",
            Some("js") => "text/javascript",
            Some("html") => "text/html",
            _ => "",
        };
        assert!(content_type(&response).starts_with(expected), "{path}: {response:?}");
        assert_eq!(response.bytes().await.expect("a body"), fs::read(&file).expect("it is there"));
    }
}

/// On every server but polling, where it is the newest update.
pub async fn a_plain_get_leads_to_the_page(name: &'static str) {
    let server = Server::start(name).await;
    let response = get(&server, "/").await;
    if name == "polling" {
        assert_eq!(response.status(), 200);
        assert_eq!(response.url().path(), "/");
    } else {
        assert_eq!(response.url().path(), "/html/index.html");
        assert_eq!(content_type(&response), "text/html; charset=utf-8");
        // A browser may remember where a permanent redirect leads, for whatever is there next.
        let asked = reqwest::Client::builder().redirect(Policy::none()).build();
        let asked = answer(asked.expect("a client").get(server.url("/"))).await;
        assert!([302, 303, 307].contains(&asked.status().as_u16()), "{asked:?}");
        // Behind a proxy the server may stand under a path: so not `/html/…`.
        assert_eq!(asked.headers()["location"], "html/index.html");
    }
}

/// Assets are found from the crate, not from the current folder.
pub async fn from_any_folder(name: &'static str) {
    let server = Server::spawn(name, command(name).current_dir("/")).await;
    assert_eq!(get(&server, "/html/index.html").await.status(), 200);
    publish(&server, "and all the rest").await;
}

async fn get(server: &Server, path: &str) -> reqwest::Response {
    answer(reqwest::Client::new().get(server.url(path))).await
}

fn content_type(response: &reqwest::Response) -> &str {
    response.headers().get("content-type").map_or("", |value| value.to_str().unwrap_or_default())
}

fn checkout() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.ancestors().nth(2).expect("it is in scripts/lab").into()
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { [path].into() })
        .filter(|path| {
            !path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
        })
        .collect()
}
