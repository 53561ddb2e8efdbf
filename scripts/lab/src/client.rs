//! A client of each technique, made of what other people wrote: reqwest, an event-stream parser,
//! tokio-tungstenite. What differs between the techniques is here, so that a test has only to say
//! what they have in common: a client with a cursor, to which one update comes after another.

use std::{collections::VecDeque, error::Error, fmt, pin::Pin, time::Duration};

use eventsource_stream::{Event, Eventsource as _};
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::tungstenite::{
    self, Message, client::IntoClientRequest as _, error::ProtocolError,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::asked::{self, bounded};
use crate::{raw::Raw, server::Server, time::soon};

/// What goes wrong with a connection. The client then goes on with another.
pub type Failed = Box<dyn Error + Send + Sync>;

/// An update, as it is in JSON. (What more it may have is for others.)
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Update {
    /// The microsecond since 1970 in which it was made.
    pub id: u64,
    /// Its text.
    pub update: String,
    /// What kind of event it is, if it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// In a few words, as in `3 "Hello"`: a failure shows many of them.
impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Update { id, update, event } = self;
        match update.char_indices().nth(60) {
            None => write!(f, "{id} {update:?}")?,
            Some((end, _)) => write!(f, "{id} {:?}…", &update[..end])?,
        }
        event.as_ref().map_or(Ok(()), |event| write!(f, " ({event})"))
    }
}

/// Where a technique's client asks.
///
/// # Panics
/// When there is no such server.
#[must_use]
pub fn path(server: &str) -> &'static str {
    match server {
        "polling" => "/api/messages",
        "long-polling" => "/api/messages/long-poll",
        "server-sent-events" => "/server-sent-events",
        "websockets" => "/websocket",
        other => panic!("no server {other}"),
    }
}

/// A client's WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Events = Pin<Box<dyn Stream<Item = Result<Event, Failed>>>>;

/// A client of any of the techniques, with its cursor.
pub struct Client {
    technique: String,
    address: String,
    http: reqwest::Client,
    cursor: String,
    /// Came together with one that was returned.
    waiting: VecDeque<Update>,
    connection: Connection,
    gaps: Vec<String>,
    /// How many updates came.
    came: usize,
}

/// More updates than any case publishes: a server that tells more of them never ends.
const MOST: usize = 200_000;

enum Connection {
    None,
    Events(Events),
    Socket(Box<Socket>),
}

impl Client {
    /// A client that has seen everything up to this id.
    #[must_use]
    pub fn new(server: &Server, after: u64) -> Client {
        Client::from(server.name(), server.address(), &after.to_string())
    }

    /// The same at any port, with any text for a cursor.
    #[must_use]
    pub fn at(technique: &str, port: u16, cursor: &str) -> Client {
        Client::from(technique, format!("127.0.0.1:{port}"), cursor)
    }

    /// The same at any address.
    #[must_use]
    pub fn from(technique: &str, address: String, cursor: &str) -> Client {
        Client {
            technique: technique.into(),
            address,
            http: http(),
            cursor: cursor.into(),
            waiting: VecDeque::new(),
            connection: Connection::None,
            gaps: Vec::new(),
            came: 0,
        }
    }

    /// How often it was told that updates are missing.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// In which words.
    #[must_use]
    pub fn said_of_gaps(&self) -> &[String] {
        &self.gaps
    }

    /// The next update.
    ///
    /// # Panics
    /// When it doesn't come, or the connection fails.
    pub async fn next(&mut self) -> Update {
        soon("the next update", self.try_next()).await.expect("the connection holds")
    }

    /// The next updates, so many of them.
    pub async fn take(&mut self, count: usize) -> Vec<Update> {
        let mut updates = Vec::new();
        while updates.len() < count {
            updates.push(self.next().await);
        }
        updates
    }

    /// The texts of the next updates, up to and with this one.
    pub async fn texts_until(&mut self, last: &str) -> Vec<String> {
        let mut texts = vec![self.next().await.update];
        while texts.last().is_some_and(|text| text != last) {
            texts.push(self.next().await.update);
        }
        texts
    }

    /// The next update, if the connection holds. If not, the call after it takes a new connection
    /// and resumes.
    ///
    /// # Errors
    /// What is wrong with the connection.
    pub async fn try_next(&mut self) -> Result<Update, Failed> {
        let next = self.try_next_of_technique().await;
        match &next {
            Ok(update) => {
                self.cursor = update.id.to_string();
                self.came += 1;
                assert!(self.came < MOST, "updates without end: {MOST} came");
            }
            Err(_) => self.connection = Connection::None,
        }
        next
    }

    async fn try_next_of_technique(&mut self) -> Result<Update, Failed> {
        let url = format!(
            "{}{}?after={}",
            self.address,
            path(&self.technique),
            self.cursor.replace('+', "%2B")
        );
        loop {
            if let Some(update) = self.waiting.pop_front() {
                return Ok(update);
            }
            match &mut self.connection {
                Connection::Events(events) => {
                    let event = events.next().await.ok_or("the stream has ended")??;
                    if event.event == "gap" {
                        self.gaps.push(event.data);
                    } else {
                        return update_of(event);
                    }
                }
                Connection::Socket(socket) => {
                    match socket.next().await.ok_or("the socket has ended")?? {
                        Message::Text(text) => match serde_json::from_str(&text)? {
                            Frame::Gap { .. } => self.gaps.push(text.to_string()),
                            Frame::Update(update) => return Ok(update),
                        },
                        Message::Close(why) => return Err(format!("closed: {why:?}").into()),
                        _ => {}
                    }
                }
                Connection::None if self.technique == "websockets" => {
                    self.connection = Connection::Socket(Box::new(open_socket(&url, true).await?));
                }
                Connection::None => {
                    let request = self.http.get(format!("http://{url}"));
                    let request = request.header(ACCEPT, accept(&self.technique));
                    let response = send(request).await?.error_for_status()?;
                    let gap = response.headers().get("feed-gap");
                    let gap = gap.map(|gap| String::from_utf8_lossy(gap.as_bytes()).into_owned());
                    self.gaps.extend(gap.filter(|gap| gap != "false"));
                    if self.technique == "server-sent-events" {
                        self.connection = Connection::Events(events_of(response));
                    } else if response.status() == 200 {
                        self.waiting = response.json().await?;
                    }
                    if self.technique == "polling" && self.waiting.is_empty() {
                        sleep(Duration::from_millis(10)).await; // it is polling
                    }
                }
            }
        }
    }
}

/// What a WebSocket's frame may be, with the subprotocol `json`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Frame {
    Gap {
        #[serde(rename = "gap")]
        _gap: IgnoredAny, // what stands there, a case of its own says
    },
    Update(Update),
}

/// What a technique's client says that it takes, as browsers do.
#[must_use]
pub fn accept(technique: &str) -> &'static str {
    if technique == "server-sent-events" { "text/event-stream" } else { "*/*" }
}

/// A client that goes to no proxy: servers are tried on this machine.
///
/// # Panics
/// Where there is no TLS, which is not asked for.
#[must_use]
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("nothing of it can be missing")
}

/// An answer to a technique's request for this path.
pub async fn get(server: &Server, path: &str) -> Response {
    answer(http().get(server.url(path)).header(ACCEPT, accept(server.name()))).await
}

/// The answer to a request, which comes soon.
pub async fn answer(request: RequestBuilder) -> Response {
    soon("an answer", Box::pin(send(request))).await.answered()
}

/// Sends a request. What its answer holds has a bound.
///
/// # Errors
/// No answer came.
pub async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    let (http, request) = request.build_split();
    let request = request?;
    let (method, url) = (request.method().as_str(), request.url());
    let path = url.query().map_or(url.path().into(), |query| format!("{}?{query}", url.path()));
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    let what = asked::note_parts(method, &path, request.headers(), body);
    let response = http.execute(request).await?;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    asked::note_answer(&what, response.status().as_u16(), kind);
    Ok(bounded(response))
}

/// Opens a WebSocket, with the subprotocol `json` or without.
///
/// # Errors
/// Why the server refuses it.
pub async fn open_socket(address: &str, json: bool) -> Result<Socket, Failed> {
    let mut request = format!("ws://{address}").into_client_request()?;
    if json {
        request.headers_mut().insert("Sec-WebSocket-Protocol", "json".parse()?);
    }
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    asked::note_parts("GET", path, request.headers(), b"");
    match connect_async(request).await {
        Err(tungstenite::Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
            Err("a WebSocket that asks for the subprotocol json is opened without it".into())
        }
        opened => Ok(opened?.0),
    }
}

/// A response's body, read by a parser of event streams.
#[must_use]
pub fn events_of(response: Response) -> Events {
    Box::pin(response.bytes_stream().eventsource().map(|event| event.map_err(Into::into)))
}

/// An event as an update.
///
/// # Errors
/// Its id is no number.
pub fn update_of(event: Event) -> Result<Update, Failed> {
    let name = (event.event != "message").then_some(event.event);
    let id = event.id.parse();
    let id = id.map_err(|_| format!("the event's id is {:?}, which is no number", event.id))?;
    Ok(Update { id, update: event.data, event: name })
}

/// What came back for a request, be it sent by reqwest or awaited here.
pub trait Answered {
    /// The answer.
    ///
    /// # Panics
    /// When there is none.
    fn answered(self) -> Response;
}

impl Answered for reqwest::Result<Response> {
    fn answered(self) -> Response {
        self.unwrap_or_else(|error| {
            let mut why: &dyn Error = &error;
            while let Some(cause) = why.source() {
                why = cause; // the last one says what happened
            }
            let path = error.url().map_or("", |url| url.path());
            panic!("no answer to a request for {path} ({why}): has it ended?")
        })
    }
}

/// A message from somebody, as a request that can still be changed.
pub fn message(server: &Server, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = http().post(server.url("/api/messages"));
    request.header(CONTENT_TYPE, "application/json").body(body)
}

/// Publishes a text, and gives back the update.
pub async fn publish(server: &Server, text: &str) -> Update {
    publish_all(server, [text]).await.remove(0)
}

/// Publishes texts one after the other over one connection, and gives back the updates.
///
/// # Panics
/// When the server does not take one.
pub async fn publish_all(
    server: &Server,
    texts: impl IntoIterator<Item = impl AsRef<str>>,
) -> Vec<Update> {
    let http = http();
    let mut updates = Vec::new();
    for text in texts {
        let message = serde_json::json!({ "update": text.as_ref() });
        let response = answer(http.post(server.url("/api/messages")).json(&message)).await;
        let status = response.status(); // which one it has to be, 1.2 says
        let body = response.text().await.unwrap_or_default();
        let update = serde_json::from_str(&body).ok().filter(|_| status.is_success());
        updates.push(update.unwrap_or_else(|| {
            panic!("POST /api/messages is answered with {status} and {body:?}, not with an update")
        }));
    }
    updates
}

/// The id of the newest update, which comes after a marker that this publishes.
pub async fn newest_id(server: &Server) -> u64 {
    publish(server, "where are we").await.id
}

/// A connection as the technique's clients have it most of the time, while nothing happens: polled
/// and kept alive, held, streaming, open.
pub async fn idle(server: &Server) -> Raw {
    let mut connection = Raw::connect(server).await;
    connection.send(request(server.name())).await;
    match server.name() {
        "polling" => drop(connection.response().await),
        "server-sent-events" => drop(connection.until("\r\n\r\n").await),
        "websockets" => assert_eq!(connection.response().await.status(), 101),
        // A held request says nothing: whether the server has it, its open files tell.
        _ => {}
    }
    connection
}

/// A technique's request without a cursor, as bytes.
#[must_use]
pub fn request(server: &str) -> String {
    request_of(server, path(server), "")
}

/// A technique's request for this path, with more header lines (each with its CR and LF).
#[must_use]
pub fn request_of(server: &str, path: &str, lines: &str) -> String {
    let more = match server {
        "websockets" => UPGRADE,
        "server-sent-events" => "Accept: text/event-stream\r\n",
        _ => "Accept: */*\r\n",
    };
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}{lines}\r\n")
}

/// What makes a request a handshake (RFC 6455 §1.3, from which the key is).
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
