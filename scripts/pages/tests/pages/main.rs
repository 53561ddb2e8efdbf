//! The pages in a real browser: what a user does with keyboard and mouse, and what they see then.
//!
//! `cargo test -p pages --test pages`. It needs Chromium or Chrome and its driver, and says how to
//! get them where they are missing; what is tried in Firefox and WebKit too stands in
//! `in_each_browser.rs`. What the pages look like is in `target/screenshots/` then.

use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::{net::TcpListener, process};

use lab::browser::{Browser, Key, View};
use lab::{Lines, SERVERS, Server};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// The text of each update on the page, without its age.
const RECEIVED: &str = "[...document.querySelectorAll('#updates > [data-id]')].map((row) => {
    const copy = row.cloneNode(true);
    for (const part of copy.querySelectorAll('.age, .event')) part.remove();
    return copy.textContent.trimEnd();
})";

const STATUS: &str = "document.querySelector('#status').textContent";

/// Opens a server's page in the current window and waits until it is connected. Polling asks as
/// often as it can: nobody waits 5 seconds for an update here.
async fn open(browser: &Browser, server: &Server) {
    browser.open(&server.url("/html/index.html")).await;
    begin(browser).await;
}

async fn begin(browser: &Browser) {
    until_status(browser, "connected").await;
    browser.run("document.querySelector('#interval')?.focus()", &[]).await;
    if browser.value("document.activeElement.id").await == "interval" {
        browser.press(&[Key::Home]).await;
    }
}

/// Another client sends a message.
async fn publish(server: &Server, text: &str) {
    let url = server.url("/api/messages");
    let answer = reqwest::Client::new().post(url).json(&json!({ "update": text })).send().await;
    assert_eq!(answer.expect("the server answers").status(), 201);
}

async fn publish_all(server: &Server, texts: &[String]) {
    for text in texts {
        publish(server, text).await;
    }
}

/// Types a message and sends it with Enter.
async fn type_message(browser: &Browser, text: &str) {
    browser.fill("#text", text).await;
    browser.press(&[Key::Enter]).await;
}

async fn received(browser: &Browser) -> Vec<String> {
    let rows = browser.value(RECEIVED).await;
    let rows = rows.as_array().expect("it is a list").iter().map(|row| {
        let row = row.as_str().expect("it is a text");
        row.strip_prefix("Received: ").unwrap_or_else(|| panic!("an update is shown as {row}"))
    });
    rows.map(Into::into).collect()
}

async fn until_received(browser: &Browser, text: &str) {
    let expression = format!("{RECEIVED}.includes({})", json!(format!("Received: {text}")));
    browser.until(&format!("the page shows {text}"), &expression).await;
}

async fn until_status(browser: &Browser, status: &str) {
    let expression = format!("{STATUS}.startsWith('{status}')");
    browser.until(&format!("the status is {status}"), &expression).await;
}

/// How many elements the selector finds.
async fn number(browser: &Browser, selector: &str) -> u64 {
    let number = format!("document.querySelectorAll({}).length", json!(selector));
    browser.value(&number).await.as_u64().expect("it is a number")
}

/// `prefix 1`, `prefix 2`, …
fn texts(prefix: &str, number: usize) -> Vec<String> {
    (1..=number).map(|n| format!("{prefix} {n}")).collect()
}

/// A port for a server that goes away and comes back: below those which the system gives to
/// anybody, so that nobody takes it meanwhile.
fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(process::id() % 100).expect("it is small") * 100;
    let mut ports = (0..100).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    port.expect("one of a hundred ports is free")
}

async fn start_at(name: &str, port: u16) -> Server {
    Server::start_with(name, &[("QUIET", "1"), ("PORT", &port.to_string())]).await
}

/// Keeps what the page looks like.
async fn picture(browser: &Browser, name: &str) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target");
    browser.picture(&target.join(format!("screenshots/{name}.png"))).await;
}

/// A test for each technique, named as it is.
macro_rules! with_each_technique {
    ($($test:ident)*) => { $(
        mod $test {
            #[tokio::test]
            async fn polling() {
                super::$test("polling").await;
            }
            #[tokio::test]
            async fn long_polling() {
                super::$test("long-polling").await;
            }
            #[tokio::test]
            async fn server_sent_events() {
                super::$test("server-sent-events").await;
            }
            #[tokio::test]
            async fn websockets() {
                super::$test("websockets").await;
            }
        }
    )* };
}

mod comparison;
mod elsewhere;
mod house;
mod in_each_browser;
mod messages;
mod promises;

with_each_technique! {
    a_message_reaches_the_other_client
    a_cut_cable_plugged_in_again
    a_server_that_restarts
    a_page_that_slept
    a_refused_message
    a_burst_of_updates
}

/// In four windows of one browser: the generated updates come, one after the other, each with its
/// age, and what crossed the wire is drawn. The console stays free of errors.
#[tokio::test]
async fn updates_arrive_on_each_page() {
    let browser = Browser::start().await;
    let mut windows = Vec::new();
    for name in SERVERS {
        let server = Server::start_with(name, &[]).await;
        let window = browser.open_window().await;
        open(&browser, &server).await;
        windows.push((name, server, window));
    }
    for (name, _server, window) in &windows {
        browser.switch_to(window).await;
        until_received(&browser, "Real-Time Update 2").await;
        let received = received(&browser).await;
        assert_eq!(received, texts("Real-Time Update", received.len()), "{name}");

        assert_eq!(browser.value("document.documentElement.lang").await, "en");
        assert_eq!(browser.value("document.documentElement.dataset.technique").await, *name);
        let aged = "/ m?s old/.test(document.querySelector('#updates').textContent)";
        browser.until("an update has its age", aged).await;
        let counted = "Number(document.querySelector('#count-updates').textContent)
            === document.querySelectorAll('#updates > *').length";
        browser.until("updates are counted", counted).await;
        for what in ["requests", "down", "up"] {
            let counted = format!("parseInt(document.querySelector('#count-{what}').textContent)");
            browser.until(&format!("{what} is counted"), &counted).await;
        }
        for way in ["up", "down", "news"] {
            assert_ne!(number(&browser, &format!("ol#wire > li.{way}")).await, 0, "{name} {way}");
        }
        let request = match *name {
            "polling" => "GET /api/messages?after=",
            "long-polling" => "GET /api/messages/long-poll?after=",
            "server-sent-events" => "GET /server-sent-events",
            _ => "GET /websocket",
        };
        let answer = match *name {
            "polling" | "long-polling" => "200 [1 update]",
            "server-sent-events" => "data: Real-Time Update 2",
            _ => "frame ",
        };
        let wire = browser.value("document.querySelector('#wire').textContent").await;
        let wire = wire.as_str().expect("it is a text");
        for part in [request, answer] {
            assert!(wire.contains(part), "{name} does not show {part} but {wire}");
        }
        picture(&browser, &format!("{name}-updates")).await;
        assert_eq!(browser.console_errors().await, [""; 0], "{name}");
    }
}

/// A types, B sees exactly that. What looks like HTML or a script is text as any other.
async fn a_message_reaches_the_other_client(name: &str) {
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    let a = browser.window().await;
    open(&browser, &server).await;
    let b = browser.open_window().await;
    open(&browser, &server).await;

    let messages = [
        "Hello",
        "<img src=x onerror='hacked = 1'><script>hacked = 2</script><b>bold</b>",
        "</li></div><svg onload='hacked = 3'>&lt;&amp; \"quoted\" {\"id\": 1}",
        "two  spaces, ünïcode, 日本語, 🦀, \u{202e}right to left",
    ];
    browser.switch_to(&a).await;
    for message in messages {
        type_message(&browser, message).await;
        browser.until("the field is empty", "document.querySelector('#text').value === ''").await;
    }
    for (window, who) in [(&b, "b"), (&a, "a")] {
        browser.switch_to(window).await;
        until_received(&browser, messages[3]).await;
        let received = received(&browser).await;
        let since = received.iter().position(|text| text == messages[0]).expect("it was received");
        assert_eq!(received[since..], messages, "{who}");
        let foreign = "#updates :is(img, script, b, svg), #wire :is(img, script, b, svg)";
        assert_eq!(number(&browser, foreign).await, 0, "{who}");
        assert_eq!(browser.value("typeof hacked").await, "undefined", "{who}");
        assert_eq!(browser.console_errors().await, [""; 0], "{who}");
    }
    picture(&browser, &format!("{name}-message")).await;
}

/// While A's cable is cut, nothing arrives there; B sees that there was something. Plugged in
/// again, A shows exactly what it missed, in order.
async fn a_cut_cable_plugged_in_again(name: &str) {
    const WIRE: &str = "[...document.querySelectorAll('#wire > :is(.up, .down)')].length";
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    let a = browser.window().await;
    open(&browser, &server).await;
    let b = browser.open_window().await;
    open(&browser, &server).await;
    publish(&server, "before").await;
    until_received(&browser, "before").await;
    browser.switch_to(&a).await;
    until_received(&browser, "before").await;

    let enabled = |id| format!("!document.querySelector('{id}').disabled");
    assert_eq!(browser.value(&enabled("#plug")).await, false);
    browser.click("#cut").await;
    until_status(&browser, "cut").await;
    assert_eq!(browser.value(&enabled("#cut")).await, false);
    let at_the_cut = (received(&browser).await, browser.value(WIRE).await);

    let missed = texts("missed", 7);
    publish_all(&server, &missed).await;
    browser.switch_to(&b).await;
    until_received(&browser, &missed[6]).await;
    browser.switch_to(&a).await;
    assert_eq!((received(&browser).await, browser.value(WIRE).await), at_the_cut);
    until_status(&browser, "cut").await;
    picture(&browser, &format!("{name}-cut")).await;

    browser.click("#plug").await;
    until_received(&browser, &missed[6]).await;
    until_status(&browser, "connected").await;
    publish(&server, "after").await;
    until_received(&browser, "after").await;
    let expected = [at_the_cut.0, missed, vec!["after".into()]].concat();
    assert_eq!(received(&browser).await, expected);
    picture(&browser, &format!("{name}-plugged-in")).await;

    // Again, with nothing to catch up on: the page says that it is connected all the same, also
    // when another window of the same browser waits for the same.
    browser.click("#cut").await;
    until_status(&browser, "cut").await;
    browser.click("#plug").await;
    until_status(&browser, "connected").await;
    assert_eq!(received(&browser).await, expected);
}

/// A server that is stopped, and one that is killed: the page says that it is away, comes back by
/// itself when it is there again, and shows everything once.
async fn a_server_that_restarts(name: &str) {
    let port = lasting_port();
    let mut server = start_at(name, port).await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    let mut expected = vec!["Real-Time Update 1".to_owned()];
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let before = texts(&format!("before {signal}"), 3);
        publish_all(&server, &before).await;
        until_received(&browser, &before[2]).await;

        server.signal(signal);
        browser.until("the page says so", &format!("!{STATUS}.startsWith('connected')")).await;
        until_status(&browser, "reconnecting").await;
        picture(&browser, &format!("{name}-away")).await;
        drop(server);
        server = start_at(name, port).await;

        let after = texts(&format!("after {signal}"), 3);
        publish_all(&server, &after).await;
        until_received(&browser, &after[2]).await;
        until_status(&browser, "connected").await;
        expected.extend([before, vec!["Real-Time Update 1".into()], after].concat());
        assert_eq!(received(&browser).await, expected);
    }
    publish(&server, "the end").await;
    until_received(&browser, "the end").await;
    expected.push("the end".into());
    assert_eq!(received(&browser).await, expected);
}

/// A page that the browser froze, as it does with one in the background or on a laptop that
/// sleeps, and one whose network went away: nothing is missed, nothing comes twice.
async fn a_page_that_slept(name: &str) {
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    publish(&server, "awake").await;
    until_received(&browser, "awake").await;
    let before = received(&browser).await;

    let frozen = |state| browser.devtools("Page.setWebLifecycleState", json!({ "state": state }));
    frozen("frozen").await;
    let asleep = texts("asleep", 5);
    publish_all(&server, &asleep).await;
    frozen("active").await;
    until_received(&browser, &asleep[4]).await;

    let network = async |offline| {
        browser.devtools("Network.enable", json!({})).await;
        let conditions = json!({
            "offline": offline,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        });
        browser.devtools("Network.emulateNetworkConditions", conditions).await;
    };
    network(true).await;
    let offline = texts("offline", 5);
    publish_all(&server, &offline).await;
    network(false).await;
    until_received(&browser, &offline[4]).await;

    publish(&server, "awake again").await;
    until_received(&browser, "awake again").await;
    let expected = [before, asleep, offline, vec!["awake again".into()]].concat();
    assert_eq!(received(&browser).await, expected);
}

/// What is refused is said next to the field, the text stays there, and the page goes on.
async fn a_refused_message(name: &str) {
    const REFUSED: &str = "document.querySelector('#refused').textContent.trim()";
    const TEXT: &str = "document.querySelector('#text').value";
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    assert_eq!(browser.value(REFUSED).await, "");

    let long = "é".repeat(2500); // 5,000 bytes
    type_message(&browser, &long).await;
    browser.until("the long text is refused", REFUSED).await;
    assert_eq!(browser.value(TEXT).await, long);
    let near = "(() => {
        const [field, said] = ['#text', '#refused'].map((id) => document.querySelector(id));
        const [above, below] = [field, said].map((element) => element.getBoundingClientRect());
        return said.checkVisibility() && Math.abs(below.top - above.bottom) < 3 * above.height;
    })()";
    assert_eq!(browser.value(near).await, true, "it is said next to the field");
    picture(&browser, &format!("{name}-refused")).await;

    // The text is still there to be mended.
    type_message(&browser, "short").await;
    until_received(&browser, "short").await;
    browser.until("nothing is refused any more", &format!("{REFUSED} === ''")).await;
    browser.until("the field is empty", &format!("{TEXT} === ''")).await;

    browser.click("#send").await;
    browser.until("an empty text is refused", REFUSED).await;
    type_message(&browser, "the end").await;
    until_received(&browser, "the end").await;
    let expected = ["Real-Time Update 1", "short", "the end"];
    assert_eq!(received(&browser).await, expected);
    until_status(&browser, "connected").await;
}

/// However much comes, the page keeps the newest and does not grow.
async fn a_burst_of_updates(name: &str) {
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    let mut sizes = Vec::new();
    for burst in ["first", "second", "third"] {
        let texts = texts(burst, 200);
        publish_all(&server, &texts).await;
        until_received(&browser, &texts[199]).await;
        let received = received(&browser).await;
        assert_eq!(received[received.len() - 100..], texts[100..]);
        let rows = number(&browser, "#wire > li").await;
        assert!(rows <= 60, "{rows} rows in #wire");
        sizes.push(number(&browser, "*").await);
    }
    assert!(sizes[2] <= sizes[1] + sizes[1] / 10, "the page grows: {sizes:?} elements");
    picture(&browser, &format!("{name}-burst")).await;
}

/// The slider says how often polling asks: requests come four times as often at 0.5 s as at 2 s.
#[tokio::test]
async fn the_interval_of_polling() {
    let server = Server::start("polling").await;
    let browser = Browser::start().await;
    browser.open(&server.url("/html/index.html")).await;
    until_status(&browser, "connected").await;
    assert_eq!(browser.value("document.querySelector('#interval').value").await, "5");
    // The times of the requests, whatever becomes of the browser's own list of them.
    let observe = "window.asked = [];
        new PerformanceObserver((list) => {
            for (const { name, startTime } of list.getEntries()) {
                if (name.includes('/api/messages?')) asked.push(startTime);
            }
        }).observe({ type: 'resource' });";
    browser.run(observe, &[]).await;
    // The median of so many waits between two requests, in milliseconds.
    let median = async |keys: &[Key], number: usize| {
        browser.run("document.querySelector('#interval').focus()", &[]).await;
        browser.press(keys).await;
        browser.run("asked.length = 0", &[]).await;
        // The first comes when the wait of before is over: it does not count.
        browser.until("more requests", &format!("asked.length > {}", number + 1)).await;
        let waits = "asked.slice(1).map((time, n, all) => time - all[n - 1]).slice(1)
            .sort((a, b) => a - b)";
        let waits = browser.value(waits).await;
        let waits = waits.as_array().expect("it is a list");
        waits[waits.len() / 2].as_f64().expect("it is a number")
    };
    let often = median(&[Key::Home], 5).await;
    let seldom = median(&[Key::Right, Key::Right, Key::Right], 2).await;
    assert!(seldom > 2.0 * often, "0.5 s: every {often} ms; 2 s: every {seldom} ms");
    let output = browser.value("document.querySelector('output[for=interval]').textContent").await;
    assert!(output.as_str().is_some_and(|output| output.starts_with('2')), "{output}");
}

/// A held request is a bar that grows, beside a number that grows.
#[tokio::test]
async fn the_held_request_of_long_polling() {
    const HELD: &str = "parseFloat(document.querySelector('#held').textContent)";
    const BAR: &str = "document.querySelector('#wire > .held .bar').clientHeight";
    let server = Server::start("long-polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    browser.until("a request is held", BAR).await;
    browser.until("#held says a number", &format!("{HELD} > 0")).await;
    let (first, bar) = (browser.value(HELD).await, browser.value(BAR).await);
    browser.until("the number grows", &format!("{HELD} > {first} + 1")).await;
    browser.until("the bar grows", &format!("{BAR} > {bar}")).await;
    let second = browser.value(HELD).await;
    browser.until("the number goes on growing", &format!("{HELD} > {second}")).await;
    picture(&browser, "long-polling-held").await;

    publish(&server, "news").await;
    until_received(&browser, "news").await;
    browser.until("the next request begins anew", &format!("{HELD} < {second}")).await;
}

/// A page's own message is answered on two requests at once, and the browser may have measured an
/// answer before the page has read it: it counts all the same.
#[tokio::test]
async fn each_answer_of_long_polling_has_its_bytes() {
    const ANSWERS: &str = "[...document.querySelectorAll('#wire > .down.news .bytes')]";
    let server = Server::start("long-polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    for text in texts("mine", 5) {
        type_message(&browser, &text).await;
        until_received(&browser, &text).await;
    }
    let counted = format!("{ANSWERS}.length > 5 && {ANSWERS}.every((row) => row.textContent)");
    browser.until("each answer has its bytes", &counted).await;
}

/// Two windows of one browser ask for the very same, and nothing comes: each has a request of its
/// own at the server, and each gets the answer that there are no news. (A browser that may keep an
/// answer sends the second request only when it has the first one's answer.)
#[tokio::test]
async fn two_windows_of_long_polling_in_silence() {
    let server = Server::start("long-polling").await;
    let browser = Browser::start().await;
    let mut windows = Vec::new();
    for _ in 0..2 {
        windows.push(browser.open_window().await);
        open(&browser, &server).await;
        until_received(&browser, "Real-Time Update 1").await;
    }
    for window in windows {
        browser.switch_to(&window).await;
        let answered = "document.querySelector('#wire').textContent.includes('204 No Content')";
        browser.until("a request without news is answered", answered).await;
        assert_eq!(number(&browser, "#wire > .lost").await, 0, "an answer is lost");
        until_status(&browser, "connected").await;
    }
}

/// What assistive technology is told: each control has a role and a name.
#[tokio::test]
async fn names_and_roles() {
    let browser = Browser::start().await;
    for name in SERVERS {
        let server = Server::start(name).await;
        open(&browser, &server).await;
        let mut expected = vec![
            ("main", "main", false),
            ("nav", "navigation", true),
            ("h1", "heading", true),
            ("#updates", "log", true),
            ("#wire", "list", false),
            ("#wire > li", "listitem", false),
            ("#status", "status", false),
            ("#refused", "alert", false),
            ("#message #text", "textbox", true),
            ("#message #send", "button", true),
            ("#cut", "button", true),
            ("#plug", "button", true),
        ];
        if name == "polling" {
            expected.push(("#interval", "slider", true));
        }
        for (selector, role, named) in expected {
            assert_eq!(browser.role(selector).await, role, "{name} {selector}");
            let label = browser.label(selector).await;
            assert!(!named || !label.is_empty(), "{name}: {selector} has no name");
        }
        assert_ne!(browser.label("#cut").await, browser.label("#plug").await);
        for n in 1..=number(&browser, "nav a").await {
            let link = format!("nav :nth-child({n} of a)");
            assert_eq!(browser.role(&link).await, "link");
            assert_ne!(browser.label(&link).await, "");
        }
        assert_eq!(number(&browser, "nav a").await, 4, "three other pages and the comparison");
        assert_eq!(browser.value("document.querySelector('#updates').ariaLive").await, "polite");
        // An arrow is a sentence: who speaks to whom, and what was said.
        let row = browser.value("document.querySelector('#wire > .up').textContent").await;
        let row = row.as_str().expect("it is a text").to_lowercase();
        assert!(row.contains("client") && row.contains("server"), "{name}: {row}");
    }
}

/// Everything by keyboard alone: Tab reaches it, the focus is seen, Enter sends, Space presses.
#[tokio::test]
async fn by_keyboard_alone() {
    let browser = Browser::start().await;
    for name in SERVERS {
        let server = Server::start(name).await;
        browser.open(&server.url("/html/index.html")).await;
        until_status(&browser, "connected").await;
        if name == "polling" {
            tab_to(&browser, "interval").await;
            browser.press(&[Key::Home]).await;
            assert_eq!(browser.value("document.activeElement.value").await, "0.5");
        }
        tab_to(&browser, "text").await;
        browser.insert("with Enter").await;
        browser.press(&[Key::Enter]).await;
        until_received(&browser, "with Enter").await;
        browser.insert("with the button").await;
        tab_to(&browser, "send").await;
        browser.press(&[Key::Space]).await;
        until_received(&browser, "with the button").await;

        tab_to(&browser, "cut").await;
        browser.press(&[Key::Space]).await;
        until_status(&browser, "cut").await;
        assert_ne!(browser.value("document.activeElement.tagName").await, "BODY", "{name}");
        tab_to(&browser, "plug").await;
        browser.press(&[Key::Space]).await;
        until_status(&browser, "connected").await;
        assert_ne!(browser.value("document.activeElement.tagName").await, "BODY", "{name}");
    }
}

/// Presses Tab until the element has the focus.
async fn tab_to(browser: &Browser, id: &str) {
    let mut seen = Vec::new();
    while browser.value("document.activeElement.id").await != id {
        browser.press(&[Key::Tab]).await;
        let focus = "[document.activeElement, getComputedStyle(document.activeElement)]
            .map((it) => it.tagName ? it.outerHTML.slice(0, 60)
                : it.outlineStyle !== 'none' || it.boxShadow !== 'none')";
        let focus = browser.value(focus).await;
        let at_the_end = focus[0].as_str().is_some_and(|element| element.starts_with("<body"));
        assert!(at_the_end || focus[1] == true, "the focus is not seen at {}", focus[0]);
        seen.push(focus[0].clone());
        assert!(seen.len() < 60, "Tab does not reach #{id}, but {seen:#?}");
    }
}

/// Who asked their system for less motion gets none.
#[tokio::test]
async fn reduced_motion() {
    let watch = "window.moving = new Set();
        (function look() {
            for (const animation of document.getAnimations()) {
                const { endTime } = animation.effect.getComputedTiming();
                if (animation.playState === 'running' && endTime > 50) {
                    moving.add(animation.animationName ?? animation.transitionProperty);
                }
            }
            requestAnimationFrame(look);
        })();";
    let browser = Browser::start().await;
    let mut moved = Vec::new();
    for reduced_motion in [false, true] {
        browser.view(View { reduced_motion, ..View::default() }).await;
        moved.push(0);
        for name in SERVERS {
            let server = Server::start(name).await;
            open(&browser, &server).await;
            browser.run(watch, &[]).await;
            type_message(&browser, "something").await;
            until_received(&browser, "something").await;
            browser.click("#cut").await;
            until_status(&browser, "cut").await;
            publish(&server, "something else").await;
            browser.click("#plug").await;
            until_received(&browser, "something else").await;
            let next_frame =
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))";
            browser.run(&format!("return {next_frame}.then(() => true)"), &[]).await;
            let moving = browser.value("[...moving]").await;
            let moving = moving.as_array().expect("it is a list");
            assert!(!reduced_motion || moving.is_empty(), "{name} moves: {moving:?}");
            moved[usize::from(reduced_motion)] += moving.len();
            let scrolls =
                browser.value("getComputedStyle(document.documentElement).scrollBehavior");
            assert!(!reduced_motion || scrolls.await == "auto", "{name} scrolls smoothly");
        }
    }
    assert!(moved[0] > 0, "nothing moves at all: what is tried here?");
}

/// The comparison's address, with the ports of these servers.
fn comparison(servers: &[(&str, u16)]) -> String {
    let ports: Vec<_> = servers.iter().map(|(name, port)| format!("{name}={port}")).collect();
    format!("http://127.0.0.1:{}/public/compare/index.html?{}", servers[0].1, ports.join("&"))
}

/// Whether each technique's row of the table says what this message took.
fn measured(names: &[&str]) -> String {
    let cell = |name: &&str| {
        let cell = format!("#results [data-technique={name}] .this");
        format!("/\\d/.test(document.querySelector('{cell}').textContent)")
    };
    names.iter().map(cell).collect::<Vec<_>>().join(" && ")
}

/// The number of a cell.
async fn milliseconds(browser: &Browser, name: &str, cell: &str) -> f64 {
    let cell = format!("#results [data-technique={name}] .{cell}");
    let cell = browser.value(&format!("document.querySelector('{cell}').textContent")).await;
    let cell = cell.as_str().expect("it is a text");
    let number: String = cell.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    assert!(cell.ends_with(" ms"), "{cell} has no unit");
    number.parse().unwrap_or_else(|_| panic!("{name}: {cell} is no number"))
}

fn frame(name: &str) -> String {
    format!("iframe[data-technique={name}]")
}

/// One message goes into all four at once, and the table says what it took each.
#[tokio::test]
async fn the_comparison() {
    let mut servers = Vec::new();
    for name in SERVERS {
        servers.push(Server::start(name).await);
    }
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    let browser = Browser::start().await;
    browser.view(View { width: 1600, height: 1000, ..View::default() }).await;
    browser.open(&comparison(&ports)).await;
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_status(&browser, "connected").await;
        assert_ne!(browser.label("main").await, "", "four parts of the comparison have no name");
        browser.enter_frame(None).await;
        assert_ne!(browser.label(&frame(name)).await, "", "the frame of {name} has no name");
    }
    // Right behind a poll, so that the message has the longest way that polling has. So have the
    // others, as each is sent when the one before has come.
    browser.enter_frame(Some(&frame("polling"))).await;
    let requests = "parseInt(document.querySelector('#count-requests').textContent)";
    let before = browser.value(requests).await;
    browser.until("the next poll", &format!("{requests} > {before}")).await;
    browser.enter_frame(None).await;
    for message in texts("compared", 3) {
        let medians = "[...document.querySelectorAll('#results .median')]
            .map((cell) => cell.textContent).join('')";
        assert_eq!(browser.value(medians).await, "––––", "the middle of less than three");
        type_message(&browser, &message).await;
        for name in SERVERS {
            browser.enter_frame(Some(&frame(name))).await;
            until_received(&browser, &message).await;
            browser.enter_frame(None).await;
        }
        browser.until("all four are measured", &measured(&SERVERS)).await;
        let polling = milliseconds(&browser, "polling", "this").await;
        for name in &SERVERS[1..] {
            let other = milliseconds(&browser, name, "this").await;
            assert!(other < polling, "{name} took {other} ms, polling {polling} ms");
        }
    }
    let polling = milliseconds(&browser, "polling", "median").await;
    for name in &SERVERS[1..] {
        assert!(milliseconds(&browser, name, "median").await < polling, "{name}");
    }
    picture(&browser, "comparison").await;
    assert_eq!(browser.role("#results").await, "table");
    assert_eq!(browser.role("#text").await, "textbox");
    assert_ne!(browser.label("#text").await, "");
    assert_eq!(browser.role("#send").await, "button");
    assert_eq!(browser.console_errors().await, [""; 0]);
}

/// The comparison's slider makes all four as far away as it says, and what takes a round trip takes
/// one more. Where there are no lines, there is no slider.
#[tokio::test]
async fn the_distance() {
    let lines = Lines::start().await;
    let browser = Browser::start().await;
    browser.view(View { width: 1600, height: 1000, ..View::default() }).await;
    browser.open(&comparison(&lines.ports)).await;
    let hidden = "document.querySelector('#distance').hidden";
    assert_eq!(browser.value(hidden).await, true, "there is no slider without lines");
    browser.open(&lines.comparison()).await;
    let ready = format!("!{hidden} && !document.querySelector('#round-trip').disabled");
    browser.until("the slider", &ready).await;
    promises::nothing_has_moved(&browser, "the comparison with a slider").await;
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        begin(&browser).await;
        browser.enter_frame(None).await;
    }
    let mut took = Vec::new();
    for (key, distance) in [(Key::Home, 0.0), (Key::End, 300.0)] {
        browser.run("document.querySelector('#round-trip').focus()", &[]).await;
        browser.press(&[key]).await;
        let shown = format!("document.querySelector('#distance output').value === '{distance} ms'");
        browser.until("the distance is set", &shown).await;
        type_message(&browser, &format!("from {distance} ms")).await;
        browser.until("all four are measured", &measured(&SERVERS)).await;
        let mut row = Vec::new();
        for name in SERVERS {
            row.push(milliseconds(&browser, name, "this").await);
        }
        // There and back: the message's half of the way, and the update's.
        assert!(row.iter().all(|time| *time >= distance), "at {distance} ms: {row:?}");
        took.push(row);
    }
    // Each but polling, which waits for its next poll wherever it is, is nearer without distance.
    assert!((1..4).all(|at| took[0][at] < took[1][at]), "{took:?}");
    picture(&browser, "distance").await;
    assert_eq!(browser.role("#round-trip").await, "slider");
    assert_ne!(browser.label("#round-trip").await, "");
}

/// A server that is not running is shown as that, with the command that starts it. Started, it
/// joins the others by itself.
#[tokio::test]
async fn the_comparison_with_one_missing() {
    let mut servers = Vec::new();
    for name in &SERVERS[..3] {
        servers.push(Server::start(name).await);
    }
    let missing = lasting_port();
    let all = servers.iter().map(Server::port).chain([missing]);
    let all: Vec<_> = SERVERS.into_iter().zip(all).collect();
    let browser = Browser::start().await;
    browser.view(View { width: 1600, height: 1000, ..View::default() }).await;
    browser.open(&comparison(&all)).await;
    let status = |name| {
        format!("document.querySelector('#results [data-technique={name}] .status').textContent")
    };
    let away = format!("/not running/i.test({})", status("websockets"));
    browser.until("websockets is shown as not running", &away).await;
    let command =
        "/cargo run -p websockets|scripts\\/\\S*websockets/.test(document.body.innerText)";
    browser.until("the command that starts it is shown", command).await;
    for name in &SERVERS[..3] {
        browser.enter_frame(Some(&frame(name))).await;
        begin(&browser).await;
        browser.enter_frame(None).await;
        assert_ne!(browser.value(&away.replace("websockets", name)).await, true, "{name}");
    }
    type_message(&browser, "to three").await;
    browser.until("three are measured", &measured(&SERVERS[..3])).await;
    picture(&browser, "comparison-one-missing").await;

    let _fourth = start_at("websockets", missing).await;
    browser.until("websockets is shown as running", &format!("!{away}")).await;
    browser
        .until(
            "its frame is seen",
            &format!("document.querySelector('{}').checkVisibility()", frame("websockets")),
        )
        .await;
    browser.enter_frame(Some(&frame("websockets"))).await;
    until_status(&browser, "connected").await;
    browser.enter_frame(None).await;
    type_message(&browser, "to four").await;
    browser.until("four are measured", &measured(&SERVERS)).await;
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_received(&browser, "to four").await;
        browser.enter_frame(None).await;
    }
}

/// From a phone to a projector, light and dark: nothing sticks out to the side, however long a
/// word somebody sends.
#[tokio::test]
async fn narrow_and_wide_light_and_dark() {
    let browser = Browser::start().await;
    let mut servers = Vec::new();
    for name in SERVERS {
        let server = Server::start(name).await;
        publish_all(&server, &["word".repeat(200), "Some words more".into()]).await;
        servers.push(server);
    }
    let mut pages: Vec<_> =
        servers.iter().zip(SERVERS).map(|(it, name)| (name, it.url("/html/index.html"))).collect();
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    pages.push(("comparison", comparison(&ports)));
    for (name, url) in pages {
        browser.open(&url).await;
        let frames: &[&str] = if name == "comparison" { &SERVERS } else { &[] };
        for technique in frames {
            browser.enter_frame(Some(&frame(technique))).await;
            until_received(&browser, "Some words more").await;
            browser.enter_frame(None).await;
        }
        if frames.is_empty() {
            until_received(&browser, "Some words more").await;
        }
        for (width, height) in [(320, 1400), (768, 1024), (1920, 1080)] {
            let mut lightness = Vec::new();
            for (dark, theme) in [(false, "light"), (true, "dark")] {
                browser.view(View { width, height, dark, ..View::default() }).await;
                assert_eq!(browser.value("innerWidth").await, width);
                fits(&browser, &format!("{name} at {width} pixels")).await;
                for technique in frames {
                    browser.enter_frame(Some(&frame(technique))).await;
                    fits(&browser, &format!("the frame of {technique} at {width} pixels")).await;
                    browser.enter_frame(None).await;
                }
                lightness.push(browser.value(LIGHTNESS).await.as_f64().expect("it is a number"));
                picture(&browser, &format!("{name}-{width}-{theme}")).await;
            }
            assert!(lightness[0] > 600.0 && lightness[1] < 200.0, "{name}: {lightness:?}");
        }
    }
}

/// The current document has no horizontal scroll bar.
async fn fits(browser: &Browser, what: &str) {
    let content = browser.value("document.scrollingElement.scrollWidth").await;
    let window = browser.value("document.scrollingElement.clientWidth").await;
    assert!(content.as_u64() <= window.as_u64(), "{what}: {content} in {window}");
}

/// Red, green and blue of the page's background, added up: 0 is black, 765 is white.
const LIGHTNESS: &str = "[document.body, document.documentElement]
    .map((element) => getComputedStyle(element).backgroundColor)
    .map((colour) => colour.match(/[\\d.]+/g).map(Number))
    .filter(([red, green, blue, alpha = 1]) => alpha > 0)
    .map(([red, green, blue]) => red + green + blue)
    .concat(getComputedStyle(document.documentElement).colorScheme === 'dark' ? 0 : 765)[0]";

/// What the comparison may do, a page of another host may not: it gets no message sent.
#[tokio::test]
async fn a_message_from_a_page_of_another_host() {
    let browser = Browser::start().await;
    for name in SERVERS {
        let server = Server::start(name).await;
        let framing = page_with_a_frame(&server.url("/html/index.html"), 800).await;
        for (host, accepted) in [("127.0.0.1", true), ("localhost", false)] {
            browser.open(&format!("http://{host}:{framing}/")).await;
            browser.enter_frame(Some("iframe")).await;
            begin(&browser).await;
            browser.enter_frame(None).await;
            let text = format!("from a page at {host}");
            let post = "document.querySelector('iframe').contentWindow
                .postMessage({ text: arguments[0], token: 1 }, '*')";
            browser.run(post, &[json!(text)]).await;
            browser.enter_frame(Some("iframe")).await;
            if accepted {
                until_received(&browser, &text).await;
            }
            // What the page in the frame sends after it, and what it sends after that came back.
            for marker in texts(&format!("{host} marker"), 2) {
                let send = "document.querySelector('#text').value = arguments[0];
                    document.querySelector('#message').requestSubmit();";
                browser.run(send, &[json!(marker)]).await;
                until_received(&browser, &marker).await;
            }
            let shown = received(&browser).await.contains(&text);
            assert_eq!(shown, accepted, "{name} at 127.0.0.1, in a page at {host}");
            browser.enter_frame(None).await;
        }
    }
}

/// Serves a page with a frame so many pixels wide, whatever is asked for, and says at which port.
async fn page_with_a_frame(url: &str, width: u32) -> u16 {
    let frame = format!("<iframe src='{url}' width={width} height=1200></iframe>");
    let page = format!("<!doctype html>{frame}");
    let headers = "Content-Type: text/html\r\nConnection: close\r\nContent-Length";
    let answer = format!("HTTP/1.1 200 OK\r\n{headers}: {}\r\n\r\n{page}", page.len());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // Each for itself: a browser also makes connections on which it says nothing.
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut connection = BufReader::new(connection);
                let mut line = String::new();
                // The request ends with an empty line.
                while connection.read_line(&mut line).await.is_ok_and(|length| length > 2) {
                    line.clear();
                }
                let _ = connection.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}
