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
/// before the part before it, which is written first. The end comes as late.
async fn delay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    open: Instant,
    rtt: RoundTrip,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let (send, mut under_way) = mpsc::unbounded_channel(); // as much as there is room for
    let read = async move {
        let mut buffer = vec![0; PART];
        loop {
            let count = from.read(&mut buffer).await?;
            let part = buffer[..count].to_vec(); // no more memory than there are bytes under way
            let units = u32::try_from(count.max(1)).expect("a part is short");
            let place = Arc::clone(&room).acquire_many_owned(units).await;
            let place = place.expect("it is never closed");
            let due = open.max(Instant::now()) + *rtt.borrow() / 2;
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

/// On a clock that stands still while there is something to do: times are exact, on any machine.
#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;

    const RTT: Duration = Duration::from_millis(100);
    /// A timer's step.
    const STEP: Duration = Duration::from_millis(1);

    /// One direction of a line, open after so long: what sets its length, and both ends.
    fn direction(open: Duration) -> (watch::Sender<Duration>, DuplexStream, DuplexStream) {
        let (near, from) = duplex(PART);
        let (to, far) = duplex(PART);
        let (set, rtt) = watch::channel(RTT);
        tokio::spawn(delay(from, to, Instant::now() + open, rtt));
        (set, near, far)
    }

    async fn send(near: &mut DuplexStream, byte: u8) {
        near.write_u8(byte).await.expect("it is open");
        tokio::task::yield_now().await; // so that it is taken before anything else happens
    }

    #[track_caller]
    fn is_about(took: Duration, expected: Duration) {
        assert!(expected <= took && took <= expected + 2 * STEP, "{took:?}, not {expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_part_comes_half_a_round_trip_later() {
        let (_set, mut near, mut far) = direction(Duration::ZERO);
        let start = Instant::now();
        send(&mut near, 1).await;
        sleep(RTT / 10).await;
        send(&mut near, 2).await;
        assert_eq!(far.read_u8().await.expect("it is open"), 1);
        is_about(start.elapsed(), RTT / 2);
        assert_eq!(far.read_u8().await.expect("it is open"), 2);
        is_about(start.elapsed(), RTT / 2 + RTT / 10);
        drop(near);
        assert!(far.read_u8().await.is_err(), "it ends");
        is_about(start.elapsed(), RTT + RTT / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_takes_a_round_trip_more() {
        let (_set, mut near, mut far) = direction(RTT);
        let start = Instant::now();
        send(&mut near, 1).await;
        far.read_u8().await.expect("it is open");
        is_about(start.elapsed(), RTT + RTT / 2);
    }

    /// A part that comes when the line is shorter does not overtake one that came before.
    #[tokio::test(start_paused = true)]
    async fn nothing_overtakes() {
        let (set, mut near, mut far) = direction(Duration::ZERO);
        let start = Instant::now();
        send(&mut near, 1).await;
        set.send_replace(Duration::ZERO);
        send(&mut near, 2).await;
        assert_eq!(far.read_u8().await.expect("it is open"), 1);
        assert_eq!(far.read_u8().await.expect("it is open"), 2);
        is_about(start.elapsed(), RTT / 2);
        send(&mut near, 3).await;
        far.read_u8().await.expect("it is open");
        is_about(start.elapsed(), RTT / 2);
    }

    /// 4 MB in 1,000 parts take no longer than one byte.
    #[tokio::test(start_paused = true)]
    async fn the_bandwidth_stays() {
        let (_set, mut near, mut far) = direction(Duration::ZERO);
        let start = Instant::now();
        tokio::spawn(async move {
            for _ in 0..1_000 {
                near.write_all(&[0; 4_000]).await.expect("it is open");
            }
        });
        far.read_exact(&mut vec![0; 4_000_000]).await.expect("all of it comes");
        is_about(start.elapsed(), RTT / 2);
    }

    /// Where nobody reads, the line takes no more than it may have under way.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_waits() {
        let (_set, mut near, _far) = direction(Duration::ZERO);
        let endless = async {
            let mut sent = 0;
            while sent < 2 * UNDER_WAY {
                sent += near.write(&[0; 4096]).await.expect("it is open");
            }
        };
        assert!(tokio::time::timeout(10 * RTT, endless).await.is_err(), "it took all");
    }
}
