//! A page of ours before anybody's server: one origin for both, so that a browser's rules for other
//! sites are not in the way.
//!
//! What begins with `/html/` or `/public/` comes from this checkout; every other request goes to the
//! server as it is, and what comes back as well. One connection carries one request: where the next
//! one belongs is not known before it comes.

use std::path::{Path, PathBuf};
use std::{io, net::SocketAddr};

use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use lab::client::open_socket;

/// The longest head of a request.
const HEAD: usize = 64 * 1024;

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
    if let Some(file) = file(technique, path) {
        let (status, body) = match fs::read(&file).await {
            Ok(page) if is_bare && path.starts_with("/html/") => ("200 OK", bare(&page).into()),
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", b"there is no such file\n".to_vec()),
        };
        let kind = match file.extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
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

/// The file that a path names, if it is one of ours; never one outside of their folders.
fn file(technique: &str, path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = match path.split('/').nth(1)? {
        "html" => root.join(technique).join("public"),
        "public" => root,
        _ => return None,
    };
    let is_plain =
        |part: &str| !part.is_empty() && part != ".." && !part.contains(['\\', '%', '\0']);
    path[1..].split('/').all(is_plain).then(|| folder.join(&path[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_way_stands_in_the_page_once() {
        let page = file("websockets", "/html/index.html").expect("it is ours");
        let page = std::fs::read_to_string(page).expect("it is there");
        for (part, _) in BARE {
            assert_eq!(page.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_folders() {
        for path in
            ["/", "/src/main.rs", "/html/../src/main.rs", "/public/%2e%2e/Cargo.toml", "/html//x"]
        {
            assert_eq!(file("polling", path), None, "{path}");
        }
    }
}
