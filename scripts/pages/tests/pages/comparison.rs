//! The comparison: what it shows in a small window, what its scoreboard says, what it suggests to do.

use super::*;

/// A whole row in each frame is the topmost: nothing of a row before it is seen. And the newest
/// update is in view. Says what is wrong.
const NO_WHOLE_ROWS: &str = "(() => {
    const wrong = [];
    const seen = (box, rows, heads) => {
        const { top, bottom } = box.getBoundingClientRect();
        const from = top + (heads?.offsetHeight ?? 0);
        for (const row of rows) {
            const { top, bottom: end } = row.getBoundingClientRect();
            if (top < from - 1 && end > from + 2) {
                wrong.push(`${row.textContent} begins ${from - top} pixels above`);
            }
        }
        const last = rows.at(-1)?.getBoundingClientRect();
        if (last && last.bottom > bottom + 1) wrong.push('the last row is not whole');
    };
    const all = (selector) => [...document.querySelectorAll(selector)];
    const [heads] = all('.ends');
    seen(document.querySelector('the-wire .scroll'), all('#wire > li'), heads);
    seen(document.querySelector('#updates'), all('#updates > *'));
    const newest = document.querySelector('#updates > :last-child').getBoundingClientRect();
    if (newest.top < 0 || newest.bottom > innerHeight + 1) wrong.push('the list is not in view');
    return wrong;
})()";

/// Waits until the comparison has found all four.
pub async fn is_running(browser: &Browser) {
    for name in SERVERS {
        let running = format!("{} === 'running'", said_of(name));
        browser.until(&format!("{name} is running"), &running).await;
    }
}

/// Opens the comparison of four servers, and waits until each page is connected.
async fn open_comparison(browser: &Browser, url: &str) {
    browser.open(url).await;
    is_running(browser).await;
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        begin(browser).await;
        browser.enter_frame(None).await;
    }
}

/// What the comparison says of a technique.
pub fn said_of(name: &str) -> String {
    format!("document.querySelector('#results [data-technique={name}] .status').textContent")
}

/// Starts the four, and says the comparison's address.
async fn four_servers() -> (Vec<Server>, String) {
    let mut servers = Vec::new();
    for name in SERVERS {
        servers.push(Server::start(name).await);
    }
    let ports: Vec<_> = SERVERS.into_iter().zip(servers.iter().map(Server::port)).collect();
    let url = comparison(&ports);
    (servers, url)
}

/// A number of the scoreboard.
async fn cell(browser: &Browser, name: &str, cell: &str) -> u64 {
    let cell = format!(
        "document.querySelector('#results [data-technique={name}] .{cell}').textContent
            .replaceAll(',', '')"
    );
    let text = browser.value(&cell).await;
    let text = text.as_str().expect("it is a text");
    text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number"))
}

/// On a small laptop, an old projector and a phone: the head takes a third at most, all else is for
/// the frames, and what was received is in view there. Every row in view is whole.
#[tokio::test]
async fn small_windows() {
    let (servers, url) = four_servers().await;
    let browser = Browser::start().await;
    for (width, height) in [(1366, 641), (1280, 585), (1024, 768), (1280, 720), (360, 640)] {
        let window = format!("{width}x{height}");
        browser.view(View { width, height, ..View::default() }).await;
        open_comparison(&browser, &url).await;
        for text in ["One", "Another one, which is so long that it takes more than a line", "Hello"]
        {
            type_message(&browser, text).await;
            browser.until("all four are measured", &measured(&SERVERS)).await;
        }
        let head = "document.querySelector('.frames').getBoundingClientRect().top / innerHeight";
        let head = browser.value(head).await.as_f64().expect("it is a number");
        assert!(head < 0.334, "at {window} the head takes {head} of the window");
        fits(&browser, &window).await;
        let below = "document.scrollingElement.scrollHeight - innerHeight";
        assert_eq!(browser.value(below).await, 0, "at {window} there is something below");
        let scoreboard = "document.querySelector('#results').getBoundingClientRect().bottom";
        let in_view = browser.value(&format!("{scoreboard} < innerHeight / 3")).await;
        assert_eq!(in_view, true, "at {window} the scoreboard is not in view");
        for (name, server) in SERVERS.iter().zip(&servers) {
            // On a phone they are beside each other: one is in view.
            let show = "document.querySelector(arguments[0]).scrollIntoView()";
            browser.run(show, &[json!(frame(name))]).await;
            browser.enter_frame(Some(&frame(name))).await;
            until_received(&browser, "Hello").await;
            for text in texts("More", 2) {
                publish(server, &text).await;
                until_received(&browser, &text).await;
                let whole = format!("{NO_WHOLE_ROWS}.length === 0");
                browser.until(&format!("{name} at {window}: {NO_WHOLE_ROWS}"), &whole).await;
            }
            browser.enter_frame(None).await;
        }
        picture(&browser, &format!("comparison-{window}")).await;
    }
}

/// What a message took is what its page has drawn of it: nothing that crossed meanwhile is in it.
#[tokio::test]
async fn what_a_message_takes() {
    // The bytes of the rows behind the last one that is there now, of those that match.
    const DRAWN: &str = "[...document.querySelectorAll('#wire > li')]
        .filter((row) => !row.matches('.before') && /MATCH/.test(row.textContent))
        .map((row) => Number(row.querySelector('.bytes').textContent.replace(/[^0-9]/g, '')))
        .reduce((sum, bytes) => sum + bytes, 0)";
    let (servers, url) = four_servers().await;
    let browser = Browser::start().await;
    open_comparison(&browser, &url).await;
    // (Polling gets both in one answer. Long polling has its own trial: one answer, one message.)
    let expected = [
        ("polling", 2, "POST|201|200 \\[2 updates"),
        ("long-polling", 2, "POST|201|200 \\[1 update"),
        ("server-sent-events", 1, "POST|201|data: Mine"),
        ("websockets", 0, "frame .Mine"),
    ];
    for (name, ..) in expected {
        browser.enter_frame(Some(&frame(name))).await;
        if name == "polling" {
            // Five seconds, so that both messages are in one answer.
            browser.run("document.querySelector('#interval').focus()", &[]).await;
            browser.press(&[Key::End]).await;
            let waits = "document.querySelector('#wire > .pausing')";
            browser.until("it waits", waits).await;
        }
        let mark = "for (const row of document.querySelectorAll('#wire > li'))
            if (!row.matches('.held')) row.classList.add('before');";
        browser.run(mark, &[]).await;
        browser.enter_frame(None).await;
    }
    type_message(&browser, "Mine").await;
    for server in servers.iter().filter(|server| server.name() != "long-polling") {
        publish(server, "Somebody else's, which is none of mine").await;
    }
    browser.until("all four are measured", &measured(&SERVERS)).await;
    for (name, requests, rows) in expected {
        browser.enter_frame(Some(&frame(name))).await;
        if name != "long-polling" {
            until_received(&browser, "Somebody else's, which is none of mine").await;
        }
        let mut drawn = browser.value(&DRAWN.replace("MATCH", rows)).await.as_u64().expect("bytes");
        // The request that brought the answer.
        let asked = match name {
            "polling" => "#wire > .up:not(.news, .before)",
            "long-polling" => "#wire > .was-held:has(~ .news.down:not(.before))",
            _ => "",
        };
        if !asked.is_empty() {
            let asked = format!(
                "Number([...document.querySelectorAll('{asked}')].at(-1)
                    .querySelector('.bytes').textContent.match(/\\d+/))"
            );
            drawn += browser.value(&asked).await.as_u64().expect("bytes");
        }
        browser.enter_frame(None).await;
        assert_eq!(cell(&browser, name, "bytes").await, drawn, "{name}");
        assert_eq!(cell(&browser, name, "requests").await, requests, "{name}");
    }
    // A bar is as long as the logarithm of its time; the number is beside it, with its unit.
    let lengths = "[...document.querySelectorAll('#results tbody tr')].map((row) => {
        const [bar, way] = ['.bar', '.way'].map((part) => row.querySelector(part).offsetWidth);
        return [parseFloat(row.querySelector('.this').textContent.replace(',', '')), bar / way];
    })";
    let lengths = browser.value(lengths).await;
    let lengths: Vec<(f64, f64)> = serde_json::from_value(lengths).expect("they are pairs");
    for (took, length) in lengths {
        let expected = (took.ln() / 60_000_f64.ln()).max(0.02);
        assert!((length - expected).abs() < 0.03, "{took} ms are drawn {length} of a minute long");
    }
}

/// *Bytes so far* is what each page has counted, and goes on while nothing happens: fast with
/// polling, not at all with WebSockets.
#[tokio::test]
async fn bytes_so_far() {
    const COUNTED: &str = "['down', 'up']
        .map((way) => Number(document.querySelector(`#count-${way}`).textContent.replace(/,/g, '')))
        .reduce((sum, bytes) => sum + bytes)";
    let (_servers, url) = four_servers().await;
    let browser = Browser::start().await;
    open_comparison(&browser, &url).await;
    let so_far = |name: &str| {
        format!(
            "Number(document.querySelector('#results [data-technique={name}] .so-far').textContent
                .replaceAll(',', ''))"
        )
    };
    let before = cell(&browser, "polling", "so-far").await;
    let quiet = cell(&browser, "websockets", "so-far").await;
    browser.enter_frame(Some(&frame("websockets"))).await;
    assert_eq!(browser.value(COUNTED).await, quiet, "what its page has counted");
    browser.enter_frame(None).await;
    for _ in 0..2 {
        let more = format!("{} > {before}", so_far("polling"));
        browser.until("polling has sent more, and received more", &more).await;
    }
    assert_eq!(cell(&browser, "websockets", "so-far").await, quiet, "nothing has happened");
    promises::nothing_has_moved(&browser, "the comparison while it counts").await;
}

/// A text that is too long is refused in one sentence under the form, and goes to nobody. The head
/// stays as high as it is.
#[tokio::test]
async fn what_is_refused_takes_a_sentence() {
    const HEIGHT: &str = "document.querySelector('.message').offsetHeight";
    const REFUSED: &str = "document.querySelector('#refused').textContent";
    let (_servers, url) = four_servers().await;
    let browser = Browser::start().await;
    browser.view(View { width: 1366, height: 641, ..View::default() }).await;
    open_comparison(&browser, &url).await;
    let height = browser.value(HEIGHT).await;
    for text in ["é".repeat(2500), String::new()] {
        let fill = "document.querySelector('#text').value = arguments[0];
            document.querySelector('#message').requestSubmit();";
        browser.run(fill, &[json!(text)]).await;
        let sentence = browser.value(REFUSED).await;
        let sentence = sentence.as_str().expect("it is a text");
        assert!(sentence.starts_with("Not sent: ") && sentence.len() < 80, "{sentence}");
        assert_eq!(sentence.matches('.').count(), 1, "{sentence}");
        assert_eq!(browser.value(HEIGHT).await, height, "the head has grown");
        let said = "[...document.querySelectorAll('#results .this')].map((it) => it.textContent)";
        assert_eq!(browser.value(&format!("{said}.join('')")).await, "––––", "it went to somebody");
        for name in SERVERS {
            assert_eq!(browser.value(&said_of(name)).await, "running");
        }
    }
    picture(&browser, "comparison-refused").await;
}

/// A cable is cut; the message goes into that server all the same, and is there once the cable is
/// plugged in: it took its page that long. The suggestions are ticked off by doing them.
#[tokio::test]
async fn suggestions_are_ticked_off() {
    let lines = Lines::start().await;
    let browser = Browser::start().await;
    open_comparison(&browser, &lines.comparison()).await;
    let done = |name: &str| {
        format!("document.querySelector('#suggestions [data-to-do={name}]').matches('.done')")
    };
    for name in ["distance", "cable", "stop"] {
        assert_eq!(browser.value(&done(name)).await, false, "{name} was not done yet");
    }
    let number = format!("Stop server {} in the terminal", lines.ports[2].1);
    let text = browser.value("document.querySelector('#suggestions').innerText").await;
    assert!(text.as_str().is_some_and(|text| text.contains(&number)), "{text}");

    browser.until("the slider", "!document.querySelector('#round-trip').disabled").await;
    browser.run("document.querySelector('#round-trip').focus()", &[]).await;
    browser.press(&[Key::End]).await;
    browser.until("300 ms is ticked off", &done("distance")).await;
    browser.press(&[Key::Home]).await;

    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        browser.click("#cut").await;
        until_status(&browser, "cut").await;
        browser.enter_frame(None).await;
        let text = format!("while {name} is cut");
        type_message(&browser, &text).await;
        let others: Vec<_> = SERVERS.into_iter().filter(|other| *other != name).collect();
        browser.until("the others have it", &measured(&others)).await;
        browser.until("it waits", &format!("{} === 'the cable is cut'", said_of(name))).await;
        browser.enter_frame(Some(&frame(name))).await;
        assert!(!received(&browser).await.contains(&text), "{name} has it without a cable");
        let before = browser.value("document.querySelectorAll('#wire > .gap ~ *').length").await;
        assert_eq!(before, 0, "{name} sends without a cable");
        picture(&browser, &format!("comparison-cut-{name}")).await;
        browser.click("#plug").await;
        until_received(&browser, &text).await;
        browser.enter_frame(None).await;
        browser.until("it is measured", &measured(&SERVERS)).await;
        browser.until("it is ticked off", &done("cable")).await;
        assert_eq!(browser.value(&said_of(name)).await, "running");
    }

    lines.servers[2].signal(Signal::SIGKILL);
    browser.until("the server is gone, and ticked off", &done("stop")).await;
    let said = browser.value("document.querySelector('#suggestions').textContent").await;
    assert_eq!(said.as_str().map(|text| text.matches("(done)").count()), Some(3), "{said}");
    picture(&browser, "comparison-done").await;
}

/// The suggestions can be put away, stay so, and can be taken out again: by keyboard alone, as all
/// of the comparison. Without lines there is no distance to move.
#[tokio::test]
async fn the_comparison_by_keyboard_alone() {
    let shown = "document.querySelector('#suggestions').checkVisibility()";
    let (_servers, url) = four_servers().await;
    let browser = Browser::start().await;
    open_comparison(&browser, &url).await;
    let distance = "document.querySelector('[data-to-do=distance]').checkVisibility()";
    assert_eq!(browser.value(distance).await, false, "there is nothing to move");
    browser.run("document.activeElement.blur()", &[]).await;
    tab_to(&browser, "explain").await;
    browser.press(&[Key::Enter]).await;
    let open = "document.querySelector('#explanation').open";
    browser.until("the explanation is shown", open).await;
    assert_eq!(browser.role("#explanation").await, "dialog");
    assert_eq!(browser.label("#explanation").await, "How this is measured");
    browser.press(&[Key::Escape]).await;
    browser.until("it is closed", &format!("!{open}")).await;
    tab_to(&browser, "text").await;
    browser.insert("by keyboard").await;
    browser.press(&[Key::Enter]).await;
    browser.until("all four are measured", &measured(&SERVERS)).await;
    tab_to(&browser, "put-away").await;
    browser.press(&[Key::Space]).await;
    assert_eq!(browser.value(shown).await, false);
    assert_eq!(browser.value("document.activeElement.id").await, "try-it");
    open_comparison(&browser, &url).await;
    assert_eq!(browser.value(shown).await, false, "they are back");
    browser.run("document.activeElement.blur()", &[]).await;
    tab_to(&browser, "try-it").await;
    browser.press(&[Key::Enter]).await;
    assert_eq!(browser.value(shown).await, true);
    assert_eq!(browser.value("document.activeElement.id").await, "put-away");
}

/// From the comparison into a technique's page, and from there back: the slider is still there. So it
/// is in a comparison that another server shows, in a tab of its own.
#[tokio::test]
async fn the_slider_is_not_lost() {
    let ready = "!document.querySelector('#distance').hidden
        && !document.querySelector('#round-trip').disabled";
    let lines = Lines::start().await;
    let browser = Browser::start().await;
    let first = browser.window().await;
    open_comparison(&browser, &lines.comparison()).await;
    browser.until("the slider", ready).await;
    let hrefs = "[...document.querySelectorAll('#results a')].map(({ href }) => href)";
    let hrefs = browser.value(hrefs).await;
    for link in hrefs.as_array().expect("it is a list") {
        browser.open_window().await;
        browser.open(link.as_str().expect("it is a text")).await;
        until_status(&browser, "connected").await;
        // By way of a neighbour, too.
        for leads_to in ["html/index.html", "compare/index.html"] {
            let link = format!("nav a[href*='{leads_to}']");
            browser.until("the link", &format!("document.querySelector(\"{link}\")")).await;
            browser.click(&link).await;
            let is_there = format!("location.pathname.includes('{leads_to}')");
            browser.until("the page it leads to", &is_there).await;
        }
        browser.until("the slider is back", ready).await;
        is_running(&browser).await;
        browser.close_window().await; // or there are no connections left
        browser.switch_to(&first).await;
    }
    // Nor does it matter who typed what.
    browser.open_window().await;
    browser.open(&format!("http://127.0.0.1:{}/public/compare/index.html", lines.ports[3].1)).await;
    browser.until("the slider is there", ready).await;
}

/// Where a server is, and the control of the lines, may be said by a whole address, too.
#[tokio::test]
async fn whole_addresses() {
    let lines = Lines::start().await;
    let browser = Browser::start().await;
    let address = |port| format!("http://127.0.0.1:{port}/");
    let all = lines.ports.iter().map(|(name, port)| format!("&{name}={}", address(port)));
    let (all, control) = (all.collect::<String>(), address(&lines.control));
    // By a server that is not where it usually is, and is not asked for by its port.
    let page = lines.servers[0].url("/public/compare/index.html");
    open_comparison(&browser, &format!("{page}?line={control}{all}")).await;
    let ready = "!document.querySelector('#round-trip').disabled";
    browser.until("the slider", ready).await;
    type_message(&browser, "by address").await;
    browser.until("all four are measured", &measured(&SERVERS)).await;
}

/// Whatever the width, also that of 1280 pixels at 200 %: each column in view has its head, and none is
/// over the next one.
#[tokio::test]
async fn each_column_has_its_head() {
    const WRONG: &str = "[...document.querySelectorAll('.message thead th:not(.scale)')]
        .filter((head) => head.checkVisibility())
        .filter(({ innerText, scrollWidth, clientWidth }) => {
            return innerText.trim() === '' || scrollWidth > clientWidth;
        }).map((head) => head.textContent)";
    let (_servers, url) = four_servers().await;
    let browser = Browser::start().await;
    open_comparison(&browser, &url).await;
    type_message(&browser, "Hello").await;
    browser.until("all four are measured", &measured(&SERVERS)).await;
    for width in [320, 360, 640, 1216, 1280] {
        browser.view(View { width, ..View::default() }).await;
        assert_eq!(browser.value(WRONG).await, json!([]), "at {width} pixels");
        let explain = browser.value("document.querySelector('#explain').innerText.trim()").await;
        assert_ne!(explain, "", "at {width} pixels");
        picture(&browser, &format!("comparison-{width}")).await;
    }
}

/// The ring around the slider that has the focus touches neither *Client* nor *Server* below it.
#[tokio::test]
async fn the_ring_keeps_clear() {
    const CLEAR: &str = "(() => {
        const slider = document.querySelector('#interval');
        const { outlineOffset, outlineWidth } = getComputedStyle(slider);
        const ring = parseFloat(outlineOffset) + parseFloat(outlineWidth);
        const below = document.querySelector('.ends').getBoundingClientRect().top;
        return below - slider.getBoundingClientRect().bottom - ring;
    })()";
    let (_servers, url) = four_servers().await;
    let browser = Browser::start().await;
    for (width, height) in [(1366, 641), (1280, 720), (360, 640)] {
        browser.view(View { width, height, ..View::default() }).await;
        open_comparison(&browser, &url).await;
        browser.enter_frame(Some(&frame("polling"))).await;
        browser.press(&[Key::Right]).await;
        let clear = browser.value(CLEAR).await;
        assert!(clear.as_f64() >= Some(2.0), "{clear} pixels at {width}");
        browser.enter_frame(None).await;
    }
}

/// No picture without an address: that is no valid HTML.
#[test]
fn every_picture_has_an_address() {
    let page = include_str!("../../../../public/compare/index.html");
    for picture in page.split("<img").skip(1) {
        let picture = picture.split('>').next().expect("it has an end");
        assert!(picture.contains("src="), "<img{picture}>");
    }
}
