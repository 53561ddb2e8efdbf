//! The clients of a measurement: one small task each, on bare sockets, that reads what comes and
//! counts it. They do nothing else, so that the server is what is measured.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use bytes::BytesMut;
use hdrhistogram::Histogram;
use memchr::memmem::find;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::figures::Variant;

/// What Chromium sends with everything that a page asks for, besides the technique's own.
pub const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n";
/// What it adds to a request, but not to a WebSocket's handshake.
pub const PAGE: &str = "Connection: keep-alive\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Referer: http://localhost:8001/html/index.html\r\n";
/// A WebSocket's handshake, and what the page asks for in it.
pub const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Origin: http://localhost:8004\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
pub const JSON: &str = "Sec-WebSocket-Protocol: json\r\n";
/// What it adds where its cache is passed by.
pub const NO_CACHE: &str = "Pragma: no-cache\r\nCache-Control: no-cache\r\n";

/// The longest latency that is told apart, in microseconds.
const HOUR: u64 = 3_600_000_000;

/// How many bytes a measured message has.
pub const MESSAGE: usize = 64;

/// How long a client is away whose connection was cut.
pub const AWAY: Duration = Duration::from_millis(500);

/// How a client comes back that has lost its connection.
#[derive(Clone, Copy, PartialEq)]
pub enum Return {
    /// Always after [`AWAY`].
    Soon,
    /// As the pages do: an event stream after the `retry:` that its server has said, the others after a
    /// second at first and then longer and longer, of which up to a half is left to chance.
    AtRandom,
    /// All of them after the same time, the mean of that.
    Alike,
}

impl Return {
    /// After so many attempts that have failed, and with this `retry:`, where there was one.
    fn after(self, failed: u32, retry: Option<Duration>) -> Duration {
        const RETRY: Duration = Duration::from_secs(2); // the mean
        let longest = Duration::from_secs((1 << failed.min(4)).min(10));
        match (self, retry) {
            (Return::Soon, _) => AWAY,
            (Return::AtRandom, Some(retry)) => retry,
            (Return::Alike, Some(_)) => RETRY,
            (Return::AtRandom, None) => longest.mul_f64(0.5 + rand::random::<f64>() / 2.0),
            (Return::Alike, None) => longest.mul_f64(0.75),
        }
    }
}

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
        for count in [&self.requests, &self.up, &self.down, &self.received, &self.twice] {
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

pub fn add(count: &Cell<u64>, more: usize) {
    count.set(count.get() + more as u64);
}

/// The microsecond since 1970.
fn now() -> u64 {
    u64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// A message of so many bytes, [`MESSAGE`] or more, that says its number, when it is published, and
/// whether that is right after another one.
fn message(number: u64, is_second: bool, bytes: usize) -> String {
    let rest = bytes - 30;
    format!("{:016} {number:010} {} {:.<rest$}", now(), u8::from(is_second), "")
}

/// How the clients of a technique are connected.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Where it comes from, if it matters: with Linux an address has no more than some 28,000 ports.
    pub address: [u8; 4],
    pub server: SocketAddr,
    pub variant: Variant,
    /// When a polling client asks for the second time: its phase.
    pub phase: Duration,
    /// How it comes back when its connection breaks, instead of ending there.
    pub comes_back: Option<Return>,
}

/// A client's connection, what it has read and not yet understood, and how far it is.
struct Client {
    socket: TcpStream,
    read: BytesMut,
    port: u16,
    at: Place,
    tally: Rc<Tally>,
}

/// What a client keeps when its connection breaks.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The number of the message that comes next.
    next: u64,
    /// The last id that it saw, where there was one.
    cursor: Option<u64>,
    /// How many attempts have failed since it last worked.
    failed: u32,
    /// What the server has said of the time until it comes back.
    retry: Option<Duration>,
}

/// Is a client of this technique until its task is aborted.
///
/// # Errors
/// What the connection failed with, or what the server said that it should not; unless it comes
/// back: then it does so with its cursor.
pub async fn run(setup: Setup, tally: Rc<Tally>) -> Result<()> {
    // Who comes back may be cut off before the first update: from the beginning, then.
    let mut place = Place { cursor: setup.comes_back.map(|_| 0), ..Place::default() };
    loop {
        let ended = match Client::connect_from(setup.address, setup.server, tally.clone()).await {
            Ok(mut client) => {
                client.at = place;
                let ended = client.be(setup).await;
                place = client.at;
                ended
            }
            Err(error) => Err(error),
        };
        let Some(comes_back) = setup.comes_back else { return ended };
        sleep(comes_back.after(place.failed, place.retry)).await;
        place.failed += 1;
    }
}

/// Asks as a client of this technique does, and never reads what comes; until its task is aborted.
/// Where an answer ends, it asks again, over the same connection.
///
/// # Errors
/// What the connection failed with: a server may end it.
pub async fn never_read(port: u16, server: &str) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?; // so that little of it is in the kernel
    let socket = socket.connect(([127, 0, 0, 1], port).into()).await?;
    let mut client = Client::of(socket, port, Tally::new());
    let (path, headers): (_, &[&str]) = match server {
        "polling" => ("/api/messages?after=0", &[PAGE]),
        "long-polling" => ("/api/messages/long-poll?after=0", &[PAGE]),
        "server-sent-events" => ("/server-sent-events", &[PAGE]),
        _ => ("/websocket", &[HANDSHAKE]),
    };
    client.request(path, headers).await?;
    loop {
        sleep(Duration::from_millis(100)).await;
        if server.ends_with("polling") {
            client.request(path, headers).await?;
        }
    }
}

/// How long it takes from connecting until the first update is there, which the server has already.
/// `None`: it does not come, from a server that knows no cursor.
///
/// # Errors
/// What the connection failed with, or what the server said that it should not.
pub async fn first_update(port: u16, server: &str, tally: Rc<Tally>) -> Result<Option<Duration>> {
    let first = timeout(Duration::from_secs(5), first_of(port, server, tally)).await;
    first.ok().transpose()
}

/// Where a client of this technique asks, from the beginning.
pub fn from_the_beginning(server: &str) -> &'static str {
    match server {
        "polling" => "/api/messages?after=0",
        "long-polling" => "/api/messages/long-poll?after=0",
        "server-sent-events" => "/server-sent-events?after=0",
        _ => "/websocket?after=0",
    }
}

async fn first_of(port: u16, server: &str, tally: Rc<Tally>) -> Result<Duration> {
    let begin = Instant::now();
    let mut client = Client::connect(port, tally).await?;
    let path = from_the_beginning(server);
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
        Client::connect_from([0; 4], ([127, 0, 0, 1], port).into(), tally).await
    }

    async fn connect_from(
        address: [u8; 4],
        server: SocketAddr,
        tally: Rc<Tally>,
    ) -> Result<Client> {
        let socket = TcpSocket::new_v4()?;
        if address != [0; 4] {
            socket.bind((address, 0).into())?;
        }
        let socket = socket.connect(server).await?;
        socket.set_nodelay(true)?;
        Ok(Client::of(socket, server.port(), tally))
    }

    fn of(socket: TcpStream, port: u16, tally: Rc<Tally>) -> Client {
        Client { socket, read: BytesMut::new(), port, at: Place::default(), tally }
    }

    /// Is a client of this technique for as long as the connection holds.
    async fn be(&mut self, setup: Setup) -> Result<()> {
        match setup.variant.server {
            "polling" => self.poll(setup).await,
            "long-polling" => self.long_poll().await,
            "server-sent-events" => self.listen().await,
            _ => self.converse(setup.variant.bare).await,
        }
    }

    fn after(&self) -> u64 {
        self.at.cursor.unwrap_or(0)
    }

    async fn poll(&mut self, setup: Setup) -> Result<()> {
        self.ask(&format!("/api/messages?after={}", self.after())).await?;
        self.answer().await?;
        self.ready();
        let mut next = Instant::now() + setup.phase;
        loop {
            sleep_until(next).await;
            next += setup.variant.poll_interval;
            self.ask(&format!("/api/messages?after={}", self.after())).await?;
            self.answer().await?;
        }
    }

    async fn long_poll(&mut self) -> Result<()> {
        self.ask(&format!("/api/messages/long-poll?after={}", self.after())).await?;
        self.ready(); // it may be held, if nobody understands the cursor
        loop {
            self.answer().await?;
            self.ask(&format!("/api/messages/long-poll?after={}", self.after())).await?;
        }
    }

    async fn listen(&mut self) -> Result<()> {
        let cursor = self.at.cursor.map(|id| format!("Last-Event-ID: {id}\r\n"));
        let accept = "Accept: text/event-stream\r\n";
        let headers = [PAGE, NO_CACHE, accept, cursor.as_deref().unwrap_or_default()];
        self.request("/server-sent-events", &headers).await?;
        self.head("200").await?;
        self.ready();
        loop {
            while let Some(end) = end_of_event(&self.read) {
                let event = self.read.split_to(end);
                if let Some(retry) = find(&event, b"retry: ") {
                    // (A chunk's size may stand before it.)
                    let retry = str::from_utf8(&event[retry + 7..])?.lines().next();
                    let retry = retry.unwrap_or_default().parse().map(Duration::from_millis);
                    self.at.retry = Some(retry?);
                }
                if let Some(data) = find(&event, b"data: ") {
                    self.saw(find(&event[..data], b"id: ").map(|id| &event[id + 4..]));
                    self.received(update_in(&event[data + 6..]));
                }
            }
            self.read().await?;
        }
    }

    async fn converse(&mut self, bare: bool) -> Result<()> {
        let path = format!("/websocket?after={}", self.after());
        let (path, json) = if bare { ("/websocket", "") } else { (&*path, JSON) };
        self.request(path, &[NO_CACHE, HANDSHAKE, json]).await?;
        self.head("101").await?;
        self.ready();
        loop {
            // A frame's length is in its second byte, or in the two after that (RFC 6455 §5.2).
            while let Some((start, length)) = match *self.read {
                [_, 126, high, low, ..] => Some((4, u16::from_be_bytes([high, low]).into())),
                [_, length @ ..126, ..] => Some((2, usize::from(length))),
                _ => None,
            }
            .filter(|(start, length)| start + length <= self.read.len())
            {
                let frame = self.read.split_to(start + length);
                match frame[0] & 0x0f {
                    1 => {
                        self.saw(find(&frame, br#"{"id":"#).map(|id| &frame[id + 6..]));
                        self.received(update_in(&frame[start..]));
                    }
                    9 => self.write(&[0x8a, 0x80, 0, 0, 0, 0]).await?,
                    opcode => bail!("a frame with the opcode {opcode}"),
                }
            }
            self.read().await?;
        }
    }

    fn ready(&mut self) {
        self.at.failed = 0;
        self.tally.ready.set(self.tally.ready.get() + 1);
    }

    async fn ask(&mut self, path: &str) -> Result<()> {
        let cache = if path.contains("long-poll") { NO_CACHE } else { "" };
        self.request(path, &[PAGE, cache, "Accept: */*\r\n"]).await
    }

    /// Counts what an answer brings.
    async fn answer(&mut self) -> Result<()> {
        let length = self.head("20").await?;
        let body = self.body(length).await?;
        let mut rest = &body[..];
        while let Some(text) = find(rest, br#""update":""#) {
            self.saw(find(&rest[..text], br#"{"id":"#).map(|id| &rest[id + 6..]));
            rest = &rest[text + 10..];
            self.received(rest);
        }
        Ok(())
    }

    /// Here begins the id of the update that follows, where it has one.
    fn saw(&mut self, id: Option<&[u8]>) {
        let digits = id.into_iter().flatten().take_while(|byte| byte.is_ascii_digit());
        let id = digits.fold(0, |id, digit| id * 10 + u64::from(digit - b'0'));
        self.at.cursor = Some(id).filter(|id| *id > 0).or(self.at.cursor);
    }

    async fn request(&mut self, path: &str, more: &[&str]) -> Result<()> {
        let (port, more) = (self.port, more.concat());
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{BROWSER}{more}\r\n");
        add(&self.tally.requests, 1);
        self.write(request.as_bytes()).await
    }

    /// Reads a response's head; says the length of its body, which `None` is chunked.
    async fn head(&mut self, status: &str) -> Result<Option<usize>> {
        let end = self.read_to(b"\r\n\r\n").await?;
        let head = self.read.split_to(end);
        let head = str::from_utf8(&head)?;
        if !head.starts_with(&format!("HTTP/1.1 {status}")) {
            bail!("instead of {status} the server said {head}");
        }
        let field = |name: &str| {
            let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
            fields.find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        if field("transfer-encoding").is_some() {
            return Ok(None);
        }
        Ok(Some(field("content-length").map_or(Ok(0), str::parse)?))
    }

    /// Reads a response's body.
    async fn body(&mut self, length: Option<usize>) -> Result<BytesMut> {
        if let Some(length) = length {
            return self.take(length).await;
        }
        let mut body = BytesMut::new();
        loop {
            let end = self.read_to(b"\r\n").await?;
            let size = self.read.split_to(end);
            let size = str::from_utf8(&size)?.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).context("a chunk without its size")?;
            body.extend_from_slice(&self.take(size + 2).await?[..size]);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads until these bytes are there; says where they end.
    async fn read_to(&mut self, bytes: &[u8]) -> Result<usize> {
        loop {
            match find(&self.read, bytes) {
                Some(start) => return Ok(start + bytes.len()),
                None => self.read().await?,
            }
        }
    }

    /// Reads so many bytes.
    async fn take(&mut self, bytes: usize) -> Result<BytesMut> {
        self.read.reserve(bytes.saturating_sub(self.read.len()));
        while self.read.len() < bytes {
            self.read().await?;
        }
        Ok(self.read.split_to(bytes))
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
        if number < self.at.next {
            add(&self.tally.twice, 1);
            return;
        }
        self.at.next = number + 1;
        let latency = if text[28] == b'1' { &self.tally.second } else { &self.tally.latency };
        latency.borrow_mut().saturating_record(now().saturating_sub(published));
    }
}

/// Where an event's empty line ends; some servers end lines with CR and LF (WHATWG HTML §9.2.5).
fn end_of_event(text: &[u8]) -> Option<usize> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n"];
    ends.iter().filter_map(|end| Some(find(text, end)? + end.len())).min()
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
    /// How many bytes a message has.
    pub bytes: usize,
}

impl Publisher {
    pub async fn connect(port: u16) -> Result<Publisher> {
        let client = Client::connect(port, Tally::new()).await?;
        Ok(Publisher { client, used: Instant::now(), number: 0, bytes: MESSAGE })
    }

    /// Connects anew, and counts on.
    pub async fn renew(&mut self) -> Result<()> {
        let (number, bytes) = (self.number, self.bytes);
        *self = Publisher { number, bytes, ..Publisher::connect(self.client.port).await? };
        Ok(())
    }

    /// Publishes one message, and waits for its confirmation.
    pub async fn publish(&mut self, is_second: bool) -> Result<()> {
        let (port, number, bytes) = (self.client.port, self.number, self.bytes);
        if self.used.elapsed() > Duration::from_secs(1) {
            self.renew().await?; // no server keeps a connection for ever over which nothing comes
        }
        let body = format!(r#"{{"update":"{}"}}"#, message(number, is_second, bytes));
        let length = body.len();
        let request = format!(
            "POST /api/messages HTTP/1.1\r\nHost: localhost:{port}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let client = &mut self.client;
        client.write(request.as_bytes()).await?;
        let length = client.head("201").await?;
        client.body(length).await?;
        (self.number, self.used) = (number + 1, Instant::now());
        Ok(())
    }
}
