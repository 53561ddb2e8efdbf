//! Takes the README's pictures of the pages, each at a moment at which there is something to see, and
//! films the comparison: `scripts/pictures.sh` starts it.

mod film;

use std::{fs, path::Path};

use lab::browser::{Browser, Key, View};
use lab::{Lines, SERVERS, Server};

use film::Film;

/// What the two still pictures may take together, and what the film: a README is also read on a phone.
const MOST_BYTES: [u64; 2] = [300_000, 1_000_000];

/// Says what is said where the servers are at their usual ports.
const USUAL_PORT: &str = "document.querySelector('#suggestions .port').textContent = 8003";

/// All four have this message.
const MEASURED: &str = "[...document.querySelectorAll('#results .this')]
    .every((cell) => /\\d/.test(cell.textContent))";

#[tokio::main]
async fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pictures");
    let browser = Browser::start().await;
    comparison(&browser, &folder.join("comparison.png")).await;
    long_polling(&browser, &folder.join("long-polling.png")).await;
    comparison_film(&browser, &folder.join("comparison-film.png")).await;

    let size = |name: &str| {
        let length = fs::metadata(folder.join(name)).expect("it was written").len();
        println!("scripts/pictures/{name}: {} KB", length / 1000);
        length
    };
    let bytes = [size("comparison.png") + size("long-polling.png"), size("comparison-film.png")];
    assert!(
        bytes[0] < MOST_BYTES[0] && bytes[1] < MOST_BYTES[1],
        "the pictures have {bytes:?} bytes: make them smaller"
    );
}

/// All four, with some updates each and two messages that went into all of them.
async fn comparison(browser: &Browser, file: &Path) {
    let mut servers = Vec::new();
    for name in SERVERS {
        servers.push(Server::start_with(name, &[]).await);
    }
    let ports = servers.iter().zip(SERVERS).map(|(it, name)| format!("{name}={}", it.port()));
    let ports = ports.collect::<Vec<_>>().join("&");
    view(browser, 1280, 720).await;
    browser.open(&servers[0].url(&format!("/public/compare/index.html?{ports}"))).await;
    browser.run(USUAL_PORT, &[]).await;
    for name in SERVERS {
        enter(browser, name).await;
        browser.until("some updates", "document.querySelectorAll('#updates > *').length > 2").await;
        browser.enter_frame(None).await;
    }
    for text in ["Hello, everybody", "Good morning"] {
        browser.fill("#text", text).await;
        browser.press(&[Key::Enter]).await;
        browser.until("all four are measured", MEASURED).await;
    }
    enter(browser, "long-polling").await;
    held(browser, 1).await;
    browser.enter_frame(None).await;
    browser.run("document.activeElement.blur()", &[]).await;
    browser.picture(file).await;
}

/// One message through four panes, from here and from 300 ms away; then one while a cable is cut, which
/// is plugged in.
async fn comparison_film(browser: &Browser, target: &Path) {
    const CUT: &str = "server-sent-events";
    let lines = Lines::start().await;
    browser.view(View { width: 1088, height: 612, ..View::default() }).await;
    browser.open(&lines.comparison()).await;
    let slider = "!document.querySelector('#round-trip').disabled";
    browser.until("the slider", slider).await;
    browser.run(USUAL_PORT, &[]).await;
    for name in SERVERS {
        enter(browser, name).await;
        let connected = "document.querySelector('#status').textContent === 'connected'";
        browser.until("it is connected", connected).await;
        if name == "polling" {
            browser.run("document.querySelector('#interval').focus()", &[]).await;
            browser.press(&[Key::Left; 4]).await; // every 3 s: nobody wants to wait for a film
            browser.run("document.activeElement.blur()", &[]).await;
        }
        browser.enter_frame(None).await;
    }
    let mut film = Film::new();
    film.hold(browser, 2).await;
    send(browser, &mut film, "Good morning").await;
    film.until(browser, "all four have it", MEASURED).await;
    film.hold(browser, 2).await;

    browser.run("document.querySelector('#round-trip').focus()", &[]).await;
    browser.press(&[Key::End]).await;
    let ticked = "document.querySelector('#suggestions .done')";
    film.until(browser, "it is 300 ms away", ticked).await;
    film.hold(browser, 1).await;
    send(browser, &mut film, "From far away").await;
    film.until(browser, "all four have it", MEASURED).await;
    film.hold(browser, 3).await;

    browser.run("document.querySelector('#round-trip').focus()", &[]).await;
    browser.press(&[Key::Home]).await;
    enter(browser, CUT).await;
    browser.click("#cut").await;
    browser.enter_frame(None).await;
    film.hold(browser, 2).await;
    send(browser, &mut film, "Who is missing?").await;
    let others = format!(
        "[...document.querySelectorAll('#results tr:not([data-technique={CUT}]) .this')]
            .every((cell) => /\\d/.test(cell.textContent))"
    );
    film.until(browser, "the others have it", &others).await;
    film.hold(browser, 1).await;
    enter(browser, CUT).await;
    browser.click("#plug").await;
    browser.enter_frame(None).await;
    film.until(browser, "all four have it", MEASURED).await;
    film.hold(browser, 4).await;
    film.write(target);
}

/// Types a message, is seen to have typed it, and sends it.
async fn send(browser: &Browser, film: &mut Film, text: &str) {
    browser.fill("#text", text).await;
    browser.run("document.activeElement.blur()", &[]).await;
    film.hold(browser, 1).await;
    browser.click("#send").await;
    browser.run("document.activeElement.blur()", &[]).await;
}

/// A request that has been held for some time, under updates and a message that came before.
async fn long_polling(browser: &Browser, file: &Path) {
    let server = Server::start_with("long-polling", &[]).await;
    view(browser, 1110, 700).await;
    browser.open(&server.url("/html/index.html")).await;
    browser.until("some updates", "document.querySelectorAll('#updates > *').length > 2").await;
    held(browser, 1).await;
    browser.fill("#text", "Hello, everybody").await;
    browser.press(&[Key::Enter]).await;
    browser
        .until("it came", "document.querySelector('#updates').innerText.includes('Hello')")
        .await;
    browser.run("document.activeElement.blur()", &[]).await;
    held(browser, 3).await;
    browser.picture(file).await;
}

/// Waits until a request has been held for so many seconds, and nothing else has crossed since.
async fn held(browser: &Browser, seconds: u32) {
    let held = format!(
        "document.querySelector('#wire > :last-child').matches('.held')
            && parseFloat(document.querySelector('#held').textContent) > {seconds}"
    );
    browser.until("a request is held", &held).await;
}

async fn enter(browser: &Browser, name: &str) {
    let frame = format!("iframe[data-technique={name}]");
    let loaded = format!("document.querySelector('{frame}')?.src");
    browser.until("the frame is there", &loaded).await;
    browser.enter_frame(Some(&frame)).await;
}

/// Without motion, as no arrow should be caught half the way.
async fn view(browser: &Browser, width: u32, height: u32) {
    browser.view(View { width, height, reduced_motion: true, ..View::default() }).await;
}
