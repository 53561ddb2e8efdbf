//! What an engine costs, in a table; and what its figures mean for many, in a calculation.

use crate::figures::{Engine, Shared};
use crate::report::text::{count, figure, markdown, milliseconds, unique};
use crate::report::{said, usual};

/// How many clients the calculation has.
const CLIENTS: f64 = 1e6;
/// By which technique they listen.
const STREAM: &str = "server-sent-events";
/// Bytes of headers with each delivery: Ethernet 14, IPv4 20, TCP 20 and its timestamps.
const HEADERS: f64 = 66.0;

/// Where the feed is.
pub fn place(servers: Option<u32>) -> String {
    match servers {
        None => "in memory".into(),
        Some(1) => "Redis, 1 server".into(),
        Some(servers) => format!("Redis, {servers} servers"),
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
        if fewest == 1 { "1 server".into() } else { format!("{fewest} servers") },
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

/// What the figures mean for many: a calculation, step by step. It needs event streams on Redis, on
/// two different numbers of servers.
fn calculation(engine: &Engine) -> Option<String> {
    let (fewest, most) = span(engine).filter(|(fewest, most)| fewest < most)?;
    let (few, many) = (find(engine, Some(fewest))?, find(engine, Some(most))?);
    let clients = f64::from(engine.conditions.clients);
    let delivery = few.cpu * 1e3 / clients; // microseconds
    let cores = CLIENTS * delivery / 1e6;
    let servers = (cores / 0.5).ceil();
    // Noise can make it negative; a reader costs something all the same.
    let reader = ((many.redis - few.redis) * 1e3 / f64::from(most - fewest)).max(0.0);
    let append = (few.redis * 1e3 - reader * f64::from(fewest)).max(0.0);
    let update = append + reader * servers;
    let wire = few.down + HEADERS;
    Some(format!(
        "**A million clients.** This is a calculation with the figures above, not a measurement: a \
         million clients with event streams, and one update a second that all of them get.\n\n\
         1. *Deliveries.* An update to {clients} clients costs {few_cpu} of CPU ({fewest_place}): \
            {delivery} µs for one delivery. A million deliveries a second keep {cores} cores busy.\n\
         2. *Servers.* A core that is busy half of the time has room when another server dies: {cores} ÷ \
            0.5 makes {servers} processes with a core each, and {each} clients on each of them. Each \
            update is a burst: {each} × {delivery} µs, so the last client has it after {burst}.\n\
         3. *Memory.* A client that waits takes {memory} KB (measured in the same rounds): \
            {server_memory} MB for a process with {each} clients, {all_memory} GB for all. The kernel's \
            memory for each connection comes on top.\n\
         4. *Network.* A delivery is {down} bytes of HTTP, and some {headers} of TCP, IP and Ethernet: \
            {wire} × 8 × a million is {bits} Gbit/s, over all machines together.\n\
         5. *Redis.* An update costs {few_redis} with {fewest} reading and {many_redis} with {most}: \
            {reader} µs for each reader, and {append} µs for the append. {append} + {servers} × {reader} µs \
            is {update} ms for an update, {busy} % of Redis' one thread. Redis never hears of a client.\n\
         6. *What breaks first* is the proxy. There, a client is two connections: two open files, and \
            a port of the proxy's address. Linux has some 28,000 ports for each server behind the proxy \
            (`ip_local_port_range`). With {each} clients on a server {ports}. Next comes the moment after a \
            server dies: {each} clients come back within three seconds (`retry:` spreads them). They ask \
            for what is after their cursor, and get it from the other servers' memory. Redis notices \
            nothing of it.\n\
         7. *Where one stream becomes many.* 1,000 ÷ {update} ms: with {servers} readers some {limit} \
            updates a second fill that thread. (More, if one reading brings several.) Most services split \
            much earlier, since nobody needs to see everything: a key for each room (`REDIS_KEY`), each \
            with servers of its own. Redis Cluster spreads the keys over many machines, and nothing here \
            needs two keys at once.",
        few_cpu = milliseconds(few.cpu),
        fewest_place = place(Some(fewest)),
        delivery = figure(delivery),
        cores = figure(cores),
        servers = count(servers),
        each = count(CLIENTS / servers),
        burst = milliseconds(CLIENTS / servers * delivery / 1e3),
        memory = figure(few.memory / 1e3),
        server_memory = count(CLIENTS / servers * few.memory / 1e6),
        all_memory = figure(CLIENTS * few.memory / 1e9),
        down = count(few.down),
        headers = HEADERS,
        wire = count(wire),
        bits = figure(CLIENTS * wire * 8.0 / 1e9),
        few_redis = milliseconds(few.redis),
        many_redis = milliseconds(many.redis),
        reader = figure(reader),
        append = figure(append),
        update = figure(update / 1e3),
        busy = figure(update / 1e4),
        ports = if CLIENTS / servers > 28_000.0 {
            "that is too few: more addresses, or a balancer that only passes packets on"
        } else {
            "that is just enough; for more, take more addresses, or a balancer that only passes packets on"
        },
        limit = count(1e6 / update),
    ))
}
