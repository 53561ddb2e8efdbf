//! An event stream, read as its standard reads it (WHATWG HTML §9.2.6), but with everything in
//! sight: comments, `retry`, and in which event an `id` stands. A client keeps these to itself.

use lab::{Server, client, soon};
use reqwest::Response;
use reqwest::header::{ACCEPT, HeaderValue};

/// A stream, and what came over it that nobody has taken yet.
pub struct Stream {
    /// Its response, of which the head has come.
    pub response: Response,
    read: Vec<u8>,
    /// The last line ended with CR: a LF directly behind it belongs to it.
    ended_with_cr: bool,
    /// Whether a line has ended with anything but LF.
    pub has_other_ends: bool,
    is_at_start: bool,
}

/// The lines between two blank ones: each field with its value. A comment is one without a name.
#[derive(Debug, Default)]
pub struct Block(Vec<(String, String)>);

impl Block {
    /// The value of a field; of several, the last.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|(name, value)| (name == field).then_some(&**value))
    }

    /// Whether this text stands anywhere in it.
    pub fn says(&self, text: &str) -> bool {
        self.0.iter().any(|(_, value)| value.contains(text))
    }

    /// The lines of its data, put together; without one, it is no event.
    pub fn data(&self) -> Option<String> {
        let lines: Vec<_> = self.0.iter().filter(|(name, _)| name == "data").collect();
        let lines: Vec<_> = lines.into_iter().map(|(_, value)| &**value).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Stream {
    /// Asks for one, as a browser does.
    pub async fn open(server: &Server, path: &str, last_event_id: Option<&str>) -> Stream {
        let request = client::http().get(server.url(path)).header(ACCEPT, "text/event-stream");
        let request = last_event_id.into_iter().fold(request, |request, id| {
            let id = HeaderValue::from_bytes(id.as_bytes()).expect("it may be sent");
            request.header("Last-Event-ID", id)
        });
        let response = client::answer(request).await;
        assert_eq!(response.status(), 200, "the status of GET {path}");
        let (read, ended_with_cr) = (Vec::new(), false);
        Stream { response, read, ended_with_cr, has_other_ends: false, is_at_start: true }
    }

    /// The next block that is not empty.
    pub async fn block(&mut self) -> Block {
        soon("more of the stream", self.block_whenever()).await
    }

    /// The same, however long it takes.
    pub async fn block_whenever(&mut self) -> Block {
        let mut block = Block::default();
        loop {
            let line = self.line().await;
            let line = if std::mem::take(&mut self.is_at_start) {
                line.trim_start_matches('\u{feff}')
            } else {
                &line
            };
            if line.is_empty() && !block.0.is_empty() {
                return block;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            if !line.is_empty() {
                let value = value.strip_prefix(' ').unwrap_or(value);
                block.0.push((field.into(), value.into()));
            }
        }
    }

    /// The next event: a block with data that is not the tale of a gap.
    pub async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await;
            if block.data().is_some() && block.get("event") != Some("gap") {
                return block;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if self.ended_with_cr && !self.read.is_empty() {
                self.ended_with_cr = false;
                if self.read[0] == b'\n' {
                    self.read.remove(0);
                }
            }
            if let Some(end) = self.read.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                self.ended_with_cr = line[end] == b'\r';
                self.has_other_ends |= self.ended_with_cr;
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            let chunk = self.response.chunk().await.expect("the stream goes on");
            self.read.extend(chunk.expect("the stream has ended, which it should not"));
        }
    }
}
