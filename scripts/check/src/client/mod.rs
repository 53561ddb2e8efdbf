//! Tries anybody's client on [the contract](../../../../feed/WIRE.md), sentence by sentence: a hard
//! server plays each situation of a table ([`situations.txt`](situations.txt)), and looks at what the
//! client prints and asks.

mod hard;
mod play;
mod process;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use play::Wrong;

/// How long a situation may take.
const LONGEST: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Technique {
    Polling,
    LongPolling,
    ServerSentEvents,
    Websockets,
}

impl Technique {
    pub fn named(name: &str) -> Technique {
        match name {
            "polling" => Technique::Polling,
            "long-polling" => Technique::LongPolling,
            "server-sent-events" => Technique::ServerSentEvents,
            _ => Technique::Websockets,
        }
    }

    fn letter(self) -> char {
        match self {
            Technique::Polling => 'p',
            Technique::LongPolling => 'l',
            Technique::ServerSentEvents => 's',
            Technique::Websockets => 'w',
        }
    }

    /// Where its client may ask.
    fn paths(self) -> &'static [&'static str] {
        match self {
            Technique::Polling => &["/api/messages"],
            Technique::LongPolling => &["/api/messages/long-poll"],
            Technique::ServerSentEvents => &["/server-sent-events", "/events"],
            Technique::Websockets => &["/websocket", "/"],
        }
    }

    /// Whether its answer has no end.
    fn is_open_ended(self) -> bool {
        matches!(self, Technique::ServerSentEvents | Technique::Websockets)
    }
}

/// A situation of the table.
#[derive(Clone)]
pub struct Situation {
    pub title: &'static str,
    /// The numbers of the sentences that it tries.
    pub sentences: Vec<&'static str>,
    steps: Vec<&'static str>,
}

/// The situations of a technique, in the table's order.
pub fn situations(technique: Technique) -> Vec<Situation> {
    let blocks = include_str!("situations.txt").split("\n[").skip(1);
    let situation = |block: &'static str| {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let (title, rest) = lines.next()?.split_once("] ")?;
        let (sentences, letters) = rest.rsplit_once(' ')?;
        let steps = lines.collect();
        let situation = Situation { title, sentences: sentences.split(' ').collect(), steps };
        letters.contains(technique.letter()).then_some(situation)
    };
    blocks.filter_map(situation).collect()
}

/// Plays all of these side by side, each with a client of its own: what was found, in their order.
pub async fn play_all(
    technique: Technique,
    situations: Vec<Situation>,
    command: &[String],
    at_once: usize,
    said: impl Fn(&Situation),
) -> Vec<(Situation, Result<(), Wrong>)> {
    let places = Arc::new(Semaphore::new(at_once));
    let running: Vec<_> = situations
        .into_iter()
        .map(|situation| {
            let (places, command) = (Arc::clone(&places), command.to_vec());
            tokio::spawn(async move {
                let _place = places.acquire().await;
                let played = timeout(LONGEST, play::play(&situation, technique, &command)).await;
                let late = || Err(Wrong::Fails(format!("not over after {} s", LONGEST.as_secs())));
                (situation, played.unwrap_or_else(|_| late()))
            })
        })
        .collect();
    let mut all = Vec::new();
    for running in running {
        let (situation, found) = running.await.expect("a situation does not panic");
        said(&situation);
        all.push((situation, found));
    }
    all
}
