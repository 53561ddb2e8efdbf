//! What an engine costs, in a table; and what its figures mean for many, in a calculation.

use crate::figures::{Engine, Shared};
use crate::report::{count, figure, markdown, milliseconds, said, unique, usual};

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
        "What the way through Redis costs: an event takes {} (p50), {way} in memory. Redis takes {} of \
         its processor for each update that {} read, and {} with {most}, however many clients they have.\n",
        milliseconds(shared.latency[0]),
        milliseconds(shared.redis),
        if fewest == 1 { "1 server has to".into() } else { format!("{fewest} servers") },
        milliseconds(find(engine, Some(most))?.redis),
    ))
}

/// A column for each place. Latency, and what is counted: as in [`crate::report::table`]. The CPU of
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
         1. *Deliveries.* {few_cpu} of CPU for an update to {clients} clients ({fewest_place}) are \
            {delivery} µs for one delivery. A million of them a second: {cores} cores that do nothing \
            else.\n\
         2. *Servers.* A core that is busy half of the time still answers at once, and has room when \
            another server dies: {cores} ÷ 0.5 makes {servers} processes with a core each, and \
            {each} clients on each of them.\n\
         3. *Memory.* {memory} KB for a client that waits (measured in the same rounds) × {share} \
            clients: {server_memory} MB for a process, {all_memory} GB for all. What the kernel keeps for \
            each connection comes on top.\n\
         4. *Network.* {down} bytes of HTTP for a delivery, and some {headers} of TCP, IP and Ethernet: \
            {wire} × 8 × a million is {bits} Gbit/s, over all machines together.\n\
         5. *Redis, meanwhile.* {few_redis} for an update with {fewest} reading, {many_redis} with {most}: a \
            reader costs {reader} µs, the append {append} µs. {append} + {servers} × {reader} µs is \
            {update} ms for an update, {busy} % of the one thread that Redis has. It never hears of a client.\n\
         6. *What breaks first* is none of that, but what stands before the servers. In a proxy a client \
            is two connections: two open files, and a port of the proxy's address, of which Linux has \
            some 28,000 for each server it leads to (`ip_local_port_range`). With {each} clients on a \
            server {ports}. Then the second after a server dies: {each} clients come back at once. They \
            ask for what is after their cursor, and get it from the lists in the other servers' memory. \
            Redis notices nothing of it.\n\
         7. *Where one stream becomes many.* 1,000 ÷ {update} ms: with {servers} readers some {limit} \
            updates a second fill that thread. (More, if several come with one reading.) Long before \
            that, not everybody is to see everything: a key for each room (`REDIS_KEY`), each with servers \
            of its own. Redis Cluster spreads the keys over many machines, and nothing here needs two \
            keys at once.",
        few_cpu = milliseconds(few.cpu),
        fewest_place = place(Some(fewest)),
        delivery = figure(delivery),
        cores = figure(cores),
        servers = count(servers),
        each = count(CLIENTS / servers),
        share = count(CLIENTS / servers),
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
