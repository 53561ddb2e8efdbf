//! The lesson of `scripts/LESSON.md` in a real browser, in its order: what it says to click is
//! clicked, and what it says is seen is there. (Its commands are run by `readmes.rs`.)
//!
//! `cargo test -p documents --test lesson`. It needs Chromium or Chrome and its driver.

#[path = "readmes/session.rs"]
#[expect(dead_code, reason = "only its folder and its environment are used here")]
mod session;

use std::path::Path;
use std::process::Stdio;
use std::{fs, iter, time::Duration};

use lab::browser::{Browser, Key, View};
use lab::{SERVERS, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use session::{Session, free_ports, set_environment, write_script};

/// `scripts/all.sh`, of which the ports are others.
struct All {
    script: Child,
    keys: ChildStdin,
    printed: watch::Receiver<Vec<String>>,
    /// In the order of [`SERVERS`].
    ports: Vec<u16>,
    /// Its folder goes with it.
    _session: Session,
}

impl All {
    /// Starts it, and waits until all four listen.
    async fn start(prepare: impl Fn(&Session, &mut Command)) -> All {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let session = Session::start(&root);
        let ports = free_ports();
        let mut command = session.all_at(&ports);
        prepare(&session, &mut command);
        command.env("QUIET", "1");
        let script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut script = script.expect("bash is there");
        let keys = script.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(script.stdout.take().expect("it is piped")).lines();
        let (print, printed) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                print.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        let mut all = All { script, keys, printed, ports, _session: session };
        all.until_printed("Ctrl-C stops all four.").await;
        all
    }

    /// Waits until it has printed a line with this text, for as often as is awaited by now.
    async fn until_printed(&mut self, text: &str) -> String {
        let has = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let lines = soon(text, self.printed.wait_for(has)).await;
        let lines = lines.unwrap_or_else(|_| panic!("it has ended, and did not print {text:?}"));
        lines.iter().rfind(|line| line.contains(text)).expect("it is there").clone()
    }

    /// Types a line in its terminal.
    async fn type_line(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
    }

    /// The page of the comparison, as it is printed, but for the ports: those of the servers are
    /// others here.
    fn comparison(&self) -> String {
        let printed = self.printed.borrow();
        let line = printed.iter().find_map(|line| line.trim().strip_prefix("compare all four"));
        let address = line.expect("it is printed").trim().to_owned();
        let ports = iter::zip(SERVERS, &self.ports);
        ports.fold(address, |address, (name, port)| format!("{address}&{name}={port}"))
    }

    fn page(&self, name: &str) -> String {
        let place = SERVERS.iter().position(|server| *server == name).expect("it is one of four");
        format!("http://localhost:{}/html/index.html", self.ports[place])
    }
}

impl Drop for All {
    fn drop(&mut self) {
        if let Some(pid) = self.script.id().and_then(|pid| pid.try_into().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM); // it may have ended
        }
    }
}

/// Opens a page in a tab of its own, and waits for its status.
async fn open_tab(browser: &Browser, url: &str, status: &str) -> String {
    let tab = browser.open_window().await;
    browser.open(url).await;
    until_status(browser, status).await;
    tab
}

async fn until_status(browser: &Browser, status: &str) {
    let said = "document.querySelector('#status').textContent";
    browser
        .until(&format!("the status {status:?}"), &format!("{said}.startsWith('{status}')"))
        .await;
}

async fn picture(browser: &Browser, name: &str) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target");
    browser.picture(&target.join(format!("screenshots/lesson-{name}.png"))).await;
}

fn frame(name: &str) -> String {
    format!("iframe[data-technique={name}]")
}

/// The text of a row of *On the wire* that has this in it, the newest of them.
async fn row_with(browser: &Browser, text: &str) -> String {
    let rows = "[...document.querySelectorAll('#wire > li')]";
    let row = format!("{rows}.findLast((row) => row.textContent.includes('{text}'))?.textContent");
    let row = browser.until(&format!("{text:?} on the wire"), &row).await;
    row.as_str().expect("it is a text").to_owned()
}

/// Types a message on a technique's page, or in the comparison, and presses its button.
async fn send(browser: &Browser, text: &str) {
    browser.fill("#text", text).await;
    browser.click("#send").await;
}

/// Moves a slider by its keys.
async fn move_slider(browser: &Browser, selector: &str, key: Key) {
    browser.run("document.querySelector(arguments[0]).focus()", &[selector.into()]).await;
    browser.press(&[key]).await;
}

/// Sends one message to all four, and waits until it is back by all of them: the milliseconds that
/// each took, in the order of [`SERVERS`], and the sentence below.
async fn send_to_all(browser: &Browser) -> (Vec<f64>, String) {
    const TOOK: &str = "[...document.querySelectorAll('#results .this')]
        .map((cell) => parseFloat(cell.textContent.replaceAll(',', '')))";
    browser.click("#send").await;
    let back = format!("{TOOK}.every((number) => number > 0)");
    browser.until("all four have it", &back).await;
    let took = browser.value(TOOK).await;
    let took = took.as_array().expect("it is a list").iter();
    let summary = browser.value("document.querySelector('#summary').textContent").await;
    let summary = summary.as_str().expect("it is a text").to_owned();
    (took.map(|number| number.as_f64().expect("it is a number")).collect(), summary)
}

/// The whole lesson. Each part is named as its section is.
#[tokio::test]
async fn the_lesson() {
    let mut all = All::start(|_, _| {}).await;
    let browser = Browser::start().await;
    let comparison = browser.window().await;
    browser.view(View { width: 1280, height: 720, ..View::default() }).await;
    one_message_four_ways(&all, &browser).await;
    polling(&all, &browser).await;
    long_polling(&all, &browser).await;
    server_sent_events(&mut all, &browser, &comparison).await;
    websockets(&all, &browser).await;
}

async fn one_message_four_ways(all: &All, browser: &Browser) {
    browser.open(&all.comparison()).await;
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_status(browser, "connected").await;
        browser.enter_frame(None).await;
    }
    let invite = "document.querySelector('#invite').hidden";
    assert_eq!(browser.value(invite).await, true, "nobody else could come");
    // Right behind a poll: now and then polling is lucky.
    browser.enter_frame(Some(&frame("polling"))).await;
    let requests = "Number(document.querySelector('#count-requests').textContent)";
    let before = browser.value(requests).await;
    browser.until("the next poll", &format!("{requests} > {before}")).await;
    browser.enter_frame(None).await;
    let (took, summary) = send_to_all(browser).await;
    assert!(took[1..].iter().all(|other| *other < took[0]), "polling is not the last: {took:?}");
    assert!(summary.contains("Last: Polling after "), "{summary}");
    picture(browser, "comparison").await;

    move_slider(browser, "#round-trip", Key::End).await;
    let distance = "document.querySelector('#distance output').value";
    browser.until("300 ms", &format!("{distance} === '300 ms'")).await;
    let (took, _) = send_to_all(browser).await;
    assert!(took.iter().all(|milliseconds| *milliseconds >= 300.0), "{took:?}");
    move_slider(browser, "#round-trip", Key::Home).await;
    browser.until("0 ms", &format!("{distance} === '0 ms'")).await;

    // Once what came in the end is counted.
    let polled = format!("{SO_FAR}[0] > ");
    for _ in 0..2 {
        let [polling, ..] = so_far(browser).await;
        browser.until("the next poll", &format!("{polled} {polling}")).await;
    }
    let before = so_far(browser).await;
    browser.until("polling's bytes go on", &format!("{polled} {}", before[0])).await;
    let after = so_far(browser).await;
    assert_eq!(after[2..], before[2..], "those of the others stand still");
    picture(browser, "so-far").await;
}

/// *Bytes so far*, in the order of [`SERVERS`].
const SO_FAR: &str = "[...document.querySelectorAll('#results .so-far')]
    .map((cell) => Number(cell.textContent.replaceAll(',', '')))";

async fn so_far(browser: &Browser) -> [u64; 4] {
    serde_json::from_value(browser.value(SO_FAR).await).expect("they are four numbers")
}

async fn polling(all: &All, browser: &Browser) {
    open_tab(browser, &all.page("polling"), "connected").await;
    row_with(browser, "the client waits").await;
    move_slider(browser, "#interval", Key::Home).await;
    let interval = "document.querySelector('#interval-output').value === '0.5 s'";
    browser.until("it asks every 0.5 s", interval).await;
    let nothing = row_with(browser, "200 []").await;
    row_with(browser, "the client waits 0.5 s").await;

    // What curl gets has as many bytes.
    let address = format!("http://localhost:{}", all.ports[0]);
    let newest = reqwest::get(&address).await.expect("it answers").text().await.expect("text");
    let id = newest.split(|c: char| !c.is_ascii_digit()).find(|number| number.len() == 16);
    let address = format!("{address}/api/messages?after={}", id.expect("it has an id"));
    let curl = Command::new("curl").args(["-si", "--noproxy", "*", &address]).output().await;
    let answer = curl.expect("curl is there").stdout;
    assert!(answer.ends_with(b"[]"), "{}", String::from_utf8_lossy(&answer));
    let bytes = format!("{} bytes", answer.len());
    assert!(nothing.contains(&format!(" {bytes}")), "{nothing}, but curl gets {bytes}");
    let shown = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../LESSON.md"));
    let shown = shown.expect("it is there").contains(&format!("in an answer of {},", answer.len()));
    assert!(shown, "the lesson says something else than {bytes}");
    picture(browser, "polling").await;
}

async fn long_polling(all: &All, browser: &Browser) {
    open_tab(browser, &all.page("long-polling"), "connected").await;
    browser.until("a request is held", "document.querySelector('#wire > .held .bar')").await;
    send(browser, "Hello").await;
    row_with(browser, "200 [1 update]").await;
    browser.until("the bar has ended", "document.querySelector('#wire > .was-held')").await;
    browser.until("the next is held", "document.querySelector('#wire > .held .bar')").await;

    browser.fill("#hold", "2").await;
    send(browser, "Hello again").await;
    row_with(browser, "Prefer: wait=2").await;
    row_with(browser, "204 No Content").await;
    let next = "document.querySelectorAll('#wire > .up').length";
    let before = browser.value(next).await;
    browser.until("it asks again", &format!("{next} > {before}")).await;
    picture(browser, "long-polling").await;
}

async fn server_sent_events(all: &mut All, browser: &Browser, comparison: &str) {
    const RECEIVED: &str = "document.querySelector('#updates').textContent";
    let page = all.page("server-sent-events");
    let first = open_tab(browser, &page, "connected").await;
    row_with(browser, "200 text/event-stream").await;
    row_with(browser, "data: Real-Time Update 1").await;

    // The cable.
    browser.click("#cut").await;
    send(browser, "Hello").await;
    let refused = "document.querySelector('#refused').textContent";
    browser.until("it is refused", &format!("{refused} === 'Not sent: the cable is cut.'")).await;
    browser.switch_to(comparison).await;
    browser.fill("#text", "You were away").await;
    send_to_all(browser).await;
    browser.switch_to(&first).await;
    assert_eq!(browser.value(&format!("{RECEIVED}.includes('You were away')")).await, false);
    browser.click("#plug").await;
    browser.until("it is here", &format!("{RECEIVED}.includes('You were away')")).await;
    let request = row_with(browser, "GET /server-sent-events?after=").await;
    assert!(!request.contains("after=0") && !request.contains("Last-Event-ID"), "{request}");
    picture(browser, "cable").await;

    // The server.
    let key = all.ports[2].to_string();
    all.type_line(&key).await;
    until_status(browser, "reconnecting in 3 s (the browser, by itself)").await;
    all.until_printed(&format!("stopped; {key} and Enter")).await;
    all.type_line(&key).await;
    until_status(browser, "connected").await;
    let again = row_with(browser, "Last-Event-ID: ").await;
    let address = |row: &str| {
        row[row.find("GET ").expect("it is a request")..]
            .split_whitespace()
            .nth(1)
            .map(str::to_owned)
    };
    assert_eq!(address(&again), address(&request), "the browser asks for what it asked for");
    row_with(browser, "some updates are no longer kept").await;
    picture(browser, "server").await;

    // Six connections: a frame of the comparison, and five tabs.
    let mut tabs = vec![first];
    for _ in 0..4 {
        tabs.push(open_tab(browser, &page, "connected").await);
    }
    // Opened by this page, as the driver would wait until it is loaded.
    browser.run("window.sixth = open(arguments[0])", &[page.into()]).await;
    send(browser, "Is anybody there?").await;
    let no_answer = format!("{refused}.startsWith('No answer from the server.')");
    browser.until("it is not sent", &no_answer).await;
    picture(browser, "six-connections").await;
    assert_eq!(browser.value("sixth.location.href").await, "about:blank", "it has a connection");
    browser.switch_to(comparison).await;
    browser.devtools("Page.close", json!({})).await;
    browser.switch_to(&tabs[4]).await;
    let loaded = "sixth.document.querySelector('#status')?.textContent.startsWith('connected')";
    browser.until("the sixth tab has its page", loaded).await;
    browser.run("sixth.close()", &[]).await;
    for tab in &tabs[1..] {
        browser.switch_to(tab).await;
        browser.devtools("Page.close", json!({})).await;
    }
    browser.switch_to(&tabs[0]).await;
    browser.open_window().await;
    browser.open(&all.comparison()).await;
    browser.enter_frame(Some(&frame("server-sent-events"))).await;
    until_status(browser, "connected").await;
    browser.enter_frame(None).await;
}

async fn websockets(all: &All, browser: &Browser) {
    let page = all.page("websockets");
    open_tab(browser, &page, "connected").await;
    row_with(browser, "101 Switching Protocols").await;
    send(browser, "Hello").await;
    let up = "[...document.querySelectorAll('#wire > .up')].findLast(
        (row) => row.textContent.includes('frame \"Hello\"'))?.textContent";
    let up = browser.until("the frame up", up).await;
    assert!(up.as_str().is_some_and(|row| row.ends_with(" 11 bytes")), "{up}");
    let down = "[...document.querySelectorAll('#wire > .down')].findLast(
        (row) => row.textContent.includes('frame \"Hello\"'))";
    browser.until("the frame down", down).await;
    picture(browser, "websockets").await;
    for _ in 0..6 {
        open_tab(browser, &page, "connected").await;
    }
}

/// Stands in for `qrencode`, which need not be here.
const QRENCODE: &str = r#"#!/usr/bin/env bash
case $* in
"-t ANSIUTF8 http://"*) echo "QR code of $3" ;;
"-t SVG -o "*)
    echo '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path d="M1 1h2v2z"/></svg>' >"$4" ;;
*) exit 1 ;;
esac
"#;

/// In a room of phones, the address is printed as a QR code, and the comparison shows it on demand.
#[tokio::test]
async fn phones_are_invited() {
    let mut all = All::start(|session, command| {
        // Whatever the script is told, the servers of a test listen on this machine only.
        let cargo = session.folder.join("bin/cargo");
        let text = fs::read_to_string(&cargo).expect("it is there");
        write_script(&cargo, &text.replace("set -u\n", "set -u\nexport HOST=127.0.0.1\n"));
        write_script(&session.folder.join("bin/qrencode"), QRENCODE);
        command.env("HOST", "0.0.0.0");
    })
    .await;
    let code = all.until_printed("QR code of http://").await;
    let address = code.trim().strip_prefix("QR code of ").expect("it is printed so").to_owned();
    assert!(
        address.ends_with(&format!(":{}/public/compare/index.html", all.ports[0])),
        "{address}"
    );
    assert!(!address.contains("localhost"), "{address} is nobody else's");
    let written = all.until_printed("compare all four").await;
    assert!(written.ends_with(&format!(" {address}")), "{written}: the slider is the teacher's");
    all.until_printed("everybody in this network can read along and write").await;

    let browser = Browser::start().await;
    for (width, height) in [(1280, 720), (360, 740)] {
        browser.view(View { width, height, ..View::default() }).await;
        browser.open(&all.comparison()).await;
        browser.until("the button", "!document.querySelector('#invite').hidden").await;
        assert_eq!(browser.label("#invite").await, "Invite phones");
        browser.click("#invite").await;
        let loaded = "document.querySelector('#invitation[open] img').naturalWidth";
        browser.until("the picture is shown", loaded).await;
        assert_eq!(browser.role("#invitation").await, "dialog");
        assert_eq!(browser.label("#invitation img").await, format!("QR code of {address}"));
        let text = browser.value("document.querySelector('#invitation p').textContent").await;
        assert_eq!(text, *address);
        let inside = "(({ top, bottom, left, right }) =>
            top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth)
            (document.querySelector('#invitation').getBoundingClientRect())";
        assert_eq!(browser.value(inside).await, true, "all of it is in view at {width} pixels");
        picture(&browser, &format!("invitation-{width}")).await;
        browser.press(&[Key::Escape]).await;
        browser.until("it is closed", "!document.querySelector('#invitation').open").await;
        picture(&browser, &format!("comparison-{width}")).await;
    }
}

/// With `--step`, each of the four scripts waits for Enter before each command; without anybody who
/// could press it, it runs to its end.
#[tokio::test]
async fn step_by_step() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let session = Session::start(&root);
    let script = |name: &str, input: Stdio| {
        let mut command = Command::new(root.join(format!("scripts/{name}.sh")));
        set_environment(&mut command, &session.folder);
        command.arg("--step").stdin(input).stdout(Stdio::piped());
        command.spawn().expect("bash is there")
    };
    for name in SERVERS {
        let mut process = script(name, Stdio::piped());
        let mut keys = process.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut commands = 0;
        while let Some(line) = soon("more", lines.next_line()).await.expect("it is text") {
            if !line.starts_with("$ ") {
                continue;
            }
            commands += 1;
            // The rest of a long command, and then nothing.
            let moment = Duration::from_millis(300);
            while let Ok(more) = timeout(moment, lines.next_line()).await {
                let more = more.expect("it is text").unwrap_or("the end".into());
                assert!(more.starts_with("    -"), "{name} does not wait: {line}\n{more}");
            }
            keys.write_all(b"\n").await.expect("it waits for it");
        }
        assert!(commands >= 5, "{name} shows {commands} commands");
        assert!(process.wait().await.expect("it ends").success(), "{name}");

        let output = script(name, Stdio::null()).wait_with_output().await.expect("it ends");
        let shown = String::from_utf8_lossy(&output.stdout).matches("\n$ ").count();
        assert!(output.status.success(), "{name}");
        assert_eq!(shown, commands, "{name} runs to its end");
    }
}

/// The homework: its command says of the naive server what the lesson says that it says.
#[tokio::test]
async fn the_homework() {
    if Command::new("node").arg("--version").output().await.is_err() {
        return eprintln!("not tried: there is no Node (https://nodejs.org, 20 or newer)");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let lesson = fs::read_to_string(root.join("scripts/LESSON.md")).expect("it is there");
    let mut lines = lesson.lines().skip_while(|line| !line.starts_with("$ scripts/check.sh "));
    let homework = lines.next().expect("there is one").trim_start_matches("$ ");
    let last = lines.nth(1).expect("it shows the last line");

    let session = Session::start(&root);
    let mut command = Command::new("bash");
    set_environment(&mut command, &session.folder);
    let output = command.args(["-c", homework]).current_dir(&root).output();
    let output = soon("its end", output).await.expect("bash is there");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.trim_end().lines().last(), Some(last), "{printed}");
    let has = |result: &str, sentence: &str| {
        let words = |line: &str| line.split_whitespace().take(2).eq([result, sentence]);
        assert!(printed.lines().any(words), "{sentence} {result} not:\n{printed}");
    };
    has("holds", "1.3");
    has("holds", "1.7");
    has("FAILS", "2.2");
    assert!(!output.status.success(), "{printed}");
}
