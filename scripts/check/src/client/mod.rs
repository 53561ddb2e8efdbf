//! Tries anybody's client on [the contract](../../../../feed/WIRE.md), sentence by sentence: a hard
//! server plays each situation of a table ([`situations.txt`](situations.txt)), and looks at what the
//! client prints and asks.

mod hard;
mod play;
mod process;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::tries::{Found, Tried, progress};
use play::{Wrong, play};

/// How long a situation may take.
const LONGEST: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Technique {
    Polling,
    LongPolling,
    ServerSentEvents,
    Websockets,
}

impl Technique {
    fn named(name: &str) -> Technique {
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
struct Situation {
    place: usize,
    title: &'static str,
    /// The numbers of the sentences that it tries.
    sentences: Vec<&'static str>,
    steps: Vec<&'static str>,
}

/// The situations of a technique, in the table's order.
fn situations(technique: Technique) -> Vec<Situation> {
    let blocks = include_str!("situations.txt").split("\n[").skip(1).enumerate();
    let situation = |(place, block): (usize, &'static str)| {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let (title, rest) = lines.next()?.split_once("] ")?;
        let (sentences, letters) = rest.rsplit_once(' ')?;
        let steps = lines.collect();
        let situation =
            Situation { place, title, sentences: sentences.split(' ').collect(), steps };
        letters.contains(technique.letter()).then_some(situation)
    };
    blocks.filter_map(situation).collect()
}

/// Plays all situations of these sentences side by side, each with a client of its own.
pub fn try_all(
    technique: &str,
    is_asked: impl Fn(&str) -> bool,
    command: &[String],
    at_once: usize,
) -> Result<Vec<Tried>> {
    let technique = Technique::named(technique);
    let all = situations(technique);
    let asked =
        all.into_iter().rev().filter(|it| it.sentences.iter().any(|number| is_asked(number)));
    // The last ones take the longest, and begin.
    let places = Arc::new(Semaphore::new(at_once));
    tokio::runtime::Runtime::new()?.block_on(async {
        let (mut playing, mut found) = (JoinSet::new(), Vec::new());
        for situation in asked {
            let (places, command) = (Arc::clone(&places), command.to_vec());
            playing.spawn(async move {
                let _place = places.acquire().await;
                let played = timeout(LONGEST, play(&situation, technique, &command)).await;
                let found = match played {
                    Ok(Ok(())) => Found::Holds,
                    Ok(Err(Wrong::NotTried(why))) => Found::NotTried(why.into()),
                    Ok(Err(Wrong::Fails(why))) => {
                        Found::Fails(format!("{}: {why}", situation.title))
                    }
                    Err(_) => Found::Fails(format!("{}: it is not over yet", situation.title)),
                };
                let Situation { place, title, sentences, .. } = situation;
                (place, Tried { id: title, sentences, found })
            });
        }
        let count = playing.len();
        while let Some(one) = playing.join_next().await {
            found.push(one?);
            progress(&format!("{} of {count} tried", found.len()));
        }
        progress("");
        found.sort_by_key(|(place, _)| *place); // as the table has them
        Ok(found.into_iter().map(|(_, tried)| tried).collect())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use check::suite::contract::clients_sentences;
    use lab::SERVERS;

    use super::*;

    /// No promise without a situation, and no situation of what was never promised.
    #[test]
    fn each_sentence_has_a_situation() {
        let sentences = clients_sentences();
        assert!(sentences.len() >= 30, "{}", sentences.len());
        for technique in SERVERS {
            let situations = situations(Technique::named(technique));
            let tried: BTreeSet<_> =
                situations.iter().flat_map(|it| it.sentences.clone()).collect();
            let own = sentences.iter().filter(|it| it.is_for(technique)).map(|it| it.number);
            assert_eq!(own.collect::<BTreeSet<_>>(), tried, "{technique}");
        }
    }
}
