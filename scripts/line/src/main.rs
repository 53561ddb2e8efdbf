//! Lines before servers, each given as `PORT=SERVER`, and a control that says how long they are:
//!
//! ```text
//! cargo run -p line -- --rtt 100ms 9001=127.0.0.1:8001
//! cargo run -p line -- --control 8000 8001=127.0.0.1:41001 8002=127.0.0.1:41002
//! curl localhost:8000
//! curl -X PUT localhost:8000 -H 'Content-Type: application/json' -d 300
//! ```
//!
//! The control answers with the round trip in milliseconds, a JSON number; `PUT` sets it. A page of
//! the same host may ask (any port: that is where the comparison is), no other site's page may: only
//! those of `ALLOWED_HOSTS`, by which a forwarder calls this machine, as for the servers.
//!
//! `--invite ADDRESS PICTURE` lets it answer `GET /invitation` with that address, at which others
//! find the servers, and `GET /invitation.svg` with that file: the address as a QR code. (Without
//! it, with nothing: 204.)

use std::{env, fs, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::{sync::watch, time::timeout};

/// The longest round trip that can be asked for, in milliseconds: around the world by satellite.
const LONGEST: u64 = 5_000;
/// The most bytes of a request to the control, and how long it may take.
const REQUEST: (u64, Duration) = (8 * 1024, Duration::from_secs(10));

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), String> {
    let host = env::var("HOST").unwrap_or_else(|_| "localhost".into());
    let (mut lines, mut control, mut milliseconds) = (Vec::new(), None, 0);
    let mut invitation = None;
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} takes a value"));
        match &*word {
            "--rtt" => milliseconds = parse_rtt(&value()?)?,
            "--control" => control = Some(value()?),
            "--invite" => invitation = Some(Invitation { address: value()?, picture: value()? }),
            line => lines.push(line.to_owned()),
        }
    }
    if lines.is_empty() {
        let options = "[--rtt 100ms] [--control PORT] [--invite ADDRESS PICTURE]";
        return Err(format!("usage: line {options} PORT=SERVER…"));
    }
    let invitation = Arc::new(invitation);
    let (set, rtt) = watch::channel(Duration::from_millis(milliseconds));
    for line in lines {
        let (port, server) = line.split_once('=').ok_or(format!("{line} is no PORT=SERVER"))?;
        let server: SocketAddr = server.parse().map_err(|_| format!("{server} is no IP:PORT"))?;
        for listener in listen(&host, port).await? {
            tokio::spawn(line::pass_all(listener, server, rtt.clone()));
        }
        println!("Line from port {port} to {server}");
    }
    let control = listen(&host, control.as_deref().unwrap_or("0")).await?;
    let port = control[0].local_addr().map_err(|error| error.to_string())?.port();
    println!("Control at http://localhost:{port}");
    for listener in control {
        let (set, invitation) = (set.clone(), Arc::clone(&invitation));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let answer = answer(client, set.clone(), Arc::clone(&invitation));
                tokio::spawn(timeout(REQUEST.1, answer));
            }
        });
    }
    println!("Listening");
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())
}

/// Where others find the servers, and the file that shows it as a picture (SVG).
struct Invitation {
    address: String,
    picture: String,
}

/// `100ms`, or `100`.
fn parse_rtt(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches("ms").parse().ok().filter(|ms| *ms <= LONGEST);
    number.ok_or(format!("{text} is no round trip: 0ms to {LONGEST}ms"))
}

/// Whether this is a name in `ALLOWED_HOSTS`, or below one that begins with a dot.
fn is_allowed(name: &str) -> bool {
    let names = env::var("ALLOWED_HOSTS").unwrap_or_default();
    let is = |one: &str| name == one || (one.starts_with('.') && name.ends_with(one));
    names.split(',').map(str::trim).filter(|one| !one.is_empty()).any(is)
}

/// Listens at each address of the host that there is here: `localhost` has two.
async fn listen(host: &str, port: &str) -> Result<Vec<TcpListener>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("can't listen at port {port}: {why}");
    let mut number: u16 = port.parse().map_err(|_| failed(&"it is no port"))?;
    let mut hosts = vec![host];
    if host == "localhost" {
        hosts = vec!["127.0.0.1", "::1"];
    }
    let mut listeners = Vec::new();
    for host in hosts {
        match TcpListener::bind((host, number)).await {
            Ok(listener) => {
                number = listener.local_addr().map_err(|error| failed(&error))?.port();
                listeners.push(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(failed(&error)),
            Err(error) if host != "::1" => return Err(failed(&error)),
            Err(_) => {} // there is no IPv6 here
        }
    }
    Ok(listeners)
}

/// Answers one request to the control, and closes.
async fn answer(
    client: TcpStream,
    rtt: watch::Sender<Duration>,
    invitation: Arc<Option<Invitation>>,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut limited = (&mut client).take(REQUEST.0);
    let (mut request, mut host, mut origin) = (String::new(), None, None);
    let (mut json, mut length) = (false, 0);
    for number in 0.. {
        let mut line = String::new();
        if limited.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        if number == 0 {
            request.clone_from(&line);
        } else if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match &*name.to_ascii_lowercase() {
            "host" => host = Some(value.to_owned()),
            "origin" => origin = Some(value.to_owned()),
            "content-type" => json = value == "application/json",
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length.min(64)];
    limited.read_exact(&mut body).await?;
    let asked = String::from_utf8(body).ok().and_then(|text| parse_rtt(text.trim()).ok());

    // Whoever is not a page of this host is none of a browser's, or gets no permission to read.
    let name = |authority: &str| authority.rsplit_once(':').map_or(authority, |it| it.0).to_owned();
    let own = host.as_deref().map(name);
    let page = origin.as_deref().map(|origin| name(origin.split_once("://").map_or("", |it| it.1)));
    let is_local = own.as_deref().is_none_or(|own| {
        let is_address = own.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        own == "localhost" || is_address || is_allowed(own)
    });
    let is_own_page = page == own || page.as_deref().is_some_and(is_allowed);
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, text) = match method {
        _ if !is_local => ("421 Misdirected Request", "this is localhost".into()),
        _ if page.is_some() && !is_own_page => ("403 Forbidden", "another site's page".into()),
        "GET" if path.starts_with("/invitation") => match &*invitation {
            Some(it) if path == "/invitation" => ("200 OK", it.address.clone()),
            Some(it) => ("200 OK", fs::read_to_string(&it.picture)?),
            None => ("204 No Content", String::new()),
        },
        "GET" => ("200 OK", rtt.borrow().as_millis().to_string()),
        "OPTIONS" => ("204 No Content", String::new()),
        "PUT" if !json => ("415 Unsupported Media Type", "send application/json".into()),
        "PUT" => match asked {
            Some(milliseconds) => {
                rtt.send_replace(Duration::from_millis(milliseconds));
                ("200 OK", milliseconds.to_string())
            }
            None => ("400 Bad Request", format!("a round trip is 0 to {LONGEST} milliseconds")),
        },
        _ => ("405 Method Not Allowed", "GET, PUT".into()),
    };
    let allow = origin.filter(|_| is_own_page).map_or(String::new(), |origin| {
        format!(
            "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Methods: GET, PUT\r\n\
            Access-Control-Allow-Headers: Content-Type\r\nVary: Origin\r\n"
        )
    });
    let kind = match path {
        "/invitation.svg" if status.starts_with("200") => "image/svg+xml",
        path if path == "/invitation" || !status.starts_with("200") => "text/plain",
        _ => "application/json",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nCache-Control: no-cache\r\n{allow}\
        Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.shutdown().await
}
