//! The very `scripts/nginx.conf` that the README tells to copy, with a real nginx, before servers that
//! do what servers do on a bad day.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::{env, fs, process, time::Duration};

use lab::{SERVERS, soon, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener as Listener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::with;

/// A port for what goes away and comes back: below those which the system gives to anybody, so that
/// nobody takes it meanwhile.
pub fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(process::id() % 100).expect("it is small") * 100;
    let mut ports = (0..100).map(|_| first + NEXT.fetch_add(1, Relaxed) % 100);
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    port.expect("one of a hundred ports is free")
}

/// An nginx before two servers of each technique. Dropped, it ends with all its processes.
pub struct Nginx {
    /// Where it listens for each technique.
    pub fronts: Vec<u16>,
    folder: PathBuf,
    process: Child,
}

impl Nginx {
    pub async fn start(upstreams: &[[u16; 2]], options: &[&str]) -> Nginx {
        let fronts: Vec<_> = SERVERS.iter().map(|_| lasting_port()).collect();
        let folder = env::temp_dir().join(format!("nginx-{}-{}", process::id(), fronts[0]));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let mut conf = include_str!("../../../scripts/nginx.conf").to_owned();
        conf = conf.replace("@FOLDER@", &folder.display().to_string());
        for ((name, servers), front) in SERVERS.iter().zip(upstreams).zip(&fronts) {
            let name = name.to_uppercase();
            let address = |port: u16| format!("127.0.0.1:{port}");
            conf = conf.replace(&format!("@{name}-1@"), &address(servers[0]));
            conf = conf.replace(&format!("@{name}-2@"), &address(servers[1]));
            conf = conf.replace(&format!("@{name}@"), &address(*front));
        }
        fs::write(folder.join("nginx.conf"), conf).expect("it can be written");
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("error.log"));
        let process = nginx.args(options).kill_on_drop(true).spawn().expect("nginx starts");
        let up = async {
            while TcpStream::connect(("127.0.0.1", fronts[3])).await.is_err() {
                sleep(Duration::from_millis(20)).await; // nobody tells when it listens
            }
        };
        soon("nginx listens", up).await;
        Nginx { fronts, folder, process }
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.id().expect("it runs").try_into().expect("process ids are small");
        kill(Pid::from_raw(id), signal).expect("it runs");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM); // its workers end with it
        let _ = self.process.try_wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Two servers that are no more than a port, and an nginx that takes them for all eight.
async fn before_ports() -> ([Listener; 2], Nginx) {
    let bind = async || Listener::bind("127.0.0.1:0").await.expect("there is a free port");
    let listeners = [bind().await, bind().await];
    let ports = listeners.each_ref().map(|it| it.local_addr().expect("it is bound").port());
    let nginx = Nginx::start(&[ports; 4], &[]).await;
    (listeners, nginx)
}

/// A request through nginx, at the first of the two.
async fn ask(nginx: &Nginx, lines: &str) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", nginx.fronts[0])).await.expect("it listens");
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    client.write_all(request.as_bytes()).await.expect("it reads");
    client
}

/// What comes, up to an empty line.
async fn head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let all = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.expect("a head"));
        }
    };
    soon("a head", all).await;
    String::from_utf8(head).expect("text")
}

async fn accept(listeners: &[Listener; 2]) -> TcpStream {
    let either = async {
        tokio::select! {
            one = listeners[0].accept() => one,
            other = listeners[1].accept() => other,
        }
    };
    soon("a connection of nginx", either).await.expect("it is accepted").0
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server closes an idle connection after 30 s. nginx does so before: no request meets the end.
#[test]
fn an_idle_connection_ends_by_nginx() {
    with(&["nginx"], async {
        let (listeners, nginx) = before_ports().await;
        let mut client = ask(&nginx, "").await;
        let mut server = accept(&listeners).await;
        head(&mut server).await;
        server.write_all(FINE).await.expect("it reads");
        head(&mut client).await;
        let end = within(Duration::from_secs(25), "the end", server.read(&mut [0; 9])).await;
        assert_eq!(end.expect("an orderly end"), 0);
    });
}

/// Each of the two closes one connection in the wrong moment: nobody pays for that but who met it.
#[test]
fn a_lost_race_is_one_request() {
    with(&["nginx"], async {
        let (listeners, nginx) = before_ports().await;
        let serve = async {
            for number in 0..5 {
                let mut server = accept(&listeners).await;
                head(&mut server).await;
                if number >= 2 {
                    server.write_all(FINE).await.expect("it reads");
                }
            }
        };
        let requests = async {
            let first = head(&mut ask(&nginx, "").await).await;
            assert!(first.starts_with("HTTP/1.1 502"), "both are lost: {first}");
            for _ in 0..3 {
                let next = head(&mut ask(&nginx, "").await).await;
                assert!(next.starts_with("HTTP/1.1 200"), "{next}");
            }
        };
        tokio::join!(serve, requests);
    });
}

/// A WebSocket is passed on, in whatever case it is said; any other upgrade is not.
#[test]
fn which_upgrades_are_passed_on() {
    with(&["nginx"], async {
        let (listeners, nginx) = before_ports().await;
        let h2c =
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
        for (lines, is_passed) in
            [(h2c, false), ("Connection: Upgrade\r\nUpgrade: WebSocket\r\n", true)]
        {
            let mut client = ask(&nginx, lines).await;
            let mut server = accept(&listeners).await;
            let asked = head(&mut server).await.to_lowercase();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            server.write_all(answer.as_bytes()).await.expect("it reads");
            head(&mut client).await;
            assert_eq!(asked.contains("\r\nupgrade: websocket\r\n"), is_passed, "{asked}");
            assert_eq!(asked.contains("upgrade"), is_passed, "{asked}");
        }
    });
}

/// After a reload, an old worker ends, also with a stream that does not.
#[test]
fn a_reload_ends_old_workers() {
    with(&["nginx"], async {
        let (listeners, nginx) = before_ports().await;
        let mut client = ask(&nginx, "").await;
        let mut server = accept(&listeners).await;
        head(&mut server).await;
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\ndata: one\n\n").await.expect("it reads");
        head(&mut client).await;
        nginx.signal(Signal::SIGHUP);
        let mut rest = Vec::new();
        let end = within(Duration::from_secs(25), "the end", client.read_to_end(&mut rest)).await;
        drop(end); // an orderly one or not: the browser connects again
    });
}
