//! The same list, shared by many servers: it is a Redis stream, and each server has a copy of its
//! newest updates, which its readers read as ever. (Redis Streams:
//! <https://redis.io/docs/latest/develop/data-types/streams/>.)
//!
//! A process has two connections, however many clients it has: one reads, the other one appends. An
//! error counts as a broken connection: both are made anew, by the name.
//!
//! Each entry says which one was before it, `after`, and which one its server had that the engine
//! had lost, `knew`. A server that lacks one of these tells its readers of a gap.

mod line;

use std::{env, future, sync::Arc, time::Duration, time::Instant};

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, Client, InfoDict, RedisError, RedisResult, Script, cmd};
use tokio::{sync::watch, task::yield_now, time::sleep, time::timeout};

pub(crate) use line::Engine;
use line::{Line, connect, is_elsewhere, time};

use crate::{Feed, KEPT, List, Refused, Update, first_after, made, newest};

/// How long the engine may take for anything: after that it is away.
const PATIENCE: Duration = Duration::from_secs(4);
/// How old a message may be, by the engine's own clock, when the engine appends it. (The rest of
/// [`PATIENCE`] is for its way back.) One that waited for longer has been refused, and stays so.
const IN_TIME: Duration = Duration::from_secs(3);
/// How long one `XREAD` waits at the most: less than [`PATIENCE`], so that a silent line is noticed.
const BLOCK: Duration = Duration::from_secs(1);
/// The grace period of readers: shorter than in memory, so that this server itself does not fall
/// behind what the engine keeps.
const MOMENT: Duration = Duration::from_millis(100);
/// The longest wait between two attempts to reach the engine again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Feed {
    /// The feed that an engine keeps, at the key `REDIS_KEY` of the environment (`updates`). Where
    /// there are several URLs, with blanks between, one is tried after the other.
    ///
    /// # Errors
    /// Says in one line why it can't be used: no URL, nobody there, a wrong password, a key that
    /// holds something else, a Redis older than 7.0.
    pub async fn connect(urls: &str) -> Result<Feed, String> {
        let key = env::var("REDIS_KEY").unwrap_or_else(|_| "updates".into());
        let clients = urls.split_whitespace().map(Client::open).collect::<RedisResult<Vec<_>>>();
        let clients = clients.map_err(|why| why.to_string())?;
        let open = async {
            let mut loaded = Err("it is empty".into());
            for client in &clients {
                loaded = load(client, &key).await;
                if loaded.is_ok() {
                    break;
                }
            }
            loaded
        };
        let loaded = timeout(PATIENCE, open).await.unwrap_or_else(|_| Err("no answer".into()));
        let (connections, list) = loaded?;
        let engine = Engine { key, state: watch::Sender::default() };
        let feed = Feed {
            list: watch::Sender::new(list),
            ended: Arc::default(),
            engine: Some(engine.clone()),
        };
        tokio::spawn(feed.clone().stay_connected(engine, clients, connections));
        Ok(feed)
    }

    async fn stay_connected(
        self,
        engine: Engine,
        clients: Vec<Client>,
        connections: (MultiplexedConnection, Line),
    ) {
        let (mut connections, mut failures) = (Some(connections), 0);
        for client in clients.iter().cycle() {
            if let Some((mut reads, line)) = connections {
                let since = line.since;
                engine.state.send_modify(|state| state.line = Some(line));
                let mut state = engine.state.subscribe();
                tokio::select! {
                    _ = self.follow(&engine, &mut reads) => {}
                    _ = state.wait_for(|state| state.line.is_none()) => {} // a publisher gave it up
                }
                engine.state.send_modify(|state| state.line = None);
                // To be connected is not the end of the failures; to have been so for a while is.
                failures = if since.elapsed() > LONGEST_WAIT { 0 } else { failures };
            }
            // Longer each time, with a random part: all servers lost it in the same instant.
            let longest = LONGEST_WAIT.min(Duration::from_millis(100 << failures.min(8)));
            sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
            failures += 1;
            let newest = newest(&self.list.borrow()).id;
            connections = connect(client, &engine.key, newest).await.ok();
        }
    }

    /// Appends an update to the engine, and waits until this server's own list has it: a client
    /// that is told `201` can read its own message.
    pub(crate) async fn publish_to(
        &self,
        engine: &Engine,
        text: &str,
        event: Option<&str>,
    ) -> Result<Arc<Update>, Refused> {
        let (start, feed, engine) = (Instant::now(), self.clone(), engine.clone());
        let mut message = vec!["update".to_owned(), text.to_owned()];
        message.extend(event.iter().flat_map(|name| ["event".to_owned(), (*name).to_owned()]));
        // A task of its own: the message of a client that goes is published all the same.
        let published = tokio::spawn(async move {
            let script = Script::new(include_str!("redis/append.lua"));
            let mut list = feed.list.subscribe();
            loop {
                let left = IN_TIME.checked_sub(start.elapsed())?;
                let mut line = timeout(left, engine.line()).await.ok()?;
                let left = IN_TIME.saturating_sub(start.elapsed());
                let mut append = script.key(&engine.key);
                append.arg(line.clock_in(left)).arg(newest(&list.borrow()).id);
                append.arg(engine.state.borrow().lost).arg(KEPT).arg(&message);
                let refused = match append.invoke_async(&mut line.connection).await {
                    Ok(Some(id)) => {
                        let came = list.wait_for(|list| newest(list).id >= id);
                        let came = timeout(PATIENCE.saturating_sub(start.elapsed()), came).await;
                        let list = came.ok().and_then(Result::ok);
                        let update =
                            list.and_then(|list| list.get(first_after(&list, id - 1)).cloned());
                        // This very one: the list may come from another engine than the one that
                        // has it.
                        let update = update.filter(|update| update.id == id);
                        if update.is_some() {
                            return update;
                        }
                        false
                    }
                    Ok(None) => true, // too late
                    Err(why) => is_elsewhere(&why),
                };
                engine.give_up(&line);
                if !refused {
                    return None; // nobody knows whether it is stored: it is not sent again
                }
            }
        });
        let published = published.await.ok().flatten().ok_or(Refused::Away);
        yield_now().await; // as in memory: the publisher's own reader has its turn before what is next
        published
    }

    /// Waits until this server has the update `id`, if the engine has it: another server may have
    /// been faster to hand it out.
    pub(crate) async fn reach(&self, engine: &Engine, id: u64) {
        let mut list = self.list.subscribe();
        let is_missing = async {
            loop {
                let (mut line, at) = (engine.line().await, format!("{id}-0"));
                match line.connection.xrange_count(&engine.key, &at, &at, 1).await {
                    Ok(StreamRangeReply { ids }) if ids.is_empty() => break,
                    Ok(_) => future::pending().await, // it is on its way
                    Err(_) => engine.give_up(&line),
                }
            }
        };
        let reached = async {
            tokio::select! {
                biased;
                _ = list.wait_for(|list| newest(list).id >= id) => {}
                () = is_missing => {}
            }
        };
        let _ = timeout(PATIENCE, reached).await;
    }

    /// Reads on after the newest id that this server has, for as long as the engine answers.
    async fn follow(&self, engine: &Engine, reads: &mut MultiplexedConnection) -> RedisResult<()> {
        let block = usize::try_from(BLOCK.as_millis()).expect("it is short");
        let options = StreamReadOptions::default().block(block).count(KEPT);
        loop {
            let mut seen = format!("{}-0", newest(&self.list.borrow()).id);
            loop {
                let read: Option<StreamReadReply> =
                    reads.xread_options(&[&engine.key], &[&seen], &options).await?;
                let Some(read) = read else { break };
                for entry in read.keys.into_iter().flat_map(|key| key.ids) {
                    seen.clone_from(&entry.id); // also of somebody else's entry
                    if let Some(entry) = Entry::of(&entry) {
                        self.take(engine, entry).await;
                    }
                }
            }
            engine.set_clock(time(reads).await?); // nothing came for a while
        }
    }

    /// Takes an entry into the list.
    async fn take(&self, engine: &Engine, entry: Entry) {
        if let Some(lost) = self.newest().filter(|newest| newest.id > entry.after) {
            engine.state.send_if_modified(|state| {
                state.lost = lost.id;
                false
            });
        }
        if !self.list.send_if_modified(|list| entry.begin_again(list)) {
            self.append(MOMENT, |_| Arc::clone(&entry.update)).await;
        }
    }
}

/// An entry of the stream that is an update.
struct Entry {
    after: u64,
    knew: u64,
    update: Arc<Update>,
}

impl Entry {
    fn of(entry: &StreamId) -> Option<Entry> {
        let id = entry.id.strip_suffix("-0")?.parse().ok().filter(|id| *id < 1 << 53)?;
        let (text, event): (String, Option<String>) = (entry.get("update")?, entry.get("event"));
        let (after, knew) = (entry.get("after")?, entry.get("knew").unwrap_or(0));
        Some(Entry { after, knew, update: made(id, &text, event.as_deref()) })
    }

    /// Begins the list again with this update, if something before it is missing in the list.
    fn begin_again(&self, list: &mut List) -> bool {
        let has = |id| list.binary_search_by_key(&id, |update| update.id).is_ok();
        let lacks_after = self.after > 0 && !has(self.after);
        let lacks_knew = self.knew > list[0].id && !has(self.knew);
        let before = match (lacks_after, lacks_knew) {
            (false, false) => return false,
            (true, false) if self.after > self.knew => self.after,
            (false, true) if self.knew > self.after => self.knew,
            _ => self.update.id - 1, // a client that has seen one of the two may lack the other
        };
        *list = [made(before, "", None), Arc::clone(&self.update)].into();
        true
    }
}

/// The connections, and the list as the engine has it.
async fn load(client: &Client, key: &str) -> Result<((MultiplexedConnection, Line), List), String> {
    let failed = |why: RedisError| why.to_string().replace('\n', " ");
    let (mut reads, line) = connect(client, key, 0).await.map_err(failed)?;
    let info: InfoDict = cmd("INFO").arg("server").query_async(&mut reads).await.map_err(failed)?;
    let version: String = info.get("redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < 7) {
        return Err(format!("a Redis of version {version} is there; 7.0 or newer is needed"));
    }
    let kind: String = reads.key_type(key).await.map_err(failed)?;
    if !["none", "stream"].contains(&&*kind) {
        return Err(format!("the key {key} holds a {kind}, not a stream; REDIS_KEY names another"));
    }
    let entries: StreamRangeReply =
        reads.xrevrange_count(key, "+", "-", KEPT).await.map_err(failed)?;
    let mut list: List = [made(0, "", None)].into();
    for entry in entries.ids.iter().rev().filter_map(Entry::of) {
        if !entry.begin_again(&mut list) {
            list.push_back(entry.update);
        }
    }
    if list.len() == 1 {
        list = [made(line.clock, "", None)].into(); // an older cursor has missed something
    }
    Ok(((reads, line), list))
}
