//! A real browser over the pages: finds Chromium (or Chrome), Firefox or WebKit and its driver, starts
//! both, and is their WebDriver client. Dropped, both are gone, and whatever they left on the disk.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process, time::Duration};

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};
use url::{ParseError, Url};

use crate::server::free_port;

pub use fantoccini::key::Key;

/// How long a page has for what it should do. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A browser is some ten processes: more than two at a time slow each other down.
static PLACES: Semaphore = Semaphore::const_new(2);

/// How a window shows a page.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// How many pixels of the screen make one CSS pixel.
    pub scale: f64,
    /// `prefers-color-scheme: dark`.
    pub dark: bool,
    /// `prefers-reduced-motion: reduce`.
    pub reduced_motion: bool,
}

impl Default for View {
    fn default() -> Self {
        View { width: 1280, height: 800, scale: 1.0, dark: false, reduced_motion: false }
    }
}

/// A browser's engine: there are three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Chromium or Chrome: always tried, and the only one whose pixels are looked at.
    Chromium,
    /// Firefox, with geckodriver.
    Firefox,
    /// WebKitGTK's MiniBrowser, on a screen of Xvfb's.
    WebKit,
}

impl Engine {
    /// `chromium`, `firefox`, `webkit`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Engine::Chromium => "chromium",
            Engine::Firefox => "firefox",
            Engine::WebKit => "webkit",
        }
    }

    /// Whether its browser and its driver are here.
    #[must_use]
    pub fn is_here(self) -> bool {
        self.programs().is_some()
    }

    /// Its browser and its driver, where both are here.
    fn programs(self) -> Option<(PathBuf, PathBuf)> {
        let (browser, driver) = match self {
            Engine::Chromium => (find("CHROME", &BROWSERS), find("CHROMEDRIVER", &DRIVERS)),
            Engine::Firefox => (
                find("FIREFOX", &["firefox-esr", "firefox"]),
                find("GECKODRIVER", &["geckodriver"]).or_else(cargos_geckodriver),
            ),
            Engine::WebKit => {
                find("", &["xvfb-run"])?;
                (find("", &MINI_BROWSERS), find("", &["WebKitWebDriver"]))
            }
        };
        browser.zip(driver)
    }

    /// What the shell starts as the driver; `$0` is its program, `$PORT` where it listens.
    fn command(self) -> &'static str {
        match self {
            Engine::Chromium => r#""$0" --port="$PORT""#,
            Engine::Firefox => r#""$0" --port "$PORT" --profile-root "$TMPDIR""#,
            Engine::WebKit => r#"xvfb-run -a -s '-screen 0 1600x1200x24' "$0" --port="$PORT""#,
        }
    }

    fn capabilities(self, browser: &Path, profile: &Path, dark: bool) -> Capabilities {
        let mut capabilities = match self {
            Engine::Chromium => json!({
                "goog:chromeOptions": { "binary": browser, "args": arguments(profile) },
                "goog:loggingPrefs": { "browser": "ALL" },
            }),
            Engine::Firefox => json!({ "moz:firefoxOptions": {
                "binary": browser,
                "args": ["-headless"],
                "prefs": { "layout.css.prefers-color-scheme.content-override": i32::from(!dark) },
            }}),
            Engine::WebKit => json!({
                "webkitgtk:browserOptions": { "binary": browser, "args": ["--automation"] },
            }),
        };
        capabilities["unhandledPromptBehavior"] = "ignore".into();
        capabilities["acceptInsecureCerts"] = (self == Engine::Chromium).into(); // a test's own
        capabilities.as_object().expect("it is one").clone()
    }
}

/// A browser with a fresh profile, and its driver. Dropped, also by a panic, both are killed.
pub struct Browser {
    client: Client,
    engine: Engine,
    _process: Processes,
    _place: SemaphorePermit<'static>,
}

/// The driver's process group, which the browser's processes belong to, and their folder.
struct Processes {
    shell: Child,
    folder: PathBuf,
}

impl Browser {
    /// Starts Chromium with a fresh profile, one empty window open.
    ///
    /// # Panics
    /// Where there is no browser or no driver: says what is missing, and how to get it.
    pub async fn start() -> Browser {
        Browser::start_engine(Engine::Chromium, false).await
    }

    /// Starts a browser of this engine, on a desktop that is dark or not. (Chromium's theme is
    /// [`Browser::view`]'s matter.)
    ///
    /// # Panics
    /// As [`Browser::start`] does.
    pub async fn start_engine(engine: Engine, dark: bool) -> Browser {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (browser, driver) = engine.programs().unwrap_or_else(|| {
            panic!(
                "The pages are tried in a real browser, and it is missing: no {engine:?} is here, \
                 or no driver. Debian and Ubuntu have it: apt-get install chromium chromium-driver \
                 (or firefox-esr and, with cargo install, geckodriver; or webkit2gtk-driver xvfb \
                 xauth). Or name your own: CHROME=/path/to/chrome CHROMEDRIVER=/path/to/chromedriver"
            )
        });
        let place = PLACES.acquire().await.expect("it is never closed");

        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("lab-{}-{count}", process::id()));
        fs::create_dir(&folder).expect("the folder for temporary files can be written to");
        // The driver leaves the browser running when it is killed, so a shell stands above both.
        // When this process ends, however it ends, the shell's input ends: it ends them then, and
        // takes the folder away once the browser has written its last file.
        let end = r#"trap '' TERM; kill 0; wait
            for try in 1 2 3 4 5; do rm -rf "$TMPDIR" 2>/dev/null && break; sleep 1; done
            kill -s KILL 0"#;
        let port = free_port();
        let shell = Command::new("sh")
            .args(["-c", &format!("{} & exec >/dev/null; cat; {end}", engine.command())])
            .arg(&driver)
            .env("TMPDIR", &folder)
            .env("HOME", &folder) // what a browser keeps for its user goes with the folder
            .env("PORT", port.to_string())
            .env("GTK_THEME", if dark { "Adwaita:dark" } else { "Adwaita" }) // WebKit's
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("there is a shell");
        let process = Processes { shell, folder };
        let listens = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listens).await.unwrap_or_else(|_| {
            panic!("{} does not listen at port {port}", driver.display());
        });

        let profile = process.folder.join("profile");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(engine.capabilities(&browser, &profile, dark))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("{} does not start: {error}", browser.display()));
        let browser = Browser { client, engine, _process: process, _place: place };
        browser.view(View { dark, ..View::default() }).await;
        browser
    }

    /// Which browser it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Goes back to the page before, as the button does.
    pub async fn back(&self) {
        self.client.back().await.expect("there is a page before");
    }

    /// Opens a page in the current window.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Opens another window, makes it the current one, and says how it is called.
    pub async fn open_window(&self) -> String {
        let window: String =
            self.client.new_window(false).await.expect("a window opens").handle.into();
        self.switch_to(&window).await;
        self.view(View::default()).await;
        window
    }

    /// Closes the current window. Another one has to be made the current one then.
    pub async fn close_window(&self) {
        self.client.close_window().await.expect("it is open");
    }

    /// How the current window is called.
    pub async fn window(&self) -> String {
        self.client.window().await.expect("there is a window").into()
    }

    /// Makes a window the current one.
    pub async fn switch_to(&self, window: &str) {
        let handle = window.to_owned().try_into().expect("it is a window's name");
        self.client.switch_to_window(handle).await.expect("the window is open");
    }

    /// Makes the frame that the selector finds the current one; without one, the page itself.
    pub async fn enter_frame(&self, selector: Option<&str>) {
        let id = match selector {
            Some(selector) => json!(self.find(selector).await),
            None => Value::Null,
        };
        self.send(Method::POST, "frame", Some(json!({ "id": id }))).await;
    }

    /// Shows the current window in this size and theme; without Chromium's own protocol, the window
    /// only gets the size.
    pub async fn view(&self, view: View) {
        if self.engine != Engine::Chromium {
            let sized = self.client.set_window_size(view.width, view.height).await;
            return sized.expect("a window can be made larger or smaller");
        }
        let size = json!({
            "width": view.width,
            "height": view.height,
            "deviceScaleFactor": view.scale,
            "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let theme = if view.dark { "dark" } else { "light" };
        let motion = if view.reduced_motion { "reduce" } else { "no-preference" };
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Runs JavaScript in the page, the body of a function, and gives what it returns.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let result = self.client.execute(script, arguments.to_vec()).await;
        result.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The value of a JavaScript expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};"), &[]).await
    }

    /// Waits until a JavaScript expression in the page is true (or truthy), and gives its value.
    ///
    /// # Panics
    /// When it is not within [`PATIENCE`]: says what was awaited, and what the page shows instead.
    pub async fn until(&self, awaited: &str, expression: &str) -> Value {
        let script = format!("return {expression};");
        let end = Instant::now() + PATIENCE;
        loop {
            // While a page is being loaded there is nothing to run it in: then it is not true yet.
            let value = self.client.execute(&script, Vec::new()).await.unwrap_or_default();
            if !matches!(&value, Value::Null | Value::Bool(false)) && value != 0 && value != "" {
                return value;
            }
            if Instant::now() > end {
                let text = "return location.href + '\\n' + document.body.innerText;";
                let text = self.client.execute(text, Vec::new()).await.unwrap_or_default();
                let text = text.as_str().unwrap_or_default();
                panic!("in vain: {awaited}\n{expression}\nis {value} on the page\n{text}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The element that the selector finds.
    pub async fn find(&self, selector: &str) -> Element {
        let found = self.client.find(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks on the element that the selector finds, as a mouse does.
    pub async fn click(&self, selector: &str) {
        let clicked = self.find(selector).await.click().await;
        clicked.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys one after the other.
    pub async fn press(&self, keys: &[Key]) {
        let mut actions = KeyActions::new("keyboard".into());
        for key in keys {
            actions = actions.then(KeyAction::Down { value: (*key).into() });
            actions = actions.then(KeyAction::Up { value: (*key).into() });
        }
        self.client.perform_actions(actions).await.expect("keys can be pressed");
    }

    /// Puts text where the focus is, all at once, as an input method or the clipboard does
    /// (Chromium only).
    pub async fn insert(&self, text: &str) {
        self.devtools("Input.insertText", json!({ "text": text })).await;
    }

    /// Puts text into a field, in the place of what is there.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.run("document.querySelector(arguments[0]).select()", &[json!(selector)]).await;
        if self.engine == Engine::Chromium {
            return self.insert(text).await;
        }
        // By its selector: WebKit's driver does not know what has the focus in a frame.
        let filled = self.find(selector).await.send_keys(text).await;
        filled.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// The role of an element as assistive technology sees it (WAI-ARIA).
    pub async fn role(&self, selector: &str) -> String {
        self.computed(selector, "computedrole").await
    }

    /// The accessible name of an element as assistive technology sees it.
    pub async fn label(&self, selector: &str) -> String {
        self.computed(selector, "computedlabel").await
    }

    async fn computed(&self, selector: &str, what: &str) -> String {
        let id = self.find(selector).await.element_id();
        let path = format!("element/{id}/{what}");
        let value = self.send(Method::GET, &path, None).await;
        value.as_str().expect("it is a text").to_owned()
    }

    /// The errors on Chromium's console since this was last asked.
    pub async fn console_errors(&self) -> Vec<String> {
        let log = self.send(Method::POST, "se/log", Some(json!({ "type": "browser" }))).await;
        let entries = log.as_array().expect("it is a list").iter();
        let errors = entries.filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Asks the browser for something through its debugging protocol (CDP).
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.send(Method::POST, "goog/cdp/execute", Some(body)).await
    }

    /// How many pixels the current window shows of such a colour: a part of it, a rectangle of x, y,
    /// width and height in CSS pixels, and what a JavaScript expression says of `red`, `green` and
    /// `blue`, each 0 to 255.
    pub async fn pixels(&self, part: [f64; 4], colour: &str) -> u64 {
        // The page itself reads the picture: so no library is needed for it.
        let script = format!(
            "const image = new Image();
            image.src = 'data:image/png;base64,' + arguments[0];
            return image.decode().then(() => {{
                const scale = image.width / innerWidth;
                const [x, y, width, height] = arguments[1].map((pixels) => pixels * scale);
                const canvas = new OffscreenCanvas(image.width, image.height);
                const context = canvas.getContext('2d');
                context.drawImage(image, 0, 0);
                const {{ data }} = context.getImageData(x, y, width, height);
                let number = 0;
                for (let n = 0; n < data.length; n += 4) {{
                    const [red, green, blue] = data.slice(n, n + 3);
                    if ({colour}) number += 1;
                }}
                return number;
            }});"
        );
        let picture = self.send(Method::GET, "screenshot", None).await;
        let number = self.run(&script, &[picture, json!(part)]).await;
        number.as_u64().expect("it is a number")
    }

    /// What the current window shows, as a PNG file.
    pub async fn picture(&self, file: &Path) {
        let folder = file.parent().expect("the file is in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(file, self.screenshot().await).expect("the picture can be written");
    }

    /// What the current window shows, as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture can be taken")
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let command = Extra { method, path: path.to_owned(), body };
        let value = self.client.issue_cmd(command).await;
        value.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Some(group) = self.shell.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        // A killed process may still write its last file: then there is another try.
        let _ = (0..100).find(|_| fs::remove_dir_all(&self.folder).is_ok());
    }
}

/// A command that the client has no method for.
#[derive(Debug)]
struct Extra {
    method: Method,
    /// Below the session's own.
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(Value::to_string))
    }
}

/// Chromium's own.
fn arguments(profile: &Path) -> Vec<String> {
    let arguments = [
        "--headless",
        "--no-sandbox", // a container lets nobody make one; the pages are our own
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP *.test 127.0.0.1", // a server on another machine, so to speak
    ];
    let profile = format!("--user-data-dir={}", profile.display());
    arguments.into_iter().map(Into::into).chain([profile]).collect()
}

/// Where `cargo install geckodriver` puts it, also when that is not in the `PATH`.
fn cargos_geckodriver() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin/geckodriver")).filter(|file| file.is_file())
}

/// Where WebKitGTK's small browser is, in Debian and in Fedora.
const MINI_BROWSERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.0/MiniBrowser",
    "/usr/lib/aarch64-linux-gnu/webkit2gtk-4.0/MiniBrowser",
    "/usr/libexec/webkit2gtk-4.1/MiniBrowser",
    "/usr/libexec/webkit2gtk-4.0/MiniBrowser",
];

/// Where Chromium and Chrome are: a name in the `PATH`, or a file.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// Where their driver is.
const DRIVERS: [&str; 2] = ["chromedriver", "/usr/lib/chromium-browser/chromedriver"];

/// The program that the variable names, or the first of the candidates that is there.
fn find(variable: &str, candidates: &[&str]) -> Option<PathBuf> {
    let named = (!variable.is_empty()).then(|| env::var_os(variable)).flatten();
    if let Some(program) = named.filter(|program| !program.is_empty()) {
        return Some(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    let mut files =
        candidates.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
    files.find(|file| file.is_file())
}
