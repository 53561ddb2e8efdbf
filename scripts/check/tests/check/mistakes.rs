//! Servers with one mistake each: one of ours, and before it something that changes what goes over
//! the wire.

use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::{env, io, time::Duration};

use lab::Server;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A server with a mistake.
pub struct Mistake {
    pub name: &'static str,
    pub technique: &'static str,
    /// The sentences that it does not keep.
    pub breaks: &'static [&'static str],
    /// Sentences beside them that it keeps.
    pub keeps: &'static [&'static str],
    make: Make,
}

/// What is changed of what passes; several messages may come in one piece.
enum Make {
    /// What a client says.
    Asked(fn(&[u8]) -> Vec<u8>),
    /// What the server says.
    Told(fn(&[u8]) -> Vec<u8>),
    /// It says that it listens, and does so after a while.
    Late,
}

/// One in what the server says.
const fn told(
    name: &'static str,
    technique: &'static str,
    breaks: &'static [&'static str],
    keeps: &'static [&'static str],
    change: fn(&[u8]) -> Vec<u8>,
) -> Mistake {
    Mistake { name, technique, breaks, keeps, make: Make::Told(change) }
}

pub const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "a cursor that repeats",
        technique: "polling",
        breaks: &["2.2"],
        keeps: &["1.2", "1.7"],
        make: Make::Asked(one_before),
    },
    Mistake {
        name: "an order that swaps",
        technique: "polling",
        breaks: &["1.7"],
        keeps: &["1.2", "1.5", "1.6"],
        make: Make::Told(swapped),
    },
    Mistake {
        name: "a stream that never flushes",
        technique: "server-sent-events",
        breaks: &["1.10"],
        keeps: &["1.1", "1.2", "1.5"],
        make: Make::Told(|told| {
            let of_a_stream: [&[u8]; 4] = [b"text/event-stream", b"retry: ", b"data: ", b": keep"];
            if of_a_stream.iter().any(|part| contains(told, part)) {
                Vec::new()
            } else {
                told.into()
            }
        }),
    },
    Mistake {
        name: "a long poll that answers []",
        technique: "long-polling",
        breaks: &["1.8"],
        keeps: &["1.1", "1.2", "1.5"],
        make: Make::Asked(|asked| {
            replaced(
                asked,
                b"/api/messages/long-poll HTTP",
                b"/api/messages/long-poll?after=0 HTTP",
            )
        }),
    },
    Mistake {
        name: "a frame that is masked",
        technique: "websockets",
        breaks: &["1.13"],
        keeps: &["1.2", "1.12"],
        make: Make::Told(masked),
    },
    Mistake {
        name: "an id that falls back",
        technique: "server-sent-events",
        breaks: &["1.5"],
        keeps: &["1.2", "1.3", "1.10"],
        make: Make::Told(|told| {
            static ANSWERS: AtomicUsize = AtomicUsize::new(0);
            let is_answer = told.starts_with(b"HTTP/1.1 201");
            if is_answer && ANSWERS.fetch_add(1, SeqCst).is_multiple_of(2) {
                return replaced(told, b"{\"id\":1", b"{\"id\":9");
            }
            told.into()
        }),
    },
    Mistake {
        name: "no nosniff",
        technique: "long-polling",
        breaks: &["3.8"],
        keeps: &["1.2", "3.3"],
        make: Make::Told(|told| {
            replaced(told, b"x-content-type-options", b"x-content-type-opinions")
        }),
    },
    Mistake {
        name: "the end at bad input",
        technique: "websockets",
        breaks: &["3.1"],
        keeps: &["1.2", "1.14", "3.2", "3.5"],
        make: Make::Told(
            |told| if told.starts_with(b"HTTP/1.1 400") { exit(1) } else { told.into() },
        ),
    },
    Mistake {
        name: "it says that it listens before it does",
        technique: "polling",
        breaks: &["1.1"],
        keeps: &["1.2", "1.3"],
        make: Make::Late,
    },
    Mistake {
        name: "a gap that nobody is told of",
        technique: "websockets",
        breaks: &["2.5", "2.6"],
        keeps: &["2.4", "2.18"],
        make: Make::Told(|told| replaced(told, b"\x81\x0c{\"gap\":true}", b"")),
    },
    told("200 for 201", "polling", &["1.2"], &["1.3", "1.4", "1.5", "1.6", "1.7", "2.2"], |told| {
        replaced(told, b"HTTP/1.1 201 Created", b"HTTP/1.1 200 OK")
    }),
    told("an update that is HTML", "long-polling", &["1.2"], &["1.3", "1.5"], |told| {
        replaced(told, b"content-type: application/json", b"content-type: text/html")
    }),
    told("an id in quotes", "polling", &["1.2"], &["1.1"], |told| {
        let told = replaced(told, b"{\"id\":", b"{\"id\":true,\"no\":");
        replaced(&told, b"content-length: ", b"x-was: ")
    }),
    told("no stream at all", "server-sent-events", &["1.10"], &["1.2", "1.5"], |told| {
        replaced(told, b"content-type: text/event-stream", b"content-type: text/plain")
    }),
    told("a wrong charset", "server-sent-events", &["1.10"], &["1.2", "1.5"], |told| {
        replaced(told, b"text/event-stream", b"text/event-stream; charset=latin1")
    }),
    told("a field that is not data", "server-sent-events", &["1.11"], &["1.2", "1.10"], |told| {
        replaced(told, b"data: ", b"date: ")
    }),
    told("no retry", "server-sent-events", &["2.15"], &["1.3", "1.10", "1.11"], |told| {
        replaced(told, b"retry: ", b"retro: ")
    }),
    told("events without ids", "server-sent-events", &["2.15"], &["1.3", "1.11"], |told| {
        replaced(told, b"id: ", b"Id: ")
    }),
    told("a gap that has an id", "server-sent-events", &["2.5"], &["2.2", "2.15"], |told| {
        replaced(
            told,
            b"data: some updates are no longer kept",
            b"id: 7\ndata: xxxxxxxxxxxxxxxxxxxxxxxxx",
        )
    }),
    told("a gap by another name", "polling", &["2.5"], &["2.2", "2.13"], |told| {
        replaced(told, b"feed-gap: true", b"feed-gap: 1")
    }),
    told("nothing, but a second late", "polling", &["2.13"], &["1.6", "1.7", "2.2"], |told| {
        if told.ends_with(b"\r\n\r\n[]") {
            std::thread::sleep(Duration::from_secs(1));
        }
        told.into()
    }),
    told("another time than was asked for", "long-polling", &["2.14"], &["1.8", "2.2"], |told| {
        replaced(told, b"preference-applied: wait=", b"preference-applied: wait=1")
    }),
    told("JSON that says Id", "websockets", &["2.18"], &["1.2", "1.13", "1.14"], |told| {
        if told.starts_with(b"HTTP") { told.into() } else { replaced(told, b"\"id\"", b"\"Id\"") }
    }),
    told("a pong of its own", "websockets", &["2.20"], &["1.13", "2.18"], |told| match told {
        [0x8a, 1, _, more @ ..] => [&[0x8a, 1, b'?'], more].concat(),
        told => told.into(),
    }),
    told("a refusal in HTML", "polling", &["3.5"], &["3.1", "3.3", "3.4"], |told| {
        replaced(told, b"content-type: text/plain", b"content-type: text/html")
    }),
    Mistake {
        name: "a page of another site that may open it",
        technique: "websockets",
        breaks: &["3.20"],
        keeps: &["3.21", "1.12"],
        make: Make::Asked(|asked| replaced(asked, b"\nOrigin:", b"\nOrigan:")),
    },
];

/// Serves as the test binary is called with `MISTAKE=NAME`: at `PORT`, until it is killed.
pub fn serve(name: &str) {
    let mistake = MISTAKES.iter().find(|mistake| mistake.name == name).expect("there is one");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.expect("a runtime can be made").block_on(pass_on(mistake));
    eprintln!("{served:?}");
    exit(1);
}

async fn pass_on(mistake: &'static Mistake) -> io::Result<()> {
    let quiet = env::var("QUIET").unwrap_or_default();
    let server = Server::start_with(mistake.technique, &[("PORT", "0"), ("QUIET", &quiet)]).await;
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
    if matches!(mistake.make, Make::Late) {
        println!("Listening at http://localhost:{port}");
        sleep(Duration::from_millis(300)).await; // that is its mistake
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    if !matches!(mistake.make, Make::Late) {
        println!("Listening at http://localhost:{}", listener.local_addr()?.port());
    }
    loop {
        let (client, _) = listener.accept().await?;
        let behind = TcpStream::connect(("127.0.0.1", server.port())).await?;
        tokio::spawn(async move {
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), behind.into_split());
            let same = |bytes: &[u8]| bytes.to_vec();
            let (asked, told) = match mistake.make {
                Make::Asked(change) => (change, same as fn(&[u8]) -> Vec<u8>),
                Make::Told(change) => (same as fn(&[u8]) -> Vec<u8>, change),
                Make::Late => (same as fn(&[u8]) -> Vec<u8>, same as fn(&[u8]) -> Vec<u8>),
            };
            // Whichever ends first, ends both.
            tokio::select! {
                end = copy(from_client, to_server, asked) => end,
                end = copy(from_server, to_client, told) => end,
            }
        });
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    change: fn(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 20];
    loop {
        match from.read(&mut bytes).await? {
            0 => return Ok(()),
            length => to.write_all(&change(&bytes[..length])).await?,
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

fn replaced(bytes: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), bytes);
    while let Some(at) = memchr::memmem::find(rest, part) {
        all.extend([&rest[..at], by].concat());
        rest = &rest[at + part.len()..];
    }
    [&all, rest].concat()
}

/// `after=7` becomes `after=6`.
fn one_before(asked: &[u8]) -> Vec<u8> {
    let Some(at) = memchr::memmem::find(asked, b"after=") else { return asked.into() };
    let digits = asked[at + 6..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, rest) = asked.split_at(at + 6);
    let (id, rest) = rest.split_at(digits);
    let id: u64 = str::from_utf8(id).ok().and_then(|id| id.parse().ok()).unwrap_or(0);
    [before, id.saturating_sub(1).to_string().as_bytes(), rest].concat()
}

/// Two updates of an array in the place of one another.
fn swapped(told: &[u8]) -> Vec<u8> {
    let Some(at) = memchr::memmem::find(told, b"\r\n\r\n[") else { return told.into() };
    let (head, body) = told.split_at(at + 4);
    let Ok(Value::Array(mut updates)) = serde_json::from_slice(body) else { return told.into() };
    if updates.len() >= 2 {
        let last = updates.len() - 1;
        updates.swap(last - 1, last);
    }
    [head, Value::Array(updates).to_string().as_bytes()].concat()
}

/// A client's frames are masked; a server's may not be (RFC 6455 §5.1).
fn masked(told: &[u8]) -> Vec<u8> {
    match told {
        [0x81, length @ 0..126, payload @ ..] if payload.len() == usize::from(*length) => {
            [&[0x81, 0x80 | length, 0, 0, 0, 0], payload].concat()
        }
        other => other.into(),
    }
}
