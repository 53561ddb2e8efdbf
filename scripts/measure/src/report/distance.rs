//! What a distance changes.

use std::collections::BTreeSet;

use super::said;
use super::text::{markdown, milliseconds, unique};
use crate::figures::{Distance, Measured, polling};

/// What a distance changes, a line for each technique and figure.
pub fn distances(measured: &Measured) -> String {
    type Figure = fn(&Distance) -> Option<f64>;
    let rtts: BTreeSet<u32> = measured.distances.iter().map(|it| it.rtt).collect();
    if rtts.is_empty() {
        return String::new();
    }
    let figures: [(&str, Figure); 4] = [
        ("an update, p50", |it| Some(it.latency[0])),
        ("an update, p99", |it| Some(it.latency[1])),
        ("the second of two, p50", |it| Some(it.second).filter(|second| *second > 0.0)), // or lost
        ("from connecting to the first, p50", |it| it.first),
    ];
    let mut head = vec!["at a distance (round trip) of".to_owned()];
    head.extend(rtts.iter().map(|rtt| format!("{rtt} ms")));
    let mut labels = Vec::new();
    for (what, figure) in figures {
        for name in unique(measured.distances.iter().map(|it| &it.name)) {
            let at = |rtt: &u32| {
                let mut all = measured.distances.iter();
                let it = all.find(|it| it.name == *name && it.rtt == *rtt);
                it.and_then(figure).map_or("–".into(), milliseconds)
            };
            labels.push((format!("{what}: {name}"), rtts.iter().map(at).collect()));
        }
    }
    let lines: Vec<_> =
        labels.iter().map(|(name, cells): &(_, Vec<_>)| (&**name, cells.clone())).collect();
    let conditions = said(
        &measured.conditions,
        &format!(
            "loopback behind a line that delays each direction by half of the round trip, and a new \
             connection's first byte by one more; {} clients of each technique, all at the same time; \
             the publisher is beside the server; HTTP/1.1. {}.",
            measured.conditions.clients, measured.conditions.machine
        ),
    );
    far(measured) + &markdown(&head, &lines) + "\n" + &conditions + "\n"
}

/// What to see at the longest distance.
fn far(measured: &Measured) -> String {
    let far = measured.distances.iter().map(|it| it.rtt).max().unwrap_or_default();
    let at = |name: &str| measured.distances.iter().find(|it| it.name == name && it.rtt == far);
    let poll = polling(measured.conditions.poll_interval);
    let all = [at(&poll), at("long-polling"), at("server-sent-events"), at("websockets")];
    let [Some(poll), Some(long), Some(stream), Some(socket)] = all else { return String::new() };
    let all_have_first = [poll, long, stream, socket].iter().all(|it| it.first.is_some());
    if far == 0 || !all_have_first {
        return String::new();
    }
    let trips = |milliseconds: f64| trips(milliseconds / f64::from(far));
    let once = |what: &str, figures: &[(&str, f64)]| {
        let all: Vec<_> = figures.iter().map(|(name, figure)| (name, trips(*figure))).collect();
        let names: Vec<_> = all.iter().map(|(name, _)| (**name).to_owned()).collect();
        if all.iter().all(|(_, trips)| *trips == all[0].1) {
            let (last, others) = names.split_last().expect("there are some");
            return format!("{what} takes {} by {} or {last}", all[0].1, others.join(", "));
        }
        let each: Vec<_> = all.iter().map(|(name, trips)| format!("{trips} by {name}")).collect();
        format!("{what} takes {}", each.join(", "))
    };
    let [first, alone, second] = [
        once(
            "A new connection's first update",
            &[
                ("a poll", poll.first.unwrap_or_default()),
                ("a long poll", long.first.unwrap_or_default()),
                ("an event stream", stream.first.unwrap_or_default()),
                ("a WebSocket", socket.first.unwrap_or_default()),
            ],
        ),
        once(
            "An update",
            &[
                ("an event stream", stream.latency[0]),
                ("a WebSocket", socket.latency[0]),
                ("a long poll that waits", long.latency[0]),
            ],
        ),
        once(
            "A second update, right after it,",
            &[("an event stream", stream.second), ("a WebSocket", socket.second)],
        ),
    ];
    format!(
        "What to see, at {far} ms: {}{}. {second}. By long polling it takes {}, as the client has to ask \
         again first. With polling it is the interval that counts, {} here, whatever the distance. {first}: \
         TCP's handshake comes before the request and its answer.\n\n",
        alone[..1].to_lowercase(),
        &alone[1..],
        trips(long.second),
        milliseconds(poll.latency[0]),
    )
}

/// How many round trips, in words where it is one of those that are to be expected.
fn trips(count: f64) -> String {
    match count {
        0.45..0.6 => "half a round trip".into(),
        0.9..1.1 => "one round trip".into(),
        1.4..1.6 => "one and a half round trips".into(),
        1.9..2.1 => "two round trips".into(),
        _ => format!("{count:.1} round trips"),
    }
}
