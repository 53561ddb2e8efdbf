//! A TCP connection, for when bytes matter: what is sent and what comes back, to the byte.

use std::{net::SocketAddr, time::Duration};

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::asked;
use crate::server::Server;
use crate::time::{SOON, late, soon};

/// More than this is asked for over no connection: who sends more does not come to an end.
const MOST: usize = 64 << 20;
/// What is read in one go.
const PART: usize = 64 << 10;

/// A connection to a server, and what came over it that nobody has taken yet.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    /// How many bytes came.
    came: usize,
    asked: String,
}

/// The head of a response, and its body if it said how long that is.
#[derive(Debug)]
pub struct Response {
    /// From `HTTP/1.1` to the empty line, which is included.
    pub head: String,
    /// Its body, if the head says where that ends.
    pub body: Vec<u8>,
}

impl Response {
    /// The three digits of the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {}", self.head))
    }

    /// Whether it is the last one on its connection.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
    }

    /// The value of a header's field, whose name is written small here.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value.trim()))
    }
}

impl Raw {
    /// Connects to a server.
    pub async fn connect(server: &Server) -> Raw {
        Raw::to(&server.address()).await
    }

    /// Connects to an address and its port, as [`Server::address`] gives it.
    ///
    /// # Panics
    /// When it is none, or nobody accepts the connection.
    pub async fn to(address: &str) -> Raw {
        Raw::connect_to(address.parse().expect("it is one"), None).await
    }

    /// Connects to a server with so small a buffer that it is soon full when nobody reads.
    pub async fn connect_small(server: &Server) -> Raw {
        Raw::connect_to(server.address().parse().expect("it is one"), Some(4096)).await
    }

    /// Connects to an address, with a receive buffer of about so many bytes.
    ///
    /// # Panics
    /// When nobody accepts the connection.
    pub async fn connect_to(address: SocketAddr, buffer: Option<u32>) -> Raw {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.expect("a socket can be made");
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).expect("a buffer may be small");
        }
        let stream = soon("a connection", socket.connect(address)).await;
        let stream = stream.unwrap_or_else(|why| panic!("no connection ({why}): has it ended?"));
        Raw { stream, read: Vec::new(), came: 0, asked: String::new() }
    }

    /// Sends bytes, all of them in one go.
    ///
    /// # Panics
    /// When the server doesn't take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.try_send(bytes).await, "the connection is closed");
    }

    /// Sends bytes, if the server still wants them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.asked = asked::note(bytes.as_ref());
        soon("sending", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(
                self.more().await,
                "the connection was closed; before that came {:?}",
                self.seen()
            );
        }
        self.read.drain(..count).collect()
    }

    /// Reads all bytes up to and with these.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn until(&mut self, end: &str) -> String {
        let (end, mut looked) = (end.as_bytes(), 0);
        loop {
            if let Some(start) = memmem::find(&self.read[looked..], end) {
                let bytes: Vec<u8> = self.read.drain(..looked + start + end.len()).collect();
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            looked = (self.read.len() + 1).saturating_sub(end.len());
            assert!(
                self.more().await,
                "the connection was closed; before that came {:?}",
                self.seen()
            );
        }
    }

    /// Reads what is there, but no more than so many bytes, and says how many; 0 at the end.
    pub async fn some_of(&mut self, most: usize) -> usize {
        soon("more bytes", self.fill(most)).await
    }

    /// What has come, and nobody has taken yet.
    pub fn taken(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    /// Reads the head of a response, and its body: as many bytes as `Content-Length` says, or chunks
    /// (RFC 9112 §7.1). What has no end that it says, as an event stream, is left to be read.
    pub async fn response(&mut self) -> Response {
        let head = self.until("\r\n\r\n").await;
        self.rest_of(head).await
    }

    /// The same, of which the head has come.
    pub async fn rest_of(&mut self, head: String) -> Response {
        let mut response = Response { head, body: Vec::new() };
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        let is =
            |field: &str, value: &str| response.header(field).is_some_and(|it| it.contains(value));
        let status = response.status();
        asked::note_answer(&self.asked, status, response.header("content-type"));
        if is("content-type", "text/event-stream") || matches!(status, ..200 | 204 | 304) {
            return response;
        }
        if let Some(length) = length {
            response.body = self.exactly(length).await;
        } else if !is("transfer-encoding", "chunked") {
            while self.more().await {} // its end is the connection's
            response.body = std::mem::take(&mut self.read);
        } else {
            loop {
                let size = self.until("\r\n").await;
                let size = usize::from_str_radix(size.trim_end(), 16);
                let size = size.unwrap_or_else(|why| panic!("the size of a chunk: {why}"));
                let chunk = self.exactly(size + 2).await;
                response.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        response
    }

    /// Reads until the server ends the connection, and gives back what came.
    ///
    /// # Panics
    /// When the server doesn't end it.
    pub async fn to_end(mut self) -> Vec<u8> {
        assert!(self.ended_within(SOON).await, "no end; until now came {:?}", self.seen());
        self.read
    }

    /// Whether the server ends the connection within this time.
    pub async fn ended_within(&mut self, limit: Duration) -> bool {
        timeout(limit, async { while self.fill(PART).await > 0 {} }).await.is_ok()
    }

    /// Whether anything is there, or comes within this time.
    pub async fn any_within(&mut self, limit: Duration) -> bool {
        if !self.read.is_empty() {
            return true;
        }
        timeout(limit, self.fill(PART)).await.is_ok_and(|count| count > 0)
    }

    /// Sends bytes again and again, for as long as the server takes them, but not for longer than
    /// this. Gives back how many it took.
    pub async fn flood(&mut self, bytes: &[u8], limit: Duration) -> usize {
        let mut sent = 0;
        let flood = async {
            while self.stream.write_all(bytes).await.is_ok() {
                sent += bytes.len();
            }
        };
        let _ = timeout(limit, flood).await;
        sent
    }

    /// Its two halves, for who reads and sends at the same time.
    #[must_use]
    pub fn into_halves(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.stream.into_split()
    }

    /// Closes this half only: says that nothing more will be sent, and could still read.
    pub async fn close_half(&mut self) {
        let _ = self.stream.shutdown().await; // the server may have closed it
    }

    /// Ends the connection in the rudest way, with a TCP reset.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger(); // the server may have closed it
    }

    /// Reads what is there, as soon as something is; false at the connection's end.
    async fn more(&mut self) -> bool {
        let more = timeout(SOON, self.fill(PART)).await;
        let more = more.unwrap_or_else(|_| {
            late();
            panic!("nothing more came within {SOON:?}; before it came {:?}", self.seen())
        });
        more > 0
    }

    /// Reads what is there, but no more than so many bytes, and says how many; 0 at the end.
    async fn fill(&mut self, most: usize) -> usize {
        self.read.reserve(most);
        let mut part = (&mut self.stream).take(most as u64);
        let count = part.read_buf(&mut self.read).await.unwrap_or(0);
        self.came += count;
        assert!(self.came < MOST, "it has no end: {MOST} bytes came, as {:?}", self.seen());
        count
    }

    fn seen(&self) -> String {
        let end = self.read.len().min(200);
        String::from_utf8_lossy(&self.read[..end]).into_owned()
    }
}

/// One frame of a client (RFC 6455 §5.2), with a mask that changes nothing (four zeros). `first` is
/// its first byte: 0x80 for the last fragment, plus the kind: 0 continues, 1 text, 2 binary, 8
/// close, 9 ping, 10 pong.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_header(first, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// The header of a client's frame that says it has so many bytes of payload, with its mask.
#[must_use]
pub fn frame_header(first: u8, length: usize) -> Vec<u8> {
    let mut header = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => vec![first, 0x80 | short],
        (_, Ok(medium)) => [&[first, 0x80 | 0x7e][..], &medium.to_be_bytes()].concat(),
        _ => [&[first, 0x80 | 0x7f][..], &(length as u64).to_be_bytes()].concat(),
    };
    header.extend([0; 4]);
    header
}
