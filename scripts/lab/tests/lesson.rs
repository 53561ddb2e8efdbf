//! The lesson of `scripts/LESSON.md` in a real browser, in its order: what it says to click is
//! clicked, and what it says is seen is there. (Its commands are run by `readmes.rs`.)
//!
//! `cargo test -p lab --test lesson`. It needs Chromium or Chrome and its driver.

#[path = "readmes/session.rs"]
#[expect(dead_code, reason = "only its folder and its environment are used here")]
mod session;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::{fs, iter};

use lab::browser::{Browser, Key, View};
use lab::{SERVERS, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use session::{Session, set_environment, write_script};

/// `scripts/all.sh`, of which the ports are others.
struct All {
    script: Child,
    keys: ChildStdin,
    printed: watch::Receiver<Vec<String>>,
    /// In the order of [`SERVERS`].
    ports: Vec<u16>,
    /// Its folder goes with it.
    session: Session,
}

impl All {
    /// Starts it, and waits until all four listen.
    async fn start(prepare: impl Fn(&Session, &mut Command)) -> All {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let session = Session::start(&root);
        let script = fs::read_to_string(root.join("scripts/all.sh")).expect("it is there");
        let ports: Vec<_> = iter::repeat_with(free_port).take(4).collect();
        let others = iter::zip(8001.., &ports).fold(script, |script, (port, other): (u16, _)| {
            script.replace(&port.to_string(), &other.to_string())
        });
        let copy = session.folder.join("scripts/all.sh");
        write_script(&copy, &others);
        let mut command = Command::new(copy);
        set_environment(&mut command, &session.folder);
        prepare(&session, &mut command);
        command.env("QUIET", "1").kill_on_drop(true);
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
        let mut all = All { script, keys, printed, ports, session };
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

/// A port that nobody listens on, and that nobody gets who asks for any free one.
fn free_port() -> u16 {
    let mut ports = iter::repeat_with(|| rand::random_range(20_000..32_000));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("there is no end of them")
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
    browser.until(&format!("the status {status:?}"), &format!("{said}.startsWith('{status}')")).await;
}

/// Waits until a row of *On the wire* has this text in it.
async fn until_on_the_wire(browser: &Browser, text: &str) {
    let rows = "document.querySelector('#wire').textContent";
    browser.until(&format!("{text:?} on the wire"), &format!("{rows}.includes('{text}')")).await;
}

async fn picture(browser: &Browser, name: &str) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target");
    browser.picture(&target.join(format!("screenshots/lesson-{name}.png"))).await;
}

fn frame(name: &str) -> String {
    format!("iframe[data-technique={name}]")
}

/// Waits until all four pages in the comparison are connected.
async fn comparison_is_ready(browser: &Browser) {
    for name in SERVERS {
        browser.enter_frame(Some(&frame(name))).await;
        until_status(browser, "connected").await;
        browser.enter_frame(None).await;
    }
}

#[tokio::test]
async fn explore() {
    let mut all = All::start(|_, _| {}).await;
    let browser = Browser::start().await;
    browser.view(View { width: 1280, height: 720, ..View::default() }).await;
    let comparison = browser.window().await;
    browser.open(&all.comparison()).await;
    comparison_is_ready(&browser).await;
    browser.click("#send").await;
    browser.until("summary", "document.querySelector('#summary').textContent.startsWith('First')").await;
    eprintln!("{}", browser.value("document.querySelector('#results').innerText + document.querySelector('#summary').textContent").await);
    for key in [Key::End] {
        browser.run("document.querySelector('#round-trip').focus()", &[]).await;
        browser.press(&[key]).await;
        browser.until("d", "document.querySelector('#distance output').value === '300 ms'").await;
        for _ in 0..2 {
            browser.click("#send").await;
            browser.until("none", "![...document.querySelectorAll('#results .status')].some((it) => it.textContent === 'on its way')").await;
            eprintln!("{}", browser.value("document.querySelector('#results').innerText + document.querySelector('#summary').textContent").await);
        }
    }
    browser.run("document.querySelector('#round-trip').focus()", &[]).await;
    browser.press(&[Key::Home]).await;
    picture(&browser, "explore-compare").await;
    let sse = open_tab(&browser, &all.page("server-sent-events"), "connected").await;
    let port = all.ports[2].to_string();
    all.type_line(&port).await;
    all.until_printed("stopped; ").await;
    until_status(&browser, "reconnecting").await;
    let said = "document.querySelector('#status').textContent";
    eprintln!("{}", browser.value(said).await);
    all.type_line(&port).await;
    until_status(&browser, "connected").await;
    eprintln!("{}", browser.value("document.querySelector('#wire').innerText").await);
    picture(&browser, "explore-sse").await;
    for n in 0..4 {
        open_tab(&browser, &all.page("server-sent-events"), "connected").await;
        eprintln!("tab {n} connected");
    }
    let last = browser.open_window().await;
    let url = all.page("server-sent-events");
    browser.run("location.href = arguments[0]", &[url.into()]).await;
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    browser.switch_to(&comparison).await;
    eprintln!("{}", browser.value("document.querySelector('#results').innerText").await);
    browser.switch_to(&last).await;
    eprintln!("last: {}", browser.value("[location.href, document.body?.innerText]").await);
    browser.switch_to(&comparison).await;
    browser.open("about:blank").await;
    browser.switch_to(&last).await;
    until_status(&browser, "connected").await;
    let _ = sse;
    let _ = &all.session;
}
