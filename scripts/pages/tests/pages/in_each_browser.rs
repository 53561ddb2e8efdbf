//! What is tried in Chromium, Firefox and WebKit: each page live, both ways of sending, the cable
//! cut and plugged in, a server that is killed and comes back, *Back*, the comparison. A browser
//! other than Chromium that is not here is left out, and said to be.

use std::time::{Duration, Instant};

use lab::browser::Engine;
use tokio::net::TcpListener;

use super::elsewhere::under_a_path;
use super::messages::{a_message_that_comes_back_later, a_message_that_is_not_stored};
use super::*;

/// A test in each browser, named as it is.
macro_rules! in_each_browser {
    ($($test:ident)*) => { $(
        mod $test {
            use super::*;

            #[tokio::test]
            async fn chromium() {
                super::$test(Browser::start().await).await;
            }
            #[tokio::test]
            async fn firefox() {
                if let Some(browser) = start_if_here(Engine::Firefox).await {
                    super::$test(browser).await;
                }
            }
            #[tokio::test]
            async fn webkit() {
                if let Some(browser) = start_if_here(Engine::WebKit).await {
                    super::$test(browser).await;
                }
            }
        }
    )* };
}

in_each_browser! {
    polling_lives
    long_polling_lives
    server_sent_events_lives
    by_fetch_lives
    websockets_lives
    a_server_that_hangs
    back
    the_comparison_in_each_browser
    what_it_looks_like
    in_the_dark
    on_a_phone
    rows_go_below_the_heads
    under_a_path
    a_message_that_is_not_stored
    a_message_that_comes_back_later
}

async fn start_if_here(engine: Engine) -> Option<Browser> {
    if engine.is_here() {
        return Some(Browser::start_engine(engine, false).await);
    }
    println!("{engine:?} or its driver is not here: left out");
    None
}

async fn polling_lives(browser: Browser) {
    lives(&browser, "polling", None).await;
}

async fn long_polling_lives(browser: Browser) {
    lives(&browser, "long-polling", None).await;
}

async fn server_sent_events_lives(browser: Browser) {
    lives(&browser, "server-sent-events", None).await;
}

/// The same stream, read by fetch.
async fn by_fetch_lives(browser: Browser) {
    lives(&browser, "server-sent-events", Some("#by-fetch")).await;
}

async fn websockets_lives(browser: Browser) {
    lives(&browser, "websockets", None).await;
}

const REFUSED: &str = "document.querySelector('#refused').textContent";

/// The list of updates is at its end.
const FOLLOWED: &str = "(({ scrollHeight, scrollTop, clientHeight }) =>
    scrollHeight - scrollTop - clientHeight < 3)(document.querySelector('#updates'))";

/// One page, from its first update to a server that was away twice: each update once, in order.
async fn lives(browser: &Browser, name: &str, other_way: Option<&str>) {
    let port = lasting_port();
    let mut server = start_at(name, port).await;
    open(browser, &server).await;
    let mut expected = vec!["Real-Time Update 1".to_owned()];
    if let Some(switch) = other_way {
        until_received(browser, &expected[0]).await;
        browser.click(switch).await;
        until_status(browser, "connected").await;
        let asked = "document.querySelector('#wire').textContent.includes('Last-Event-ID')";
        browser.until("a script's request brings a header", asked).await;
    }
    publish(&server, "from elsewhere").await;
    type_message(browser, "with Enter").await;
    until_received(browser, "with Enter").await;
    browser.until("the field is empty", "document.querySelector('#text').value === ''").await;
    browser.fill("#text", "with the button").await;
    browser.click("#send").await;
    until_received(browser, "with the button").await;
    expected.extend(["from elsewhere", "with Enter", "with the button"].map(Into::into));
    assert_eq!(received(browser).await, expected);

    // What is not sent because the cable is cut is said, until it is plugged in.
    browser.click("#cut").await;
    until_status(browser, "cut").await;
    browser.fill("#text", "too late").await;
    browser.click("#send").await;
    browser.until("it is not sent", &format!("{REFUSED}.includes('cut')")).await;
    let missed = texts("missed", 3);
    publish_all(&server, &missed).await;
    browser.click("#plug").await;
    until_received(browser, &missed[2]).await;
    until_status(browser, "connected").await;
    browser.until("nothing is refused any more", &format!("{REFUSED} === ''")).await;
    expected.extend(missed);
    assert_eq!(received(browser).await, expected);

    // Whoever holds back new WebSockets after failures (Firefox) is given none that could fail.
    let sockets = "document.documentElement.dataset.sockets = 0;
        window.WebSocket = class extends WebSocket {
            constructor(...all) {
                super(...all);
                document.documentElement.dataset.sockets++;
            }
        };";
    // Of the page's own scripts: Firefox keeps those of a driver apart.
    let of_the_page = "const script = document.createElement('script');
        script.textContent = arguments[0];
        document.head.append(script);";
    browser.run(of_the_page, &[json!(sockets)]).await;
    for times in 1..=2 {
        server.signal(Signal::SIGKILL);
        drop(server);
        until_status(browser, "reconnecting").await;
        // What is still on its way is drawn, and counted, before the attempts that never leave.
        let failed = "Number(document.querySelector('#wire > .lost:last-child')?.dataset.times)";
        browser.until("two attempts have failed", &format!("{failed} > 1")).await;
        let requests = browser.value("document.querySelector('#count-requests').textContent");
        let requests = requests.await;
        browser.until("three attempts have failed", &format!("{failed} > 2")).await;
        let after = browser.value("document.querySelector('#count-requests').textContent").await;
        assert_eq!(after, requests, "{name} counts requests that never left");
        assert_eq!(number(browser, "#wire > .lost .bytes:not(:empty)").await, 0);
        let sockets = if name == "websockets" { times - 1 } else { 0 }.to_string();
        let made = browser.value("document.documentElement.dataset.sockets").await;
        assert_eq!(made, sockets, "WebSockets that could only fail");

        server = start_at(name, port).await;
        let after = texts(&format!("after {times}"), 2);
        publish_all(&server, &after).await;
        until_received(browser, &after[1]).await;
        until_status(browser, "connected").await;
        expected.push("Real-Time Update 1".into());
        expected.extend(after);
        assert_eq!(received(browser).await, expected);
        browser.until("the newest update is in view", FOLLOWED).await;
    }
    if name == "websockets" {
        const KNOCKED: &str = "Number([...document.querySelectorAll('#wire > .down')]
            .find((row) => row.textContent.includes('200 OK'))
            .querySelector('.bytes').textContent.match(/[\\d,]+/)[0].replace(',', ''))";
        let bytes = browser.value(KNOCKED).await;
        assert!(bytes.as_u64() < Some(1000), "the answer to a HEAD has no body, but {bytes} bytes");
    }
    if name == "server-sent-events" {
        const ASKED: &str = "[...document.querySelectorAll('#wire > .up .label')]
            .map((label) => label.textContent).filter((text) => text.includes('Last-Event-ID'))";
        let asked = browser.value(ASKED).await;
        let asked = asked.as_array().expect("it is a list");
        assert!(asked.len() >= 2, "{asked:?}");
        for label in asked {
            let label = label.as_str().expect("it is a text");
            assert_eq!(label.matches("Last-Event-ID: ").count(), 1, "{label}");
            let by_itself = usize::from(other_way.is_none()); // the browser asks for the old address
            assert_eq!(label.matches("after=").count(), by_itself, "{label}");
        }
        assert_ne!(asked[0], asked[asked.len() - 1], "the id of the last event, each time");
    }
}

/// A request that nobody answers is given up, also where the browser collects its garbage meanwhile.
/// (WebKit forgets an `AbortSignal.any` then that only a request waits for.)
async fn a_server_that_hangs(browser: Browser) {
    let server = Server::start("long-polling").await;
    open(&browser, &server).await;
    let garbage = "setInterval(() => Array.from({ length: 2e5 }, (_, i) => ({ i })), 200)";
    browser.run(garbage, &[]).await;
    browser.fill("#hold", "1").await; // seconds; the page waits for five more
    publish(&server, "news").await;
    let asked = "document.querySelector('#wire').textContent.includes('Prefer: wait=1')";
    browser.until("it asks for a second", asked).await;
    server.signal(Signal::SIGSTOP);
    until_status(&browser, "reconnecting").await;
    server.signal(Signal::SIGCONT);
    publish(&server, "awake").await;
    until_received(&browser, "awake").await;
}

/// A page that was left and come back to, by the browser's button: everything comes once.
async fn back(browser: Browser) {
    for name in SERVERS {
        let server = Server::start(name).await;
        open(&browser, &server).await;
        publish(&server, "before").await;
        until_received(&browser, "before").await;
        browser.open(&server.url("/public/style.css")).await;
        publish(&server, "meanwhile").await;
        browser.back().await;
        begin(&browser).await;
        until_received(&browser, "meanwhile").await;
        // A stream that wakes up again does so a moment later: after the second that it waits.
        let awake = Instant::now() + Duration::from_secs(3);
        for text in texts("back", 1000) {
            publish(&server, &text).await;
            until_received(&browser, &text).await;
            type_message(&browser, &format!("mine {text}")).await;
            until_received(&browser, &format!("mine {text}")).await;
            if Instant::now() > awake {
                break;
            }
        }
        let received = received(&browser).await;
        let mut once = received.clone();
        once.dedup();
        let mut names = once.clone();
        names.sort();
        names.dedup();
        assert_eq!(
            (names.len(), &once),
            (received.len(), &received),
            "{name}: something came twice"
        );
    }
}

/// One message into all four: among them a server whose page could not be loaded at first.
async fn the_comparison_in_each_browser(browser: Browser) {
    let mut servers = Vec::new();
    for name in &SERVERS[..3] {
        servers.push(Server::start(name).await);
    }
    let late = lasting_port();
    let broken = tokio::spawn(answers_only_head(late));
    let all = servers.iter().map(Server::port).chain([late]);
    let all: Vec<_> = SERVERS.into_iter().zip(all).collect();
    browser.view(View { width: 1600, height: 1000, ..View::default() }).await;
    browser.open(&comparison(&all)).await;
    broken.await.expect("it does not panic"); // it has refused the page
    servers.push(start_at("websockets", late).await);
    for name in SERVERS {
        browser.until("its frame is seen", &seen(name)).await;
        let running = format!(
            "document.querySelector('#results [data-technique={name}] .status').textContent
                === 'running'"
        );
        browser.until(&format!("{name} is running"), &running).await;
    }
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_status(&browser, "connected").await;
        let logs = browser.value("document.querySelector('#updates').ariaLive").await;
        assert_eq!(logs, "off", "four logs would speak at once");
        browser.enter_frame(None).await;
    }
    type_message(&browser, "compared").await;
    browser.until("all four are measured", &measured(&SERVERS)).await;
    picture(&browser, &format!("comparison-{}", browser.engine().name())).await;
}

fn seen(name: &str) -> String {
    format!("document.querySelector('{}').checkVisibility()", frame(name))
}

/// Is there when it is looked for (`HEAD`), and closes the connection that asks for the page: then
/// it is gone.
async fn answers_only_head(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    loop {
        let (connection, _) = listener.accept().await.expect("somebody comes");
        let mut connection = BufReader::new(connection);
        let mut line = String::new();
        let _ = connection.read_line(&mut line).await;
        if line.starts_with("GET") {
            return;
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = connection.write_all(answer).await;
    }
}

/// The pages' pictures, to be looked at; and what can be said of them without looking.
async fn what_it_looks_like(browser: Browser) {
    let address = "https://example.com/a/long/address/with/many/parts?and=a&query=that&goes=on#on";
    for name in SERVERS {
        let server = Server::start(name).await;
        open(&browser, &server).await;
        for text in [address.to_owned(), format!("See {address} there"), address.repeat(2)] {
            type_message(&browser, &text).await;
            until_received(&browser, &text).await;
        }
        picture(&browser, &format!("{name}-{}", browser.engine().name())).await;
        // As narrow as in the comparison. No line of an address that is broken is a scrap of it.
        browser.run("document.querySelector('the-wire').style.width = '20rem'", &[]).await;
        for label in browser.value(LINES).await.as_array().expect("it is a list") {
            let lines: Vec<_> = label.as_array().expect("it is a list").iter().collect();
            let mut lines = lines.iter().rev().skip(1).map(|line| line.as_str().expect("a text"));
            assert!(lines.all(|line| line.len() > 3), "{name}: {label}");
        }
    }
}

/// On a dark desktop the pages are dark.
async fn in_the_dark(light: Browser) {
    let engine = light.engine();
    drop(light);
    let browser = Browser::start_engine(engine, true).await;
    let mut servers = Vec::new();
    for name in SERVERS {
        let server = Server::start(name).await;
        open(&browser, &server).await;
        type_message(&browser, "in the dark").await;
        until_received(&browser, "in the dark").await;
        dark(&browser, name).await;
        servers.push(server);
    }
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    browser.open(&comparison(&ports)).await;
    for name in SERVERS {
        browser.until("its frame is seen", &seen(name)).await;
        browser.enter_frame(Some(&frame(name))).await;
        until_status(&browser, "connected").await;
        browser.enter_frame(None).await;
    }
    dark(&browser, "comparison").await;
}

async fn dark(browser: &Browser, name: &str) {
    let lightness = browser.value(LIGHTNESS).await;
    assert!(lightness.as_f64() < Some(200.0), "{name}: {lightness}");
    picture(browser, &format!("{name}-{}-dark", browser.engine().name())).await;
}

/// On a phone nothing sticks out, and what is typed is in view whole. (The phone is a frame: WebKit's
/// window and Firefox's are never as narrow.)
async fn on_a_phone(browser: Browser) {
    const CLIPPED: &str = "[...document.querySelectorAll('input')]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).map(({ id }) => id)";
    for name in SERVERS {
        let server = Server::start(name).await;
        let url = server.url("/html/index.html");
        let phone = page_with_a_frame(&url, 360).await;
        browser.open(&format!("http://127.0.0.1:{phone}/")).await;
        browser.enter_frame(Some("iframe")).await;
        until_status(&browser, "connected").await;
        browser.run("document.documentElement.classList.remove('framed')", &[]).await;
        publish_all(&server, &["word".repeat(50), "Some words more".into()]).await;
        until_received(&browser, "Some words more").await;
        fits(&browser, &format!("{name} on a phone")).await;
        assert_eq!(browser.value(CLIPPED).await, json!([]), "{name}");
        browser.enter_frame(None).await;
        picture(&browser, &format!("{name}-{}-360", browser.engine().name())).await;
    }
}

/// The heads of the two lifelines stay where they are, and the rows that are scrolled go below them:
/// nothing of a row is seen above.
async fn rows_go_below_the_heads(browser: Browser) {
    let server = Server::start("server-sent-events").await;
    open(&browser, &server).await;
    for text in texts("row", 15) {
        publish(&server, &text).await;
        until_received(&browser, &text).await;
    }
    let red = "document.querySelector('#wire').style.background = 'red';
        for (const row of document.querySelectorAll('#wire li')) row.style.background = 'red';";
    browser.run(red, &[]).await;
    // Letters of any size: then the heads begin at any fraction of a pixel.
    for size in [16.0, 16.3, 17.0, 17.6, 18.1] {
        let scroll = "document.documentElement.style.fontSize = `${arguments[0]}px`;
            const box = document.querySelector('the-wire .scroll');
            box.scrollTop = 40 + arguments[0];
            return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
                .then(() => {
                    const { x, y, width } = box.getBoundingClientRect();
                    const heads = document.querySelector('.ends').getBoundingClientRect();
                    return [x, y - 2, width, heads.bottom - y];
                });";
        let part = browser.run(scroll, &[json!(size)]).await;
        let part: [f64; 4] = serde_json::from_value(part).expect("it is a rectangle");
        let red = "red > 200 && green < 100 && blue < 100";
        assert_eq!(browser.pixels(part, red).await, 0, "letters of {size} pixels");
        let [x, y, width, height] = part;
        let below = [x, y + height + 10.0, width, 30.0];
        assert_ne!(browser.pixels(below, red).await, 0, "there is a row below");
    }
}

/// For each label of the wire with an address in it: its lines as they are drawn.
const LINES: &str = "[...document.querySelectorAll('#wire .label')].map((label) => {
    const lines = new Map();
    const range = document.createRange();
    const text = label.firstChild;
    for (let n = 0; n < text.length; n++) {
        range.setStart(text, n);
        range.setEnd(text, n + 1);
        const { top } = range.getBoundingClientRect();
        lines.set(top, (lines.get(top) ?? '') + text.data[n]);
    }
    return [...lines.values()];
}).filter((lines) => lines.join('').includes('https://'))";
