//! What a client costs as its page is deployed.

use super::text::{count, markdown, milliseconds};
use super::{Cell, said};
use crate::figures::{Measured, Way};
use crate::wire::DISTANCE;

/// A column for each technique, and for each figure a line with plain HTTP/1.1 and one with TLS.
pub fn deployed(measured: &Measured) -> String {
    let all = &measured.deployed;
    if all.is_empty() {
        return match &*measured.no_deployed {
            "" => String::new(),
            why => format!("What a client costs behind nginx could not be measured here: {why}.\n"),
        };
    }
    let bytes = |it: [f64; 2]| it.map(count).join(", ");
    let figures: [(&str, Cell<Way>); 4] = [
        ("an update, bytes up, down", &|it| bytes(it.update)),
        ("a quiet minute, bytes up, down", &|it| bytes(it.quiet)),
        ("a connection's first request and its answer, bytes up, down", &|it| bytes(it.request)),
        ("from connecting to the first update, p50", &|it| milliseconds(it.first)),
    ];
    let lines = figures.iter().flat_map(|(what, figure)| {
        let plain = all.iter().map(|it| figure(&it.plain)).collect();
        let tls = all.iter().map(|it| format!("**{}**", figure(&it.tls))).collect();
        [(*what, plain), ("**the same as it is deployed**", tls)]
    });
    let mut head = vec![String::new()];
    head.extend(all.iter().map(|it| it.name.clone()));
    let conditions = said(
        &measured.conditions,
        &format!(
            "loopback; one client of each technique with plain HTTP/1.1, straight to the server, and one with \
             TLS 1.3, through nginx with [`scripts/nginx.conf`](nginx.conf) and its block for TLS; updates \
             of {} bytes. The last four lines are {} ms away. Bytes are those of TCP's payload, without TLS's \
             handshake: that depends on the certificate and on the browser. (Chromium begins it with 2 KB.) \
             The first answer comes with TLS's tickets for the next connection. With polling, what an update \
             takes is the poll that brings it. The clients send Chromium's headers and its settings of \
             HTTP/2. Chromium itself, seen once, adds 5 bytes to each request, a priority. It also sends a \
             WINDOW_UPDATE of 35 bytes when something comes 5 s after the last one; for an event stream, \
             two. {}.",
            measured.conditions.message,
            DISTANCE.as_millis(),
            measured.conditions.machine
        ),
    );
    words(measured) + &markdown(&head, &lines.collect::<Vec<_>>()) + "\n" + &conditions + "\n"
}

/// What to see.
fn words(measured: &Measured) -> String {
    let [poll, long, stream, socket] = &measured.deployed[..] else { return String::new() };
    let both = |it: [f64; 2]| count(it[0] + it[1]);
    let [update, tls] = [&poll.plain.update, &poll.tls.update].map(|it| it.map(count));
    format!(
        "The other tables are plain HTTP/1.1, straight to the server. On the internet a proxy with TLS and \
         HTTP/2 stands in front. HTTP/2 sends a header once, and from then on a number for it (HPACK). So a \
         poll's request shrinks from {} to {} bytes. Its answer takes {} instead of {}: nothing is won there. \
         A long poll takes {} bytes for an update instead of {}, both ways together. An event grows from {} \
         bytes to {}, a WebSocket's frame from {} to {}: TLS puts a head before it and a seal behind it. \
         (WebSockets stay on HTTP/1.1 with nginx.) A quiet minute of polling takes {} bytes instead of {}. \
         The first update comes a round trip later, as TLS has a handshake, too: after {} instead of {} by an \
         event stream.\n\n",
        update[0],
        tls[0],
        tls[1],
        update[1],
        both(long.tls.update),
        both(long.plain.update),
        count(stream.plain.update[1]),
        count(stream.tls.update[1]),
        count(socket.plain.update[1]),
        count(socket.tls.update[1]),
        both(poll.tls.quiet),
        both(poll.plain.quiet),
        milliseconds(stream.tls.first),
        milliseconds(stream.plain.first),
    )
}
