//! What a technique's page takes of a browser: the time of its main thread and its heap, as Chromium
//! counts them (`DevTools` protocol, domain Performance). The page is opened as it is, and without its
//! lines that begin with `show.`: that one receives with the same code, and draws nothing.

use std::any::Any;
use std::os::unix::fs::symlink;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::{env, fs, process, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use futures_util::FutureExt as _;
use lab::Server;
use lab::browser::{Browser, Engine};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::clients::Publisher;
use crate::figures::{Page, median};
use crate::plan::Plan;
use crate::root;
use crate::running::evenly;

/// How many updates come, and how many in a second.
const UPDATES: u32 = 1_000;
pub const RATE: u32 = 250;
/// Seconds between two requests of polling's page: the least that its slider has.
pub const POLL_INTERVAL: f64 = 0.5;
/// How many rows a page keeps, of updates and of the wire.
pub const ROWS: [u32; 2] = [200, 60];
const ROUNDS: u32 = 3;
/// A technique's page as it is, and the one that draws nothing.
const PAGES: [&str; 2] = ["index.html", "bare.html"];

/// How long all of it takes, about: a second to open each page.
pub const TAKES: Duration = Duration::from_secs((4 * 2 * ROUNDS * (UPDATES / RATE + 1)) as u64);

/// Knows in a page when all updates have come, after the first one, which is the server's own.
const COUNTER: &str = "globalThis.seen = 0;
    globalThis.all = new Promise((came) => addEventListener('update', () => {
        if (++seen === 1 + UPDATES) came();
    }, true));";

/// An error says why there are no figures.
pub async fn measure(plan: &Plan) -> Result<Vec<Page>> {
    if !plan.browser {
        return Ok(Vec::new());
    }
    ensure!(Engine::Chromium.is_here(), "Chromium or its driver is missing");
    let folder = env::temp_dir().join(format!("measure-{}", process::id()));
    let pages = AssertUnwindSafe(all(plan, &folder)).catch_unwind().await;
    let _ = fs::remove_dir_all(&folder);
    pages.unwrap_or_else(|panic| Err(anyhow!("{}", words(&*panic))))
}

/// The first line of what somebody panicked with.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map_or("the browser failed", |text| text);
    text.lines().next().unwrap_or_default()
}

async fn all(plan: &Plan, folder: &Path) -> Result<Vec<Page>> {
    fs::create_dir(folder)?;
    symlink(root().join("public").canonicalize()?, folder.join("public"))?;
    let browser = Browser::start().await;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        for variant in plan.variants.iter().filter(|it| !it.bare) {
            plan.say(format!("the pages, round {round} of {ROUNDS}: {}", variant.name()));
            for page in PAGES {
                let once = async || one(&browser, variant.server, page, folder).await;
                rounds.push((variant.name(), page, plan.quietly(once).await?));
            }
        }
    }
    let page = |name: String| {
        let each = |figure: usize| {
            PAGES.map(|page| {
                let own = rounds.iter().filter(|(of, is, _)| *of == name && *is == page);
                median(own.map(|(.., taken)| taken[figure]))
            })
        };
        Page { main_thread: each(0), heap: each(1), name }
    };
    Ok(plan.variants.iter().filter(|it| !it.bare).map(|it| page(it.name())).collect())
}

/// A page that does not show what it receives: it only says that there is an update.
fn without_show(page: &str) -> String {
    let says = "document.querySelector('update-list').dispatchEvent(new Event('update'));";
    let page = page.replace("show.update(update);", says);
    let is_kept = |line: &&str| !line.trim_start().starts_with("show.");
    page.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
}

/// What a page takes for all updates: milliseconds of its main thread, and KB of heap that are more
/// than before. It is in a window of its own.
async fn one(browser: &Browser, name: &str, page: &str, folder: &Path) -> Result<[f64; 2]> {
    let own = Path::new(name).join("public/html");
    let index = fs::read_to_string(root().join(&own).join(PAGES[0]))?;
    fs::create_dir_all(folder.join(&own))?;
    fs::write(folder.join(&own).join(PAGES[0]), &index)?;
    fs::write(folder.join(&own).join(PAGES[1]), without_show(&index))?;
    let pages = folder.to_string_lossy();
    let server = Server::start_with(name, &[("QUIET", "1"), ("PAGES", &pages)]).await;

    let first = browser.window().await;
    browser.open_window().await;
    let counter = COUNTER.replace("UPDATES", &UPDATES.to_string());
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": counter })).await;
    browser.devtools("Performance.enable", json!({ "timeDomain": "threadTicks" })).await;
    browser.open(&server.url(&format!("/html/{page}"))).await;
    browser.until("the first update", "seen === 1").await;
    let interval = "const slider = document.querySelector('#interval');
        if (slider) slider.value = arguments[0];
        slider?.dispatchEvent(new Event('input'));";
    browser.run(interval, &[json!(POLL_INTERVAL)]).await;
    let mut publisher = Publisher::connect(server.port()).await?;
    browser.devtools("HeapProfiler.collectGarbage", json!({})).await;
    let [busy, heap] = counted(browser).await?;
    let begin = Instant::now();
    let second = Duration::from_secs(1);
    for at in evenly(second / RATE, second * UPDATES / RATE) {
        sleep_until(begin + at).await;
        publisher.publish(false).await?;
    }
    browser.run("return all;", &[]).await;
    let [busy_after, _] = counted(browser).await?;
    browser.devtools("HeapProfiler.collectGarbage", json!({})).await;
    let [_, heap_after] = counted(browser).await?;
    browser.close_window().await;
    browser.switch_to(&first).await;
    Ok([(busy_after - busy) * 1e3, (heap_after - heap) / 1e3])
}

/// What the page has taken until now: seconds of its main thread's processor time, and bytes of heap.
async fn counted(browser: &Browser) -> Result<[f64; 2]> {
    let all = browser.devtools("Performance.getMetrics", json!({})).await;
    let all = all["metrics"].as_array().context("Chromium counts nothing")?;
    let of = |name: &str| {
        let value = all.iter().find(|it| it["name"] == name).and_then(|it| it["value"].as_f64());
        value.with_context(|| format!("Chromium does not count {name}"))
    };
    Ok([of("TaskDuration")?, of("JSHeapUsedSize")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken out of the pages is in them, and what is said of them is true.
    #[test]
    fn the_pages_are_as_they_are_thought_to_be() {
        let read = |file: &str| fs::read_to_string(root().join(file)).expect("it is there");
        for name in lab::SERVERS {
            let page = without_show(&read(&format!("{name}/public/html/index.html")));
            assert!(page.contains("new Event('update')") && !page.contains(" show."), "{name}");
        }
        for (element, rows) in ["update-list", "the-wire"].iter().zip(ROWS) {
            let script = read(&format!("public/page/{element}.js"));
            assert!(script.contains(&format!("const KEPT = {rows};")), "{element}");
        }
        assert!(read("public/page/poll-interval.js").contains(&format!("min=\"{POLL_INTERVAL}\"")));
    }
}
