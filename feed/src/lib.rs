//! One list, many readers: what the four servers have in common, whatever the technique.
//!
//! A [`Feed`] keeps the newest updates in one list. Each client has a [`Reader`]: a subscription to
//! that list, and its place there, the last update that it has seen. What is newer comes at once
//! ([`Reader::newer`]) or as soon as it is there ([`Reader::next`]), out of the same list, so
//! nothing falls into a gap between old and new updates. And nobody has a queue: no reader waits
//! for a slow one, and the list never grows beyond [`KEPT`].

#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "serve")] // without it this file stands alone: it can be copied by itself
mod serve;
#[cfg(feature = "serve")]
pub use serve::{after, array, is_own_page, parse_id, print_line, serve};

use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering::SeqCst};
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{collections::VecDeque, mem};
use tokio::{sync::watch, task::yield_now, time::sleep};

/// How many updates are kept. A client that was away for longer goes on from the oldest of them,
/// and is told that some are missing.
pub const KEPT: usize = 1_000;
/// The grace period: how long an update is kept, even if the list is full, when a reader has not
/// read it yet. Meanwhile, its publisher waits (backpressure).
const GRACE: Duration = Duration::from_secs(1);
/// About how many bytes of updates a reader takes at once. A client that does not read costs so
/// much.
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
    /// Held by each reader that has seen this update, and not the next one.
    #[serde(skip)]
    place: Arc<()>,
    /// When it came into this list, by a clock that nobody can set.
    #[serde(skip)]
    arrived: Instant,
}

/// Oldest first. Its first entry is the newest update that is no longer kept. That entry marks the
/// beginning of the list, and shows whether a reader still waits for the oldest update that is kept.
type List = VecDeque<Arc<Update>>;

/// The newest [`KEPT`] updates. A clone is another handle on the same list.
#[derive(Clone, Debug)]
pub struct Feed {
    list: watch::Sender<List>,
    ended: Arc<AtomicBool>,
    #[cfg(feature = "redis")]
    engine: Option<redis::Engine>,
}

/// Why an update was not published.
#[derive(Debug)]
pub enum Refused {
    /// The text is empty, or the event's name is not allowed. Says which, in one line.
    Invalid(&'static str),
    /// The engine did not answer: it does not have the update, unless only its answer was lost.
    Away,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed {
            list: watch::Sender::new([made(micros_now(), "", None)].into()),
            ended: Arc::default(),
            #[cfg(feature = "redis")]
            engine: None,
        }
    }
}

impl Feed {
    /// Appends an update, drops the oldest if there are too many, and wakes every reader.
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

    /// Appends an update. First it waits for readers that would lose the oldest one, but not longer
    /// than the grace period. Afterwards it lets other tasks run, so that readers can follow.
    async fn append(&self, grace: Duration, make: impl Fn(u64) -> Arc<Update>) -> Arc<Update> {
        loop {
            let mut update = None;
            self.list.send_if_modified(|list| {
                if list.len() > KEPT {
                    let is_awaited = Arc::strong_count(&list[0].place) > 1;
                    if is_awaited && list[1].arrived.elapsed() < grace {
                        return false;
                    }
                    list.pop_front();
                }
                list.push_back(make(newest(list).id));
                update = list.back().cloned();
                true
            });
            if let Some(update) = update {
                yield_now().await; // a publisher in a loop would keep this thread from the readers
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

    /// A reader of everything newer than the id `after`. Without `after`: of what is published from
    /// now on. An `after` beyond the newest id is from another life of this server, whose clock was
    /// ahead. It counts as older than all that is kept: nobody knows what came after it. But if
    /// many servers share an engine, another one may have been faster: so this one asks the engine
    /// first.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async))]
    pub async fn reader(&self, after: Option<u64>) -> Reader {
        #[cfg(feature = "redis")]
        if let (Some(engine), Some(after)) = (&self.engine, after) {
            self.reach(engine, after).await;
        }
        let feed = self.list.subscribe(); // first: so nothing is missed between this and the next line
        let list = self.list.borrow();
        let after = after.unwrap_or(newest(&list).id);
        let is_beyond = after > newest(&list).id;
        let after = if is_beyond { 1 } else { after };
        let is_gap = (1..list[0].id).contains(&after); // what came after it is no longer kept
        let place = &list[first_after(&list, after) - 1];
        let seen = if is_gap { after } else { after.max(place.id) };
        Reader { feed, ended: Arc::clone(&self.ended), seen, place: Arc::clone(&place.place) }
    }

    /// Ends the feed, when a server stops: its readers get the updates that are there, and then no
    /// more.
    pub fn end(&self) {
        self.ended.store(true, SeqCst);
        self.list.send_modify(|_| {}); // wakes all readers
    }
}

/// What is new to a reader, oldest first.
#[derive(Debug)]
pub struct News {
    /// Whether updates before these are missing, as they are no longer kept.
    pub gap: bool,
    /// A batch of the updates. There may be more: ask [`Reader::newer`] again.
    pub updates: Vec<Arc<Update>>,
}

/// A client's place in the feed.
#[derive(Debug)]
pub struct Reader {
    feed: watch::Receiver<List>,
    ended: Arc<AtomicBool>,
    seen: u64,
    place: Arc<()>,
}

impl Reader {
    /// The next batch of newer updates, at once; it may be empty. From now on they count as seen.
    pub fn newer(&mut self) -> News {
        let list = self.feed.borrow();
        let gap = self.seen < list[0].id;
        let (mut updates, mut bytes) = (Vec::new(), 0);
        for update in list.range(first_after(&list, self.seen)..) {
            updates.push(Arc::clone(update));
            bytes += mem::size_of::<Update>() + update.update.len();
            if bytes >= BATCH {
                break;
            }
        }
        if let Some(last) = updates.last().or(gap.then_some(&list[0])) {
            (self.seen, self.place) = (last.id, Arc::clone(&last.place));
        }
        News { gap, updates }
    }

    /// The next batch, as soon as there is something newer; none when the feed has ended. It can be
    /// cancelled at any moment, by a timeout or another branch of a `select!`: updates count as seen
    /// only when they are returned.
    pub async fn next(&mut self) -> Option<News> {
        let is_over = |list: &List| newest(list).id > self.seen || self.ended.load(SeqCst);
        // `wait_for` returns a lock of the list. It has to be gone before `newer` looks there.
        drop(self.feed.wait_for(is_over).await);
        Some(self.newer()).filter(|news| !news.updates.is_empty())
    }
}

fn made(id: u64, update: &str, event: Option<&str>) -> Arc<Update> {
    let (update, event, place) = (update.into(), event.map(Into::into), Arc::default());
    Arc::new(Update { id, update, event, place, arrived: Instant::now() })
}

fn micros_now() -> u64 {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_secs() * 1_000_000 + u64::from(now.subsec_micros())
}

fn newest(list: &List) -> &Arc<Update> {
    list.back().expect("the list is never empty: its first entry stays")
}

/// The index of the first update that is kept and newer than `seen`. Found by a binary search.
fn first_after(list: &List, seen: u64) -> usize {
    list.partition_point(|update| update.id <= seen).max(1)
}

/// Whether an event may have this name. A browser's `EventSource` uses `open` and `error` itself, and
/// the servers use `gap`.
fn is_event_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_taken = ["open", "error", "gap"].contains(&name);
    matches!(name.len(), 1..=64) && name.bytes().all(is_good) && !is_taken
}
