//! One list, many readers: what the four servers have in common, whatever the technique.
//!
//! A [`Feed`] keeps the newest updates in one list. Each client has a [`Reader`]: a subscription
//! to that list, and the id of the last update that it has seen, its cursor. What is newer comes
//! at once ([`Reader::newer`]) or as soon as it is there ([`Reader::next`]), out of the same list,
//! so nothing falls into a gap between what was and what is to come. And nobody has a queue: a
//! slow reader costs the others nothing, and the list never grows beyond [`KEPT`].

mod serve;

pub use serve::{after, parse_id, print_line, serve};
use std::{collections::VecDeque, sync::Arc, time::UNIX_EPOCH};
use tokio::sync::watch;

/// How many updates are kept. A client that was away for longer goes on from the oldest of them.
pub const KEPT: usize = 1_000;

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
}

type List = VecDeque<Arc<Update>>;

/// The newest [`KEPT`] updates, oldest first. A clone is another handle on the same list.
#[derive(Clone, Debug, Default)]
pub struct Feed(watch::Sender<List>);

impl Feed {
    /// Appends an update, lets the oldest go if there are too many, and wakes every reader.
    ///
    /// # Errors
    /// An empty text, or a name that no event may have: says which, in one line.
    pub fn publish(&self, text: &str, event: Option<&str>) -> Result<Arc<Update>, &'static str> {
        if text.is_empty() {
            return Err("update: the text is empty");
        }
        if !event.is_none_or(is_event_name) {
            return Err("event: 1 to 64 ASCII letters, digits, - or _; not open, not error");
        }
        let now = UNIX_EPOCH.elapsed().unwrap_or_default();
        let now = now.as_secs() * 1_000_000 + u64::from(now.subsec_micros());
        let mut made = None;
        self.0.send_modify(|list| {
            let id = now.max(newest(list) + 1); // the clock may stand still, or be set back
            let update = Update { id, update: text.into(), event: event.map(Into::into) };
            list.drain(..list.len().saturating_sub(KEPT - 1));
            list.push_back(Arc::new(update));
            made = list.back().cloned();
        });
        Ok(made.expect("it was pushed"))
    }

    /// A reader of everything newer than the id `after`; without one, of what comes from now on.
    /// An `after` beyond the newest (the clock was set back) counts as 0: nobody waits in vain.
    pub fn reader(&self, after: Option<u64>) -> Reader {
        let list = self.0.subscribe(); // before the look at the list: what comes between is seen
        let newest = newest(&list.borrow());
        Reader { list, seen: after.map_or(newest, |after| if after > newest { 0 } else { after }) }
    }
}

/// A client's place in the feed.
#[derive(Debug)]
pub struct Reader {
    list: watch::Receiver<List>,
    seen: u64,
}

impl Reader {
    /// All that is newer than what was seen, oldest first, at once. It counts as seen then.
    pub fn newer(&mut self) -> Vec<Arc<Update>> {
        let list = self.list.borrow();
        let newer = list.range(first_after(&list, self.seen)..).cloned().collect();
        self.seen = newest(&list);
        newer
    }

    /// The next update, as soon as there is one. Safe to cancel: it counts as seen only when it
    /// is returned, so a timeout or another branch of a `select!` loses nothing.
    pub async fn next(&mut self) -> Arc<Update> {
        let seen = self.seen;
        match self.list.wait_for(|list| newest(list) > seen).await {
            Ok(list) => {
                let next = Arc::clone(&list[first_after(&list, seen)]);
                self.seen = next.id;
                next
            }
            Err(_) => std::future::pending().await, // the feed is gone: nothing will come
        }
    }
}

/// The id of the newest update; 0 when there is none.
fn newest(list: &List) -> u64 {
    list.back().map_or(0, |update| update.id)
}

/// Where the updates newer than `seen` begin. Ids are in order, so it is a binary search.
fn first_after(list: &List, seen: u64) -> usize {
    list.partition_point(|update| update.id <= seen)
}

/// A browser's `EventSource` has `open` and `error` for itself.
fn is_event_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    matches!(name.len(), 1..=64) && name.bytes().all(fits) && !matches!(name, "open" | "error")
}
