//! A message is sent when it has arrived, or its page says what happened; and what somebody else
//! answers in the server's place is told by its status.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::elsewhere::pass_on;
use super::*;

with_each_technique! {
    half_a_character
    an_answer_of_somebody_else
}

const REFUSED: &str = "document.querySelector('#refused').textContent";
const TEXT: &str = "document.querySelector('#text').value";

/// Half of a character (a lone surrogate) is none: it is sent as U+FFFD, by every technique.
async fn half_a_character(name: &str) {
    let server = Server::start(name).await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    let send = "document.querySelector('#text').value = 'half \\ud83d of it';
        document.querySelector('#message').requestSubmit();";
    browser.run(send, &[]).await;
    until_received(&browser, "half \u{fffd} of it").await;
    browser.until("the field is empty", &format!("{TEXT} === ''")).await;
    assert_eq!(browser.value(REFUSED).await, "", "{name}");
}

/// A proxy's page in the place of an answer is not shown: its status is. Nor is a page taken for
/// updates.
async fn an_answer_of_somebody_else(name: &str) {
    let server = Server::start(name).await;
    let status: Arc<Mutex<&str>> = Arc::default();
    let front = before(server.port(), Arc::clone(&status)).await;
    let browser = Browser::start().await;
    browser.open(&format!("http://127.0.0.1:{front}/html/index.html")).await;
    begin(&browser).await;
    if name != "websockets" {
        for (answered, told) in [
            ("413 Content Too Large", "Refused (413 Content Too Large)"),
            ("502 Bad Gateway", "Refused (502 Bad Gateway)"),
            ("200 OK", "the answer (200 OK) is no JSON"),
        ] {
            *status.lock().expect("nobody panics") = answered;
            type_message(&browser, "to somebody else").await;
            browser.until("it is told", &format!("{REFUSED}.includes('{told}')")).await;
            assert_eq!(browser.value(&format!("{REFUSED}.includes('<')")).await, false);
            assert_eq!(browser.value(TEXT).await, "to somebody else");
        }
    }
    *status.lock().expect("nobody panics") = "";
    type_message(&browser, "at last").await;
    until_received(&browser, "at last").await;
    browser.until("nothing is refused any more", &format!("{REFUSED} === ''")).await;
    if name.ends_with("polling") {
        *status.lock().expect("nobody panics") = "200 OK";
        browser.run("document.querySelector('#cut').click()", &[]).await;
        browser.run("document.querySelector('#plug').click()", &[]).await;
        let lost = "[...document.querySelectorAll('#wire > .lost')]
            .some((row) => row.textContent.includes('no JSON'))";
        browser.until("it is drawn as that", lost).await;
        until_status(&browser, "reconnecting").await;
        *status.lock().expect("nobody panics") = "";
        until_status(&browser, "connected").await;
    }
}

/// Passes everything on, but what goes to the server's `/api/` while there is a status: that is
/// answered with it, and a page of HTML.
async fn before(server: u16, status: Arc<Mutex<&'static str>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let status = Arc::clone(&status);
            tokio::spawn(pass_on(client, move |head| {
                let status = *status.lock().expect("nobody panics");
                let is_asked = head.iter().take(1).any(|line| line.contains(" /api/"));
                if !is_asked || status.is_empty() {
                    return Ok(server);
                }
                let page = "<!doctype html><title>Somebody else</title>";
                let headers = "Connection: close\r\nContent-Type: text/html\r\nContent-Length";
                Err(format!("HTTP/1.1 {status}\r\n{headers}: {}\r\n\r\n{page}", page.len()))
            }));
        }
    });
    port
}

/// What a line does to what crosses it.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    Passes,
    /// Nothing gets to the server any more, and nobody is told.
    SwallowsUp,
    /// Nothing gets to the client any more.
    SwallowsDown,
    /// It ends.
    Ends,
    /// What the client says is answered by a close: try again later (1013).
    IsAway,
}

/// A line before a server. What it does can be changed at any moment.
async fn line(server: u16, does: Arc<Mutex<Line>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.expect("it is there");
            tokio::spawn(cross(client, server, Arc::clone(&does)));
        }
    });
    port
}

async fn cross(
    mut client: TcpStream,
    mut server: TcpStream,
    does: Arc<Mutex<Line>>,
) -> std::io::Result<()> {
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        let look = tokio::time::sleep(std::time::Duration::from_millis(50));
        let (said, heard) = tokio::select! {
            said = client.read(&mut up) => (said?, 0),
            heard = server.read(&mut down) => (0, heard?),
            () = look => {
                if *does.lock().expect("nobody panics") == Line::Ends {
                    return Ok(());
                }
                continue;
            }
        };
        let does = *does.lock().expect("nobody panics");
        if said + heard == 0 {
            return Ok(());
        }
        if said > 0 && does == Line::IsAway {
            client.write_all(&[0x88, 2, 0x03, 0xf5]).await?;
            return client.read(&mut up).await.map(drop); // the client's own close
        }
        if does != Line::SwallowsUp {
            server.write_all(&up[..said]).await?;
        }
        if does != Line::SwallowsDown {
            client.write_all(&down[..heard]).await?;
        }
    }
}

/// A WebSocket's page, and the line on which it depends.
async fn on_a_line(browser: &Browser, server: &Server) -> Arc<Mutex<Line>> {
    let does = Arc::new(Mutex::new(Line::Passes));
    let port = line(server.port(), Arc::clone(&does)).await;
    browser.open(&format!("http://127.0.0.1:{port}/html/index.html")).await;
    begin(browser).await;
    does
}

async fn says(browser: &Browser, what: &str) {
    browser.until(&format!("it says {what}"), &format!("{REFUSED}.includes('{what}')")).await;
}

/// A message on a WebSocket that is closed with 1013, as the engine is away: it is not stored, and
/// the page says so, and keeps its text. Sent again, it is there once.
pub async fn a_message_that_is_not_stored(browser: Browser) {
    let server = Server::start("websockets").await;
    let does = on_a_line(&browser, &server).await;
    *does.lock().expect("nobody panics") = Line::IsAway;
    type_message(&browser, "once more").await;
    // WebKitGTK does not know the code 1013, and tells its page that the connection was lost.
    let knows = browser.engine() != lab::browser::Engine::WebKit;
    let said = if knows { "Not stored, try again" } else { "perhaps it was not stored" };
    says(&browser, said).await;
    says(&browser, "Your text is still here.").await;
    *does.lock().expect("nobody panics") = Line::Passes;
    until_status(&browser, "connected").await;
    let closed = "document.querySelector('#wire').textContent.includes('closed (1013)')";
    assert_eq!(browser.value(closed).await, knows, "the wire says why");
    says(&browser, said).await; // that is still true
    assert_eq!(browser.value(TEXT).await, "once more");
    picture(&browser, &format!("websockets-not-stored-{}", browser.engine().name())).await;
    browser.click("#send").await;
    browser.until("it is sent", &format!("{TEXT} === '' && {REFUSED} === ''")).await;
    assert_eq!(received(&browser).await, ["Real-Time Update 1", "once more"]);
}

/// A line that swallows what is said: the page says that it has not come back, and where its text is,
/// and makes a new connection.
#[tokio::test]
async fn a_message_on_a_line_that_swallows() {
    let server = Server::start("websockets").await;
    let browser = Browser::start().await;
    let does = on_a_line(&browser, &server).await;
    *does.lock().expect("nobody panics") = Line::SwallowsUp;
    type_message(&browser, "swallowed").await;
    browser.until("it is under way", "document.querySelector('#wire > .up:last-child')").await;
    assert_eq!(browser.value(TEXT).await, "swallowed", "the text can still be had");
    browser.fill("#text", "the next one").await;
    says(&browser, "has not come back within 10 s").await;
    says(&browser, "Your text was: swallowed").await;
    assert_eq!(browser.value(TEXT).await, "the next one");
    *does.lock().expect("nobody panics") = Line::Passes;
    publish(&server, "afterwards").await;
    until_received(&browser, "afterwards").await;
    type_message(&browser, "swallowed").await;
    until_received(&browser, "swallowed").await;
    browser.until("it is sent", &format!("{TEXT} === '' && {REFUSED} === ''")).await;
}

/// The server has the message, and its way back is lost with the connection. Nobody knows, and the
/// page says so; until the next connection brings it.
pub async fn a_message_that_comes_back_later(browser: Browser) {
    let server = Server::start("websockets").await;
    let does = on_a_line(&browser, &server).await;
    *does.lock().expect("nobody panics") = Line::SwallowsDown;
    let mut other = lab::Client::new(&server, 0);
    type_message(&browser, "on its way").await;
    while other.next().await.update != "on its way" {}
    *does.lock().expect("nobody panics") = Line::Ends;
    says(&browser, "perhaps it was not stored").await;
    assert_eq!(browser.value(TEXT).await, "on its way");
    *does.lock().expect("nobody panics") = Line::Passes;
    until_received(&browser, "on its way").await;
    browser.until("it was stored", &format!("{TEXT} === '' && {REFUSED} === ''")).await;
    assert_eq!(received(&browser).await, ["Real-Time Update 1", "on its way"]);
}

/// An `EventSource` learns no id of an event for which nobody listens. After more of them than are
/// kept, a new one is told of a gap, though the page has missed nothing that it wants: the field for
/// the names says so.
#[tokio::test]
async fn events_of_other_names() {
    const GAPS: &str = "document.querySelectorAll('#wire > .gap, #updates > .gap').length";
    let server = Server::start("server-sent-events").await;
    let browser = Browser::start().await;
    open(&browser, &server).await;
    let client = reqwest::Client::new();
    for number in 0..1005 {
        let message = json!({ "update": format!("{number}"), "event": "other" });
        let sent = client.post(server.url("/api/messages")).json(&message).send().await;
        assert_eq!(sent.expect("it answers").status(), 201);
    }
    browser.click("#cut").await;
    browser.click("#plug").await;
    browser.until("a gap is told: on the wire and in the list", &format!("{GAPS} === 3")).await;
    let said = browser.value("document.querySelector('#event-names-note').textContent").await;
    assert!(said.as_str().expect("it is a text").contains("may be told of a gap"), "{said}");
    let drawn = "document.querySelector('#wire').textContent.match(/no longer kept/g).length";
    assert_eq!(browser.value(drawn).await, 1, "a gap is drawn once");

    // The ids of those for which it listens, it does learn.
    publish_all(&server, &texts("listened for", 2)).await;
    until_received(&browser, "listened for 2").await;
    browser.click("#cut").await;
    browser.click("#plug").await;
    until_status(&browser, "connected").await;
    publish(&server, "the end").await;
    until_received(&browser, "the end").await;
    assert_eq!(browser.value(GAPS).await, 4, "another cut, and no gap");
}
