//! The pages somewhere else than on the machine in front of you: behind a forwarder that gives each
//! port a name, or a path.

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
