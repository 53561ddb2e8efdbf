//! A connection as actix-http sees it. Three things are put right here that it would get wrong: an
//! upgrade that is offered and not taken, a client that has closed its half, and one that does not read.

use std::io::{self, ErrorKind::ConnectionAborted, ErrorKind::TimedOut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{cell::Cell, fmt, net::SocketAddr};

use actix_http::error::DispatchError;
use actix_http::{HttpServiceBuilder, Protocol, Request, Response};
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceFactory};
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::{Sleep, sleep};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::listen;

/// How many bytes of an answer actix makes ahead of the connection.
const UNWRITTEN: usize = 8 * 1024;
/// How long an idle connection is kept: longer than a client waits between two polls.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long the head of the first request may take. A browser opens a connection ahead of need
/// (*preconnect*), and keeps it for less than this.
const FIRST_REQUEST: Duration = Duration::from_secs(50);
/// How long a client may take to see that its connection ends.
const DISCONNECT: Duration = Duration::from_secs(1);
/// How long an answer may go on that has no end, or has not begun, when the client has closed its half.
/// It may still read, but a client that is gone looks the same.
const HALF_CLOSED: Duration = Duration::from_secs(3);
/// How long a client may take nothing of what waits for it. On Linux the kernel is faster (see
/// [`listen::tune`]).
const UNREAD: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 45 });

/// Whether the answer of a connection has an end, so that a client may wait for it.
#[derive(Clone, Default)]
pub(crate) struct HasEnd(pub Rc<Cell<bool>>);

/// A mark in the answers of `array`: their length is unknown, but they have an end.
pub(crate) struct Ends;

/// A client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    is_websocket: bool,
    has_end: HasEnd,
    half_closed: Option<Pin<Box<Sleep>>>,
    unread: Option<Pin<Box<Sleep>>>,
}

/// HTTP on such connections.
pub(crate) fn http<S>() -> HttpServiceBuilder<Connection, S>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: fmt::Debug,
    <S::Service as Service<Request>>::Future: 'static,
{
    HttpServiceBuilder::default()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(FIRST_REQUEST)
        .client_disconnect_timeout(DISCONNECT)
        .h1_write_buffer_size(UNWRITTEN)
        .on_connect_ext(|connection: &Connection, data| {
            drop(data.insert(connection.has_end.clone()));
        })
}

/// What is done with a connection before HTTP begins on it.
pub(crate) async fn accept(
    stream: TcpStream,
) -> Result<(Connection, Protocol, Option<SocketAddr>), DispatchError> {
    listen::tune(&stream);
    Ok((Connection::new(stream), Protocol::Http1, None))
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        let (is_websocket, has_end) = (false, HasEnd::default());
        Connection { stream, is_websocket, has_end, half_closed: None, unread: None }
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.stream)
    }

    /// An error when the client has closed its half, and waits for an answer that has no end.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(half_closed) = &mut self.half_closed else { return Ok(()) };
        let is_over = half_closed.as_mut().poll(cx).is_ready();
        if is_over && !self.has_end.0.get() { Err(ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(self.stream().poll_read(cx, buffer));
        if let Err(reset) = read {
            // Behind a request, actix-http takes this for the end of a half.
            self.half_closed = Some(Box::pin(sleep(Duration::ZERO)));
            return Poll::Ready(Err(reset));
        }
        let came = &mut buffer.filled_mut()[before..];
        if came.is_empty() {
            self.half_closed.get_or_insert_with(|| Box::pin(sleep(HALF_CLOSED)));
        } else if !self.is_websocket {
            self.is_websocket = !ignore_offers(came);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = self.stream().poll_write(cx, bytes);
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

/// Blanks the option `upgrade` in `Connection`, unless the request is for a WebSocket. Returns
/// whether it is for something else. A server ignores an offer that it does not take (RFC 9110
/// §7.8), but actix-http ends a connection after a request with this option. No body is touched
/// that could be read: in JSON, no line begins with `Connection:`.
fn ignore_offers(bytes: &mut [u8]) -> bool {
    let is_upgrade = |word: &[u8]| word.eq_ignore_ascii_case(b"upgrade");
    if !bytes.windows(7).any(is_upgrade) {
        return true;
    }
    let is_websocket = |line: &[u8]| {
        let value = value_of(line, b"upgrade:").map(|at| line[at..].trim_ascii());
        value.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
    };
    if bytes.split(|byte| *byte == b'\n').any(is_websocket) {
        return false;
    }
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        let Some(at) = value_of(line, b"connection:") else { continue };
        for option in line[at..].split_mut(|byte| *byte == b',') {
            if is_upgrade(option.trim_ascii()) {
                // The line keeps its length, and its end.
                option.make_ascii_lowercase();
                let letters = option.iter_mut().filter(|byte| byte.is_ascii_lowercase());
                letters.for_each(|letter| *letter = b' ');
            }
        }
    }
    true
}

/// Where the value of this header begins in a line.
fn value_of(line: &[u8], name: &[u8]) -> Option<usize> {
    let begin = line.get(..name.len())?;
    begin.eq_ignore_ascii_case(name).then_some(name.len())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Also where the kernel does not end it: one that reads nothing is dropped, one that reads slowly
    /// is not.
    #[tokio::test]
    async fn a_client_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        for is_slow in [false, true] {
            let mut client = TcpStream::connect(address).await.expect("somebody listens");
            let (stream, _) = listener.accept().await.expect("a client has come");
            let mut connection = Connection::new(stream);
            let write = async {
                let start = tokio::time::Instant::now();
                while start.elapsed() < 3 * UNREAD {
                    connection.write_all(&[b'x'; 8 * 1024]).await?;
                }
                Ok(())
            };
            let read = async {
                let mut taken = vec![0; 4 * 1024 * 1024];
                loop {
                    sleep(UNREAD / 4).await;
                    if is_slow {
                        client.read_exact(&mut taken).await.expect("it is connected");
                    }
                }
            };
            let end: io::Result<()> = tokio::select! { end = write => end, () = read => Ok(()) };
            assert_eq!(end.err().map(|why| why.kind()), (!is_slow).then_some(TimedOut));
        }
    }
}
