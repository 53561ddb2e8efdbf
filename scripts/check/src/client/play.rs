//! Plays a situation: the steps of the table, one after the other, on one client.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::hard::{Asked, Hard, Line, Mood};
use super::process::{Process, is_an_end};
use super::{Situation, Technique};
use crate::tries::LISTENS_ONLY;

/// For what should happen at once: long enough for a very busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Seconds: whoever is back sooner has not waited.
const AT_ONCE: f64 = 0.15;
/// Attempts: whoever makes so many of them asks no less often, whatever comes. (Firefox makes ten of each.)
const TOO_MANY: usize = 200;
/// Between two heartbeats, as a server sends them (2.17, 2.22).
const BEAT: Duration = Duration::from_secs(15);
/// Ids are times in microseconds: 16 digits.
const FIRST_ID: u64 = 1_795_185_989_000_000;

/// Why a situation is not as it should be.
pub enum Wrong {
    Fails(String),
    NotTried(&'static str),
}

impl From<String> for Wrong {
    fn from(why: String) -> Wrong {
        Wrong::Fails(why)
    }
}

type Played<T = ()> = Result<T, Wrong>;

fn fails<T>(why: impl Into<String>) -> Played<T> {
    Err(Wrong::Fails(why.into()))
}

/// A line of the table, taken apart.
struct Step<'a> {
    verb: &'a str,
    rest: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Step<'a> {
    fn read(line: &'a str) -> Step<'a> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Step { verb, rest, words: rest.split_whitespace().collect() }
    }

    fn numbers(&self) -> Vec<u64> {
        self.words.iter().filter_map(|word| word.parse().ok()).collect()
    }

    fn number(&self) -> u64 {
        self.numbers()[0]
    }

    fn seconds(&self, place: usize) -> Duration {
        Duration::from_secs_f64(self.words[place].parse().expect("a step says seconds"))
    }

    /// The number behind this word.
    fn behind(&self, word: &str) -> Option<u64> {
        let at = self.words.iter().position(|it| *it == word)?;
        self.words.get(at + 1)?.parse().ok()
    }

    fn quoted(&self) -> String {
        let from = self.rest.find('"').expect("a step has its text in quotes");
        serde_json::from_str(&self.rest[from..]).expect("as JSON has them")
    }

    /// The same, each letter a byte.
    fn bytes(&self) -> Vec<u8> {
        let text = self.quoted();
        let bytes = text.chars().map(|letter| u8::try_from(u32::from(letter)));
        bytes.collect::<Result<_, _>>().expect("a letter is a byte")
    }
}

struct Stage {
    technique: Technique,
    hard: Hard,
    client: Process,
    /// What was asked last, and whether it waits for an answer or for what comes in its stream.
    asked: Option<Asked>,
    is_open: bool,
    texts: HashMap<u64, String>,
    names: HashMap<u64, String>,
    extra: Option<u64>,
    pieces: usize,
    has_begun: bool,
    /// What counts from here on: chunks, exact, unread.
    settings: HashSet<String>,
    /// When something was done to the client that it has to react to.
    did: Instant,
}

/// Plays it, to the end or to the first step that goes wrong.
pub async fn play(situation: &Situation, technique: Technique, command: &[String]) -> Played {
    let hard = Hard::start(technique.paths()).await.map_err(|why| format!("no server: {why}"))?;
    let client = Process::start(command, hard.port)?;
    let mut stage = Stage {
        technique,
        hard,
        client,
        asked: None,
        is_open: false,
        texts: HashMap::new(),
        names: HashMap::new(),
        extra: None,
        pieces: 0,
        has_begun: false,
        settings: HashSet::new(),
        did: Instant::now(),
    };
    for step in &situation.steps {
        if let Err(wrong) = stage.step(&Step::read(step)).await {
            let Wrong::Fails(why) = wrong else { return Err(wrong) };
            return fails(format!("{step}: {why}"));
        }
    }
    // What comes twice may come a moment later.
    match timeout(Duration::from_millis(200), stage.client.printed.recv()).await {
        Ok(Some(line)) if !stage.settings.contains("unread") => {
            fails(format!("at the end it has printed once more: {}", short(&line)))
        }
        _ => Ok(()),
    }
}

impl Stage {
    /// What is done to the client; the others are what is looked at.
    async fn step(&mut self, step: &Step<'_>) -> Played {
        match step.verb {
            "ask" => {
                let limit = step.behind("within").map_or(SOON, Duration::from_secs);
                self.ask(limit).await?;
                step.behind("after").map_or(Ok(()), |after| self.came_with(after))?;
                let is_moved = self.asked.as_ref().is_some_and(|it| it.target.contains("moved=1"));
                if step.words.contains(&"moved") && !is_moved {
                    return fails("it asked at the old place");
                }
            }
            "send" => self.send(&step.numbers(), false).await?,
            "gap" => self.send(&step.numbers(), true).await?,
            "many" => {
                let all: Vec<_> = (step.numbers()[0]..=step.numbers()[1]).collect();
                self.send(&all, false).await?;
                self.prints(&all.iter().map(|it| Some(*it)).collect::<Vec<_>>()).await?;
            }
            "open" => self.send(&[], false).await?,
            "part" => self.part(step.number(), &step.numbers()[1..]).await?,
            "text" => {
                let times = step.words[1].strip_prefix('x').and_then(|times| times.parse().ok());
                let text = times.map_or_else(|| step.quoted(), |times| "x".repeat(times));
                self.texts.insert(step.number(), text);
            }
            "named" => drop(self.names.insert(step.number(), step.words[1].into())),
            "extra" => self.extra = Some(step.number()),
            "pieces" => self.pieces = step.number().try_into().expect("a piece is short"),
            "chunks" | "exact" | "unread" => drop(self.settings.insert(step.verb.into())),
            "answer" => self.answer(step.rest).await?,
            "raw" => self.write(&step.bytes()).await?,
            "stream" => {
                let text = (1..6).fold(step.quoted(), |text, number| {
                    text.replace(&format!("{{{number}}}"), &id(number).to_string())
                });
                self.write(&chunk(text.as_bytes())).await?;
            }
            "frame" => {
                let first = u8::from_str_radix(step.words[0], 16).expect("a frame's first byte");
                self.write(&frame(first, &step.bytes())).await?;
            }
            "close" => {
                let code = u16::try_from(step.number()).expect("a code").to_be_bytes();
                let code = if code == [0; 2] { &[][..] } else { &code };
                self.write(&frame(0x88, code)).await?;
                let line = self.pending().await?;
                let _ =
                    timeout(Duration::from_secs(2), self.comes(0x88, "a close", |_| true)).await;
                line.end().await;
                (self.asked, self.is_open) = (None, false);
            }
            // (Without the subprotocol, any text is an update.)
            "nonsense" if self.asked.as_ref().is_some_and(is_json) => {
                self.write(&frame(0x81, &step.bytes())).await?;
            }
            "nonsense" => {}
            "fragments" => self.fragments(step.number()).await?,
            "end" => self.end().await?,
            "cut" => {
                self.pending().await?.cut().await;
                self.over();
            }
            "drop" => {
                self.hard.drop_all().await;
                self.over();
            }
            "down" => {
                self.hard.go_down().await;
                self.over();
                sleep(step.seconds(0)).await;
                self.hard.listen().await.map_err(|why| format!("its port is taken: {why}"))?;
            }
            "hang-up" => self.in_mood(Mood::HangsUp, step.seconds(0)).await,
            "refuse" => {
                let status = step.words[0].parse().expect("a status");
                self.answer(&format!("{status} No ||")).await?;
                self.in_mood(Mood::Refuses(status), step.seconds(1)).await;
            }
            "dead" | "alive" => self.hard.set_dead(step.verb == "dead"),
            "wait" => sleep(step.seconds(0)).await,
            "beat" => self.beat(step.seconds(0)).await?,
            "stop" => self.client.signal(Signal::SIGSTOP),
            "go" => self.client.signal(Signal::SIGCONT),
            "say" => self.client.say(&step.quoted()).await,
            "confirm" => self.confirm(step.number()).await?,
            "lose" => self.lose().await?,
            _ => self.look(step).await?,
        }
        Ok(())
    }

    async fn look(&mut self, step: &Step<'_>) -> Played {
        match step.verb {
            "prints" => {
                let expected: Vec<_> = step.words.iter().map(|word| word.parse().ok()).collect();
                self.prints(&expected).await
            }
            "sooner-or-later" => self.sooner_or_later(step.number()).await,
            "handshake" => self.handshake(),
            "pong" => {
                let pong = step.bytes();
                self.comes(0x8a, "a pong", |payload| payload == pong).await
            }
            "closed" => {
                let code = u16::try_from(step.number()).expect("a code").to_be_bytes();
                self.comes(0x88, "a close", |it| it.is_empty() || it.starts_with(&code)).await
            }
            "not-before" => {
                let waited = self.asked.as_ref().map_or(Duration::MAX, |it| it.at - self.did);
                // Its clock and ours may differ a little.
                let is_right = waited + Duration::from_millis(100) >= step.seconds(0);
                if is_right { Ok(()) } else { fails(format!("it asked again after {waited:.1?}")) }
            }
            "calmer" => self.calmer(step.words.contains(&"or-never")),
            "scattered" => self.scattered().await,
            "one" if self.hard.has_doubled() => fails("it had two requests or connections at once"),
            "one" => Ok(()),
            "nowhere-else" => match self.hard.stray() {
                Some(stray) => fails(format!("it has also asked: {}", short(&stray))),
                None => Ok(()),
            },
            "term" => self.term().await,
            "unsent" => self.unsent(&step.quoted()).await,
            other => panic!("there is no step {other}"),
        }
    }

    fn over(&mut self) {
        (self.asked, self.is_open, self.did) = (None, false, Instant::now());
    }

    async fn ask(&mut self, limit: Duration) -> Played {
        let limit = if self.has_begun { limit } else { 3 * SOON }; // the first time it has to start
        let asked = tokio::select! {
            biased;
            asked = self.hard.asked.recv() => asked,
            () = self.client.ended() => None,
            () = sleep(limit) => None,
        };
        let Some(asked) = asked else {
            let state = self.client.state();
            let within = format!(" within {} s", limit.as_secs());
            let within = if state.contains("it has ended") { "" } else { &within };
            return fails(format!("it did not{within}{state}"));
        };
        self.has_begun = true;
        (self.asked, self.is_open) = (Some(asked), false);
        Ok(())
    }

    /// The line in which something can be said now: that of the last request, or of the next one.
    async fn pending(&mut self) -> Played<Line> {
        // One that the client itself has let go of, or lost, is none.
        let is_gone = self.asked.as_ref().is_some_and(|asked| asked.line.is_over());
        if self.asked.is_none() || is_gone && !self.technique.is_open_ended() {
            self.ask(SOON).await?;
        }
        Ok(self.asked.as_ref().expect("it was asked").line.clone())
    }

    fn came_with(&self, after: u64) -> Played {
        let cursor = self.asked.as_ref().and_then(Asked::cursor);
        let expected = if after == 0 { "0".into() } else { id(after).to_string() };
        match cursor {
            None if after == 0 => Ok(()),
            Some(cursor) if cursor == expected => Ok(()),
            None => fails(format!("it came without a cursor, expected {expected}")),
            Some(other) => fails(format!("it came with {}, expected {expected}", short(other))),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Played {
        let line = self.pending().await?;
        self.did = Instant::now();
        if line.send(bytes, self.pieces).await {
            Ok(())
        } else {
            fails(format!("it has closed the connection{}", self.client.state()))
        }
    }

    async fn send(&mut self, updates: &[u64], gap: bool) -> Played {
        let line = self.pending().await?;
        let (head, body) = self.answer_of(updates, gap);
        let all = [head, self.wrapped(&body, usize::MAX)].concat();
        let is_whole = !self.technique.is_open_ended() && !updates.is_empty();
        if is_whole {
            self.hard.answered(&line);
        }
        self.write(&all).await?;
        if is_whole {
            self.over();
        } else if self.technique.is_open_ended() {
            self.is_open = true;
        }
        Ok(())
    }

    /// Sends a part of it only.
    async fn part(&mut self, percent: u64, updates: &[u64]) -> Played {
        self.pending().await?;
        let (head, body) = self.answer_of(updates, false);
        let most = body.len() * usize::try_from(percent).expect("it is small") / 100;
        let part = self.wrapped(&body, most);
        self.write(&[head, part].concat()).await?;
        self.is_open = true;
        Ok(())
    }

    /// The body, or what is in the stream, but no more than so many bytes of it.
    fn wrapped(&self, body: &[u8], most: usize) -> Vec<u8> {
        let part = &body[..most.min(body.len())];
        match self.technique {
            Technique::ServerSentEvents if self.settings.contains("chunks") => {
                part.chunks(7).flat_map(chunk).collect()
            }
            Technique::ServerSentEvents if part.is_empty() => Vec::new(),
            Technique::ServerSentEvents => chunk(part),
            Technique::Websockets => part.into(),
            _ if self.settings.contains("chunks") => {
                let end: &[u8] = if most < body.len() { b"" } else { b"0\r\n\r\n" };
                part.chunks(7).flat_map(chunk).chain(end.iter().copied()).collect()
            }
            _ => part.into(),
        }
    }

    /// The head that it needs yet, and what comes after it.
    fn answer_of(&self, updates: &[u64], gap: bool) -> (Vec<u8>, Vec<u8>) {
        let asked = self.asked.as_ref().expect("it is called with one");
        let updates = updates.iter().map(|number| self.update(*number));
        match self.technique {
            Technique::ServerSentEvents => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";
                let mut events =
                    String::from(if gap { "event: gap\ndata: some are missing\n\n" } else { "" });
                for update in updates {
                    let _ = writeln!(events, "id: {}", update["id"]);
                    if let Some(name) = update["event"].as_str() {
                        let _ = writeln!(events, "event: {name}");
                    }
                    for line in update["update"].as_str().unwrap_or_default().split('\n') {
                        let _ = writeln!(events, "data: {line}");
                    }
                    events += "\n";
                }
                (if self.is_open { Vec::new() } else { head.into() }, events.into())
            }
            Technique::Websockets => {
                let is_json = is_json(asked);
                let head = if self.is_open { Vec::new() } else { upgrade(asked).into_bytes() };
                let text = |update: Value| match update["update"].as_str() {
                    Some(text) if !is_json => text.to_owned(),
                    _ => update.to_string(),
                };
                let gap = gap.then(|| json!({"gap": true}));
                let frames = gap.into_iter().chain(updates);
                (head, frames.flat_map(|update| frame(0x81, text(update).as_bytes())).collect())
            }
            Technique::Polling | Technique::LongPolling => {
                let body = Value::Array(updates.collect()).to_string();
                let length = if self.settings.contains("chunks") {
                    "Transfer-Encoding: chunked".to_owned()
                } else {
                    format!("Content-Length: {}", body.len())
                };
                let more = self.extra.map_or("", |_| "X-Of-Another-Day: yes\r\n");
                let gap = if gap { "Feed-Gap: true\r\n" } else { "" };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}{gap}{length}\r\n\r\n"
                );
                let is_empty = body == "[]";
                if is_empty { (Vec::new(), Vec::new()) } else { (head.into(), body.into()) }
            }
        }
    }

    fn update(&self, number: u64) -> Value {
        let mut update = Map::new();
        if self.extra == Some(number) {
            update.insert("added".into(), json!({"later": [null, "update"]}));
        }
        update.insert("id".into(), id(number).into());
        update.insert("update".into(), self.text(number).into());
        if let Some(name) = self.names.get(&number) {
            update.insert("event".into(), (&**name).into());
        }
        update.into()
    }

    fn text(&self, number: u64) -> String {
        self.texts.get(&number).cloned().unwrap_or_else(|| format!("update {number}"))
    }

    /// `STATUS | HEADER | HEADER || BODY`
    async fn answer(&mut self, rest: &str) -> Played {
        let line = self.pending().await?;
        let (head, body) = rest.split_once("||").expect("two bars before the body");
        let body = body.trim().replace("\\n", "\n");
        let asked = self.asked.as_ref().expect("it was asked");
        let moved = if asked.target.contains('?') { "&moved" } else { "?moved" };
        let head = head.replace("{moved}", &format!("{}{moved}=1", asked.target));
        let head: Vec<_> = head.split(" | ").map(str::trim).collect();
        let has_body = !["204", "304", "101"].iter().any(|status| head[0].starts_with(status));
        let length =
            if has_body { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let bytes = format!("HTTP/1.1 {}\r\n{length}\r\n{body}", head.join("\r\n"));
        self.hard.answered(&line);
        line.send(bytes.as_bytes(), 0).await;
        self.over();
        Ok(())
    }

    async fn end(&mut self) -> Played {
        let line = self.pending().await?;
        if self.technique == Technique::ServerSentEvents && self.is_open {
            line.send(b"0\r\n\r\n", 0).await;
        }
        line.end().await;
        self.over();
        Ok(())
    }

    /// A message in three frames (§5.4), with pings between them.
    async fn fragments(&mut self, number: u64) -> Played {
        self.pending().await?;
        let (_, whole) = self.answer_of(&[number], false);
        let text = &whole[2..]; // it is short
        let (begin, end) = (text.len() / 3, text.len() * 2 / 3);
        let parts = [(0x01, &text[..begin]), (0x00, &text[begin..end]), (0x80, &text[end..])];
        for (first, part) in parts {
            self.write(&frame(first, part)).await?;
            if first != 0x80 {
                self.write(&frame(0x89, b"in between")).await?;
                self.comes(0x8a, "a pong", |payload| payload == b"in between").await?;
            }
        }
        Ok(())
    }

    async fn in_mood(&mut self, mood: Mood, time: Duration) {
        self.hard.set_mood(mood);
        self.hard.drop_all().await;
        self.over();
        let end = Instant::now() + time;
        while Instant::now() < end && self.hard.attempts().len() < TOO_MANY {
            sleep(Duration::from_millis(100)).await;
        }
        self.hard.set_mood(Mood::Open);
    }

    async fn beat(&mut self, time: Duration) -> Played {
        let line = self.pending().await?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(BEAT).await;
            let beat = match self.technique {
                Technique::Websockets => frame(0x89, b""),
                _ => chunk(b": keep-alive\n\n"),
            };
            if line.is_over() || !line.send(&beat, 0).await {
                return fails("it has let go of a connection that had heartbeats");
            }
        }
        match self.hard.asked.try_recv() {
            Ok(_) => fails("it has made another connection beside one that had heartbeats"),
            Err(_) => Ok(()),
        }
    }

    async fn line(&mut self) -> Played<Value> {
        let line = timeout(SOON, self.client.printed.recv()).await;
        match line {
            Ok(Some(line)) => {
                let value = serde_json::from_str(&line);
                value.map_err(|_| {
                    Wrong::Fails(format!("it printed what is no JSON: {}", short(&line)))
                })
            }
            _ => fails(format!("it did not{}", self.client.state())),
        }
    }

    /// The next lines are these updates; none stands for a gap.
    async fn prints(&mut self, expected: &[Option<u64>]) -> Played {
        for expected in expected {
            let line = self.line().await?;
            self.is_right(&line, *expected)?;
        }
        Ok(())
    }

    fn is_right(&self, line: &Value, expected: Option<u64>) -> Played {
        let mut whole = expected.map_or(json!({"gap": true}), |number| self.update(number));
        if let Some(whole) = whole.as_object_mut() {
            whole.remove("added");
        }
        let is_right = match expected {
            Some(_) if !self.settings.contains("exact") => line["update"] == whole["update"],
            Some(_) => ["id", "update", "event"].iter().all(|member| line[member] == whole[member]),
            None => line["gap"] == true,
        };
        if is_right {
            return Ok(());
        }
        fails(format!(
            "it printed {}, expected {}",
            short(&line.to_string()),
            short(&whole.to_string())
        ))
    }

    async fn sooner_or_later(&mut self, number: u64) -> Played {
        let end = Instant::now() + 2 * SOON;
        self.send(&[number], false).await?;
        while Instant::now() < end {
            tokio::select! {
                line = self.client.printed.recv() => {
                    let Some(line) = line else { return fails(self.client.state()) };
                    let value = serde_json::from_str(&line);
                    let value = value.map_err(|_| format!("it printed {}", short(&line)))?;
                    return self.is_right(&value, Some(number));
                }
                Some(asked) = self.hard.asked.recv() => {
                    (self.asked, self.is_open) = (Some(asked), false);
                    self.send(&[number], false).await?;
                }
                () = sleep(SOON) => {}
            }
        }
        fails(format!("it was not printed{}", self.client.state()))
    }

    fn handshake(&self) -> Played {
        let asked = self.asked.as_ref().expect("it was asked");
        let has = |name: &str, value: &str| {
            asked.header(name).is_some_and(|it| it.to_ascii_lowercase().contains(value))
        };
        let key = asked.header("sec-websocket-key").unwrap_or_default();
        for (is_right, what) in [
            (asked.method == "GET" && asked.head.contains("HTTP/1.1"), "GET and HTTP/1.1"),
            (asked.header("host").is_some(), "Host"),
            (has("upgrade", "websocket") && has("connection", "upgrade"), "Upgrade and Connection"),
            (has("sec-websocket-version", "13"), "Sec-WebSocket-Version: 13"),
            (key.len() == 24 && key.ends_with("=="), "a Sec-WebSocket-Key of 16 bytes"),
        ] {
            if !is_right {
                return fails(format!("its handshake is without {what}"));
            }
        }
        Ok(())
    }

    /// The next frame of this kind comes, and it is right. Pongs that were not waited for are let be.
    async fn comes(&mut self, first: u8, what: &str, is_it: impl Fn(&[u8]) -> bool) -> Played {
        let frames = self.pending().await?.frames;
        let mut frames = frames.lock().await;
        let mut came = String::from("nothing");
        let search = async {
            while let Some(frame) = frames.recv().await {
                let (kind, payload) = frame?;
                if kind == first && is_it(&payload) {
                    return Ok(true);
                }
                came = format!("{kind:02x} {:?}", short(&String::from_utf8_lossy(&payload)));
            }
            Ok::<_, String>(false)
        };
        match timeout(SOON, search).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(why)) => fails(why),
            _ => fails(format!("{what} did not come, but {came}{}", self.client.state())),
        }
    }

    /// It asked less and less often while nobody answered.
    fn calmer(&self, or_never: bool) -> Played {
        let attempts = self.hard.attempts();
        let gaps: Vec<_> = attempts.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
        let last = gaps.iter().rev().take(2).copied().fold(0.0, f64::max);
        let shown: Vec<_> = gaps.iter().take(12).map(|gap| format!("{gap:.1}")).collect();
        let shown = shown.join(", ");
        if gaps.is_empty() || (or_never && gaps.len() <= 2) {
            // The wait after its first attempt may have taken all of the time.
            return if or_never || !attempts.is_empty() { Ok(()) } else { fails("it never asked") };
        }
        if last < 4.5 || attempts.len() >= TOO_MANY {
            return fails(format!("it asked {} times, after {shown} … s", attempts.len()));
        }
        if gaps.len() > 1 && last < 1.5 * gaps[0] {
            return fails(format!("its waits do not grow: {shown} s"));
        }
        Ok(())
    }

    /// It comes back after waits of different lengths, each time that it was cut off.
    async fn scattered(&mut self) -> Played {
        let mut waits = Vec::new();
        for round in 1..=16 {
            if self.technique == Technique::ServerSentEvents {
                self.send(&[], false).await?;
                let retry = format!("retry: {}\n\n", 300 + (round * 7919) % 1700);
                self.write(&chunk(retry.as_bytes())).await?;
            }
            self.send(&[round], false).await?;
            self.prints(&[Some(round)]).await?;
            if self.asked.is_none() {
                self.ask(SOON).await?; // the next request of the technique, to cut it off
            }
            let mut wait = self.cut_off().await?;
            if wait < AT_ONCE {
                // A browser repeats by itself, once, what a kept connection has lost (RFC 9112 §9.3.1).
                wait = self.cut_off().await?;
            }
            waits.push(wait);
        }
        waits.sort_by(f64::total_cmp);
        let median = waits[waits.len() / 2];
        // (A busy machine may be slow, but not each time.)
        if median < AT_ONCE || waits[4] < AT_ONCE / 3.0 {
            return fails("cut off, it was back at once");
        }
        // A busy machine makes some of them longer or shorter; half of them would be the same.
        if waits.windows(8).any(|half| half[7] - half[0] < (median * 0.03).max(0.02)) {
            let shown: Vec<_> = waits.iter().map(|wait| format!("{wait:.2}")).collect();
            return fails(format!("cut off, it was back after {} s", shown.join(", ")));
        }
        Ok(())
    }

    /// Cuts it off; the seconds until it is back.
    async fn cut_off(&mut self) -> Played<f64> {
        self.pending().await?.cut().await;
        self.over();
        self.ask(2 * SOON).await?;
        Ok((self.asked.as_ref().expect("it was asked").at - self.did).as_secs_f64())
    }

    async fn term(&mut self) -> Played {
        let is_socket = self.technique == Technique::Websockets && self.is_open;
        let line = self.asked.as_ref().filter(|_| is_socket).map(|asked| asked.line.clone());
        self.client.signal(Signal::SIGTERM);
        let closed = async {
            let Some(line) = line else { return Ok(true) };
            let mut frames = line.frames.lock().await;
            while let Some(came) = frames.recv().await {
                if came?.0 == 0x88 {
                    line.send(&frame(0x88, &1000_u16.to_be_bytes()), 0).await;
                    line.end().await;
                    return Ok(true);
                }
            }
            Ok::<_, String>(false)
        };
        // Some more: the machine may be busy.
        let limit = Duration::from_secs(8);
        let closed = timeout(2 * SOON, closed);
        let (closed, status) = tokio::join!(closed, self.client.ends_within(limit));
        match (status, closed) {
            (None, _) => fails("it did not end within 2 s"),
            (Some(status), _) if !is_an_end(status) => fails(format!("it ended by {status}")),
            (_, Ok(Ok(true))) => Ok(()),
            (_, Ok(Err(why))) => fails(why),
            _ => fails("it ended without a close"),
        }
    }

    /// What it sends: the text, and where; a text frame, or a POST.
    async fn sent(&mut self) -> Played<(String, Asked)> {
        self.pending().await?;
        let asked = self.asked.clone().expect("it was asked");
        let not = Wrong::NotTried(LISTENS_ONLY);
        if self.technique != Technique::Websockets {
            let posted = timeout(SOON, self.hard.posted.recv()).await;
            let Ok(Some(posted)) = posted else { return Err(not) };
            let is_json =
                posted.header("content-type").is_some_and(|it| it.starts_with("application/json"));
            let body: Value = serde_json::from_slice(&posted.body).unwrap_or_default();
            let text = body["update"].as_str().filter(|_| is_json).map(ToOwned::to_owned);
            return match text {
                Some(text) => Ok((text, posted)),
                None => {
                    fails(format!("it posted {}", short(&String::from_utf8_lossy(&posted.body))))
                }
            };
        }
        let frames = asked.line.frames.clone();
        let mut frames = frames.lock().await;
        loop {
            match timeout(SOON, frames.recv()).await {
                Ok(Some(Ok((0x81, text)))) => {
                    return Ok((String::from_utf8_lossy(&text).into(), asked));
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(why))) => return fails(why),
                _ => return Err(not),
            }
        }
    }

    async fn confirm(&mut self, number: u64) -> Played {
        let (text, posted) = self.sent().await?;
        self.texts.insert(number, text);
        if self.technique != Technique::Websockets {
            let body = self.update(number).to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            posted.line.send(answer.as_bytes(), 0).await;
        }
        self.send(&[number], false).await?;
        self.prints(&[Some(number)]).await
    }

    async fn lose(&mut self) -> Played {
        let (_, posted) = self.sent().await?;
        posted.line.cut().await;
        if self.technique == Technique::Websockets {
            self.over();
        }
        Ok(())
    }

    async fn unsent(&mut self, text: &str) -> Played {
        let end = Instant::now() + 2 * SOON;
        while Instant::now() < end {
            tokio::select! {
                line = self.client.printed.recv() => {
                    let Some(line) = line else { return fails(self.client.state()) };
                    let value: Value = serde_json::from_str(&line).unwrap_or_default();
                    if value["unsent"] == text {
                        return Ok(());
                    }
                    return fails(format!("it printed {}", short(&line)));
                }
                // It may want to look first whether its message has come back.
                Some(asked) = self.hard.asked.recv(), if self.technique == Technique::Websockets => {
                    (self.asked, self.is_open) = (Some(asked), false);
                    self.send(&[], false).await?;
                }
                Some(posted) = self.hard.posted.recv() => posted.line.cut().await, // once more in vain
                () = sleep(SOON) => {}
            }
        }
        fails(format!("it did not say so{}", self.client.state()))
    }
}

fn id(number: u64) -> u64 {
    FIRST_ID + number
}

fn is_json(asked: &Asked) -> bool {
    let protocols = asked.header("sec-websocket-protocol").unwrap_or_default();
    protocols.split(',').any(|it| it.trim() == "json")
}

fn upgrade(asked: &Asked) -> String {
    let key = asked.header("sec-websocket-key").unwrap_or_default();
    let protocol = if is_json(asked) { "Sec-WebSocket-Protocol: json\r\n" } else { "" };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{protocol}\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// A chunk of a body (RFC 9112 §7.1).
fn chunk(part: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
}

/// A server's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let head = match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => vec![first, short],
        (_, Ok(length)) => [&[first, 126][..], &length.to_be_bytes()].concat(),
        _ => [&[first, 127][..], &(payload.len() as u64).to_be_bytes()].concat(),
    };
    [&head, payload].concat()
}

/// In one line, and not too long.
fn short(text: &str) -> String {
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    match line.char_indices().nth(100) {
        None => line,
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}
