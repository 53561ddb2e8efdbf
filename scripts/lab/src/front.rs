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

/// The longest head of a request.
const HEAD: usize = 64 * 1024;

/// Serves the technique's page at this listener, with the server behind it.
///
/// # Errors
/// When nothing can be accepted any more.
pub async fn serve(listener: TcpListener, technique: &str, server: SocketAddr) -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    loop {
        let (client, _) = listener.accept().await?;
        let (root, technique) = (root.clone(), technique.to_owned());
        tokio::spawn(async move { answer(client, &root, &technique, server).await });
    }
}

async fn answer(
    mut client: TcpStream,
    root: &Path,
    technique: &str,
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
    if let Some(file) = file(root, technique, path) {
        let (status, body) = match fs::read(&file).await {
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

/// The file that a path names, if it is one of ours; never one outside of their folders.
fn file(root: &Path, technique: &str, path: &str) -> Option<PathBuf> {
    let folder = match path.split('/').nth(1)? {
        "html" => root.join(technique).join("public"),
        "public" => root.to_owned(),
        _ => return None,
    };
    let is_plain =
        |part: &str| !part.is_empty() && part != ".." && !part.contains(['\\', '%', '\0']);
    path[1..].split('/').all(is_plain).then(|| folder.join(&path[1..]))
}
