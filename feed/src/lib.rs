//! One list, many readers: what the four servers have in common, whatever the technique.
//!
//! A [`Feed`] keeps the newest updates in one list. Each client has a [`Reader`]: a subscription
//! to that list, and its place there, the last update that it has seen. What is newer comes at
//! once ([`Reader::newer`]) or as soon as it is there ([`Reader::next`]), out of the same list, so
//! nothing falls into a gap between what was and what is to come. And nobody has a queue: a slow
//! reader costs the others nothing, and the list never grows beyond [`KEPT`].

#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "serve")] // without it this file stands alone: it can be copied by itself
mod serve;
#[cfg(feature = "serve")]
pub use serve::{after, array, is_own_page, parse_id, print_line, serve};

use std::{collections::VecDeque, mem, sync::Arc, time::Duration, time::UNIX_EPOCH};
use tokio::{sync::watch, task::yield_now, time::sleep};

/// How many updates are kept. A client that was away for longer goes on from the oldest of them,
/// and is told that some are missing.
pub const KEPT: usize = 1_000;
/// An update that a reader has still to read is kept for so long at least: who publishes more than
/// [`KEPT`] updates in that time has to wait for those who read. In microseconds.
const GRACE: u64 = 1_000_000;
/// About how many bytes of updates a reader takes at once: what a client costs that does not read.
const BATCH: usize = 8 * 1024;

/// Something new. As JSON: `{"id":…,"update":"…"}`, and `"event":"…"` where it was given one.
#[derive(Debug, serde::Serialize)]
pub struct Update {
    /// The microsecond since 1970 in which it was made; always greater than the one before.
    pub id: u64,
    /// Its text, never empty.
    pub update: String,
    /// What kind of event it is: 1 to 64 ASCII letters, digits, `-` or `_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Held by each reader whose place is here: it has seen this update, and not the next.
    #[serde(skip)]
    place: Arc<()>,
}

/// Oldest first. In front of the updates that are kept stands the newest that is not: it shows
/// where the list begins, and whether a reader's place is there.
type List = VecDeque<Arc<Update>>;

/// The newest [`KEPT`] updates. A clone is another handle on the same list.
#[derive(Clone, Debug)]
pub struct Feed {
    list: watch::Sender<List>,
    #[cfg(feature = "redis")]
    engine: Option<redis::Engine>,
}

/// Why an update was not published.
#[derive(Debug)]
pub enum Refused {
    /// An empty text, or a name that no event may have: says which, in one line.
    Invalid(&'static str),
    /// The engine did not answer: it does not have the update, unless only its answer was lost.
    Away,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed {
            list: watch::Sender::new([made(micros_now(), "", None)].into()),
            #[cfg(feature = "redis")]
            engine: None,
        }
    }
}

impl Feed {
    /// Appends an update, lets the oldest go if there are too many, and wakes every reader.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn publish(&self, text: &str, event: Option<&str>) -> Result<Arc<Update>, Refused> {
        if text.is_empty() {
            return Err(Refused::Invalid("update: the text is empty"));
        }
        if !event.is_none_or(is_event_name) {
            let why = "event: 1 to 64 ASCII letters, digits, - or _; not open, error or gap";
            return Err(Refused::Invalid(why));
        }
        #[cfg(feature = "redis")]
        if let Some(engine) = &self.engine {
            return self.publish_to(engine, text, event).await;
        }
        let id = |newest| micros_now().max(newest + 1); // the clock may be set back
        Ok(self.append(GRACE, |newest| made(id(newest), text, event)).await)
    }

    /// Gives those who read their turn, before it if they would lose something, and after it.
    async fn append(&self, grace: u64, make: impl Fn(u64) -> Arc<Update>) -> Arc<Update> {
        loop {
            let mut update = None;
            self.list.send_if_modified(|list| {
                if list.len() > KEPT {
                    let is_awaited = Arc::strong_count(&list[0].place) > 1;
                    if is_awaited && micros_now().abs_diff(list[1].id) < grace {
                        return false;
                    }
                    list.pop_front();
                }
                list.push_back(make(newest(list).id));
                update = list.back().cloned();
                true
            });
            if let Some(update) = update {
                yield_now().await; // whoever publishes without pause does not keep others waiting
                return update;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The newest update, if there is one.
    pub fn newest(&self) -> Option<Arc<Update>> {
        let list = self.list.borrow();
        (list.len() > 1).then(|| Arc::clone(newest(&list)))
    }

    /// A reader of everything newer than the id `after`; without one, of what comes from now on.
    /// An `after` beyond the newest (the clock was set back) counts as 0: nobody waits in vain. (It
    /// may be another server's, where many share an engine: then it is waited for.)
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async))]
    pub async fn reader(&self, after: Option<u64>) -> Reader {
        #[cfg(feature = "redis")]
        if let (Some(engine), Some(after)) = (&self.engine, after) {
            self.reach(engine, after).await;
        }
        let feed = self.list.subscribe(); // before the look at the list: what comes between is seen
        let list = self.list.borrow();
        let after = after.unwrap_or(newest(&list).id);
        let is_beyond = after > newest(&list).id;
        let after = if is_beyond { 0 } else { after };
        let is_gone = (1..list[0].id).contains(&after); // a place before the list: a gap
        let place = &list[first_after(&list, after) - 1];
        let seen = if is_gone { after } else { after.max(place.id) };
        Reader { feed, seen, place: Arc::clone(&place.place) }
    }
}

/// What a reader has to read, oldest first.
#[derive(Debug)]
pub struct News {
    /// Whether updates before these are missing, since they are no longer kept.
    pub gap: bool,
    /// A batch of the updates; [`Reader::newer`] may have more.
    pub updates: Vec<Arc<Update>>,
}

/// A client's place in the feed.
#[derive(Debug)]
pub struct Reader {
    feed: watch::Receiver<List>,
    seen: u64,
    place: Arc<()>,
}

impl Reader {
    /// What is newer than what was seen, at once: a batch of it, or nothing. It counts as seen.
    pub fn newer(&mut self) -> News {
        let list = self.feed.borrow();
        let gap = self.seen < list[0].id;
        let mut room = BATCH;
        let fits = |update: &&Arc<Update>| {
            let fits = room > 0;
            room = room.saturating_sub(mem::size_of::<Update>() + update.update.len());
            fits
        };
        let newer = list.range(first_after(&list, self.seen)..);
        let updates: Vec<_> = newer.take_while(fits).cloned().collect();
        if let Some(last) = updates.last().or(gap.then_some(&list[0])) {
            (self.seen, self.place) = (last.id, Arc::clone(&last.place));
        }
        News { gap, updates }
    }

    /// The next updates, as soon as there is one. Safe to cancel: they count as seen only when
    /// they are returned, so a timeout or another branch of a `select!` loses nothing.
    pub async fn next(&mut self) -> News {
        let seen = self.seen;
        match self.feed.wait_for(|list| newest(list).id > seen).await.map(drop) {
            Ok(()) => self.newer(),
            Err(_) => std::future::pending().await, // the feed is gone: nothing will come
        }
    }
}

fn made(id: u64, update: &str, event: Option<&str>) -> Arc<Update> {
    let (update, event, place) = (update.into(), event.map(Into::into), Arc::default());
    Arc::new(Update { id, update, event, place })
}

fn micros_now() -> u64 {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_secs() * 1_000_000 + u64::from(now.subsec_micros())
}

fn newest(list: &List) -> &Arc<Update> {
    list.back().expect("the newest that is no longer kept is there at least")
}

/// Where the updates that are kept and newer than `seen` begin. Ids are in order: a binary search.
fn first_after(list: &List, seen: u64) -> usize {
    list.partition_point(|update| update.id <= seen).max(1)
}

/// A browser's `EventSource` has `open` and `error` for itself; `gap` is told by the server.
fn is_event_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let ours = ["open", "error", "gap"].contains(&name);
    matches!(name.len(), 1..=64) && name.bytes().all(fits) && !ours
}
