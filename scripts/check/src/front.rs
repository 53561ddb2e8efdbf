//! A page of ours before anybody's server: one origin for both, so that a browser's rules for other
//! sites are not in the way.
//!
//! What begins with `/html/` or `/public/` is in this program, so that it needs no checkout; every other
//! request goes to the server as it is, and what comes back as well. One connection carries one
//! request: where the next one belongs is not known before it comes.

use std::{io, net::SocketAddr};

use include_dir::{Dir, File, include_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use lab::client::open_socket;

/// The longest head of a request.
const HEAD: usize = 64 * 1024;

/// What all pages share.
static PUBLIC: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../public");
/// Each technique's own, in the order of [`lab::SERVERS`].
static PAGES: [Dir; 4] = [
    include_dir!("$CARGO_MANIFEST_DIR/../../polling/public"),
    include_dir!("$CARGO_MANIFEST_DIR/../../long-polling/public"),
    include_dir!("$CARGO_MANIFEST_DIR/../../server-sent-events/public"),
    include_dir!("$CARGO_MANIFEST_DIR/../../websockets/public"),
];

/// Serves the technique's page at this listener, with the server behind it.
///
/// # Errors
/// When nothing can be accepted any more.
pub async fn serve(
    listener: TcpListener,
    technique: &'static str,
    server: SocketAddr,
) -> io::Result<()> {
    let is_bare =
        technique == "websockets" && open_socket(&format!("{server}/"), true).await.is_err();
    if is_bare {
        println!(
            "It does not know the subprotocol json (2.18): our page takes its texts as they are."
        );
    }
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move { answer(client, technique, is_bare, server).await });
    }
}

/// What is another way in the page for a WebSocket whose frames are texts, without ids.
const BARE: [(&str, &str); 3] =
    [(r#", "json")"#, ")"), ("JSON.parse(data)", "{ update: data }"), ("cursor = update.id;", "")];

async fn answer(
    mut client: TcpStream,
    technique: &str,
    is_bare: bool,
    server: SocketAddr,
) -> io::Result<()> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = memchr::memmem::find(&read, b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut read).await? == 0 || read.len() > HEAD {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if path.starts_with("/html/") || path.starts_with("/public/") {
        let (status, kind, body) = match file(technique, path) {
            Some(page) if is_bare && path.starts_with("/html/") => {
                ("200 OK", kind(path), bare(page.contents()).into())
            }
            Some(file) => ("200 OK", kind(path), file.contents().to_vec()),
            None => ("404 Not Found", "text/plain", b"there is no such file\n".to_vec()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).await?;
        client.write_all(&body).await?;
        return client.shutdown().await;
    }
    let mut behind = TcpStream::connect(server).await?;
    let is_upgrade = head.lines().any(|line| line.to_ascii_lowercase().starts_with("upgrade:"));
    for (number, line) in head.split("\r\n").enumerate() {
        if is_upgrade || number == 0 || !line.to_ascii_lowercase().starts_with("connection:") {
            behind.write_all(format!("{line}\r\n").as_bytes()).await?;
        }
    }
    let close: &[u8] = if is_upgrade { b"\r\n" } else { b"Connection: close\r\n\r\n" };
    behind.write_all(close).await?;
    behind.write_all(&read[end + 4..]).await?;
    copy_bidirectional(&mut client, &mut behind).await.map(drop)
}

fn bare(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page).into_owned();
    BARE.iter().fold(page, |page, (part, instead)| page.replace(part, instead))
}

/// The file that a path names.
fn file(technique: &str, path: &str) -> Option<&'static File<'static>> {
    if let Some(path) = path.strip_prefix("/public/") {
        return PUBLIC.get_file(path);
    }
    let at = lab::SERVERS.iter().position(|name| *name == technique)?;
    PAGES[at].get_file(path.strip_prefix('/')?)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_way_stands_in_the_page_once() {
        let page = file("websockets", "/html/index.html").expect("it is ours");
        let page = page.contents_utf8().expect("it is text");
        for (part, _) in BARE {
            assert_eq!(page.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn a_path_names_a_file_of_ours_or_none() {
        for path in ["/html/index.html", "/public/page/page.css", "/public/client/connection.js"] {
            assert!(file("polling", path).is_some(), "{path}");
        }
        for path in ["/", "/src/main.rs", "/html/../src/main.rs", "/public/../Cargo.toml", "/html"]
        {
            assert!(file("polling", path).is_none(), "{path}");
        }
    }
}
