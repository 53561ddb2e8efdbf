//! The pages somewhere else than on the machine in front of you: behind a forwarder that gives each
//! port a name, or a path.

use std::io;
use std::sync::Arc;

use lab::browser::Engine;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};

use super::*;

/// Asks a function of `public/page/neighbour.js`.
async fn ask(browser: &Browser, function: &str, arguments: &[&str]) -> serde_json::Value {
    let ask = "return import('/public/page/neighbour.js')
        .then((module) => module[arguments[0]](...arguments[1]) ?? 'undefined')";
    browser.run(ask, &[json!(function), json!(arguments)]).await
}

/// Where a page finds the servers beside its own: by the port in its name, in its path, or behind
/// its name. The scheme stays.
#[tokio::test]
async fn where_a_neighbour_is() {
    let server = Server::start("polling").await;
    let browser = Browser::start().await;
    browser.open(&server.url("/public/style.css")).await;
    let addresses = [
        ("http://localhost:8004/html/index.html", "8001", "http://localhost:8001/"),
        ("http://[::1]:8004/html/index.html?after=8004#8004", "8001", "http://[::1]:8001/"),
        ("http://[2001:db8::8004]:9004/html/", "8001", "http://[2001:db8::8004]:8001/"),
        ("http://192.168.0.5:9004/html/index.html", "9001", "http://192.168.0.5:9001/"),
        ("http://localhost:8004/public/compare/index.html", "80", "http://localhost/"),
        ("http://lab-8004:8004/html/index.html", "8001", "http://lab-8004:8001/"),
        // Kinds of forwarding: the port in the name, at its end, at its beginning, alone.
        ("https://name-8004.app.example.dev/html/", "8001", "https://name-8001.app.example.dev/"),
        ("https://8004-name.ws.example.dev/html/", "8003", "https://8003-name.ws.example.dev/"),
        ("https://8004--main--ann.example.dev/", "8003", "https://8003--main--ann.example.dev/"),
        ("https://8002.example.dev/public/compare/", "8000", "https://8000.example.dev/"),
        ("http://8004.localhost:8080/html/index.html", "8001", "http://8001.localhost:8080/"),
        ("https://class-2026.example.org/html/", "8001", "https://class-2026.example.org:8001/"),
        ("https://a18004.example.org/html/", "8001", "https://a18004.example.org:8001/"),
        // In the path.
        (
            "https://hub.example.org/user/ann/proxy/8004/html/index.html",
            "8001",
            "https://hub.example.org/user/ann/proxy/8001/",
        ),
        (
            "http://localhost:8888/user/html/proxy/8004/public/compare/index.html",
            "8001",
            "http://localhost:8888/user/html/proxy/8001/",
        ),
        // A whole address, as somebody types it.
        ("http://localhost:8001/html/", "https://a.example.org", "https://a.example.org/"),
        (
            "http://localhost:8001/html/",
            "HTTP://a.example.org/x/8?y#z",
            "http://a.example.org/x/8/",
        ),
        ("http://localhost:8001/", "https://b.test/p/html/index.html", "https://b.test/p/"),
        ("http://localhost:8001/", "https://b.test/p/html", "https://b.test/p/"),
        // Neither a port nor an address.
        ("http://localhost:8001/", "0", "undefined"),
        ("http://localhost:8001/", "65536", "undefined"),
        ("http://localhost:8001/", "8001.5", "undefined"),
        ("http://localhost:8001/", "", "undefined"),
        ("http://localhost:8001/", "https://", "undefined"),
        ("http://localhost:8001/", "javascript:alert(1)", "undefined"),
    ];
    for (here, port, expected) in addresses {
        let neighbour = ask(&browser, "neighbour", &[here, port]).await;
        assert_eq!(neighbour, expected, "from {here} to {port}");
    }

    let neighbours = [
        ("http://localhost:8004/html/", "http://localhost:8001", true),
        ("http://localhost:9004/html/", "http://localhost", true),
        ("http://localhost:8004/html/", "http://127.0.0.1:8001", false),
        ("https://name-8004.app.test/html/", "https://name-8001.app.test", true),
        ("https://name-8004.app.test/html/", "https://name-9001.app.test", true),
        ("https://name-8004.app.test/html/", "http://name-8001.app.test", false),
        ("https://name-8004.app.test/html/", "https://other-8001.app.test", false),
        ("https://name-8004.app.test/html/", "https://name-8001.app.test:8001", false),
        ("https://name-8004.app.test/html/", "https://name-.app.test", false),
        ("https://class-2026.test/html/", "https://class-2027.test", false),
        ("https://name-8004.app.test/html/", "null", false),
    ];
    for (here, origin, expected) in neighbours {
        let is = ask(&browser, "isNeighbour", &[here, origin]).await;
        assert_eq!(is, expected, "{origin} beside {here}");
    }
}

/// What a forwarder makes of the name that the browser asked for, and of the page's that asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rewrites {
    /// `Host` becomes `localhost:8004`; `Origin` stays as it is.
    Host,
    /// Neither: the server sees the name that the browser sees.
    Nothing,
    /// Both become `localhost:8004`.
    Both,
}

/// Where a forwarder leads: for each of the usual ports, where its server really is.
type Ways = [(u16, u16); 4];

/// The four servers, each with its usual port: what a forwarder calls it by.
async fn start_all(environment: &[(&str, &str)]) -> (Vec<Server>, Ways) {
    let (mut servers, mut ways) = (Vec::new(), [(0, 0); 4]);
    for ((name, usual), way) in SERVERS.into_iter().zip(8001..).zip(&mut ways) {
        let server = Server::start_with(name, &[&[("QUIET", "1")], environment].concat()).await;
        *way = (usual, server.port());
        servers.push(server);
    }
    (servers, ways)
}

/// A forwarder before the servers, with a certificate of its own where it speaks TLS. Which of them
/// is meant stands in the name, `name-8004.app.test`, or in the path, `/user/ann/proxy/8004/…`, of
/// which the server sees what comes after. Says at which port it listens.
async fn forward(ways: Ways, rewrites: Rewrites, with_tls: bool) -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let tls = with_tls.then(|| {
        let made = rcgen::generate_simple_self_signed(["*.app.test".to_owned()]);
        let made = made.expect("a certificate can be made");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it is a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.expect("it is a certificate")))
    });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let way = |head: &mut [String]| way(head, &ways, rewrites);
                let _ = match tls {
                    Some(tls) => match tls.accept(client).await {
                        Ok(client) => pass_on(client, way).await,
                        Err(error) => Err(error),
                    },
                    None => pass_on(client, way).await,
                };
            });
        }
    });
    port
}

/// To which server a request goes, as that one is to see it; or what is answered in its place.
fn way(head: &mut [String], ways: &Ways, rewrites: Rewrites) -> Result<u16, String> {
    let named = |line: &&String| line.contains(PATH) || line.to_lowercase().starts_with("host:");
    let place = head.iter().find(named).cloned().unwrap_or_default();
    let way = ways.iter().find(|(usual, _)| place.contains(&usual.to_string()));
    let (usual, real) = way.ok_or("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
    for line in head {
        *line = line.replacen(&format!("{PATH}{usual}"), "", 1);
        match line.to_ascii_lowercase().split(':').next() {
            Some("host") if rewrites != Rewrites::Nothing => {
                *line = format!("Host: localhost:{usual}");
            }
            Some("origin") if rewrites == Rewrites::Both => {
                *line = format!("Origin: http://localhost:{usual}");
            }
            _ => {}
        }
    }
    Ok(*real)
}

/// Passes one request on, and the connection with it. `way` says to which port, or what is answered
/// in its place; it may change the lines of the head.
pub async fn pass_on(
    client: impl AsyncRead + AsyncWrite + Unpin,
    way: impl FnOnce(&mut [String]) -> Result<u16, String>,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? < 3 {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let port = match way(&mut head) {
        Ok(port) => port,
        Err(answer) => return client.write_all(answer.as_bytes()).await,
    };
    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let is = |line: &String, name: &str| line.to_ascii_lowercase().starts_with(name);
    if !head.iter().any(|line| is(line, "upgrade:")) {
        head.retain(|line| !is(line, "connection:"));
        head.push("Connection: close".into());
    }
    server.write_all(format!("{}\r\n\r\n", head.join("\r\n")).as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

const PATH: &str = "/user/ann/proxy/";

/// Everything goes on each page that is reached so; a link leads to the neighbour's page, by a name
/// that says its port; and what is asked for is there.
async fn works(browser: &Browser, address: impl Fn(u16) -> String) {
    for (name, usual) in SERVERS.into_iter().zip(8001..) {
        browser.open(&address(usual)).await;
        begin(browser).await;
        let text = format!("to {name}");
        type_message(browser, &text).await;
        until_received(browser, &text).await;
        for (link, neighbour) in (8001..).take(4).filter(|port| *port != usual).enumerate() {
            let href = format!("document.querySelectorAll('nav a')[{link}].href");
            assert_eq!(browser.value(&href).await, address(neighbour), "from {name}");
        }
        // As the server sees it: it knows nothing of a path before its own.
        let asked = browser.value("document.querySelector('#wire .up .label').textContent").await;
        let asked = asked.as_str().expect("it is a text");
        assert!(asked.starts_with("GET /") && !asked.contains("user"), "{name}: {asked}");
        if browser.engine() == Engine::Chromium {
            assert_eq!(browser.console_errors().await, [""; 0], "{name}");
        }
    }
    browser.click("nav a").await; // which is there
    browser.until("it has led there", &format!("location.href === '{}'", address(8001))).await;
    until_status(browser, "connected").await;

    // The comparison finds all four, and is listened to; a page leads back to it.
    browser.click("nav a[href*='/compare/']").await;
    comparison::is_running(browser).await;
    type_message(browser, "to all four").await;
    browser.until("all four are measured", &measured(&SERVERS)).await;
    browser.click("#results [data-technique=websockets] a").await;
    begin(browser).await;
    until_received(browser, "to all four").await;
    browser.click("nav a[href*='/compare/']").await;
    comparison::is_running(browser).await;
}

/// What is not there says so.
#[tokio::test]
async fn a_page_that_is_not_there() {
    let server = Server::start("polling").await;
    for path in ["/html/nothing.html", "/public/nothing.js", "/nothing"] {
        let answer = reqwest::get(server.url(path)).await.expect("it answers");
        assert_eq!(answer.status(), 404, "{path}");
        let text = answer.text().await.expect("it is text");
        assert!(text.starts_with("there is no such "), "{path}: {text}");
    }
}

macro_rules! behind_a_forwarder {
    ($($name:ident: $rewrites:ident, $allowed:expr;)*) => { $(
        #[tokio::test]
        async fn $name() {
            let (_servers, ways) = start_all($allowed).await;
            let port = forward(ways, Rewrites::$rewrites, true).await;
            let address = |usual| format!("https://name-{usual}.app.test:{port}/html/index.html");
            works(&Browser::start().await, address).await;
        }
    )* };
}

const NAMES: &str = "name-8001.app.test,name-8002.app.test,name-8003.app.test,name-8004.app.test";

behind_a_forwarder! {
    a_forwarder_that_rewrites_the_host: Host, &[("ALLOWED_HOSTS", NAMES)];
    a_forwarder_that_rewrites_nothing: Nothing, &[("ALLOWED_HOSTS", NAMES)];
    a_forwarder_that_rewrites_both: Both, &[];
}

/// Under a path everything goes as well, in each browser.
pub async fn under_a_path(browser: Browser) {
    let (_servers, ways) = start_all(&[("ALLOWED_HOSTS", "127.0.0.1")]).await;
    let port = forward(ways, Rewrites::Host, false).await;
    works(&browser, |usual| format!("http://127.0.0.1:{port}{PATH}{usual}/html/index.html")).await;
}

/// A server that does not know the name of the page refuses its WebSocket. The page says that it is
/// there, and what lets it take the page.
#[tokio::test]
async fn a_websocket_that_is_refused() {
    const LOST: &str = "document.querySelector('#wire > .lost:last-child')?.textContent";
    let port = lasting_port();
    let server = start_at("websockets", port).await;
    let ways = [(8001, 1), (8002, 1), (8003, 1), (8004, port)];
    let front = forward(ways, Rewrites::Host, true).await;
    let browser = Browser::start().await;
    browser.open(&format!("https://name-8004.app.test:{front}/html/index.html")).await;
    until_status(&browser, "refused, reconnecting").await;
    let help = browser.value("document.querySelector('#help').innerText").await;
    let help = help.as_str().expect("it is a text");
    assert!(help.contains("is there, and refuses"), "{help}");
    let command = "ALLOWED_HOSTS=name-8004.app.test cargo run -p websockets";
    assert!(help.ends_with(command), "{help}");
    browser.until("it is drawn as that", &format!("{LOST}.includes('refused')")).await;
    picture(&browser, "websockets-refused").await;

    // Nobody is there: that is another thing.
    server.signal(Signal::SIGKILL);
    drop(server);
    until_status(&browser, "reconnecting").await;
    browser.until("it is drawn as that", &format!("{LOST}.includes('no answer')")).await;
    assert_eq!(browser.value("document.querySelector('#help').checkVisibility()").await, false);

    let environment = [("PORT", &*port.to_string()), ("ALLOWED_HOSTS", "name-8004.app.test")];
    let _server = Server::start_with("websockets", &environment).await;
    until_status(&browser, "connected").await;
    assert_eq!(browser.value("document.querySelector('#help').checkVisibility()").await, false);
    type_message(&browser, "admitted").await;
    until_received(&browser, "admitted").await;
}

/// Where the page's scripts do not come, it says that; not that the browser is too old.
#[tokio::test]
async fn scripts_that_do_not_come() {
    const SAID: &str = "document.querySelector('the-cable').innerText.trim()";
    let browser = Browser::start().await;
    let blocked = json!({ "urls": ["*/public/*.js"] });
    browser.devtools("Network.enable", json!({})).await;
    browser.devtools("Network.setBlockedURLs", blocked).await;
    for name in SERVERS {
        let server = Server::start(name).await;
        browser.open(&server.url("/html/index.html")).await;
        let says = format!("{SAID} === \"The page's scripts have not come.\"");
        browser.until("the page says so", &says).await;
    }
}

/// Whoever follows a link to a server that is not running is told so, with the command that starts
/// it. What the page's address says of the servers and their lines goes along.
#[tokio::test]
async fn a_link_to_nobody() {
    const SAID: &str = "document.querySelector('#absent').innerText";
    let [polling, long_polling] =
        [Server::start("polling").await, Server::start("long-polling").await];
    let absent = lasting_port();
    let browser = Browser::start().await;
    let query = format!("websockets={absent}&long-polling={}&line=4711&x=y", long_polling.port());
    browser.open(&format!("{}?{query}", polling.url("/html/index.html"))).await;
    begin(&browser).await;
    browser.click("nav a:nth-of-type(3)").await;
    let says = format!(
        "{SAID} === 'WebSockets is not running at http://127.0.0.1:{absent}/. \
         Start it: cargo run -p websockets'"
    );
    browser.until("it says so", &says).await;
    assert_eq!(browser.role("#absent").await, "alert");
    picture(&browser, "a-link-to-nobody").await;

    let hrefs = "[...document.querySelectorAll('nav a')].map(({ href }) => href)";
    let hrefs = browser.value(hrefs).await;
    for link in [0, 3] {
        let href = hrefs[link].as_str().expect("it is a text");
        let url = url::Url::parse(href).expect("it is an address");
        let mut query: Vec<_> =
            url.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
        query.sort();
        let polling = format!("polling={}", polling.port());
        let long_polling = format!("long-polling={}", long_polling.port());
        let websockets = format!("websockets={absent}");
        assert_eq!(query, ["line=4711".into(), long_polling, polling, websockets], "{href}");
    }
    browser.click("nav a").await;
    browser.until("it leads there", "document.title === 'Long polling'").await;
    let back = "document.querySelector('nav a').href";
    let back = browser.value(back).await;
    assert!(back.as_str().expect("a text").starts_with(&polling.url("/html/index.html")), "{back}");
}
