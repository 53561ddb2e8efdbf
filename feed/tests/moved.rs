//! A binary that was moved, away from the source that it was built from. For that, the copy gets
//! another path in the place of the source's, one that is as long and leads nowhere.
#![cfg(all(feature = "serve", target_os = "linux"))] // elsewhere a changed binary may not run

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use lab::{SERVERS, Server, binary, run, soon};
use tokio::process::Command;

/// A folder that goes with its test, with a moved binary in it.
struct Moved {
    folder: PathBuf,
    name: &'static str,
    binary: PathBuf,
}

impl Moved {
    /// Moves a server's binary to this place in a new folder.
    fn new(name: &'static str, place: &str) -> Moved {
        let unique = format!("moved-{:016x}", rand::random::<u64>());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        let mut bytes = fs::read(binary(name)).expect("it is built");
        let root = source().into_os_string().into_encoded_bytes();
        let mut nowhere = root.clone();
        *nowhere.last_mut().expect("it is a path") ^= 1;
        let places = memchr::memmem::find_iter(&bytes, &root).collect::<Vec<_>>();
        assert!(!places.is_empty(), "the binary knows its source");
        for place in places {
            bytes[place..][..root.len()].copy_from_slice(&nowhere);
        }
        let binary = folder.join(place);
        fs::create_dir_all(binary.parent().expect("it is in a folder")).expect("we may write");
        fs::write(&binary, bytes).expect("we may write");
        fs::set_permissions(&binary, Permissions::from_mode(0o755)).expect("it is ours");
        Moved { folder, name, binary }
    }

    /// Copies the pages into its folder, or into one below that.
    fn with_pages(self, below: &str) -> Moved {
        for folder in ["public".into(), format!("{}/public", self.name)] {
            copy(&source().join(&folder), &self.folder.join(below).join(&folder));
        }
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("PORT", "0").env("QUIET", "1").env_remove("HOST").env_remove("PAGES");
        command.kill_on_drop(true);
        command
    }

    /// Whether its own page, and what it shares with the others, are there.
    async fn has_its_pages(&self, command: &mut Command) {
        let server = Server::spawn(self.name, command).await;
        for path in ["/html/index.html", "/public/style.css"] {
            let answer = reqwest::get(server.url(path)).await.expect("it answers");
            assert_eq!(answer.status(), 200, "{} {path}", self.name);
        }
        let page = reqwest::get(server.url("/html/index.html")).await.expect("it answers");
        let own = source().join(self.name).join("public/html/index.html");
        let own = fs::read_to_string(own).expect("it is there");
        assert!(page.text().await.expect("it is text") == own, "{}", self.name);
        let none = reqwest::get(server.url("/public/none")).await.expect("it answers");
        assert_eq!(none.status(), 404);
        assert!(server.stop().await.success());
    }

    /// What it says where it does not start: one line.
    async fn refuses(&self, command: &mut Command) -> String {
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = soon("its end", output).await.expect("it starts");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder); // it is in target/, where nobody minds
    }
}

fn source() -> PathBuf {
    let feed = Path::new(env!("CARGO_MANIFEST_DIR"));
    feed.parent().expect("it is in the repository").to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("we may write");
    for entry in fs::read_dir(from).expect("it is a folder") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("we may write");
        }
    }
}

#[test]
fn the_pages_are_beside_it() {
    run(async {
        for name in SERVERS {
            // Under its own name it can't be where a folder of that name is.
            let renamed = Moved::new(name, "server").with_pages("");
            renamed.has_its_pages(&mut renamed.command()).await;
            let above = Moved::new(name, &format!("bin/{name}")).with_pages("");
            above.has_its_pages(&mut above.command()).await;
            let within = Moved::new(name, &format!("{name}/{name}")).with_pages("");
            within.has_its_pages(&mut within.command()).await;
        }
    });
}

#[test]
fn the_pages_are_where_it_is_told() {
    run(async {
        let moved = Moved::new("websockets", "websockets").with_pages("elsewhere");
        moved
            .has_its_pages(moved.command().env("PAGES", "elsewhere").current_dir(&moved.folder))
            .await;
        // Then they are nowhere else: not beside it, and not in the source.
        let beside = Moved::new("websockets", "server").with_pages("");
        let said = beside.refuses(beside.command().env("PAGES", "/none")).await;
        assert!(said.contains("/none/websockets/public/html"), "{said}");
        let mut unmoved = lab::server::command("websockets");
        let said = beside.refuses(unmoved.env("PAGES", "/none")).await;
        assert!(said.contains("/none/websockets/public/html"), "{said}");
    });
}

#[test]
fn without_pages_it_does_not_start() {
    run(async {
        for name in SERVERS {
            let moved = Moved::new(name, name);
            let said = moved.refuses(&mut moved.command()).await;
            assert!(said.starts_with("Error: no pages in "), "{said}");
            assert!(said.contains("PAGES"), "{said}");
        }
    });
}
