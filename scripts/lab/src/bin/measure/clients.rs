//! The clients of a measurement: one small task each, on bare sockets, that reads what comes and
//! counts it. They do nothing else, so that the server is what is measured.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use hdrhistogram::Histogram;
use memchr::memmem::find;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::figures::Variant;

/// What Chromium sends with everything that a page asks for, besides the technique's own.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n";
/// What it adds to a request, but not to a WebSocket's handshake.
const PAGE: &str = "Connection: keep-alive\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Referer: http://localhost:8001/html/index.html\r\n";
/// A WebSocket's handshake, and what the page asks for in it.
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Origin: http://localhost:8004\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const JSON: &str = "Sec-WebSocket-Protocol: json\r\n";
/// What it adds where its cache is passed by.
const NO_CACHE: &str = "Pragma: no-cache\r\nCache-Control: no-cache\r\n";

/// The longest latency that is told apart, in microseconds.
const HOUR: u64 = 3_600_000_000;

/// How many bytes a measured message has.
pub const MESSAGE: usize = 64;

/// What all clients of one technique have counted together.
pub struct Tally {
    /// From publishing to reading, in microseconds.
    pub latency: RefCell<Histogram<u64>>,
    /// The same of those that were published right after another one.
    pub second: RefCell<Histogram<u64>>,
    pub requests: Cell<u64>,
    pub up: Cell<u64>,
    pub down: Cell<u64>,
    pub received: Cell<u64>,
    pub lost: Cell<u64>,
    pub twice: Cell<u64>,
    /// As soon as so many are received, it is said.
    pub awaited: Cell<u64>,
    pub enough: Notify,
    /// How many clients are connected and wait for updates.
    pub ready: Cell<u32>,
}

impl Tally {
    pub fn new() -> Rc<Tally> {
        let latency = Histogram::new_with_max(HOUR, 3).expect("3 digits are allowed");
        Rc::new(Tally {
            second: latency.clone().into(),
            latency: latency.into(),
            requests: Cell::default(),
            up: Cell::default(),
            down: Cell::default(),
            received: Cell::default(),
            lost: Cell::default(),
            twice: Cell::default(),
            awaited: u64::MAX.into(),
            enough: Notify::new(),
            ready: Cell::default(),
        })
    }

    /// Forgets what was counted, but not who is ready.
    pub fn reset(&self) {
        self.latency.borrow_mut().reset();
        self.second.borrow_mut().reset();
        for count in [&self.requests, &self.up, &self.down, &self.received, &self.lost, &self.twice]
        {
            count.set(0);
        }
    }

    /// Waits until so many are received.
    pub async fn received(&self, count: u64) {
        self.awaited.set(count);
        while self.received.get() < count {
            self.enough.notified().await;
        }
    }
}

fn add(count: &Cell<u64>, more: usize) {
    count.set(count.get() + more as u64);
}

/// The microsecond since 1970.
fn now() -> u64 {
    u64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// A message of [`MESSAGE`] bytes that says its number, when it is published, and whether that is
/// right after another one.
fn message(number: u64, is_second: bool) -> String {
    format!("{:016} {number:010} {} {:.<34}", now(), u8::from(is_second), "")
}

/// How the clients of a technique are connected.
#[derive(Clone, Copy)]
pub struct Setup {
    pub port: u16,
    pub variant: Variant,
    /// When a polling client asks for the second time: its phase.
    pub phase: Duration,
}

/// A client's connection, what it has read and not yet understood, and which message comes next.
struct Client {
    socket: TcpStream,
    read: BytesMut,
    port: u16,
    next: u64,
    tally: Rc<Tally>,
}

/// Is a client of this technique until its task is aborted.
///
/// # Errors
/// What the connection failed with, or what the server said that it should not.
pub async fn run(setup: Setup, tally: Rc<Tally>) -> Result<()> {
    let mut client = Client::connect(setup.port, tally).await?;
    match setup.variant.server {
        "polling" => client.poll(setup).await,
        "long-polling" => client.long_poll().await,
        "server-sent-events" => client.listen().await,
        _ => client.converse(setup.variant.bare).await,
    }
}

/// How long it takes from connecting until the first update is there, which the server has already.
///
/// # Errors
/// What the connection failed with, or what the server said that it should not.
pub async fn first_update(port: u16, server: &str) -> Result<Duration> {
    let begin = Instant::now();
    let mut client = Client::connect(port, Tally::new()).await?;
    let path = match server {
        "polling" => "/api/messages?after=0",
        "long-polling" => "/api/messages/long-poll?after=0",
        "server-sent-events" => "/server-sent-events?after=0",
        _ => "/websocket?after=0",
    };
    match server {
        "websockets" => client.request(path, &[NO_CACHE, HANDSHAKE, JSON]).await?,
        _ => client.request(path, &[PAGE, NO_CACHE, "Accept: */*\r\n"]).await?,
    }
    while find(&client.read, b"Real-Time Update 1").is_none() {
        client.read().await?;
    }
    Ok(begin.elapsed())
}

impl Client {
    async fn connect(port: u16, tally: Rc<Tally>) -> Result<Client> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        Ok(Client { socket, read: BytesMut::new(), port, next: 0, tally })
    }

    async fn poll(&mut self, setup: Setup) -> Result<()> {
        let mut cursor = self.ask("/api/messages?after=0").await?.unwrap_or(0);
        self.ready();
        let mut next = Instant::now() + setup.phase;
        loop {
            sleep_until(next).await;
            next += setup.variant.poll_interval;
            let newest = self.ask(&format!("/api/messages?after={cursor}")).await?;
            cursor = newest.unwrap_or(cursor);
        }
    }

    async fn long_poll(&mut self) -> Result<()> {
        let mut cursor = self.ask("/api/messages/long-poll?after=0").await?.unwrap_or(0);
        self.ready();
        loop {
            let newest = self.ask(&format!("/api/messages/long-poll?after={cursor}")).await?;
            cursor = newest.unwrap_or(cursor);
        }
    }

    async fn listen(&mut self) -> Result<()> {
        self.request("/server-sent-events", &[PAGE, NO_CACHE, "Accept: text/event-stream\r\n"])
            .await?;
        self.head("200").await?;
        self.ready();
        loop {
            while let Some(end) = find(&self.read, b"\n\n") {
                let event = self.read.split_to(end + 2);
                if let Some(data) = find(&event, b"data: ") {
                    self.received(update_in(&event[data + 6..]));
                }
            }
            self.read().await?;
        }
    }

    async fn converse(&mut self, bare: bool) -> Result<()> {
        let (path, json) = if bare { ("/websocket", "") } else { ("/websocket?after=0", JSON) };
        self.request(path, &[NO_CACHE, HANDSHAKE, json]).await?;
        self.head("101").await?;
        self.ready();
        loop {
            // A frame's length is in its second byte, or in the two after that (RFC 6455 §5.2).
            while let Some(end) = match *self.read {
                [_, 126, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([high, low]))),
                [_, length @ ..126, ..] => Some(2 + usize::from(length)),
                _ => None,
            }
            .filter(|end| *end <= self.read.len())
            {
                let frame = self.read.split_to(end);
                match frame[0] & 0x0f {
                    1 => self.received(update_in(&frame[2..])),
                    9 => self.write(&[0x8a, 0x80, 0, 0, 0, 0]).await?,
                    opcode => bail!("a frame with the opcode {opcode}"),
                }
            }
            self.read().await?;
        }
    }

    fn ready(&self) {
        self.tally.ready.set(self.tally.ready.get() + 1);
    }

    /// Asks for news; counts what came, and says its last id.
    async fn ask(&mut self, path: &str) -> Result<Option<u64>> {
        let cache = if path.contains("long-poll") { NO_CACHE } else { "" };
        self.request(path, &[PAGE, cache, "Accept: */*\r\n"]).await?;
        let length = self.head("20").await?;
        while self.read.len() < length {
            self.read().await?;
        }
        let body = self.read.split_to(length);
        let mut rest = &body[..];
        let mut last = None;
        while let Some(id) = find(rest, br#"{"id":"#) {
            let digits = rest[id + 6..].iter().take_while(|byte| byte.is_ascii_digit());
            last = Some(digits.fold(0, |id, digit| id * 10 + u64::from(digit - b'0')));
            let text = find(rest, br#""update":""#).context("an update without a text")?;
            rest = &rest[text + 10..];
            self.received(rest);
        }
        Ok(last)
    }

    async fn request(&mut self, path: &str, more: &[&str]) -> Result<()> {
        let (port, more) = (self.port, more.concat());
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{BROWSER}{more}\r\n");
        add(&self.tally.requests, 1);
        self.write(request.as_bytes()).await
    }

    /// Reads a response's head; says the length of its body.
    async fn head(&mut self, status: &str) -> Result<usize> {
        let end = loop {
            match find(&self.read, b"\r\n\r\n") {
                Some(end) => break end,
                None => self.read().await?,
            }
        };
        let head = self.read.split_to(end + 4);
        let head = str::from_utf8(&head)?;
        if !head.starts_with(&format!("HTTP/1.1 {status}")) {
            bail!("instead of {status} the server said {head}");
        }
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
        Ok(length.map_or(Ok(0), str::parse)?)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).await?;
        add(&self.tally.up, bytes.len());
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        if self.read.capacity() - self.read.len() < 512 {
            self.read.reserve(2048);
        }
        match self.socket.read_buf(&mut self.read).await? {
            0 => bail!("the server closed the connection"),
            bytes => add(&self.tally.down, bytes),
        }
        Ok(())
    }

    /// Counts one of [`message`]'s texts; any other is not measured.
    fn received(&mut self, text: &[u8]) {
        let number =
            |range: Range<usize>| str::from_utf8(text.get(range)?).ok()?.parse::<u64>().ok();
        let (Some(published), Some(number)) = (number(0..16), number(17..27)) else { return };
        add(&self.tally.received, 1);
        if self.tally.received.get() >= self.tally.awaited.get() {
            self.tally.enough.notify_one();
        }
        if number < self.next {
            add(&self.tally.twice, 1);
            return;
        }
        self.tally.lost.set(self.tally.lost.get() + number - self.next);
        self.next = number + 1;
        let latency = if text[28] == b'1' { &self.tally.second } else { &self.tally.latency };
        latency.borrow_mut().saturating_record(now().saturating_sub(published));
    }
}

/// Where an update's text begins: in JSON, or by itself.
fn update_in(text: &[u8]) -> &[u8] {
    find(text, br#""update":""#).map_or(text, |start| &text[start + 10..])
}

/// Who publishes, right beside the server: the connection and when it was used last, and the number
/// of the next message.
pub struct Publisher {
    client: Client,
    used: Instant,
    number: u64,
}

impl Publisher {
    pub async fn connect(port: u16) -> Result<Publisher> {
        let client = Client::connect(port, Tally::new()).await?;
        Ok(Publisher { client, used: Instant::now(), number: 0 })
    }

    /// Publishes one message, and waits for its confirmation.
    pub async fn publish(&mut self, is_second: bool) -> Result<()> {
        let (port, number) = (self.client.port, self.number);
        if self.used.elapsed() > Duration::from_secs(1) {
            // No server keeps a connection for ever over which nothing comes.
            *self = Publisher { number, ..Publisher::connect(port).await? };
        }
        let body = format!(r#"{{"update":"{}"}}"#, message(number, is_second));
        let length = body.len();
        let request = format!(
            "POST /api/messages HTTP/1.1\r\nHost: localhost:{port}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let client = &mut self.client;
        client.write(request.as_bytes()).await?;
        let length = client.head("201").await?;
        while client.read.len() < length {
            client.read().await?;
        }
        client.read.advance(length);
        (self.number, self.used) = (number + 1, Instant::now());
        Ok(())
    }
}
