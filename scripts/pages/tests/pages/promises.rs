//! What the pages promise, one sentence a test: what they count and draw is true, they say when
//! something is missing, and they work where nothing is shown.

use lab::Raw;

use super::comparison::said_of;
use super::*;

with_each_technique! {
    a_gap_is_told
    it_works_without_what_it_shows
}

/// More updates than are kept, while the cable is cut: the page says that some are missing.
async fn a_gap_is_told(name: &str) {
    const GAPS: &str = "[...document.querySelectorAll('#wire > .gap, #updates > .gap')]
        .filter((row) => row.textContent.includes('no longer kept')).length";
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    until_received(&browser, "Real-Time Update 1").await;
    browser.click("#cut").await;
    until_status(&browser, "cut").await;
    publish_all(&server, &texts("missed", 1010)).await;
    assert_eq!(browser.value(GAPS).await, 0);
    browser.click("#plug").await;
    until_received(&browser, "missed 1010").await;
    until_status(&browser, "connected").await;
    // However many came after it, the list still says so above them.
    let first = "document.querySelector('#updates').firstElementChild.textContent";
    assert_eq!(browser.value(first).await, "some updates are no longer kept");
    assert_eq!(browser.console_errors().await, [""; 0], "{name}");

    // Nor does a server that starts anew know what was made before: the cursor is from then.
    let port = lasting_port();
    let first = start_at(name, port).await;
    open(&browser, &first).await;
    until_received(&browser, "Real-Time Update 1").await;
    first.signal(Signal::SIGKILL);
    drop(first);
    until_status(&browser, "reconnecting").await;
    let _second = start_at(name, port).await;
    until_status(&browser, "connected").await;
    browser.until("the wire and the list say so", &format!("{GAPS} === 2")).await;
    picture(&browser, &format!("{name}-gap")).await;
}

/// The page without its lines that begin with `show.`: it connects, catches up from its cursor,
/// sends, says its status, and comes back after an outage.
async fn it_works_without_what_it_shows(name: &str) {
    let port = lasting_port();
    let mut server = start_at(name, port).await;
    let page = server.url("/html/index.html");
    let page = reqwest::get(page).await.expect("it answers").text().await.expect("it is text");
    let bare: Vec<_> =
        page.lines().filter(|line| !line.trim_start().starts_with("show.")).collect();
    assert!(bare.len() + 4 <= page.lines().count(), "nothing was taken out");
    let front = in_front_of(port, bare.join("\n")).await;

    let browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{front}/html/index.html")).await;
    until_status(&browser, "connected").await;
    type_message(&browser, "unseen").await;
    browser.until("it is sent", "document.querySelector('#text').value === ''").await;
    let reader = browser.window().await;
    browser.open_window().await;
    open(&browser, &server).await;
    until_received(&browser, "unseen").await;
    browser.switch_to(&reader).await;
    browser.click("#cut").await;
    until_status(&browser, "cut").await;
    browser.click("#plug").await;
    until_status(&browser, "connected").await;
    server.signal(Signal::SIGKILL);
    drop(server);
    browser
        .until("it counts its attempts", &format!("/attempt [3-9]|itself/.test({STATUS})"))
        .await;
    server = start_at(name, port).await;
    until_status(&browser, "connected").await;
    assert_eq!(number(&browser, "#updates > *, #wire > *").await, 0, "nothing is shown");
    let errors = browser.console_errors().await;
    let own: Vec<_> = errors.iter().filter(|error| error.contains("Uncaught")).collect();
    assert!(own.is_empty(), "{own:?}");
    drop(server);
}

/// Answers the request for the page itself, and passes everything else on to the port. Says at
/// which port it listens.
async fn in_front_of(port: u16, page: String) -> u16 {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length";
    let answer = format!("{head}: {}\r\n\r\n{page}", page.len());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let own = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut start = [0; 24];
                let length = connection.peek(&mut start).await.unwrap_or(0);
                if start[..length].starts_with(b"GET /html/index.html") {
                    let _ = connection.write_all(answer.as_bytes()).await;
                } else if let Ok(mut server) =
                    tokio::net::TcpStream::connect(("127.0.0.1", port)).await
                {
                    let _ = tokio::io::copy_bidirectional(&mut connection, &mut server).await;
                }
            });
        }
    });
    own
}

/// An answer's bytes are those that went over the wire: its head and its body.
#[tokio::test]
async fn an_answer_has_as_many_bytes_as_curl_shows() {
    const EMPTY: &str = "[...document.querySelectorAll('#wire > .down')]
        .find((row) => row.textContent.includes('200 []'))?.querySelector('.bytes').textContent";
    let server = Server::start("polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    let drawn = browser.until("an empty answer", EMPTY).await;
    let mut raw = Raw::connect(&server).await;
    raw.send("GET /api/messages HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let all = raw.response().await;
    let all: serde_json::Value = serde_json::from_slice(&all.body).expect("it is JSON");
    let request =
        format!("GET /api/messages?after={} HTTP/1.1\r\nHost: localhost\r\n\r\n", all[0]["id"]);
    raw.send(request).await;
    let answer = raw.response().await;
    let bytes = answer.head.len() + answer.body.len();
    assert_eq!(drawn.as_str().expect("it is a text").trim(), format!("{bytes} bytes"));
}

/// A phone in the class whose clock is a second ahead: no age is said before it can be known, and
/// none that is a second wrong after.
#[tokio::test]
async fn a_clock_that_differs() {
    const LAST: &str = "document.querySelector('#updates > :last-child .age').textContent";
    let browser = Browser::start().await;
    let ahead = "const now = Date.now; Date.now = () => now() + 1000;";
    let script = json!({ "source": ahead });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", script).await;
    for name in ["long-polling", "server-sent-events", "websockets"] {
        let names = [("QUIET", "1"), ("ALLOWED_HOSTS", "teacher.test")];
        let server = Server::start_with(name, &names).await;
        browser.open(&format!("http://teacher.test:{}/html/index.html", server.port())).await;
        until_status(&browser, "connected").await;
        publish(&server, "first").await;
        until_received(&browser, "first").await;
        assert_eq!(browser.value(LAST).await, "", "{name}: what is not known is not said");
        for text in texts("mine", 5) {
            type_message(&browser, &text).await;
            until_received(&browser, &text).await;
        }
        publish(&server, "last").await;
        until_received(&browser, "last").await;
        let age = browser.value(LAST).await;
        let age = age.as_str().expect("it is a text");
        assert!(age.contains(" ms old"), "{name}: {age}");
    }
}

/// What crosses in the first quarter of a second of a held request is drawn beside its bar, too.
#[tokio::test]
async fn what_crosses_beside_a_held_request() {
    let server = Server::start("long-polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    until_received(&browser, "Real-Time Update 1").await;
    // Right behind the next request, the page sends a message that is refused: an empty one.
    let right_behind = "new MutationObserver((changes, observer) => {
            if (!document.querySelector('#wire').lastElementChild.textContent.includes('GET')) return;
            observer.disconnect();
            document.querySelector('#message').requestSubmit();
        }).observe(document.querySelector('#wire'), { childList: true });";
    browser.run(right_behind, &[]).await;
    publish(&server, "news").await;
    until_received(&browser, "news").await;
    let beside = "document.querySelectorAll('#wire > .held ~ .down').length";
    browser.until("the refusal is drawn, and the bar", beside).await;
    assert_eq!(number(&browser, "#wire > .held ~ li").await, 2, "the message and its refusal");
    assert_eq!(number(&browser, "#wire > .held ~ li:not(.during)").await, 0, "the bar goes on");
}

/// For how long a request may be held is the page's wish; it says what the server granted.
#[tokio::test]
async fn the_time_that_a_request_is_held() {
    let server = Server::start("long-polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    browser.fill("#hold", "1").await;
    publish(&server, "news").await;
    let applied = "document.querySelector('#applied').textContent.endsWith('wait=1')";
    browser.until("the server says so", applied).await;
    let answered = "document.querySelector('#wire').textContent.includes('204 No Content')";
    browser.until("a request ends without news", answered).await;
    let asked = "document.querySelector('#wire').textContent.includes('Prefer: wait=1')";
    assert_eq!(browser.value(asked).await, true);
    for live in ["output", "[aria-live]", "[role=status]", "[role=log]", "[role=alert]"] {
        assert_eq!(number(&browser, &format!("{live} #held, {live}#held")).await, 0, "{live}");
    }
    assert_ne!(
        browser.role("#held").await,
        "status",
        "four times a second is too often to be said"
    );
}

/// A browser in which the page's scripts can't run is told what they need, not to wait.
#[tokio::test]
async fn a_browser_that_is_too_old() {
    const NEEDS: &str = "document.querySelector('the-cable').innerText.includes('Chrome 116')";
    let browser = Browser::start().await;
    let old = json!({ "source": "delete AbortSignal.any;" });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", old).await;
    for name in SERVERS {
        let server = Server::start(name).await;
        browser.open(&server.url("/html/index.html")).await;
        browser.until("the page says what it needs", NEEDS).await;
        assert_eq!(number(&browser, "#status").await, 0, "{name} has a status");
        assert_eq!(number(&browser, "#wire > li").await, 0, "{name} tries all the same");
    }
}

/// A browser that runs no scripts is told the same; the style sheet shows it after a while, as it
/// does not know whether they are only late.
#[tokio::test]
async fn a_browser_without_scripts() {
    let browser = Browser::start().await;
    let without = json!({ "value": true });
    browser.devtools("Emulation.setScriptExecutionDisabled", without).await;
    for name in SERVERS {
        let server = Server::start(name).await;
        for page in ["/html/index.html", "/public/compare/index.html"] {
            browser.open(&server.url(page)).await;
            let said = "document.body.innerText.includes('This page needs JavaScript')";
            browser.until("the page says what it needs", said).await;
        }
        picture(&browser, &format!("{name}-without-scripts")).await;
    }
}

/// The elements have their places before they are defined: nothing moves when they are.
#[tokio::test]
async fn heights_are_reserved() {
    let browser = Browser::start().await;
    let mut servers = Vec::new();
    for name in SERVERS {
        let server = Server::start(name).await;
        for (width, height) in [(1280, 800), (400, 900)] {
            browser.view(View { width, height, ..View::default() }).await;
            open(&browser, &server).await;
            until_received(&browser, "Real-Time Update 1").await;
            nothing_has_moved(&browser, &format!("{name} at {width} pixels")).await;
        }
        servers.push(server);
    }
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    for (width, height) in [(1280, 720), (400, 900)] {
        browser.view(View { width, height, ..View::default() }).await;
        browser.open(&comparison(&ports)).await;
        for name in SERVERS {
            let running = format!("{} === 'running'", said_of(name));
            browser.until(&format!("{name} is running"), &running).await;
        }
        nothing_has_moved(&browser, &format!("the comparison at {width} pixels")).await;
    }
}

/// The layout has not shifted since the page was opened, or hardly.
pub async fn nothing_has_moved(browser: &Browser, what: &str) {
    let shifted = "new Promise((resolve) => new PerformanceObserver((list) => {
        resolve(list.getEntries().reduce((sum, { value }) => sum + value, 0));
    }).observe({ type: 'layout-shift', buffered: true }) ?? setTimeout(resolve, 500, 0))";
    let shift = browser.run(&format!("return {shifted};"), &[]).await;
    let shift = shift.as_f64().expect("it is a number");
    assert!(shift < 0.02, "{what}: layout shift {shift}");
}

/// On a projector, nothing in the comparison is set in letters too small to read from a bench; and
/// on a phone, the name of an event is in view whole.
#[tokio::test]
async fn what_is_small_can_be_read() {
    const SMALLEST: &str = "[...document.querySelectorAll('body *')]
        .filter((it) => it.checkVisibility() && [...it.childNodes].some(
            (node) => node.nodeType === 3 && node.data.trim()))
        .map((it) => [parseFloat(getComputedStyle(it).fontSize), it.textContent.slice(0, 40)])
        .sort(([one], [other]) => one - other)[0]";
    let mut servers = Vec::new();
    for name in SERVERS {
        servers.push(Server::start(name).await);
    }
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    let browser = Browser::start().await;
    browser.view(View { width: 1280, height: 720, ..View::default() }).await;
    browser.open(&comparison(&ports)).await;
    let mut places = vec![browser.value(SMALLEST).await];
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_received(&browser, "Real-Time Update 1").await;
        places.push(browser.value(SMALLEST).await);
        browser.enter_frame(None).await;
    }
    picture(&browser, "comparison-1280").await;
    let below = "document.scrollingElement.scrollHeight - innerHeight";
    assert_eq!(browser.value(below).await, 0, "all of it is in view on a projector");
    for place in places {
        assert!(place[0].as_f64() >= Some(12.0), "{place}");
    }
    browser.view(View { width: 360, height: 800, ..View::default() }).await;
    open(&browser, &servers[2]).await;
    browser.click("event-names summary").await;
    let clipped = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)
        (document.querySelector('#event-names'))";
    assert_eq!(browser.value(clipped).await, 0);
    picture(&browser, "server-sent-events-360").await;
}

/// A message that does not come back within a minute is given up, by its page and by the
/// comparison: it does not wait for ever. (Here a minute is half a second.)
#[tokio::test]
async fn a_message_that_does_not_come_back() {
    let mut servers = Vec::new();
    for name in SERVERS {
        servers.push(Server::start(name).await);
    }
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    let browser = Browser::start().await;
    let hasty = "const wait = setTimeout;
        window.setTimeout = (then, time, ...rest) =>
            wait(then, time >= 60_000 ? time / 120 : time, ...rest);";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": hasty })).await;
    browser.open(&comparison(&ports)).await;
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_received(&browser, "Real-Time Update 1").await;
        browser.enter_frame(None).await;
    }
    // Polling brings it only after some seconds.
    type_message(&browser, "patience").await;
    let given_up = format!("{} === 'did not come back'", said_of("polling"));
    browser.until("it is given up", &given_up).await;
    browser.until("the others are measured", &measured(&SERVERS[1..])).await;
    type_message(&browser, "the next one").await;
    browser.until("the others are measured again", &measured(&SERVERS[1..])).await;
}

/// On a phone, the wire and the form are in view together. On a laptop all is, and what is folded
/// away below the count keeps to its card when it is opened.
#[tokio::test]
async fn what_is_in_view() {
    const BOTTOM: &str =
        "Math.round(document.querySelector(arguments[0]).getBoundingClientRect().bottom)";
    const BELOW: &str = "(() => {
        const { left, bottom } = document.querySelector('byte-count').getBoundingClientRect();
        return Boolean(document.elementFromPoint(left + 40, bottom + 4)?.closest('byte-count'));
    })()";
    let browser = Browser::start().await;
    for name in SERVERS {
        let server = Server::start(name).await;
        browser.view(View { width: 360, height: 640, ..View::default() }).await;
        open(&browser, &server).await;
        until_received(&browser, "Real-Time Update 1").await;
        let bottom = browser.run(&format!("return {BOTTOM}"), &[json!("message-form")]).await;
        assert!(bottom.as_i64() <= Some(640), "{name}: the form ends at {bottom}");
        let rows = browser.value("document.querySelector('the-wire .scroll').clientHeight").await;
        assert!(rows.as_i64() > Some(120), "{name}: the wire is {rows} pixels high");
        picture(&browser, &format!("{name}-phone")).await;
        for (width, height) in [(1280, 720), (1366, 641)] {
            browser.view(View { width, height, ..View::default() }).await;
            open(&browser, &server).await;
            browser.click("byte-count summary").await;
            let is_open = "document.querySelector('byte-count details').open";
            browser.until("it is open", is_open).await;
            let bottom = browser.run(&format!("return {BOTTOM}"), &[json!("byte-count")]).await;
            assert!(bottom.as_u64() < Some(height.into()), "{name}: the card ends at {bottom}");
            assert_eq!(browser.value(BELOW).await, false, "{name}: its text is out of its card");
            let scrolls = "document.scrollingElement.scrollHeight > innerHeight";
            assert_eq!(browser.value(scrolls).await, false, "{name} at {width}");
            picture(&browser, &format!("{name}-{width}-counted")).await;
        }
    }
}

/// As many requests are counted as arrows are drawn, also while one is held.
#[tokio::test]
async fn a_held_request_counts() {
    let server = Server::start("long-polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    until_received(&browser, "Real-Time Update 1").await;
    let held = "document.querySelector('#wire > .held')";
    browser.until("a request is held", held).await;
    let as_drawn = "Number(document.querySelector('#count-requests').textContent)
        === document.querySelectorAll('#wire > .up').length";
    browser.until("all are counted", &format!("{held} && {as_drawn}")).await;
}

/// Where the system's colours are forced, the dot of the status is still seen.
#[tokio::test]
async fn forced_colours() {
    let server = Server::start("polling").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    let features = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    browser.devtools("Emulation.setEmulatedMedia", features).await;
    let at = "(({ left, top, height }) => [left, top + height / 2])
        (document.querySelector('#status').getBoundingClientRect())";
    let at = browser.value(at).await;
    let [left, middle] = [0, 1].map(|n| at[n].as_f64().expect("it is a number"));
    let dark = browser.pixels([left, middle - 6.0, 12.0, 12.0], "red + green + blue < 300").await;
    assert!(dark > 30, "{dark} pixels of the dot are seen");
}
