//! A line: it stands before a server and makes it as far away as one says.
//!
//! What comes in at one end goes out at the other half a round trip later, in order, and as much at
//! a time as before: the distance grows, the bandwidth stays. A new connection takes a round trip
//! more before its first byte goes on, as the TCP handshake would.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// The most bytes that are under way in one direction of a connection: at 300 ms, 25 MB a second
/// still fit.
const UNDER_WAY: usize = 4 * 1024 * 1024;
/// The most bytes that are read in one go.
const PART: usize = 64 * 1024;

/// The round trip of all lines that share it; it can be changed while they work.
pub type RoundTrip = watch::Receiver<Duration>;

/// Passes every connection that comes on to `server`, for as long as it is polled.
///
/// # Errors
/// When nothing can be accepted any more.
pub async fn pass_all(listener: TcpListener, server: SocketAddr, rtt: RoundTrip) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(pass(client, server, rtt.clone()))),
            // Out of file descriptors: others will close theirs.
            Err(error) if error.raw_os_error().is_some() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Passes one connection on, in both directions, until both are over or one of them breaks.
async fn pass(client: TcpStream, server: SocketAddr, rtt: RoundTrip) -> io::Result<()> {
    let open = Instant::now() + *rtt.borrow(); // SYN and SYN-ACK
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::try_join!(
        delay(from_client, to_server, open, rtt.clone()),
        delay(from_server, to_client, open, rtt),
    )?;
    Ok(())
}

/// Passes one direction on: each part half a round trip after it came, or after `open`, but never
/// before the part before it. The end comes as late.
async fn delay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    open: Instant,
    rtt: RoundTrip,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let (send, mut under_way) = mpsc::unbounded_channel(); // as much as there is room for
    let read = async move {
        let mut due = open;
        loop {
            let mut part = Vec::with_capacity(PART);
            let count = from.read_buf(&mut part).await?;
            let units = u32::try_from(count.max(1)).expect("a part is short");
            let place = Arc::clone(&room).acquire_many_owned(units).await;
            let place = place.expect("it is never closed");
            due = due.max(open.max(Instant::now()) + *rtt.borrow() / 2);
            if send.send((due, part, place)).is_err() || count == 0 {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, part, _place)) = under_way.recv().await {
            sleep_until(due).await;
            match part.len() {
                0 => to.shutdown().await?,
                _ => to.write_all(&part).await?,
            }
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}
