//! What an engine costs, in a table; what its figures mean for many, in a calculation; and how far that
//! was from what was measured.

use crate::figures::{Engine, Hundred, Shared};
use crate::report::text::{count, figure, markdown, milliseconds, unique};
use crate::report::{disturbed, said, usual};

/// How many clients the calculation has.
const CLIENTS: f64 = 1e6;
/// By which technique they listen.
pub const STREAM: &str = "server-sent-events";
/// Bytes of headers with each delivery: Ethernet 14, IPv4 20, TCP 20 and its timestamps.
const HEADERS: f64 = 66.0;

/// Where the feed is.
pub fn place(servers: Option<u32>) -> String {
    match servers {
        None => "in memory".into(),
        Some(servers) => format!("Redis, {}", several(servers, "server")),
    }
}

fn several(number: impl Into<u64>, what: &str) -> String {
    match number.into() {
        1 => format!("1 {what}"),
        number => format!("{} {what}s", count(number as f64)),
    }
}

/// The table, and the calculation where there are enough figures for it.
pub fn engine(engine: &Engine) -> String {
    let conditions = format!("{} {}", usual(&engine.conditions), engine.redis);
    let mut text = format!(
        "{}\n{}\n{}",
        words(engine).unwrap_or_default(),
        table(engine),
        said(&engine.conditions, &conditions)
    );
    if let Some(calculation) = calculation(engine) {
        text += "\n\n";
        text += &calculation;
        text += "\n";
    }
    text
}

fn find(engine: &Engine, servers: Option<u32>) -> Option<&Shared> {
    engine.shared.iter().find(|it| it.name == STREAM && it.servers == servers)
}

/// How many servers shared a feed, at the fewest and at the most.
fn span(engine: &Engine) -> Option<(u32, u32)> {
    let all = || engine.shared.iter().filter_map(|it| it.servers);
    Some((all().min()?, all().max()?))
}

/// What to see in the table.
fn words(engine: &Engine) -> Option<String> {
    let (fewest, most) = span(engine)?;
    let (memory, shared) = (find(engine, None)?, find(engine, Some(fewest))?);
    let way = match shared.latency[0] - memory.latency[0] {
        more if more > 0.0 => format!("{} more than", milliseconds(more)),
        less => format!("{} less than", milliseconds(-less)),
    };
    Some(format!(
        "What to see: an event takes {} (p50) by way of Redis, {way} in memory. An update costs Redis {} of \
         CPU with {} and {} with {most}, however many clients they have.\n",
        milliseconds(shared.latency[0]),
        milliseconds(shared.redis),
        several(fewest, "server"),
        milliseconds(find(engine, Some(most))?.redis),
    ))
}

/// A column for each place. Latency, and what is counted: as in the table of the costs. The CPU of
/// all servers together, and of Redis, each for one update that all clients get.
fn table(engine: &Engine) -> String {
    type Figure = fn(&Shared) -> f64;
    let figures: [(&str, Figure); 4] = [
        ("latency, p50", |it| it.latency[0]),
        ("latency, p99", |it| it.latency[1]),
        ("CPU of all servers, per update", |it| it.cpu),
        ("CPU of Redis, per update", |it| it.redis),
    ];
    let mut places: Vec<Option<u32>> = Vec::new();
    for it in &engine.shared {
        if !places.contains(&it.servers) {
            places.push(it.servers);
        }
    }
    let mut head = vec![format!("{} clients", engine.conditions.clients)];
    head.extend(places.iter().map(|servers| place(*servers)));
    let mut labels = Vec::new();
    for name in unique(engine.shared.iter().map(|it| &it.name)) {
        for (what, figure) in figures {
            let cell = |servers: &Option<u32>| {
                let mut all = engine.shared.iter();
                let it = all.find(|it| it.name == name && it.servers == *servers);
                let it = it.filter(|it| it.servers.is_some() || !what.contains("Redis"));
                it.map_or(String::new(), |it| milliseconds(figure(it)))
            };
            labels.push((format!("{name}: {what}"), places.iter().map(cell).collect()));
        }
    }
    let lines: Vec<_> =
        labels.iter().map(|(label, cells): &(_, Vec<_>)| (&**label, cells.clone())).collect();
    markdown(&head, &lines)
}

/// The calculation: what one delivery costs, and what follows for any number of clients.
struct Calculation<'a> {
    few: &'a Shared,
    many: &'a Shared,
    /// Microseconds of the servers' for a delivery.
    delivery: f64,
    /// Microseconds of Redis' for an update: for storing it, and for each server that reads it.
    append: f64,
    reader: f64,
}

impl Calculation<'_> {
    /// It needs event streams on Redis, on two different numbers of servers.
    fn new(engine: &Engine) -> Option<Calculation<'_>> {
        let (fewest, most) = span(engine).filter(|(fewest, most)| fewest < most)?;
        let (few, many) = (find(engine, Some(fewest))?, find(engine, Some(most))?);
        // Noise can make it negative; a reader costs something all the same.
        let reader = ((many.redis - few.redis) * 1e3 / f64::from(most - fewest)).max(0.0);
        let append = (few.redis * 1e3 - reader * f64::from(fewest)).max(0.0);
        let delivery = few.cpu * 1e3 / f64::from(engine.conditions.clients);
        Some(Calculation { few, many, delivery, append, reader })
    }

    /// Cores that one update a second keeps busy.
    fn cores(&self, clients: f64) -> f64 {
        clients * self.delivery / 1e6
    }

    /// Servers of which each has half of a core's time left over.
    fn servers(&self) -> f64 {
        (self.cores(CLIENTS) * 2.0).ceil()
    }

    /// Milliseconds of Redis' for an update.
    fn redis(&self, servers: f64) -> f64 {
        (self.append + servers * self.reader) / 1e3
    }
}

type Say = fn(f64) -> String;

/// The calculation for a case that was measured, beside what was measured; then that for a million, with
/// the same error.
pub fn tried(engine: &Engine, seen: &Hundred) -> Option<String> {
    let it = Calculation::new(engine)?;
    let (clients, servers) = (f64::from(seen.conditions.clients), f64::from(seen.servers));
    let each = CLIENTS / it.servers();
    // Servers and clients share the cores here; the calculation knows nothing of clients.
    let burst = clients * (it.delivery + seen.client) / seen.cores as f64 / 1e3;
    let rows: [(&str, Say, [f64; 3]); 6] = [
        (
            "server CPU of a delivery",
            |it| format!("{} µs", figure(it)),
            [it.delivery, seen.delivery, it.delivery],
        ),
        (
            "cores that are busy, with an update a second",
            figure,
            [it.cores(clients), clients * seen.delivery / 1e6, it.cores(CLIENTS)],
        ),
        (
            "server memory per idle client",
            |it| format!("{} KB", figure(it)),
            [it.few.memory, seen.memory, it.few.memory].map(|it| it / 1e3),
        ),
        (
            "memory of all servers",
            |it| format!("{} GB", figure(it)),
            [it.few.memory * clients, seen.memory * clients, it.few.memory * CLIENTS]
                .map(|it| it / 1e9),
        ),
        (
            "the last client has an update after",
            milliseconds,
            [burst, seen.last[0], each * it.delivery / 1e3],
        ),
        (
            "CPU of Redis, per update",
            milliseconds,
            [it.redis(servers), seen.redis, it.redis(it.servers())],
        ),
    ];
    let lines = rows.map(|(what, say, [calculated, measured, million])| {
        let times = measured / calculated;
        let cells =
            [say(calculated), say(measured), off(times), say(million), say(million * times)];
        (what, cells.to_vec())
    });
    let heads = [
        String::new(),
        format!("{}: calculated", count(clients)),
        "measured".into(),
        "off by".into(),
        "a million: calculated".into(),
        "with that error".into(),
    ];
    let cores = several(seen.cores as u64, "core");
    let conditions = format!(
        "loopback; {} clients with event streams at each server, in processes of their own; updates of {} \
         bytes, each published after all have the one before. {}. {}{}",
        count(clients / servers),
        seen.conditions.message,
        seen.conditions.machine,
        seen.redis_version,
        disturbed(&seen.conditions.disturbed),
    );
    let servers = several(seen.servers, "server");
    Some(format!(
        "\n**The calculation, tried.** It is made here for {clients} clients at {servers}, too, and stands beside \
         what was measured; then that for a million, with the same error.\n\n{table}\n\
         All were connected after {connecting}, and each took {each} µs of a server's CPU. Half of the \
         deliveries took no longer than {p50}, 99 of 100 no longer than {p99}. Of the updates, the slowest \
         had reached the last client after {longest}.\n\n\
         These are times of a crowded machine: {servers}, Redis and all clients share {cores}. So the clients' \
         CPU, {client} µs a delivery as measured, is in the calculation of the last one. A million clients \
         have cores of their own.\n\n{said}\n",
        clients = count(clients),
        table = markdown(&heads, &lines),
        connecting = milliseconds(seen.connecting * 1e3),
        each = figure(seen.connecting_cpu),
        p50 = milliseconds(seen.latency[0]),
        p99 = milliseconds(seen.latency[1]),
        longest = milliseconds(seen.last[1]),
        client = figure(seen.client),
        said = said(&seen.conditions, &conditions),
    ))
}

/// So many times as much, as a difference.
fn off(times: f64) -> String {
    match times {
        2.0.. => format!("× {times:.1}"),
        _ if (times - 1.0).abs() < 0.005 => "0 %".into(),
        _ => format!("{:+.0} %", (times - 1.0) * 100.0).replace('-', "−"),
    }
}

/// What the figures mean for many, step by step.
fn calculation(engine: &Engine) -> Option<String> {
    let it = Calculation::new(engine)?;
    let (few, many, servers) = (it.few, it.many, it.servers());
    let (each, wire) = (CLIENTS / servers, few.down + HEADERS);
    Some(format!(
        "**A million clients.** This is a calculation with the figures above, not a measurement: a \
         million clients with event streams, and one update a second that all of them get.\n\n\
         1. *Deliveries.* An update to {clients} clients costs {few_cpu} of CPU ({fewest_place}): \
            {delivery} µs for one delivery. A million deliveries a second keep {cores} cores busy.\n\
         2. *Servers.* A core needs room for the clients of a server that dies: {cores} ÷ 0.5 makes \
            {servers} processes with a core each, and {each} clients on each of them. But no core is half busy \
            all the time. Each update is a burst: {each} × {delivery} µs keep a core fully busy for {burst}: \
            the last client waits as long. With a server fewer it waits {burst_more}.\n\
         3. *Memory.* A client that waits takes {memory} KB (measured in the same rounds): \
            {server_memory} MB for a process, {all_memory} GB for all. The kernel's memory for each \
            connection comes on top.\n\
         4. *Network.* A delivery is {down} bytes of HTTP, and some {headers} of TCP, IP and Ethernet: \
            {wire} × 8 × a million is {bits} Gbit/s, over all machines together.\n\
         5. *Redis.* An update costs {few_redis} with {fewest} reading and {many_redis} with {most}: \
            {reader} µs for each reader, and {append} µs for the append. {append} + {servers} × {reader} µs \
            is {update} ms for an update, {busy} % of Redis' one thread. Redis never hears of a client.\n\
         6. *What breaks first* is the proxy. There, a client is two connections: two open files, and \
            a port of the proxy's address. Linux has some 28,000 ports for each server behind the proxy \
            (`ip_local_port_range`). With {each} clients on a server {ports}. Next comes the moment after a \
            server dies: {each} clients come back within a few seconds (`retry:` spreads them; [seen](COSTS.md#with-many-clients) with one server). They ask \
            for what is after their cursor, and get it from the other servers' memory. Redis notices \
            nothing of it.\n\
         7. *Where one stream becomes many.* 1,000 ÷ {update} ms: with {servers} readers some {limit} \
            updates a second fill that thread. (More, if one reading brings several.) Most services split \
            much earlier, since nobody needs to see everything: a key for each room (`REDIS_KEY`), each \
            with servers of its own. Redis Cluster spreads the keys over many machines, and nothing here \
            needs two keys at once.",
        clients = engine.conditions.clients,
        few_cpu = milliseconds(few.cpu),
        fewest_place = place(few.servers),
        fewest = few.servers?,
        most = many.servers?,
        delivery = figure(it.delivery),
        cores = figure(it.cores(CLIENTS)),
        servers = count(servers),
        each = count(each),
        burst = milliseconds(each * it.delivery / 1e3),
        burst_more = milliseconds(CLIENTS / (servers - 1.0).max(1.0) * it.delivery / 1e3),
        memory = figure(few.memory / 1e3),
        server_memory = count(each * few.memory / 1e6),
        all_memory = figure(CLIENTS * few.memory / 1e9),
        down = count(few.down),
        headers = HEADERS,
        wire = count(wire),
        bits = figure(CLIENTS * wire * 8.0 / 1e9),
        few_redis = milliseconds(few.redis),
        many_redis = milliseconds(many.redis),
        reader = figure(it.reader),
        append = figure(it.append),
        update = figure(it.redis(servers)),
        busy = figure(it.redis(servers) / 10.0),
        ports = if each > 28_000.0 {
            "that is too few: more addresses, or a balancer that only passes packets on"
        } else {
            "that is just enough; for more, take more addresses, or a balancer that only passes packets on"
        },
        limit = count(1e3 / it.redis(servers)),
    ))
}
