//! The servers with a clock that is wrong. libfaketime tells it to them, where that is installed.
#![cfg(all(feature = "serve", target_os = "linux"))]

use std::path::{Path, PathBuf};
use std::{env::consts::ARCH, fs};

use lab::client::{Client, UPGRADE, publish, publish_all};
use lab::raw::{Raw, frame};
use lab::server::{SERVERS, Server, command};

/// A clock for one server: the right one, so many seconds later.
struct Clock {
    faketime: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// None where there is no libfaketime.
    fn new() -> Option<Clock> {
        let folders =
            [format!("/usr/lib/{ARCH}-linux-gnu"), "/usr/lib64".into(), "/usr/lib".into()];
        let faketime = folders.map(|folder| Path::new(&folder).join("faketime/libfaketimeMT.so.1"));
        let Some(faketime) = faketime.into_iter().find(|faketime| faketime.exists()) else {
            eprintln!("not tried: libfaketime is missing (Debian: apt-get install libfaketime)");
            return None;
        };
        let file = format!("clock-{:016x}", rand::random::<u64>());
        let clock = Clock { faketime, file: Path::new(env!("CARGO_TARGET_TMPDIR")).join(file) };
        clock.set(0);
        Some(clock)
    }

    fn set(&self, seconds: i32) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("we may write");
        fs::rename(new, &self.file).expect("we may write"); // a server reads it at any moment
    }

    /// Starts a quiet server that has this clock.
    async fn server(&self, name: &str) -> Server {
        let mut command = command(name);
        command.env("QUIET", "1").env("LD_PRELOAD", &self.faketime);
        command.env("FAKETIME_TIMESTAMP_FILE", &self.file).env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Server::spawn(name, &mut command).await
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// 2.8: while the clock is set back by an hour, somebody sends 6,000 frames without a pause.
#[tokio::test]
async fn set_back_it_loses_nothing() {
    const BURST: usize = 6_000;
    let Some(clock) = Clock::new() else { return };
    let server = clock.server("websockets").await;
    let before = publish(&server, "before").await;
    let mut client = Client::new(&server, before.id - 1);
    assert_eq!(client.next().await, before);
    let mut sender = Raw::connect(&server).await;
    let handshake = format!("GET /websocket HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    sender.send(handshake).await;
    sender.until("\r\n\r\n").await;
    clock.set(-3_600);
    // So long that they don't fit into the connection: the list is full before they are read.
    let text = |number: u64| format!("{number:01000}");
    let frames = (1..=BURST).flat_map(|number| frame(0x81, text(number as u64).as_bytes()));
    let frames = frames.collect::<Vec<_>>();
    let ((), received) = tokio::join!(sender.send(frames), client.take(BURST));
    for (number, update) in (1..).zip(&received) {
        assert_eq!(update.update, text(number), "after {} gaps", client.gaps());
        assert_eq!(update.id, before.id + number, "its clock was not set back");
    }
    assert_eq!(client.gaps(), 0, "gaps that are told");
}

/// 2.7: a server had a clock that was an hour ahead. It is started anew with the right one.
#[tokio::test]
async fn a_cursor_of_a_clock_that_was_ahead() {
    let Some(clock) = Clock::new() else { return };
    for name in SERVERS {
        clock.set(3_600);
        let server = clock.server(name).await;
        let seen = publish(&server, "A").await.id;
        publish(&server, "lost").await;
        drop(server);
        clock.set(0);
        let server = clock.server(name).await;
        let sent = publish_all(&server, ["B", "C"]).await;
        assert!(sent[1].id < seen, "{name}: its clock was ahead");
        let mut client = Client::new(&server, seen);
        let texts = client.texts_until("C").await;
        assert_eq!(texts, ["Real-Time Update 1", "B", "C"], "{name}: all that is kept");
        assert_eq!(client.gaps(), 1, "{name}: gaps that are told");
    }
}
