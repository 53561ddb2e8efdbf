//! A proxy that cuts each connection after a random number of bytes, often in the middle of an
//! update: the network at its worst, as a client on a train has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{RngExt as _, rngs::StdRng};
use tokio::io::{self, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A proxy before one server. It goes on for as long as the test does.
pub struct Cutter {
    /// Where it listens, at 127.0.0.1.
    pub port: u16,
    cuts: Arc<AtomicUsize>,
}

impl Cutter {
    /// Starts a proxy before this address.
    ///
    /// # Panics
    /// When there is no port left to listen on.
    pub async fn start(server: String, mut random: StdRng) -> Cutter {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let cuts = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // As often a few bytes as a few thousand.
                let limit = 2f64.powf(random.random_range(4.0..14.5));
                let reset = random.random_bool(0.5);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                tokio::spawn(pass(
                    client,
                    server.clone(),
                    limit as u64,
                    reset,
                    Arc::clone(&counter),
                ));
            }
        });
        Cutter { port, cuts }
    }

    /// How many connections it has cut until now.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Lets so many bytes through from the server to the client; then both connections end.
async fn pass(
    mut client: TcpStream,
    server: String,
    limit: u64,
    reset: bool,
    cuts: Arc<AtomicUsize>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut asks, mut hears) = client.split();
    let (answers, mut is_asked) = server.split();
    let mut answers = answers.take(limit);
    let passed = tokio::select! {
        passed = io::copy(&mut answers, &mut hears) => passed.unwrap_or(0),
        _ = io::copy(&mut asks, &mut is_asked) => 0,
    };
    if passed == limit {
        cuts.fetch_add(1, Ordering::Relaxed);
    }
    if reset {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}
