//! What only `websockets` has on the wire.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{collections::BTreeSet, fmt};

use lab::client::{Client, Socket, UPGRADE, newest_id, open_socket, publish, publish_all};
use lab::raw::{Raw, frame, frame_header};
use lab::server::is_other;
use lab::time::{late, soon, within};
use lab::{Server, Update};
use serde_json::{Value, json};

use super::hostile::assert_well;
use futures_util::{SinkExt as _, StreamExt as _, future};
use nix::{sys::signal, sys::signal::Signal, unistd::Pid};
use rand::{Rng as _, RngExt as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// The first byte of a frame: the last of its message, or not, and what kind it is.
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const BINARY: u8 = 0x82;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const GOES_ON_AND_ENDS: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// RFC 6455 §1.3, at the address by which all other cases ask.
pub async fn the_handshake(name: &'static str) {
    handshake_at(name, "/websocket").await;
}

/// At the other one too.
pub async fn the_handshake_at_the_root(name: &'static str) {
    handshake_at(name, "/").await;
}

async fn handshake_at(name: &'static str, path: &str) {
    let server = Server::start(name).await;
    for query in ["", "?after=0"] {
        let path = format!("{path}{query}");
        let mut client = Raw::connect(&server).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n")).await;
        let response = client.response().await;
        let is_open = response.head.starts_with("HTTP/1.1 101 ");
        assert!(is_open, "a handshake at {path} is answered by {}", response.head);
        for (field, value) in [("upgrade", "websocket"), ("connection", "upgrade")] {
            let said = response.header(field).unwrap_or_default().to_ascii_lowercase();
            let is_said = said.split(',').any(|word| word.trim() == value);
            assert!(is_said, "{field}: {said:?} in the answer to a handshake at {path}");
        }
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(response.header("sec-websocket-protocol"), None, "none was asked for");
        assert_eq!(response.header("sec-websocket-extensions"), None);
    }
    let big = UPGRADE.replace("websocket\r\n", "WebSocket\r\n");
    let request = format!("GET {path}");
    assert_eq!(status(&server, &request, &big).await, 101, "Upgrade: WebSocket");
    let with_more = UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    assert_eq!(status(&server, &request, &with_more).await, 101, "as Firefox says it");
}

/// `400` or `426` where it is none; another method is `404` or `405`.
pub async fn no_handshake(name: &'static str) {
    let server = Server::start(name).await;
    let without = |line: &str| {
        let lines = UPGRADE.split_inclusive("\r\n");
        lines.filter(|other| !other.starts_with(line)).collect::<String>()
    };
    let mut rows = vec![
        String::new(),
        without("Upgrade"),
        without("Connection"),
        without("Sec-WebSocket-Key"),
        without("Sec-WebSocket-Version"),
        UPGRADE.replace("Version: 13", "Version: 8"),
        UPGRADE.replace("Version: 13", "Version: 0"),
        UPGRADE.replace("Upgrade: websocket", "Upgrade: h2c"),
    ];
    if !is_other() {
        // Another server may take these. Ours, with actix-http, would say 101 and go on with HTTP,
        // which would lead a proxy astray.
        rows.push(UPGRADE.replace("Upgrade: websocket", "Upgrade: foo, websocket"));
        rows.push(format!("{UPGRADE}Transfer-Encoding: chunked\r\n\r\n0\r\n"));
        // What `curl --http2` asks for is no WebSocket: it gets the way to the page.
        let other = UPGRADE.replace("Upgrade: websocket", "Upgrade: h2c");
        assert_eq!(status(&server, "GET /", &other).await, 307);
    }
    for lines in rows {
        let status = status(&server, "GET /websocket", &lines).await;
        assert!([400, 426].contains(&status), "{status} for {lines}");
    }
    for method in ["POST", "PUT", "DELETE"].into_iter().filter(|_| !is_other()) {
        let lines = format!("{UPGRADE}Content-Length: 0\r\n");
        let status = status(&server, &format!("{method} /websocket"), &lines).await;
        assert!([404, 405].contains(&status), "{status} for {method}");
    }
}

/// Whoever opens the address in a browser, or forgets a header, reads what is missing.
pub async fn what_is_missing_is_said(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        (String::new(), 426),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n".into(), 426),
        (UPGRADE.replace("Version: 13", "Version: 12"), 426),
        (UPGRADE.replace("Sec-WebSocket-Version", "Sec-WebSocket-Verse"), 400),
        (UPGRADE.replace("Sec-WebSocket-Key", "Sec-WebSocket-Quay"), 400),
    ];
    for (lines, status) in rows {
        let mut client = Raw::connect(&server).await;
        client.send(format!("GET /websocket HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await;
        let response = client.response().await;
        assert_eq!(response.status(), status, "for {lines:?}");
        let upgrade = response.header("upgrade");
        assert_eq!(upgrade, (status == 426).then_some("websocket"), "for {lines:?}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        let text = String::from_utf8(response.body).expect("it is UTF-8");
        assert_eq!(text.lines().count(), 1, "{text:?} for {lines:?}");
    }
}

/// Any site's page may open a WebSocket to here; its browser says where it is from.
pub async fn another_sites_page_is_refused(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        ("localhost:8004", "", 101),
        ("localhost:8004", "Origin: http://localhost:8004\r\n", 101),
        ("localhost:8004", "Origin: http://localhost:3000\r\n", 101),
        ("localhost:8004", "Origin: http://localhost\r\n", 101),
        ("localhost:8004", "Origin: https://localhost\r\n", 101),
        ("localhost", "Origin: http://localhost:3000\r\n", 101),
        ("LOCALHOST:8004", "Origin: http://localhost\r\n", 101),
        ("localhost:8004", "Origin: http://LocalHost:1\r\n", 101),
        ("127.0.0.1:8004", "Origin: http://127.0.0.1:3000\r\n", 101),
        ("[::1]:8004", "Origin: http://[::1]:3000\r\n", 101),
        ("[::1]", "Origin: http://[::1]\r\n", 101),
        ("localhost:8004", "Origin: http://other.example\r\n", 403),
        ("localhost:8004", "Origin: http://other.example:8004\r\n", 403),
        ("localhost:8004", "Origin: null\r\n", 403),
        ("localhost:8004", "Origin: http://127.0.0.1:8004\r\n", 403),
        ("127.0.0.1:8004", "Origin: http://localhost:8004\r\n", 403),
        ("[::1]:8004", "Origin: http://[::2]:8004\r\n", 403),
        ("[::1]:8004", "Origin: http://localhost:8004\r\n", 403),
        ("localhost:8004", "Origin: http://localhost.other.example\r\n", 403),
        ("localhost:8004", "Origin: http://otherlocalhost\r\n", 403),
        ("localhost:8004", "Origin: http://localhost:8004@other.example\r\n", 403),
        ("localhost:8004", "Origin: http://other.example/localhost\r\n", 403),
        ("localhost:8004", "Origin: http://other.example#localhost\r\n", 403),
        ("localhost:8004", "Origin: file://\r\n", 403),
        ("localhost:8004", "Origin: localhost:8004\r\n", 403),
        ("localhost:8004", "Origin: http://l\u{f6}calhost\r\n", 403),
        ("localhost:8004", "Origin: http://localhost\r\nOrigin: http://other.example\r\n", 403),
        ("localhost:8004", "Origin: http://other.example\r\nOrigin: http://localhost\r\n", 403),
    ];
    for (host, origin, expected) in rows {
        // No sentence says that another port's page is the same site, nor what two of them mean.
        let same = origin.strip_prefix("Origin: http://").map(str::trim_end);
        let is_same = same.is_none_or(|same| same.eq_ignore_ascii_case(host));
        if is_other() && (expected == 101 && !is_same || origin.matches("Origin").count() > 1) {
            continue;
        }
        for path in ["/", "/websocket"] {
            let mut client = Raw::connect(&server).await;
            let lines = format!("Host: {host}\r\n{UPGRADE}{origin}");
            client.send(format!("GET {path} HTTP/1.1\r\n{lines}\r\n")).await;
            let response = client.response().await;
            let origin = origin.trim_end().replace("\r\n", ", ");
            assert_eq!(response.status(), expected, "a handshake at {host}{path} with {origin}");
        }
    }
}

/// One text frame for each update: its text, or with the subprotocol its JSON.
pub async fn an_update_is_json(name: &'static str) {
    let server = Server::start(name).await;
    the_subprotocol(&server).await;
    let mut text = handshaken(&server, "", "").await;
    let mut json = handshaken(&server, "", "Sec-WebSocket-Protocol: json\r\n").await;
    let mut either = handshaken(&server, "", "Sec-WebSocket-Protocol: chat, json\r\n").await;
    for length in [1, 125, 126, 127, 4_000] {
        let text_sent = "x".repeat(length);
        let update = publish(&server, &text_sent).await;
        assert_eq!(own(&mut text).await, Frame(TEXT, text_sent.clone().into_bytes()));
        for client in [&mut json, &mut either] {
            let Frame(first, payload) = own(client).await;
            let came: Value = serde_json::from_slice(&payload).unwrap_or_default();
            let is_it = first == TEXT && came["id"] == update.id && came["update"] == text_sent;
            assert!(is_it, "with the subprotocol json comes {}", Frame(first, payload).said());
        }
    }
}

/// The server says which subprotocol it speaks, if it is the one it knows.
async fn the_subprotocol(server: &Server) {
    let mut rows = vec![("json", Some("json")), ("chat,json", Some("json"))];
    if !is_other() {
        rows.extend([("chat", None), ("JSON", None)]); // it may refuse these as well
    }
    for (asked, spoken) in rows {
        let mut client = Raw::connect(server).await;
        let lines = format!("Sec-WebSocket-Protocol: {asked}\r\n");
        client.send(lab::client::request_of("websockets", "/websocket", &lines)).await;
        let response = client.response().await;
        assert_eq!(response.status(), 101);
        assert_eq!(response.header("sec-websocket-protocol"), spoken, "{asked}");
    }
}

/// `?after=ID` resumes; without it: from now on.
pub async fn where_it_begins(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    publish(&server, "one").await;
    publish(&server, "two").await;
    let path = "/websocket";
    for round in 1..=2 {
        let mut from_now = socket(&server, path).await;
        let mut resumed = socket(&server, &format!("{path}?after={seen}")).await;
        let now = publish(&server, "now").await;
        assert_eq!(text(&mut from_now).await, now.update);
        for expected in ["one", "two", "now"] {
            assert_eq!(text(&mut resumed).await, expected);
            if round == 2 && expected == "two" {
                assert_eq!(text(&mut resumed).await, "now", "from the round before");
            }
        }
    }
}

/// One line for each. (Its control characters are escaped, in whatever way.)
pub async fn a_message_is_printed(name: &'static str) {
    let mut server = Server::start(name).await;
    let mut sender = socket(&server, "/websocket").await;
    for (message, begin, end) in [
        ("Hello", "Hello", "Hello"),
        ("<b>\u{1F30D}</b>", "<b>", "</b>"),
        ("two\nlines", "two\\", "lines"),
    ] {
        sender.send(Message::text(message)).await.expect("it is open");
        let is_it = |printed: &str| {
            let text = printed.strip_prefix("Received message => ");
            text.is_some_and(|text| text.starts_with(begin) && text.ends_with(end))
        };
        soon(&format!("it prints: Received message => {message:?}"), server.prints(is_it)).await;
    }
    if is_other() {
        return;
    }
    sender.send(Message::text("")).await.expect("it is open");
    sender.send(Message::text("after it")).await.expect("it is open");
    soon("the line", server.prints(|line| line == "Received message => after it")).await;
    assert!(!server.printed().iter().any(|line| line == "Received message => "));
    assert!(server.printed().iter().any(|line| line == "Received message => two\\nlines"));
}

/// No message can forge a line, or play with the terminal.
pub async fn one_line_for_one_thing(name: &'static str) {
    let mut server = Server::start(name).await;
    let mut sender = socket(&server, "/websocket").await;
    let evil = "a\nSENT: forged\r\nReceived message => forged\u{1b}[2J\u{7f}\u{85}\u{9b}\0\t\u{8}\u{2028}\
        \u{2029}\u{202e}\u{2066}\u{200f}\u{61c}\u{e9}\u{1f30d}\u{fe0f}z";
    sender.send(Message::text(evil)).await.expect("it is open");
    assert_eq!(text(&mut sender).await, evil, "to the others it goes as it is");
    sender.send(Message::text("the end")).await.expect("it is open");
    soon("the line", server.prints(|line| line.ends_with("the end"))).await;
    let printed = server.printed();
    let mut own = printed.iter().filter(|line| line.contains("forged"));
    let line = own.next().map_or("", String::as_str);
    assert!(own.next().is_none(), "one message leads to several lines: {printed:?}");
    assert!(line.starts_with("Received message => a"), "{printed:?}");
    assert!(line.ends_with('z') && !line.chars().any(char::is_control), "{printed:?}");
    if is_other() {
        return;
    }
    assert_eq!(printed.len(), 4, "{printed:?}");
    assert!(printed[2].starts_with("Received message => a\\nSENT: forged\\r\\nReceived"));
    assert!(printed[2].ends_with('z') && printed[2].contains("\\u{1b}[2J"), "{printed:?}");
    assert!(!printed[2].chars().any(char::is_control), "{printed:?}");
    let line = printed[2].as_str();
    assert!(line.contains("\\u{2028}\\u{2029}\\u{202e}\\u{2066}\\u{200f}\\u{61c}"), "{line}");
    assert!(line.ends_with("\u{e9}\u{1f30d}\u{fe0f}z"), "letters and pictures as they are: {line}");
}

/// A terminal that is held, or a pipe that nobody reads: the server goes on. When somebody reads
/// again, how many lines are missing is said.
pub async fn nobody_reads_stdout(name: &'static str) {
    const MESSAGES: usize = 600; // of 4,000 bytes: a pipe and what may wait hold about 280
    let (_process, mut stdout, mut socket) = printing_into_a_pipe(name).await;
    for number in 0..MESSAGES {
        let message = format!("{number:04} {}", "x".repeat(3_995));
        socket.send(Message::text(message.clone())).await.expect("it is open");
        assert_eq!(text(&mut socket).await, message);
    }

    // Somebody reads again: what fitted is whole, and what did not is counted.
    let (mut printed, mut left_out) = (Vec::new(), 0);
    while printed.len() + left_out < MESSAGES {
        let mut line = String::new();
        soon("a line", stdout.read_line(&mut line)).await.expect("a line");
        if let Some(number) = line.strip_prefix("Received message => ") {
            assert_eq!(number.trim_end().len(), 4_000, "{line:?}");
            printed.push(number[..4].parse::<usize>().expect("a number"));
        } else if !line.starts_with("SENT: ") {
            let mut numbers =
                line.split(|it: char| !it.is_ascii_digit()).filter(|it| !it.is_empty());
            left_out += numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0);
        }
    }
    assert_eq!(printed.len() + left_out, MESSAGES, "each is printed, or counted");
    assert!(is_other() || left_out > 0, "a pipe holds less");
    assert!(printed.is_sorted(), "{printed:?}");
}

/// Nor does it hold the end: within two seconds, as always. A busy machine may have three tries.
pub async fn nobody_reads_stdout_at_the_end(name: &'static str) {
    let mut took = Vec::new();
    while took.len() < 3 {
        let (mut process, _stdout, mut socket) = printing_into_a_pipe(name).await;
        for _ in 0..100 {
            socket.send(Message::text("x".repeat(4_000))).await.expect("it is open");
            text(&mut socket).await;
        }
        let pid = process.id().and_then(|pid| pid.try_into().ok()).expect("it runs");
        let start = Instant::now();
        signal::kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        let status = soon("its end", process.wait()).await.expect("it can be waited for");
        took.push(start.elapsed());
        assert_eq!(status.code(), Some(0), "{status}");
        if took.last() < Some(&Duration::from_secs(2)) {
            return;
        }
    }
    late();
    panic!("more than two seconds, each time: {took:?}");
}

/// A server, what it prints, of which nothing but the first line is read, and a client.
async fn printing_into_a_pipe(name: &str) -> (Child, BufReader<ChildStdout>, Socket) {
    let mut command = lab::server::command(name);
    command.env("QUIET", "1").stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().expect("it starts");
    let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut line = String::new();
    soon("the first line", stdout.read_line(&mut line)).await.expect("a line");
    let port = line.trim().rsplit(':').next().expect("a port").to_owned();
    let address = format!("127.0.0.1:{port}/websocket");
    let socket = soon("a WebSocket", open_socket(&address, false)).await.expect("open");
    (process, stdout, socket)
}

/// Some updates are no longer kept: told where every frame is JSON, just before the oldest kept; to
/// who gets bare texts it can't be told.
pub async fn a_gap_is_a_frame(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let sent = publish_all(&server, (1..=1_003).map(|number| format!("message {number}"))).await;
    let query = format!("?after={seen}");
    let mut json = handshaken(&server, &query, "Sec-WebSocket-Protocol: json\r\n").await;
    let first: Value = serde_json::from_slice(&received(&mut json).await.1).unwrap_or_default();
    assert_eq!(first, json!({"gap": true}), "the first frame for who misses some");
    let next: Update = serde_json::from_slice(&received(&mut json).await.1).expect("an update");
    assert_eq!(next, sent[3], "the oldest kept comes behind the frame of the gap");
    let mut text = handshaken(&server, &query, "").await;
    let first = received(&mut text).await;
    assert_eq!(first, Frame(TEXT, sent[3].update.clone().into_bytes()), "without json");
}

/// A ping gets its pong, with what it said.
pub async fn a_ping_gets_its_pong(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = handshaken(&server, "", "").await;
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        client.send(frame(PONG, b"that nobody asked for")).await;
        client.send(frame(PING, payload)).await;
        let mut came = received(&mut client).await;
        while came.0 == TEXT {
            came = received(&mut client).await; // an update has no place in this
        }
        assert_eq!(came, Frame(PONG, payload.to_vec()));
    }
}

/// A close gets its close, with its code, and then the connection ends.
pub async fn a_close_gets_its_close(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let with_reason = |code: &u16| [&code.to_be_bytes()[..], b"as you like"].concat();
    let mut rows: Vec<_> = rows.iter().map(|code| (Some(*code), with_reason(code))).collect();
    rows.push((Some(1000), u16::to_be_bytes(1000).into()));
    rows.push((None, Vec::new()));
    let tried = rows.iter().map(async |(_, payload)| {
        let mut client = handshaken(&server, "", "").await;
        client.send(frame(CLOSE, payload)).await;
        closed(client).await
    });
    let came = future::join_all(tried).await;
    for ((code, _), came) in rows.into_iter().zip(came) {
        // Without a code, the answer may have one (RFC 6455 §5.5.1).
        let is_right = came == Ok(code) || code.is_none() && came == Ok(Some(1000));
        let said =
            |code: Option<u16>| code.map_or("no code".into(), |code| format!("the code {code}"));
        let came = came.map_or_else(str::to_owned, |code| format!("a close with {}", said(code)));
        assert!(is_right, "a close with {} is answered by: {came}", said(code));
    }
    if is_other() {
        return;
    }

    // What comes behind it is no message.
    let seen = newest_id(&server).await;
    let mut client = handshaken(&server, "", "").await;
    client.send([frame(CLOSE, b""), frame(TEXT, b"too late")].concat()).await;
    assert_eq!(closed(client).await, Ok(None), "after a close without a code");
    let marker = publish(&server, "a marker").await;
    assert_eq!(Client::new(&server, seen).next().await, marker);

    let before = server.open_files();
    let mut client = socket(&server, "/").await;
    let bye = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    client.close(Some(bye)).await.expect("it is open");
    let answer = soon("a close", client.next()).await.expect("a frame").expect("a close");
    assert!(
        matches!(&answer, Message::Close(Some(why)) if why.code == CloseCode::Away),
        "{answer:?}"
    );
    drop(client);
    server.open_files_until(Duration::from_secs(10), |now| now <= before).await;
}

/// Everything that may be sent, cut in pieces in every way that is allowed.
pub async fn messages_in_pieces(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = handshaken(&server, "", "").await;
    let x = "x".repeat(4_096);
    let rows: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![frame(TEXT, x.as_bytes())], &x),
        (vec![frame(TEXT_BEGINS, &[b'x'; 2_048]), frame(GOES_ON_AND_ENDS, &[b'x'; 2_048])], &x),
        (
            vec![frame(TEXT_BEGINS, b"a"), frame(GOES_ON, b"b"), frame(GOES_ON_AND_ENDS, b"c")],
            "abc",
        ),
        (vec![frame(TEXT_BEGINS, b""), frame(GOES_ON, b""), frame(GOES_ON_AND_ENDS, b"c")], "c"),
        (vec![frame(TEXT_BEGINS, b"a"), frame(GOES_ON_AND_ENDS, b"")], "a"),
        (vec![frame(TEXT_BEGINS, b"\xf0\x9f"), frame(GOES_ON_AND_ENDS, b"\x8c\x8d")], "\u{1F30D}"),
        (vec![masked(TEXT, b"masked", [1, 2, 3, 255])], "masked"),
        (
            vec![frame(TEXT_BEGINS, b"to"), frame(PING, b"?"), frame(GOES_ON_AND_ENDS, b"gether")],
            "together",
        ),
    ];
    for (frames, expected) in &rows {
        client.send(frames.concat()).await;
        let Frame(first, payload) = own(&mut client).await;
        assert_eq!((first, String::from_utf8_lossy(&payload).as_ref()), (TEXT, *expected));
    }
    // Byte for byte, and all of them at once.
    for byte in rows[6].0.concat() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(own(&mut client).await, Frame(TEXT, b"masked".to_vec()));
    let all: Vec<u8> =
        (0..200).flat_map(|number| frame(TEXT, format!("{number}").as_bytes())).collect();
    client.send(all).await;
    for number in 0..200 {
        let text = number.to_string();
        assert_eq!(own(&mut client).await, Frame(TEXT, text.into_bytes()));
    }
}

/// What was sent before is published, however the connection ends: a client may say one thing and
/// go.
pub async fn a_message_and_gone(name: &'static str) {
    let server = Server::start(name).await;
    let mut listener = Client::new(&server, newest_id(&server).await);
    for round in 0..20 {
        let mut client = handshaken(&server, "", "").await;
        client.send(frame(TEXT, format!("closed {round}").as_bytes())).await;
        drop(client);
        assert_eq!(listener.next().await.update, format!("closed {round}"));

        // In one segment with the handshake, before its answer has come.
        let mut client = Raw::connect(&server).await;
        let mut bytes = lab::client::request("websockets").into_bytes();
        bytes.extend(frame(TEXT, format!("early {round}").as_bytes()));
        client.send(bytes).await;
        assert_eq!(listener.next().await.update, format!("early {round}"));

        let mut client = handshaken(&server, "", "").await;
        client.send(frame(TEXT, format!("half {round}").as_bytes())).await;
        client.close_half().await;
        assert_eq!(listener.next().await.update, format!("half {round}"));
    }
}

/// Many texts, a close and the end of its half, or not, in one go, by a client that still reads: it gets
/// all of its texts back, and then the answer to its close.
pub async fn many_messages_and_a_close(name: &'static str) {
    let server = Server::start(name).await;
    let mut listener = Client::new(&server, newest_id(&server).await);
    for round in 0..6 {
        let texts = numbered(round, MANY);
        let mut client = handshaken(&server, "", "").await;
        client.send([frames_of(&texts), frame(CLOSE, &u16::to_be_bytes(1000))].concat()).await;
        if round % 2 == 0 {
            client.close_half().await;
        }
        for text in &texts {
            assert_eq!(own(&mut client).await, Frame(TEXT, text.clone().into_bytes()));
        }
        assert_eq!(closed(client).await, Ok(Some(1000)), "the close comes after the texts");
        assert_published(&mut listener, &texts).await;
    }
}

/// As a program does that says what it has to say, and exits: it reads nothing, and what comes back
/// meets a connection that is no longer there.
pub async fn many_messages_and_gone(name: &'static str) {
    let server = Server::start(name).await;
    let mut listener = Client::new(&server, newest_id(&server).await);
    for round in 0..5 {
        for close in [&frame(CLOSE, &u16::to_be_bytes(1000))[..], b""] {
            let texts = numbered(round, MANY);
            let mut client = handshaken(&server, "", "").await;
            client.send([&frames_of(&texts), close].concat()).await;
            drop(client);
            assert_published(&mut listener, &texts).await;
        }
    }
}

/// While another client publishes without a pause: a few texts, and the end of its half. Somebody
/// who does not listen has the less to wait for, the more the others say.
pub async fn a_few_messages_beside_a_flood(name: &'static str) {
    let server = Server::start(name).await;
    let mut listener = Client::new(&server, newest_id(&server).await);
    let mut flood = handshaken(&server, "", "").await;
    let is_over = AtomicBool::new(false);
    let flooding = async {
        while !is_over.load(Ordering::Relaxed) {
            flood.send(frame(TEXT, b"flood").repeat(100)).await;
            flood.exactly(100 * (2 + "flood".len())).await;
        }
    };
    let expected: BTreeSet<_> = (0..20).flat_map(|round| numbered(round, 5)).collect();
    let going = async {
        for round in 0..20 {
            let mut client = handshaken(&server, "", "").await;
            client.send(frames_of(&numbered(round, 5))).await;
            client.close_half().await;
            client.to_end().await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let listening = async {
        let mut missing = expected.clone();
        while !missing.is_empty() {
            missing.remove(&listener.next().await.update);
        }
    };
    future::join3(flooding, going, listening).await;
}

/// Its buffers are full, so that the server can tell it nothing more. What it sends is published all
/// the same, up to its close; and the answer to that is there when it reads again.
pub async fn a_client_that_does_not_read_is_heard(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = Raw::connect_small(&server).await;
    client.send(lab::client::request(name)).await;
    assert_eq!(client.response().await.status(), 101);
    let sent = publish_all(&server, vec!["x".repeat(4_000); 1_000]).await;
    let mut listener = Client::new(&server, sent[999].id);
    for number in 0..3 {
        client.send(frame(TEXT, format!("unread {number}").as_bytes())).await;
        assert_eq!(listener.next().await.update, format!("unread {number}"));
    }
    client.send([frame(TEXT, b"the last"), frame(CLOSE, &u16::to_be_bytes(1000))].concat()).await;
    assert_eq!(listener.next().await.update, "the last");
    client.send(frame(TEXT, b"after its close")).await;
    let marker = publish(&server, "a marker").await;
    assert_eq!(listener.next().await, marker, "what comes behind a close is no message");
    assert_eq!(closed(client).await, Ok(Some(1000)), "when it reads again");
}

/// Whoever reads is told that the server goes away, be it idle or some updates behind; somebody who
/// does not read delays nothing. The server has two seconds, and a busy machine three tries.
pub async fn a_stop_is_a_close(name: &'static str) {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut came = Vec::new();
        while came.last() != Some(&[Ok(Some(1001)); 3]) {
            if came.len() == 3 {
                late();
                panic!("after {signal}, in each of three tries: {came:?}");
            }
            came.push(closed_by(signal, name).await);
        }
    }
}

/// How three clients see the end of a server.
async fn closed_by(signal: Signal, name: &str) -> [Result<Option<u16>, &'static str>; 3] {
    let server = Server::start(name).await;
    let mut deaf = Raw::connect_small(&server).await;
    deaf.send(lab::client::request(name)).await;
    assert_eq!(deaf.response().await.status(), 101);
    let sent = publish_all(&server, vec!["x".repeat(4_000); 500]).await;
    let idle = handshaken(&server, "", "").await;
    let behind = handshaken(&server, &format!("?after={}", sent[490].id), "").await;
    let mut answering = socket(&server, "/").await;
    server.signal(signal);
    let answering = async {
        match soon("a close", answering.next()).await {
            Some(Ok(Message::Close(why))) => {
                assert!(soon("the end", answering.next()).await.is_none(), "a close, and the end");
                Ok(why.map(|why| why.code.into()))
            }
            _ => Err("no close"),
        }
    };
    let (idle, behind, answering) = future::join3(closed(idle), closed(behind), answering).await;
    assert_eq!(server.end().await.code(), Some(0), "the exit code");
    [idle, behind, answering]
}

/// More than fits into one packet, and takes the server longer than the client stays.
const MANY: usize = 300;

fn numbered(round: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{round}: {number}")).collect()
}

fn frames_of(texts: &[String]) -> Vec<u8> {
    texts.iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect()
}

async fn assert_published(listener: &mut Client, texts: &[String]) {
    for (number, text) in texts.iter().enumerate() {
        assert_eq!(listener.next().await.update, *text, "{number} of {} published", texts.len());
    }
}

/// Each with a good message directly before it, in the same segment, which is published; and then
/// the close code that says what was wrong, and the end.
pub async fn what_may_not_be_sent(name: &'static str) {
    let server = Server::start(name).await;
    let mut listener = Client::new(&server, newest_id(&server).await);
    let mut rows: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut row = |what: &str, bytes: Vec<u8>, code| rows.push((what.into(), bytes, code));

    row("binary", frame(BINARY, b"x"), 1003);
    row("empty binary", frame(BINARY, b""), 1003);
    row(
        "binary fragments",
        [frame(BINARY_BEGINS, b"x"), frame(GOES_ON_AND_ENDS, b"y")].concat(),
        1003,
    );

    row("4,097 bytes", frame(TEXT, &[b'x'; 4_097]), 1009);
    row("70,000 bytes", frame(TEXT, &vec![b'x'; 70_000]), 1009);
    let thirds = [frame(TEXT_BEGINS, &[b'x'; 1_400]), frame(GOES_ON, &[b'x'; 1_400])].concat();
    let thirds = [thirds, frame(GOES_ON_AND_ENDS, &[b'x'; 1_400])].concat();
    row("three fragments of 1,400 bytes", thirds, 1009);
    let endless = [frame(TEXT_BEGINS, b"x"), frame(GOES_ON, &[b'x'; 4_000]).repeat(10)].concat();
    row("fragments without an end", endless, 1009);
    for length in [4_097, 65_535, 65_536, usize::MAX / 2] {
        row(&format!("a header of {length} bytes"), frame_header(TEXT, length), 1009);
        row(&format!("a fragment of {length} bytes"), frame_header(TEXT_BEGINS, length), 1009);
    }

    row("no UTF-8", frame(TEXT, b"x\xff"), 1007);
    row("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007);
    row("half a letter", frame(TEXT, b"\xc3"), 1007);
    row("overlong", frame(TEXT, b"\xc0\x80"), 1007);
    row(
        "no UTF-8 over fragments",
        [frame(TEXT_BEGINS, b"\xc3"), frame(GOES_ON_AND_ENDS, b"x")].concat(),
        1007,
    );
    row(
        "no UTF-8 in a fragment",
        [frame(TEXT_BEGINS, b"x"), frame(GOES_ON_AND_ENDS, b"\xff")].concat(),
        1007,
    );

    for reserved in [0x40, 0x20, 0x10] {
        row(&format!("reserved bit {reserved:x}"), frame(TEXT | reserved, b"x"), 1002);
        row(&format!("ping, reserved bit {reserved:x}"), frame(PING | reserved, b"x"), 1002);
    }
    row("not masked", vec![TEXT, 1, b'x'], 1002);
    row("not masked and empty", vec![TEXT, 0], 1002);
    row("ping not masked", vec![PING, 0], 1002);
    for unknown in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        row(&format!("opcode {unknown}"), frame(0x80 | unknown, b"x"), 1002);
        row(&format!("opcode {unknown}, empty"), frame(0x80 | unknown, b""), 1002);
    }
    row("goes on without a start", frame(GOES_ON, b"x"), 1002);
    row("ends without a start", frame(GOES_ON_AND_ENDS, b"x"), 1002);
    row("text within text", [frame(TEXT_BEGINS, b"x"), frame(TEXT, b"y")].concat(), 1002);
    row(
        "text begins within text",
        [frame(TEXT_BEGINS, b"x"), frame(TEXT_BEGINS, b"y")].concat(),
        1002,
    );
    row("binary within text", [frame(TEXT_BEGINS, b"x"), frame(BINARY, b"y")].concat(), 1002);
    row("a part of a ping", frame(PING & 0x7f, b"x"), 1002);
    row("a part of a pong", frame(PONG & 0x7f, b"x"), 1002);
    row("a part of a close", frame(CLOSE & 0x7f, b""), 1002);
    row("a ping of 126 bytes", frame(PING, &[b'x'; 126]), 1002);
    row("a pong of 126 bytes", frame(PONG, &[b'x'; 126]), 1002);
    row("a close of 126 bytes", frame(CLOSE, &[b'x'; 126]), 1002);
    for length in [126, 65_536, 1 << 62, 1 << 63] {
        row(&format!("a ping that announces {length} bytes"), frame_header(PING, length), 1002);
    }

    row("a close of one byte", frame(CLOSE, b"x"), 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535] {
        row(&format!("close code {code}"), frame(CLOSE, &u16::to_be_bytes(code)), 1002);
    }
    row(NO_UTF8, frame(CLOSE, b"\x03\xe8\xff"), 1002);

    let tried = rows.iter().map(async |(what, bytes, code)| {
        let mut client = handshaken(&server, "", "").await;
        let before = frame(TEXT, format!("before: {what}").as_bytes());
        client.send([&before, &bytes[..]].concat()).await;
        let closed = closed(client).await;
        if what == NO_UTF8 && closed == Ok(Some(1007)) {
            super::but("its code for a close reason that is no UTF-8 is 1007");
            return None;
        }
        (closed != Ok(Some(*code))).then(|| format!("{what}: {closed:?}, not {code}"))
    });
    let wrong: Vec<_> = future::join_all(tried).await.into_iter().flatten().collect();
    let mut published = Vec::new();
    for _ in &rows {
        published.push(listener.next().await.update);
    }
    let mut expected: Vec<_> = rows.iter().map(|(what, ..)| format!("before: {what}")).collect();
    published.sort();
    expected.sort();
    assert_eq!(published, expected, "what was before is published, and nothing of what is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const NO_UTF8: &str = "a close whose reason is no UTF-8";

/// Random frames behind a handshake: nothing panics, nobody is forgotten for ever.
pub async fn random_frames(name: &'static str) {
    let mut random = lab::seeded();
    let server = Server::start(name).await;
    let before = server.open_files();
    for _ in 0..300 {
        let mut client = handshaken(&server, "", "").await;
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(1..6) {
            let mut payload = vec![0; random.random_range(0..300)];
            random.fill_bytes(&mut payload);
            let mut next = masked(random.random(), &payload, random.random());
            if random.random_bool(0.3) {
                let at = random.random_range(0..next.len());
                next[at] = random.random();
            }
            next.truncate(random.random_range(1..=next.len()));
            bytes.extend(next);
        }
        client.try_send(bytes).await;
    }
    assert_well(server, before).await;
}

/// Whoever pings on and on without reading the pongs fills their own connection only.
pub async fn pings_without_reading_the_pongs(name: &'static str) {
    let server = Server::start(name).await;
    let (before, memory) = (server.open_files(), server.memory());
    let mut client = Raw::connect_small(&server).await;
    client.send(lab::client::request("websockets")).await;
    let pings = frame(PING, &[b'x'; 125]).repeat(1_000);
    let sent = client.flood(&pings, Duration::from_secs(5)).await;
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < 20 * 1024, "grown by {grown} KiB after {sent} bytes");
    drop(client);
    assert_well(server, before).await;
}

/// At the latest, whatever else comes; a client that answers lives on, and is told what happens.
pub async fn a_ping_every_15_seconds(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = handshaken(&server, "", "").await;
    let (start, mut last) = (Instant::now(), Instant::now());
    while start.elapsed() < Duration::from_secs(33) {
        let Frame(first, payload) =
            within(Duration::from_secs(20), "a ping", any_frame(&mut client)).await;
        let took = last.elapsed();
        if took > Duration::from_secs(16) {
            late();
            assert!(took < Duration::from_secs(20), "no ping came for {took:?}");
        }
        if first == PING {
            last = Instant::now();
            client.send(frame(PONG, &payload)).await;
        }
    }
    let mut other = handshaken(&server, "", "").await;
    other.send(frame(TEXT, b"still there")).await;
    assert_eq!(own(&mut client).await, Frame(TEXT, b"still there".to_vec()));
}

/// A client that says nothing, whatever it is told; one that stops in the middle of a frame; one
/// that never reads anything at all; and one that answers its first ping only.
pub async fn silence_for_30_seconds_is_the_end(name: &'static str) {
    let server = Server::start(name).await;
    let before = server.open_files();
    let start = Instant::now();
    let rows = [vec![], frame(TEXT_BEGINS, b"x"), vec![TEXT], frame(TEXT, b"xxx")[..8].to_vec()];
    let clients = rows.map(async |bytes| {
        let mut client = handshaken(&server, "", "").await;
        client.send(&bytes).await;
        assert!(client.ended_within(Duration::from_secs(50)).await, "{bytes:?}: held for too long");
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(29), "{bytes:?}: it is dropped after {took:?}");
        client
    });
    let falls_silent = async {
        let mut client = handshaken(&server, "", "").await;
        if !client.any_within(Duration::from_secs(30)).await {
            assert!(is_other(), "no ping within 30 s");
            return; // 2.22 says so
        }
        let Frame(_, data) = any_frame(&mut client).await;
        client.send(frame(PONG, &data)).await;
        let mut last_told = Instant::now();
        while within(Duration::from_secs(50), "the end", client.some_of(64)).await > 0 {
            last_told = Instant::now();
        }
        if !is_other() && last_told.elapsed() < Duration::from_secs(4) {
            late();
            panic!("a ping came {:?} before the end: too late for an answer", last_told.elapsed());
        }
    };
    let (clients, ()) = future::join(future::join_all(clients), falls_silent).await;
    server.open_files_until(Duration::from_secs(10), |now| now <= before).await;
    drop(clients);
}

/// A raw client behind its handshake.
async fn handshaken(server: &Server, query: &str, lines: &str) -> Raw {
    let mut client = Raw::connect(server).await;
    let path = format!("/websocket{query}");
    client.send(lab::client::request_of("websockets", &path, lines)).await;
    assert_eq!(client.response().await.status(), 101);
    client
}

/// A frame: its first byte, and its payload.
#[derive(PartialEq)]
struct Frame(u8, Vec<u8>);

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, &self.1[..]) {
            (CLOSE, [high, low, ..]) => {
                write!(f, "a close with {}", u16::from_be_bytes([*high, *low]))
            }
            (first, data) => {
                write!(f, "a frame {first:02x} with {:?}", String::from_utf8_lossy(data))
            }
        }
    }
}

impl Frame {
    fn said(&self) -> String {
        format!("{self:?}")
    }
}

/// The next frame of the server that is no ping, which gets its pong; a pong only if `PONG` is said.
async fn received(client: &mut Raw) -> Frame {
    let frame_but_ping = async {
        loop {
            let Frame(first, payload) = any_frame(client).await;
            if first != PING {
                return Frame(first, payload);
            }
            client.try_send(frame(PONG, &payload)).await;
        }
    };
    soon("a frame that is no ping", frame_but_ping).await
}

/// The next frame that is neither a pong nor an update that the server has made by itself.
async fn own(client: &mut Raw) -> Frame {
    loop {
        let Frame(first, payload) = received(client).await;
        if first != PONG && memchr::memmem::find(&payload, b"Real-Time Update ").is_none() {
            return Frame(first, payload);
        }
    }
}

/// The next frame of the server: its first byte, and its payload.
async fn any_frame(client: &mut Raw) -> Frame {
    let header = client.exactly(2).await;
    let length = match header[1] {
        126 => {
            client.exactly(2).await.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
        length @ ..126 => length.into(),
        127 => panic!("a frame says its length in eight bytes, and nothing here is so long"),
        _ => panic!("a server's frame is masked"),
    };
    Frame(header[0], client.exactly(length).await)
}

/// The code of the server's close, before which may be updates; then has to come the end.
async fn closed(mut client: Raw) -> Result<Option<u16>, &'static str> {
    loop {
        if !client.any_within(Duration::from_secs(10)).await {
            return Err("no close");
        }
        let Frame(first, payload) = any_frame(&mut client).await;
        if first == CLOSE {
            client.try_send(frame(CLOSE, &payload)).await; // which it may wait for
            let more = client.to_end().await;
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            return if more.is_empty() { Ok(code) } else { Err("more after the close") };
        }
        assert!([TEXT, PING, PONG].contains(&first), "{:?}", Frame(first, payload));
    }
}

/// A frame whose mask changes something.
fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = frame_header(first, payload.len());
    let start = frame.len();
    frame[start - 4..].copy_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

async fn status(server: &Server, request: &str, lines: &str) -> u16 {
    let mut client = Raw::connect(server).await;
    client.send(format!("{request} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await;
    client.response().await.status()
}

/// A WebSocket of tokio-tungstenite.
async fn socket(server: &Server, path: &str) -> Socket {
    let address = format!("{}{path}", server.address());
    soon("a WebSocket", open_socket(&address, false)).await.expect("a WebSocket")
}

/// The next text that a WebSocket of tokio-tungstenite receives.
async fn text(socket: &mut Socket) -> String {
    loop {
        match soon("a text", socket.next()).await.expect("no end").expect("no failure") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
