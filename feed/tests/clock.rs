//! The servers with a clock that is wrong. libfaketime tells it to them, where that is installed.
#![cfg(all(feature = "serve", target_os = "linux"))]

use std::path::{Path, PathBuf};
use std::{env::consts::ARCH, fs};

use lab::client::{Client, newest_id, publish, publish_all};
use lab::server::{Server, command};
use lab::{SERVERS, within};
use std::time::Duration;
use tokio::sync::oneshot;

/// A clock for one server: the right one, so many seconds later.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// None where there is no libfaketime.
    fn new() -> Option<Clock> {
        let folders =
            [format!("/usr/lib/{ARCH}-linux-gnu"), "/usr/lib64".into(), "/usr/lib".into()];
        let library = folders.map(|folder| Path::new(&folder).join("faketime/libfaketimeMT.so.1"));
        let Some(library) = library.into_iter().find(|library| library.exists()) else {
            eprintln!("not tried: libfaketime is missing (Debian: apt-get install libfaketime)");
            return None;
        };
        let file = format!("clock-{:016x}", rand::random::<u64>());
        let clock = Clock { library, file: Path::new(env!("CARGO_TARGET_TMPDIR")).join(file) };
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
        command.env("QUIET", "1").env("LD_PRELOAD", &self.library);
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

/// 2.8: while a reader keeps up, the clock is set back by an hour.
#[tokio::test(flavor = "multi_thread")]
async fn set_back_it_loses_nothing() {
    const BURST: usize = 6_000;
    let Some(clock) = Clock::new() else { return };
    for name in ["server-sent-events", "websockets"] {
        let server = clock.server(name).await;
        let mut client = Client::new(&server, newest_id(&server).await);
        let before = publish(&server, "before").await;
        assert_eq!(client.next().await, before);
        let (end, ended) = oneshot::channel();
        let reading = tokio::spawn(async move {
            let received = client.take(BURST).await;
            let _ = end.send(());
            (received, client.gaps())
        });
        clock.set(-3_600);
        let texts = (1..=BURST).map(|number| format!("message {number}"));
        let sent = publish_all(&server, texts).await;
        assert_eq!(sent[BURST - 1].id, before.id + BURST as u64, "{name}: its clock is set back");
        within(Duration::from_secs(60), "the burst", ended).await.expect("it is read");
        let (received, gaps) = reading.await.expect("it is read");
        assert!(received == sent, "{name}: {:?} was the last one", received.last());
        assert_eq!(gaps, 0, "{name}: gaps that are told");
        clock.set(0);
    }
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
        assert!(newest_id(&server).await < seen, "{name}: its clock was ahead");
        let sent = publish_all(&server, ["B", "C"].map(String::from).into_iter()).await;
        let mut client = Client::new(&server, seen);
        let texts = client.texts_until("C").await;
        assert_eq!(texts, ["Real-Time Update 1", "B", "C"], "{name}: all that is kept");
        assert_eq!(client.gaps(), 1, "{name}: gaps that are told");
        assert!(sent.iter().all(|update| update.id < seen), "{name}");
    }
}
