//! A line before a server that says back what it hears, and the control of the program.
//!
//! Times are lower bounds, which hold on any machine. That nothing takes longer is tried on a clock
//! that stands still, beside the code.

use std::process::{Command, Stdio};
use std::{
    io::BufRead as _, io::BufReader, io::Read as _, io::Write as _, net::TcpStream as Blocking,
};
use std::{time::Duration, time::Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const RTT: Duration = Duration::from_millis(100);

/// A line of this length before an echo: what sets its length, and a connection through it.
async fn echo(rtt: Duration) -> (watch::Sender<Duration>, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = server.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = server.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let line = listener.local_addr().expect("it is bound");
    let (set, rtt) = watch::channel(rtt);
    tokio::spawn(line::pass_all(listener, address, rtt));
    (set, TcpStream::connect(line).await.expect("it accepts"))
}

async fn round_trip(client: &mut TcpStream) -> Duration {
    let start = Instant::now();
    client.write_all(b"x").await.expect("it is open");
    client.read_u8().await.expect("it comes back");
    start.elapsed()
}

/// One for the handshake and one for the bytes; then one each time. It can be changed meanwhile.
#[tokio::test]
async fn a_round_trip_takes_its_time() {
    let (set, mut client) = echo(RTT).await;
    assert!(round_trip(&mut client).await >= 2 * RTT, "the handshake counts too");
    assert!(round_trip(&mut client).await >= RTT);
    set.send_replace(3 * RTT);
    assert!(round_trip(&mut client).await >= 3 * RTT);
}

/// 4 MB in 1,000 parts come in order, up to the end.
#[tokio::test]
async fn everything_comes_in_order() {
    let (_set, client) = echo(RTT).await;
    let sent: Vec<u8> = (0..4_000_000u32).map(|number| (number % 251) as u8).collect();
    let (mut from, mut to) = client.into_split();
    let write = async {
        for part in sent.chunks(4_000) {
            to.write_all(part).await.expect("it is open");
        }
        to.shutdown().await.expect("it is open");
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(from.read_to_end(&mut received), write);
    read.expect("up to the end");
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
}

/// Asked by curl, it answers; another site's page gets no permission, nor does another site's name.
#[test]
fn the_control() {
    let port = || {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        taken.local_addr().expect("it is bound").port()
    };
    let (control, line) = (port(), port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_line"));
    command.args(["--rtt", "20ms", "--control", &control.to_string()]);
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"); // any file
    command.args(["--invite", "http://192.0.2.1:8001/", picture]);
    command.env("ALLOWED_HOSTS", "lab.example.org, .app.example.dev");
    command.arg(format!("{line}=127.0.0.1:1")).env_remove("HOST").stdout(Stdio::piped());
    let mut process = command.spawn().expect("it starts");
    let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "Listening"));

    let ask = |request: &str, lines: &str, body: &str| {
        let mut client = Blocking::connect(("127.0.0.1", control)).expect("it listens");
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nContent-Length: {length}\r\n{lines}\r\n{body}");
        client.write_all(head.as_bytes()).expect("it is open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it is text");
        answer
    };
    let host = format!("Host: localhost:{control}\r\n");
    let json = format!("{host}Content-Type: application/json\r\n");
    let own = format!("{json}Origin: http://localhost:8001\r\n");
    let other = format!("{json}Origin: http://evil.example\r\n");
    assert!(ask("GET /", &host, "").ends_with("\r\n\r\n20"));
    let answer = ask("PUT /", &own, "300");
    assert!(answer.ends_with("\r\n\r\n300"), "{answer}");
    assert!(answer.contains("Access-Control-Allow-Origin: http://localhost:8001\r\n"), "{answer}");
    assert!(ask("OPTIONS /", &own, "").contains("Access-Control-Allow-Methods: GET, PUT\r\n"));
    let address = ask("GET /invitation", &own, "");
    assert!(address.contains("Content-Type: text/plain\r\n"), "{address}");
    assert!(address.ends_with("\r\n\r\nhttp://192.0.2.1:8001/"), "{address}");
    let picture = ask("GET /invitation.svg", &host, "");
    assert!(picture.contains("Content-Type: image/svg+xml\r\n"), "{picture}");
    assert!(picture.contains("\r\n\r\n[package]"), "{picture}");
    assert!(ask("GET /invitation", &other, "").starts_with("HTTP/1.1 403 "));
    // Behind a forwarder, the page has its name; the host has it too, or none of it.
    for name in ["name-8001.app.example.dev", "lab.example.org"] {
        for host in [&host, &format!("Host: {name}\r\n")] {
            let answer = ask("GET /", &format!("{host}Origin: https://{name}\r\n"), "");
            assert!(answer.ends_with("\r\n\r\n300"), "{name}: {answer}");
            let allows = format!("Access-Control-Allow-Origin: https://{name}\r\n");
            assert!(answer.contains(&allows), "{name}: {answer}");
        }
    }
    for name in ["app.example.dev", "xlab.example.org", "evilapp.example.dev"] {
        let answer = ask("GET /", &format!("{host}Origin: https://{name}\r\n"), "");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{name}: {answer}");
    }
    for (lines, body, status) in [
        (&other, "0", "403"),
        (&host, "0", "415"),
        (&json, "far", "400"),
        (&json, "5001", "400"),
        (&json.replace("localhost:", "evil.example:"), "0", "421"),
    ] {
        let answer = ask("PUT /", lines, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{lines}{body}: {answer}");
        assert!(!answer.contains("Access-Control"), "{answer}");
    }
    assert!(ask("GET /", &host, "").ends_with("\r\n\r\n300"), "nothing of that was done");
    process.kill().expect("it runs");
    process.wait().expect("it ends");
}
