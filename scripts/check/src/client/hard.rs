//! The hard server: raw sockets, so that it can send what no framework would. It reads what is asked,
//! tells the stage, and does nothing by itself but refuse and reset, where it is told to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as Turns, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// The longest head of a request, body of a message, payload of a frame.
const MOST: usize = 64 * 1024;

/// One connection of the client's.
#[derive(Clone)]
pub struct Line {
    write: Arc<Turns<Option<OwnedWriteHalf>>>,
    /// Set once it is over, by whomever.
    over: watch::Sender<bool>,
    /// A request of the technique is under way in it, or what has come of it.
    busy: Arc<AtomicBool>,
    /// Frames that have come: the first byte, and the payload without its mask; or what was wrong.
    pub frames: Arc<Turns<mpsc::Receiver<Came>>>,
}

/// A frame: its first byte, and its payload.
type Frame = (u8, Vec<u8>);
/// A frame, or what is wrong with it.
type Came = Result<Frame, String>;

/// A request.
#[derive(Clone)]
pub struct Asked {
    pub at: Instant,
    pub method: String,
    pub target: String,
    pub head: String,
    pub body: Vec<u8>,
    pub line: Line,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value.trim()))
    }

    /// The cursor that it brings.
    pub fn cursor(&self) -> Option<&str> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let after = query.split('&').find_map(|part| part.strip_prefix("after="));
        self.header("last-event-id").or(after).filter(|cursor| !cursor.is_empty())
    }
}

/// What it does with a request by itself.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    /// Leaves it to the stage.
    Open,
    /// Resets the connection.
    HangsUp,
    /// Answers with this status.
    Refuses(u16),
}

/// What all connections share.
struct Shared {
    paths: &'static [&'static str],
    mood: Mutex<Mood>,
    /// When it was asked in a bad mood.
    attempts: Mutex<Vec<Instant>>,
    asked: mpsc::Sender<Asked>,
    beside: mpsc::Sender<Asked>,
    /// How many requests or connections of the technique are under way.
    open: AtomicUsize,
    doubled: AtomicBool,
    /// The lines are dead: not even a ping gets its pong.
    is_dead: AtomicBool,
    stray: Mutex<Option<String>>,
    /// Counts up when all connections are to be reset.
    dropped: watch::Sender<u64>,
}

pub struct Hard {
    pub port: u16,
    shared: Arc<Shared>,
    listening: Vec<AbortHandle>,
    /// What the client asks by its technique.
    pub asked: mpsc::Receiver<Asked>,
    /// Its messages.
    pub posted: mpsc::Receiver<Asked>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hard {
    pub async fn start(paths: &'static [&'static str]) -> std::io::Result<Hard> {
        let (asked, is_asked) = mpsc::channel(64);
        let (beside, posted) = mpsc::channel(64);
        let shared = Shared {
            paths,
            mood: Mutex::new(Mood::Open),
            attempts: Mutex::default(),
            asked,
            beside,
            open: AtomicUsize::new(0),
            doubled: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
            stray: Mutex::new(None),
            dropped: watch::channel(0).0,
        };
        let shared = Arc::new(shared);
        let mut hard = Hard { port: 0, shared, listening: Vec::new(), asked: is_asked, posted };
        hard.listen().await?;
        Ok(hard)
    }

    /// Listens at both addresses of `localhost`, at the same port as before.
    pub async fn listen(&mut self) -> std::io::Result<()> {
        for host in ["127.0.0.1", "::1"] {
            let listener = match TcpListener::bind((host, self.port)).await {
                Ok(listener) => listener,
                Err(_) if host == "::1" => continue, // there may be no IPv6
                Err(error) => return Err(error),
            };
            self.port = listener.local_addr()?.port();
            let shared = Arc::clone(&self.shared);
            let accept = async move {
                let mut lines = JoinSet::new();
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => drop(lines.spawn(serve(stream, Arc::clone(&shared)))),
                        Err(_) => sleep(Duration::from_millis(50)).await, // too many of them
                    }
                    while lines.try_join_next().is_some() {}
                }
            };
            self.listening.push(tokio::spawn(accept).abort_handle());
        }
        Ok(())
    }

    /// Nobody listens any more; those who are connected are reset.
    pub async fn go_down(&mut self) {
        self.drop_all().await;
        self.listening.drain(..).for_each(|task| task.abort());
    }

    /// Resets all connections that there are.
    pub async fn drop_all(&mut self) {
        self.shared.dropped.send_modify(|count| *count += 1);
        sleep(Duration::from_millis(50)).await; // for their tasks to have seen it
        while self.asked.try_recv().is_ok() {} // what was asked in them is gone too
    }

    /// From now on it is in this mood; what was asked in a bad one is forgotten.
    pub fn set_mood(&mut self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
        if mood != Mood::Open {
            lock(&self.shared.attempts).clear();
        }
    }

    pub fn attempts(&self) -> Vec<Instant> {
        lock(&self.shared.attempts).clone()
    }

    /// Whether its lines are dead, from now on.
    pub fn set_dead(&self, is_dead: bool) {
        self.shared.is_dead.store(is_dead, SeqCst);
    }

    pub fn has_doubled(&self) -> bool {
        self.shared.doubled.load(SeqCst)
    }

    pub fn stray(&self) -> Option<String> {
        lock(&self.shared.stray).clone()
    }
}

impl Drop for Hard {
    fn drop(&mut self) {
        self.listening.drain(..).for_each(|task| task.abort());
    }
}

impl Line {
    /// Sends, in pieces of so many bytes, each by itself; false where nobody takes them any more.
    pub async fn send(&self, bytes: &[u8], pieces: usize) -> bool {
        let mut write = self.write.lock().await;
        let Some(half) = write.as_mut() else { return false };
        for piece in bytes.chunks(if pieces == 0 { usize::MAX } else { pieces }) {
            let sent = tokio::time::timeout(Duration::from_secs(20), half.write_all(piece)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
            if pieces > 0 {
                sleep(Duration::from_millis(2)).await; // so that it comes by itself
            }
        }
        true
    }

    /// Its request is answered: nothing of the technique is under way in it now.
    fn rest(&self, shared: &Shared) {
        if self.busy.swap(false, SeqCst) {
            shared.open.fetch_sub(1, SeqCst);
        }
    }

    /// Ends it as it should be ended: nothing more comes.
    pub async fn end(&self) {
        drop(self.write.lock().await.take());
    }

    /// Resets it.
    pub async fn cut(&self) {
        if let Some(half) = self.write.lock().await.take() {
            let _ = half.as_ref().set_zero_linger(); // where it is not gone already
            half.forget();
        }
        self.over.send_replace(true);
    }

    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }
}

impl Hard {
    /// The request in this line is about to be answered: to be said before the last byte of the answer
    /// is sent, as the next request may come before anything else can be said.
    pub fn answered(&self, line: &Line) {
        line.rest(&self.shared);
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let (frames, received) = mpsc::channel(64);
    let line = Line {
        write: Arc::new(Turns::new(Some(write))),
        over: watch::channel(false).0,
        busy: Arc::default(),
        frames: Arc::new(Turns::new(received)),
    };
    let (mut dropped, mut over) = (shared.dropped.subscribe(), line.over.subscribe());
    let over = async { over.wait_for(|over| *over).await.is_ok() };
    tokio::select! {
        _ = dropped.changed() => line.cut().await,
        _ = over => {}
        () = requests(read, &line, &shared, frames) => {
            line.end().await; // whatever it closed, we close too
            line.over.send_replace(true);
        }
    }
    line.rest(&shared);
}

/// Reads requests, and then, behind a handshake, frames, until the client ends it.
async fn requests(
    mut read: OwnedReadHalf,
    line: &Line,
    shared: &Arc<Shared>,
    frames: mpsc::Sender<Came>,
) {
    let mut bytes = Vec::new();
    while let Some(head) = head(&mut read, &mut bytes).await {
        let mut words = head.split(' ').map(ToOwned::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let at = Instant::now();
        let mut asked = Asked { at, method, target, head, body: Vec::new(), line: line.clone() };
        let length = asked.header("content-length").and_then(|length| length.parse().ok());
        let length: usize = length.unwrap_or(0);
        while bytes.len() < length.min(MOST) {
            if !matches!(read.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        asked.body = bytes.drain(..length.min(bytes.len())).collect();
        let is_upgrade = asked.header("upgrade").is_some();
        let path = asked.target.split('?').next().unwrap_or_default();
        let mood = *lock(&shared.mood);
        match (&*asked.method, mood) {
            ("POST", _) if path == "/api/messages" => {
                let _ = shared.beside.send(asked).await;
            }
            (_, Mood::HangsUp) => {
                attempt(shared, at);
                return line.cut().await;
            }
            // Whoever knocks first is told that somebody is there.
            ("HEAD", _) => {
                line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0).await;
            }
            ("GET", _) if shared.paths.contains(&path) => {
                if let Mood::Refuses(status) = mood {
                    attempt(shared, at);
                    let answer = format!(
                        "HTTP/1.1 {status} No\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n"
                    );
                    line.send(answer.as_bytes(), 0).await;
                    continue;
                }
                line.busy.store(true, SeqCst);
                if shared.open.fetch_add(1, SeqCst) > 0 {
                    // One that it has just let go of may be seen to be over a moment later.
                    let shared = Arc::clone(shared);
                    tokio::spawn(async move {
                        sleep(Duration::from_secs(1)).await;
                        let still = shared.open.load(SeqCst) > 1;
                        shared.doubled.fetch_or(still, SeqCst);
                    });
                }
                if shared.asked.send(asked).await.is_err() {
                    return;
                }
                if is_upgrade {
                    return read_frames(read, bytes, frames, line, shared).await;
                }
            }
            _ => {
                lock(&shared.stray).get_or_insert(format!("{} {}", asked.method, asked.target));
                line.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0).await;
            }
        }
    }
}

fn attempt(shared: &Shared, at: Instant) {
    let mut attempts = lock(&shared.attempts);
    attempts.push(at);
    attempts.truncate(10_000);
}

/// The head of a request; none, where the connection ends or it is no head.
async fn head(read: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        if bytes.len() > MOST || !matches!(read.read_buf(bytes).await, Ok(1..)) {
            return None;
        }
    }
}

/// Reads frames (RFC 6455 §5.2) until the connection ends; the channel ends with it.
async fn read_frames(
    mut read: OwnedReadHalf,
    mut bytes: Vec<u8>,
    frames: mpsc::Sender<Came>,
    line: &Line,
    shared: &Shared,
) {
    loop {
        let frame = loop {
            match frame(&bytes) {
                Ok(Some((frame, used))) => {
                    bytes.drain(..used);
                    break Ok(frame);
                }
                Err(why) => break Err(why),
                Ok(None) if !matches!(read.read_buf(&mut bytes).await, Ok(1..)) => return,
                Ok(None) => {}
            }
        };
        if let Ok((0x89, payload)) = &frame
            && !shared.is_dead.load(SeqCst)
            && let Ok(length @ ..=125) = u8::try_from(payload.len())
        {
            line.send(&[&[0x8a, length][..], payload].concat(), 0).await;
        }
        let is_broken = frame.is_err();
        if frames.send(frame).await.is_err() || is_broken {
            return;
        }
    }
}

/// A frame at the beginning of these bytes, once all of it is there, and how many it takes.
fn frame(bytes: &[u8]) -> Result<Option<(Frame, usize)>, String> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(format!("a frame that begins with {first:02x} {second:02x} has no mask"));
    }
    let (length, begin) = match (second & 0x7f, bytes) {
        (126, [_, _, a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        (126, _) => return Ok(None),
        (127, _) => return Err("a frame is longer than anybody needs".into()),
        (short, _) => (usize::from(short), 2),
    };
    let Some(payload) = bytes.get(begin + 4..begin + 4 + length) else { return Ok(None) };
    let mask = &bytes[begin..begin + 4];
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(Some(((first, payload), begin + 4 + length)))
}
