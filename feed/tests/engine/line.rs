//! A line to the engine that is as bad as somebody likes, and what the tests of bad days share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::{fs, future::pending, time::Duration};

use lab::client::message;
use lab::{Redis, Server, Update, soon};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener as Listener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

/// All ids in the stream after this one: what everybody should have.
pub async fn ids_after(redis: &Redis, seen: u64) -> Vec<u64> {
    let entries = redis.cli(&["XRANGE", "updates", &format!("({seen}-0"), "+"]).await;
    entries.lines().filter_map(|line| line.strip_suffix("-0")?.parse().ok()).collect()
}

/// The id of an update that was published as soon as the server takes one.
pub async fn newest_id_at_last(server: &Server) -> u64 {
    let sent = async {
        loop {
            let answer =
                message(server, r#"{"update":"at last"}"#).send().await.expect("an answer");
            if answer.status() == 201 {
                return answer.json::<Update>().await.expect("an update").id;
            }
            sleep(Duration::from_millis(50)).await; // as a client that is told to come again
        }
    };
    soon("it is taken", sent).await
}

/// A line to the engine: slow, cut at random, and led to another engine, as somebody likes.
pub struct Line {
    pub url: String,
    /// Where a new connection leads to.
    pub engine: Arc<AtomicU16>,
    /// Where every second one leads to; 0: to the same.
    pub other: Arc<AtomicU16>,
    /// Connections stay open, and nothing goes over them any more.
    pub dead: Arc<AtomicBool>,
    /// For each piece that goes over it, one way, in milliseconds.
    pub delay: Arc<AtomicUsize>,
    /// After so many bytes of the engine's it is cut, at random; 0: never.
    pub cut: Arc<AtomicUsize>,
    /// Ends all connections that there are.
    pub end: Arc<Notify>,
}

impl Line {
    pub async fn start(engine: u16) -> Line {
        let listener = Listener::bind("127.0.0.1:0").await.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let line = Line {
            url: format!("redis://127.0.0.1:{port}"),
            engine: Arc::new(engine.into()),
            other: Arc::default(),
            dead: Arc::default(),
            delay: Arc::default(),
            cut: Arc::default(),
            end: Arc::default(),
        };
        let (first, other, end) = (line.engine.clone(), line.other.clone(), line.end.clone());
        let (dead, delay, cut) = (line.dead.clone(), line.delay.clone(), line.cut.clone());
        let mut random = StdRng::from_rng(&mut lab::seeded());
        tokio::spawn(async move {
            let mut odd = false;
            while let Ok((mut client, _)) = listener.accept().await {
                odd ^= true;
                let other = Some(other.load(Relaxed)).filter(|port| odd && *port > 0);
                let to = other.unwrap_or(first.load(Relaxed));
                let (dead, delay, end) = (dead.clone(), delay.clone(), end.clone());
                let most = cut.load(Relaxed) as u64;
                let limit = if most == 0 { u64::MAX } else { random.next_u64() % most };
                tokio::spawn(async move {
                    let Ok(mut engine) = TcpStream::connect(("127.0.0.1", to)).await else {
                        return;
                    };
                    let (says, hears) = client.split();
                    let (answers, asked) = engine.split();
                    tokio::select! {
                        () = pass(says, asked, &dead, &delay) => {}
                        () = pass(answers.take(limit), hears, &dead, &delay) => {}
                        () = end.notified() => {}
                    }
                });
            }
        });
        line
    }
}

async fn pass(
    mut from: impl io::AsyncRead + Unpin,
    mut to: impl io::AsyncWrite + Unpin,
    dead: &AtomicBool,
    delay: &AtomicUsize,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if dead.load(Relaxed) {
            pending::<()>().await;
        }
        sleep(Duration::from_millis(delay.load(Relaxed) as u64)).await;
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
}

/// What a process needs in its environment to believe that it is so many seconds later (Debian:
/// apt-get install faketime). Where that can't be had, nothing.
pub fn clock(seconds: i32) -> Option<[(&'static str, String); 3]> {
    let mut folders = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let library = folders.find_map(|folder| {
        let library = folder.path().join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    })?;
    Some([
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("{seconds:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ])
}
