//! What a client costs as its page is deployed: behind nginx, with `scripts/nginx.conf` and the block
//! for TLS in it, and so with HTTP/2 (but for WebSockets, which stay on HTTP/1.1). Beside it the same
//! with plain HTTP/1.1, straight to the server, as everything else is measured.

use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::future::{join_all, try_join_all};
use futures_util::{SinkExt as _, StreamExt as _};
use h2::RecvStream;
use h2::client::SendRequest;
use http::{Request, Uri};
use lab::server::free_port;
use lab::{SERVERS, Server};
use memchr::memmem::{find, rfind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version::TLS13};
use tokio_tungstenite::WebSocketStream;
use tokio_util::io::{InspectReader, InspectWriter};

use crate::clients::{
    self, BROWSER, HANDSHAKE, JSON, NO_CACHE, PAGE, Publisher, Setup, Tally, add,
    from_the_beginning,
};
use crate::distance::{FIRST, line_before};
use crate::figures::{Deployed, Variant, Way, median};
use crate::plan::{Plan, begin};
use crate::start_server;
use crate::wire::{DISTANCE, EVERY, WINDOW};

/// What Chromium adds to a request by HTTP/2.
const PRIORITY: &str = "Priority: u=1, i\r\n";

/// All techniques at once. An error says what there is not.
pub async fn measure(plan: &Plan) -> Result<Vec<Deployed>> {
    if !plan.wire {
        return Ok(Vec::new());
    }
    let variants: Vec<_> = plan.variants.iter().filter(|variant| !variant.bare).collect();
    let servers = variants.iter().map(|variant| start_server(plan, variant.server));
    let servers = join_all(servers).await;
    let names = variants.iter().map(|variant| variant.server);
    let nginx =
        Nginx::start(&names.zip(servers.iter().map(Server::port)).collect::<Vec<_>>()).await?;
    let all = variants.iter().zip(&servers).zip(&nginx.ports);
    try_join_all(all.map(|((variant, server), port)| one(**variant, server.port(), *port, &nginx)))
        .await
}

/// Both ways at the same server, the one with TLS second.
async fn one(variant: Variant, server: u16, nginx_port: u16, nginx: &Nginx) -> Result<Deployed> {
    let [plain, tls] = [line_before(server, DISTANCE)?, line_before(nginx_port, DISTANCE)?];
    let (mut times, mut first) = ([Vec::new(), Vec::new()], [[0.0; 2]; 2]);
    for _ in 0..FIRST {
        let tally = Tally::new();
        let took = clients::first_update(plain, variant.server, tally.clone()).await?;
        times[0].push(took.context("it does not come")?.as_secs_f64() * 1e3);
        first[0] = bytes(&tally);
        let (begin, tally) = (Instant::now(), Tally::new());
        let mut page = Page::open(variant, tls, nginx, &tally).await?;
        while find(&page.next().await?, b"Real-Time Update 1").is_none() {}
        times[1].push(begin.elapsed().as_secs_f64() * 1e3);
        first[1] = bytes(&tally);
    }
    let (tallies, mut both) = ([Tally::new(), Tally::new()], JoinSet::new());
    let (server_address, phase) = (([127, 0, 0, 1], server).into(), variant.poll_interval);
    let setup = Setup { address: [0; 4], server: server_address, variant, phase, comes_back: None };
    both.spawn_local(clients::run(setup, tallies[0].clone()));
    let mut page = Page::open(variant, nginx_port, nginx, &tallies[1]).await?;
    both.spawn_local(async move {
        loop {
            page.next().await?;
        }
    });
    let now = || [0, 1].map(|way: usize| bytes(&tallies[way]));
    // From the middle between two polls on, and by whole periods of whatever repeats.
    sleep(begin(variant) + EVERY / 2).await;
    let begin = now();
    sleep(WINDOW).await;
    let quiet = now();
    Publisher::connect(server).await?.publish(false).await?;
    sleep(EVERY).await;
    let update = now();
    both.try_join_next().transpose()?.transpose()?;
    let minutes = WINDOW.as_secs_f64() / 60.0;
    let way = |way: usize| Way {
        first: median(times[way].iter().copied()),
        request: first[way],
        quiet: [0, 1].map(|to: usize| (quiet[way][to] - begin[way][to]) / minutes),
        update: [0, 1].map(|to: usize| update[way][to] - quiet[way][to]),
    };
    Ok(Deployed { name: variant.name(), plain: way(0), tls: way(1) })
}

/// Of TCP's payload, up and down.
fn bytes(tally: &Tally) -> [f64; 2] {
    [tally.up.get() as f64, tally.down.get() as f64]
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<Both: AsyncRead + AsyncWrite + Unpin> Duplex for Both {}

/// A page of a technique, behind nginx.
enum Page {
    /// It asks again and again: when, after how long the next time, and what.
    Asks(SendRequest<Bytes>, Instant, Duration, String),
    Listens(RecvStream),
    Converses(Box<WebSocketStream<Box<dyn Duplex>>>),
}

impl Page {
    /// Connects, with a whole handshake. What TLS says until it stands is not counted: it depends on
    /// the certificate, and on what else a browser offers.
    async fn open(variant: Variant, port: u16, nginx: &Nginx, tally: &Rc<Tally>) -> Result<Page> {
        let is_socket = variant.server == "websockets";
        let mut config = nginx.client.clone();
        config.alpn_protocols = vec![if is_socket { b"http/1.1".into() } else { b"h2".into() }];
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let (up, down) = (tally.clone(), tally.clone());
        let socket = InspectWriter::new(socket, move |bytes: &[u8]| add(&up.up, bytes.len()));
        let socket = InspectReader::new(socket, move |bytes: &[u8]| add(&down.down, bytes.len()));
        let tls = TlsConnector::from(Arc::new(config));
        let tls = tls.connect("localhost".try_into()?, socket).await?;
        tally.reset();
        let path = from_the_beginning(variant.server);
        if is_socket {
            let request =
                request(&format!("wss://localhost:{port}{path}"), &[NO_CACHE, HANDSHAKE, JSON])?;
            let tls: Box<dyn Duplex> = Box::new(tls);
            let (socket, _) = tokio_tungstenite::client_async(request, tls).await?;
            return Ok(Page::Converses(Box::new(socket)));
        }
        // These are Chromium's settings.
        let mut chromium = h2::client::Builder::new();
        chromium.header_table_size(65_536).enable_push(false).initial_window_size(6 << 20);
        chromium.max_header_list_size(262_144).initial_connection_window_size(15 << 20);
        let (mut send, connection) = chromium.handshake(tls).await?;
        spawn_local(connection);
        let url = format!("https://localhost:{port}{path}");
        Ok(match variant.server {
            "server-sent-events" => {
                let headers = [PAGE, PRIORITY, NO_CACHE, "Accept: text/event-stream\r\n"];
                Page::Listens(ask(&mut send, request(&url, &headers)?).await?)
            }
            "polling" => Page::Asks(send, Instant::now(), variant.poll_interval, url),
            _ => Page::Asks(send, Instant::now(), Duration::ZERO, url),
        })
    }

    /// What comes next; asks for it, where the technique does.
    async fn next(&mut self) -> Result<Bytes> {
        match self {
            Page::Asks(send, at, interval, url) => {
                sleep_until(*at).await;
                *at += *interval;
                let cache = if interval.is_zero() { NO_CACHE } else { "" };
                let headers = [PAGE, PRIORITY, cache, "Accept: */*\r\n"];
                let mut body = ask(send, request(url, &headers)?).await?;
                let mut all = BytesMut::new();
                while let Some(data) = body.data().await {
                    all.extend_from_slice(&data?);
                }
                if let Some(id) = rfind(&all, br#"{"id":"#) {
                    let id = all[id + 6..].split(|byte| !byte.is_ascii_digit()).next();
                    url.truncate(url.find('=').map_or(0, |at| at + 1));
                    url.push_str(str::from_utf8(id.unwrap_or_default())?);
                }
                Ok(all.freeze())
            }
            Page::Listens(body) => Ok(body.data().await.context("the stream ended")??),
            Page::Converses(socket) => {
                let message = socket.next().await.context("the socket ended")??;
                socket.flush().await?; // the pong, if it was a ping
                Ok(message.into_data())
            }
        }
    }
}

/// What a page's browser asks for; `Connection` is HTTP/1.1's, and `Host` is in HTTP/2's address.
fn request(url: &str, headers: &[&str]) -> Result<Request<()>> {
    let url = url.parse::<Uri>()?;
    let is_socket = url.scheme_str() == Some("wss");
    let mut request = Request::get(&url);
    if is_socket {
        request = request.header("Host", url.authority().context("it has one")?.as_str());
    }
    for line in [BROWSER, &headers.concat()].concat().lines() {
        let (name, value) = line.split_once(": ").context("it is a header")?;
        if is_socket || name != "Connection" {
            request = request.header(name, value);
        }
    }
    Ok(request.body(())?)
}

async fn ask(send: &mut SendRequest<Bytes>, request: Request<()>) -> Result<RecvStream> {
    *send = send.clone().ready().await?;
    let answer = send.send_request(request, true)?.0.await?;
    ensure!(answer.status().is_success(), "nginx answers {}", answer.status());
    Ok(answer.into_body())
}

/// An nginx before the servers, with a port for each. Dropped, it ends.
struct Nginx {
    process: Child,
    folder: PathBuf,
    ports: Vec<u16>,
    client: ClientConfig,
}

impl Nginx {
    /// Before servers with these names and ports.
    async fn start(servers: &[(&str, u16)]) -> Result<Nginx> {
        let folder = env::temp_dir().join(format!("nginx-{}", process::id()));
        fs::create_dir_all(&folder)?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(folder.join("fullchain.pem"), made.cert.pem())?;
        fs::write(folder.join("privkey.pem"), made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let client =
            ClientConfig::builder_with_protocol_versions(&[&TLS13]).with_root_certificates(roots);
        let mut client = client.with_no_client_auth();
        client.resumption = Resumption::disabled(); // each handshake is a whole one
        let ports = servers.iter().map(|_| free_port()).collect::<Vec<_>>();
        let folder_name = folder.to_str().context("its name is text")?;
        fs::write(folder.join("nginx.conf"), with_tls(folder_name, servers, &ports)?)?;
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin"; // where Debian has it
        let mut command = Command::new("nginx");
        command.env("PATH", path).arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null());
        let process = command.spawn().context("there is no nginx")?;
        let mut nginx = Nginx { process, folder, ports, client };
        while TcpStream::connect(("127.0.0.1", nginx.ports[0])).await.is_err() {
            if nginx.process.try_wait()?.is_some() {
                let why = fs::read_to_string(nginx.folder.join("error.log")).unwrap_or_default();
                bail!("nginx did not start: {}", why.lines().last().unwrap_or_default());
            }
            sleep(Duration::from_millis(20)).await; // nobody tells when it listens
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Not killed: its workers would stay.
        if let Some(pid) = self.process.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// `scripts/nginx.conf` with the addresses put in, and its block for TLS, which is a comment there, once
/// for each server at one of these ports.
fn with_tls(folder: &str, servers: &[(&str, u16)], ports: &[u16]) -> Result<String> {
    let file = include_str!("../../nginx.conf");
    let (before, rest) = file.split_once("    # server {\n").context("it has a block for TLS")?;
    let (block, after) = rest.split_once("    # }\n").context("the block has an end")?;
    let block: String = block.lines().map(|line| line.replacen("# ", "", 1) + "\n").collect();
    let blocks = servers.iter().zip(ports).map(|((name, _), port)| {
        let block = block
            .replace("listen 443 ", &format!("listen 127.0.0.1:{port} "))
            .replace("/etc/letsencrypt/live/www.example.org", folder)
            .replace("http://server-sent-events", &format!("http://{name}"));
        format!("    server {{\n{block}    }}\n")
    });
    let mut text = [before, &blocks.collect::<String>(), after].concat();
    for name in SERVERS {
        let server = servers.iter().find(|(it, _)| *it == name).map_or(9, |(_, port)| *port);
        for (place, port) in [("-1", server), ("-2", server), ("", free_port())] {
            let place = format!("@{}{place}@", name.to_uppercase());
            text = text.replace(&place, &format!("127.0.0.1:{port}"));
        }
    }
    Ok(text.replace("@FOLDER@", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block for TLS is good as its readers copy it: it speaks TLS 1.3 and HTTP/2.
    #[tokio::test]
    async fn the_block_for_tls_works() {
        let variant = Variant { server: "polling", poll_interval: Duration::ZERO, bare: false };
        let nginx = Nginx::start(&[("polling", free_port())]).await.expect("it starts");
        let open = async || {
            let mut page = Page::open(variant, nginx.ports[0], &nginx, &Tally::new()).await?;
            page.next().await
        };
        let why =
            tokio::task::LocalSet::new().run_until(open()).await.expect_err("there is no server");
        assert_eq!(why.to_string(), "nginx answers 502 Bad Gateway");
    }
}
