//! The same list, shared by many servers: it is a Redis stream, and each server has a copy of its
//! newest updates, which its readers read as ever. (Redis Streams:
//! <https://redis.io/docs/latest/develop/data-types/streams/>.)
//!
//! One connection of a process reads, however many clients it has; another one appends. Each entry
//! says which one was before it, `after`: where that is not the one that this server had last, the
//! engine has lost something or let it go, and the readers are told of a gap.

use std::{env, fmt, sync::Arc, time::Duration};

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, AsyncConnectionConfig, Client, InfoDict, RedisResult, Script};
use tokio::{sync::watch, time::sleep, time::timeout};

use crate::{Feed, KEPT, List, Refused, Update, made, newest};

/// How long the engine may take for anything: after that it is away.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long one `XREAD` waits at the most: less than [`PATIENCE`], so that a silent line is noticed.
const BLOCK: Duration = Duration::from_secs(2);
/// How far the engine's clock may be ahead of this server's, in microseconds.
pub(crate) const SKEW: u64 = 10_000_000;
/// The grace period of readers: shorter than in memory, so that this server itself does not fall
/// behind what the engine keeps.
const MOMENT: Duration = Duration::from_millis(100);
/// The longest wait between two attempts to reach the engine again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Appends, in one step: the id is the engine's clock in microseconds, but greater than the last
/// one, be it the stream's or (were it lost) this server's. Lua's numbers are exact up to 2^53.
const APPEND: &str = r"
    local time = redis.call('TIME')
    local after = 0
    if redis.call('EXISTS', KEYS[1]) == 1 then
        local info = redis.call('XINFO', 'STREAM', KEYS[1])
        for at = 1, #info, 2 do
            if info[at] == 'last-generated-id' then
                after = tonumber(string.match(info[at + 1], '^%d+'))
            end
        end
    end
    local id = math.max(time[1] * 1000000 + time[2], after + 1, ARGV[1] + 1)
    redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[2], string.format('%.0f-0', id),
        'after', string.format('%.0f', after), unpack(ARGV, 3))
    return string.format('%.0f', id)";

/// What appends, and where.
#[derive(Clone)]
pub(crate) struct Engine {
    appends: ConnectionManager,
    key: String,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream {}", self.key)
    }
}

impl Feed {
    /// The feed that this engine keeps, at the key `REDIS_KEY` of the environment (`updates`).
    ///
    /// # Errors
    /// Says in one line why it can't be used: no URL, nobody there, a wrong password, a key that
    /// holds something else, a Redis older than 7.0.
    pub async fn connect(url: &str) -> Result<Feed, String> {
        let key = env::var("REDIS_KEY").unwrap_or_else(|_| "updates".into());
        let open = async {
            let client = Client::open(url).map_err(|why| why.to_string())?;
            let (mut reads, list) = load(&client, &key).await?;
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(PATIENCE / 2))
                .set_response_timeout(Some(PATIENCE))
                .set_max_delay(LONGEST_WAIT / 2);
            let appends = client.get_connection_manager_with_config(config).await;
            let mut appends = appends.map_err(|why| why.to_string())?;
            let engine = Some(Engine { appends: appends.clone(), key: key.clone() });
            let feed = Feed { list: watch::Sender::new(list), engine };
            let copy = feed.clone();
            tokio::spawn(async move {
                let mut failures = 0;
                loop {
                    let _ = copy.follow(&mut reads, &key, &mut failures).await;
                    // Longer each time, with a random part: all servers lost it in the same instant.
                    let longest = LONGEST_WAIT.min(Duration::from_millis(100 << failures.min(8)));
                    sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
                    failures += 1;
                    if let Ok(connection) = connection(&client).await {
                        reads = connection;
                        // The other connection finds out by this that it is lost, not by a message.
                        let _: RedisResult<()> = appends.ping().await;
                    }
                }
            });
            Ok(feed)
        };
        timeout(PATIENCE, open).await.unwrap_or_else(|_| Err("no answer".into()))
    }

    /// Appends an update to the engine, and waits until this server's own list has it: whoever is
    /// told `201` reads what they wrote.
    pub(crate) async fn publish_to(
        &self,
        engine: &Engine,
        text: &str,
        event: Option<&str>,
    ) -> Result<Arc<Update>, Refused> {
        let Engine { appends: mut connection, key } = engine.clone();
        let mut list = self.list.subscribe();
        let (text, event) = (text.to_owned(), event.map(ToOwned::to_owned));
        // A task of its own: a client that says something and goes has said it all the same.
        let publish = tokio::spawn(async move {
            let script = Script::new(APPEND);
            let mut append = script.key(&key);
            append.arg(newest(&list.borrow()).id).arg(KEPT).arg("update").arg(&text);
            if let Some(event) = &event {
                append.arg("event").arg(event);
            }
            let id: u64 = append.invoke_async(&mut connection).await.ok()?;
            list.wait_for(|list| newest(list).id >= id).await.ok()?;
            Some(made(id, &text, event.as_deref()))
        });
        let published = timeout(PATIENCE, publish).await.ok().and_then(Result::ok).flatten();
        published.ok_or(Refused::Away)
    }

    /// Reads on after the newest id that this server has, for as long as the engine answers. An
    /// answer is the end of its failures; to be connected is not.
    async fn follow(
        &self,
        reads: &mut MultiplexedConnection,
        key: &str,
        failures: &mut u32,
    ) -> RedisResult<()> {
        let block = usize::try_from(BLOCK.as_millis()).expect("it is short");
        let options = StreamReadOptions::default().block(block).count(KEPT);
        let mut seen = format!("{}-0", newest(&self.list.borrow()).id);
        loop {
            let read: Option<StreamReadReply> =
                reads.xread_options(&[key], &[&seen], &options).await?;
            *failures = 0;
            for entry in read.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids) {
                seen.clone_from(&entry.id); // also of what is no update: somebody else wrote it
                let Some((after, update)) = update(&entry) else { continue };
                let lost = self.list.send_if_modified(|list| {
                    let lost = newest(list).id != after;
                    if lost {
                        *list = [made(update.id - 1, "", None), Arc::clone(&update)].into();
                    }
                    lost
                });
                if !lost {
                    self.append(MOMENT, |_| Arc::clone(&update)).await;
                }
            }
        }
    }
}

/// A connection that reads. What takes longer than [`PATIENCE`] is a connection that is dead.
async fn connection(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE / 2))
        .set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The list as the engine has it, and the connection that will read on.
async fn load(client: &Client, key: &str) -> Result<(MultiplexedConnection, List), String> {
    let failed = |why: redis::RedisError| why.to_string().replace('\n', " ");
    let mut connection = connection(client).await.map_err(failed)?;
    let info: InfoDict =
        redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(failed)?;
    let version: String = info.get("redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < 7) {
        return Err(format!("a Redis of version {version} is there; 7.0 or newer is needed"));
    }
    let kind: String = connection.key_type(key).await.map_err(failed)?;
    if !["none", "stream"].contains(&&*kind) {
        return Err(format!("the key {key} holds a {kind}, not a stream; REDIS_KEY names another"));
    }
    let entries: StreamRangeReply =
        connection.xrevrange_count(key, "+", "-", KEPT).await.map_err(failed)?;
    let entries: Vec<_> = entries.ids.iter().rev().filter_map(update).collect();
    // What was before the oldest; where nothing was, whoever knows something older has missed that.
    let (seconds, micros): (u64, u64) =
        redis::cmd("TIME").query_async(&mut connection).await.map_err(failed)?;
    let before = match entries.first() {
        Some((0, oldest)) => oldest.id - 1,
        Some((after, _)) => *after,
        None => seconds * 1_000_000 + micros,
    };
    let updates = entries.into_iter().map(|(_, update)| update);
    Ok((connection, [made(before, "", None)].into_iter().chain(updates).collect()))
}

/// An entry as an update, and the id of the one before it.
fn update(entry: &StreamId) -> Option<(u64, Arc<Update>)> {
    let id = entry.id.split('-').next()?.parse().ok()?;
    let text: String = entry.get("update")?;
    Some((entry.get("after")?, made(id, &text, entry.get::<String>("event").as_deref())))
}
