//! The four servers, each behind a line, as `scripts/all.sh` starts them: but at free ports.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::server::free_port;
use crate::{SERVERS, Server, binary, soon};

/// The four servers, and the lines before them. Dropped, all of it ends.
pub struct Lines {
    /// In the order of [`SERVERS`].
    pub servers: Vec<Server>,
    /// Where the lines listen, in the same order.
    pub ports: Vec<(&'static str, u16)>,
    /// Where their control listens, which says how long they are.
    pub control: u16,
    _process: Child,
}

impl Lines {
    /// Starts all of them; the round trip is 0 ms.
    ///
    /// # Panics
    /// When one of them does not start.
    pub async fn start() -> Lines {
        let mut servers = Vec::new();
        let mut ports = Vec::new();
        let mut command = Command::new(binary("line"));
        for name in SERVERS {
            let server = Server::start(name).await;
            let port = free_port();
            command.arg(format!("{port}=127.0.0.1:{}", server.port()));
            ports.push((name, port));
            servers.push(server);
        }
        let command = command.env_remove("HOST").stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut control = 0;
        loop {
            let line = soon("the lines", lines.next_line()).await.expect("it is text");
            let line = line.expect("they listen");
            if let Some(port) = line.strip_prefix("Control at http://localhost:") {
                control = port.parse().expect("it is a port");
            } else if line == "Listening" {
                return Lines { servers, ports, control, _process: process };
            }
        }
    }

    /// The comparison's address, with its slider.
    #[must_use]
    pub fn comparison(&self) -> String {
        let ports = self.ports.iter().map(|(name, port)| format!("&{name}={port}"));
        let (ports, first) = (ports.collect::<String>(), self.ports[0].1);
        format!("http://127.0.0.1:{first}/public/compare/index.html?line={}{ports}", self.control)
    }
}
