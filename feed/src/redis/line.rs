//! The connections to the engine: which one has the key, what its clock says, when new ones are due.

use std::{fmt, time::Duration, time::Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError, RedisResult};
use redis::{RetryMethod, Value, cmd};
use tokio::sync::watch;

use super::PATIENCE;

/// What a server knows of its engine.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(super) key: String,
    pub(super) state: watch::Sender<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// What appends; nothing while the engine is away.
    pub(super) line: Option<Line>,
    /// The newest update of this server that the engine has lost, or 0.
    pub(super) lost: u64,
}

/// A connection, since when it is there, and the engine's clock then, in microseconds.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) connection: MultiplexedConnection,
    pub(super) since: Instant,
    pub(super) clock: u64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream {}", self.key)
    }
}

impl Engine {
    /// The line, as soon as there is one.
    pub(super) async fn line(&self) -> Line {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| state.line.is_some()).await;
        state.ok().and_then(|state| state.line.clone()).expect("the engine keeps what it watches")
    }

    /// This line is of no use: both connections are made anew, unless they have been meanwhile.
    pub(super) fn give_up(&self, line: &Line) {
        self.state
            .send_if_modified(|state| state.line.take_if(|it| it.since == line.since).is_some());
    }

    /// Sets the line's clock right: no two clocks go alike for days.
    pub(super) fn set_clock(&self, now: u64) {
        self.state.send_if_modified(|state| {
            if let Some(line) = &mut state.line {
                line.clock = now - micros(line.since.elapsed());
            }
            false
        });
    }
}

impl Line {
    /// What the engine's clock will say in this time, or a little less.
    pub(super) fn clock_in(&self, time: Duration) -> u64 {
        self.clock + micros(self.since.elapsed() + time)
    }
}

/// A connection that reads, and one that appends, both to where the key is. All ids to come will be
/// greater than `newest`, also where the engine has lost that one.
pub(super) async fn connect(
    client: &Client,
    key: &str,
    newest: u64,
) -> RedisResult<(MultiplexedConnection, Line)> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE / 2))
        .set_response_timeout(Some(PATIENCE));
    let mut client = client.clone();
    loop {
        let open = || client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = open().await?;
        let (mut floor, mut clock) = (cmd("XSETID"), connection.clone());
        floor.arg(key).arg(format!("{newest}-0")); // mostly the engine has more, and refuses
        let floor = floor.query_async::<Value>(&mut connection);
        let (floor, clock, reads) = tokio::join!(floor, time(&mut clock), open());
        match floor.err().filter(is_elsewhere) {
            Some(why) => client = node(&client, &why).ok_or(why)?,
            None => return Ok((reads?, Line { connection, since: Instant::now(), clock: clock? })),
        }
    }
}

/// Whether the error means: ask another one, or this one later. It comes from a replica, from a
/// node of a cluster that does not have the key, and from one that is loading its file. Nothing was
/// stored then.
pub(super) fn is_elsewhere(why: &RedisError) -> bool {
    matches!(why.kind(), ErrorKind::Server(_))
        && !matches!(why.retry_method(), RetryMethod::NoRetry)
}

/// The node of a cluster that has the key, as another node says.
fn node(client: &Client, why: &RedisError) -> Option<Client> {
    let (name, number) = why.redirect_node()?.0.rsplit_once(':')?;
    let info = client.get_connection_info().clone();
    let mut address = info.addr().clone();
    if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } =
        &mut address
    {
        *port = number.parse().ok()?;
        if !name.is_empty() {
            *host = name.into();
        }
    }
    Client::open(info.set_addr(address)).ok()
}

/// The engine's clock, in microseconds.
pub(super) async fn time(connection: &mut MultiplexedConnection) -> RedisResult<u64> {
    let (seconds, rest): (u64, u64) = cmd("TIME").query_async(connection).await?;
    Ok(seconds * 1_000_000 + rest)
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().expect("it is less than half a million years")
}
