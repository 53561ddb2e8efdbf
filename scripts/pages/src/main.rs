//! Takes the README's two pictures of the pages, each at a moment at which there is something to
//! see: `scripts/pictures.sh` starts it.

use std::{fs, path::Path};

use lab::browser::{Browser, Key, View};
use lab::{SERVERS, Server};

/// What both pictures may take together: a README is also read on a phone.
const MOST_BYTES: u64 = 300_000;

#[tokio::main]
async fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pictures");
    let browser = Browser::start().await;
    comparison(&browser, &folder.join("comparison.png")).await;
    long_polling(&browser, &folder.join("long-polling.png")).await;

    let mut bytes = 0;
    for name in ["comparison", "long-polling"] {
        let file = folder.join(format!("{name}.png"));
        let length = fs::metadata(&file).expect("it was written").len();
        println!("scripts/pictures/{name}.png: {} KB", length / 1000);
        bytes += length;
    }
    assert!(bytes < MOST_BYTES, "both pictures together have {bytes} bytes: make them smaller");
}

/// All four, with some updates each and two messages that went into all of them.
async fn comparison(browser: &Browser, file: &Path) {
    let mut servers = Vec::new();
    for name in SERVERS {
        servers.push(Server::start_with(name, &[]).await);
    }
    let ports = servers.iter().zip(SERVERS).map(|(it, name)| format!("{name}={}", it.port()));
    let ports = ports.collect::<Vec<_>>().join("&");
    view(browser, 1440, 810).await;
    browser.open(&servers[0].url(&format!("/public/compare/index.html?{ports}"))).await;
    for name in SERVERS {
        enter(browser, name).await;
        browser.until("some updates", "document.querySelectorAll('#updates > *').length > 2").await;
        browser.enter_frame(None).await;
    }
    for text in ["Good morning", "Hello, everybody"] {
        browser.fill("#text", text).await;
        browser.press(&[Key::Enter]).await;
        let measured = "[...document.querySelectorAll('#results .this')]
            .every((cell) => /\\d/.test(cell.textContent))";
        browser.until("all four are measured", measured).await;
    }
    enter(browser, "long-polling").await;
    held(browser, 1).await;
    browser.enter_frame(None).await;
    browser.run("document.activeElement.blur()", &[]).await;
    browser.picture(file).await;
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
