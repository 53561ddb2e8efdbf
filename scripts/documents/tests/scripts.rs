//! What a stranger meets in the first five minutes: whether the scripts start, and say what is wrong
//! where they don't. `cargo test -p documents --test scripts`

#[path = "readmes/session.rs"]
#[expect(dead_code, reason = "only its folder, its environment and its terminal are used here")]
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::{fs, iter};

use lab::{SERVERS, Server, binary, run, soon};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reqwest::header::HOST;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use session::{Session, Terminal, free_ports, set_environment, write_script};

/// What `scripts/all.sh` prints last when it shows its addresses.
const LAST: &str = "Ctrl-C stops all four.\n\n";

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("it is there")
}

/// In the place of cargo, this script is found. It writes down what it was asked for.
fn with_cargo(session: &Session, version: &str, build: &str) -> PathBuf {
    let asked = session.folder.join("asked");
    let cargo = format!(
        "#!/usr/bin/env bash\n[ \"$*\" != --version ] || {{ {version}; exit; }}\n\
         echo \"$*\" >>'{}'\n{build}\n",
        asked.display()
    );
    write_script(&session.folder.join("bin/cargo"), &cargo);
    asked
}

/// The command of a script, in the environment of a test.
fn script(session: &Session, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(root().join("scripts").join(name));
    set_environment(&mut command, &session.folder);
    command.args(arguments).current_dir(&session.folder).stdin(Stdio::null());
    command
}

async fn output(command: &mut Command) -> (Output, String) {
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("bash is there");
    let _ended = Group::of(&child); // also where it has not ended soon
    let output = soon("its end", child.wait_with_output()).await.expect("it can be waited for");
    let all = [&*output.stdout, &*output.stderr].concat();
    (output, String::from_utf8(all).expect("it is text"))
}

/// The process group of a script. Dropped, it ends with all that was started in it.
struct Group(Pid);

impl Group {
    fn of(leader: &Child) -> Group {
        Group(Pid::from_raw(leader.id().and_then(|pid| pid.try_into().ok()).expect("it runs")))
    }

    /// Ctrl-C: what runs in the foreground gets the signal.
    fn interrupt(&self) {
        killpg(self.0, Signal::SIGINT).expect("it runs");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGTERM); // it may have ended
    }
}

/// Starts a command on a terminal of its own, as the leader of a process group.
fn on_a_terminal(command: &mut Command) -> (Child, Group, Terminal) {
    let terminal = Terminal::open();
    terminal.shows(command.stdin(Stdio::piped()));
    let child = command.process_group(0).spawn().expect("bash is there");
    let group = Group::of(&child);
    (child, group, terminal)
}

/// Waits until that is on it.
async fn until(terminal: &mut Terminal, is_it: impl Fn(&str) -> bool) {
    terminal.printed.wait_for(|shown| is_it(shown)).await.expect("it is open");
}

#[test]
fn the_addresses_stay_in_sight() {
    run(async {
        let (session, ports) = (Session::start(&root()), free_ports());
        let mut all = session.all_at(&ports);
        let (mut all, group, mut terminal) = on_a_terminal(all.env("CODESPACE_NAME", "ann"));
        soon("all listen", until(&mut terminal, |shown| shown.ends_with(LAST))).await;
        assert_eq!(terminal.so_far().matches("Listening").count(), 0, "nobody types these ports");

        // The servers make updates, and print them; nothing pushes the addresses away.
        let newer = format!("http://localhost:{}/api/messages", ports[0]);
        let many = async {
            while reqwest::get(&newer)
                .await
                .expect("it answers")
                .text()
                .await
                .expect("it is text")
                .matches("update")
                .count()
                < 4
            {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await; // nobody tells
            }
        };
        lab::within(lab::time::SOON * 3, "two more updates", many).await;
        assert!(terminal.so_far().ends_with(LAST), "{}", terminal.so_far());

        // And Enter shows them again, after whatever came.
        let mut keys = all.stdin.take().expect("it is piped");
        keys.write_all(b"what\n \n").await.expect("it reads");
        let again = |shown: &str| shown.matches(LAST).count() == 2 && shown.ends_with(LAST);
        soon("they are shown again", until(&mut terminal, again)).await;
        assert!(terminal.so_far().contains("That is none of the four ports."));
        let page = format!("http://localhost:{}/html/index.html", ports[3]);
        assert_eq!(terminal.so_far().matches(&page).count(), 2);

        // A Codespace's browser asks for another name.
        let ask = |name: String| reqwest::Client::new().get(&newer).header(HOST, name).send();
        let (ours, other) = (format!("ann-{}.app.github.dev", ports[0]), "ann.example".to_owned());
        assert_eq!(ask(ours).await.expect("it answers").status(), 200);
        assert_eq!(ask(other).await.expect("it answers").status(), 421);

        group.interrupt();
        let status = soon("its end", all.wait()).await.expect("it can be waited for");
        assert_eq!(status.code(), Some(130), "{}", terminal.so_far());
    });
}

/// Who reads a pipe gets what the servers print.
#[test]
fn a_pipe_gets_all_lines() {
    run(async {
        let session = Session::start(&root());
        let mut all = session.all_at(&free_ports());
        all.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = all.spawn().expect("bash is there");
        let group = Group::of(&child);
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(
            child.stdout.take().expect("it is piped"),
        ));
        let mut sent = BTreeSet::new();
        while sent.len() < SERVERS.len() {
            let line = soon("four lines", lines.next_line()).await.expect("it is text");
            let line = line.expect("it goes on");
            let (name, rest) = line.split_once(' ').unwrap_or_default();
            sent.extend(rest.ends_with(" SENT: Real-Time Update 1").then(|| name.to_owned()));
        }
        group.interrupt();
        soon("its end", child.wait()).await.expect("it can be waited for");
    });
}

/// All ports are looked at before anything is built, and whose they are is said.
#[test]
fn ports_that_are_taken() {
    run(async {
        let (session, ports) = (Session::start(&root()), free_ports());
        let ours = Server::start_with("websockets", &[("PORT", &ports[3].to_string())]).await;
        let other = TcpListener::bind(("127.0.0.1", ports[1])).expect("it is free");
        let mut first = session.all_at(&ports);
        let built = with_cargo(&session, "echo cargo 1.999.0", "exit 1");
        let (output, said) = output(first.stdin(Stdio::null())).await;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!built.exists() && output.stdout.is_empty(), "nothing is built, or said to listen");
        let line = |port: u16| said.lines().find(|line| line.starts_with(&format!("  {port}  ")));
        assert!(line(ports[0]).is_none() && line(ports[2]).is_none(), "{said}");
        if !["lsof", "ss"].iter().any(|program| is_there(program)) {
            return eprintln!("whose they are is not tried: it needs lsof or ss");
        }
        let whose = format!("  {}  our own websockets (process {})", ports[3], ours.pid());
        assert_eq!(line(ports[3]), Some(&*whose), "{said}");
        let whose = format!("  {}  another program, ", ports[1]);
        assert!(line(ports[1]).is_some_and(|line| line.starts_with(&whose)), "{said}");
        drop(other);
        assert!(ours.stop().await.success());
    });
}

#[test]
fn it_runs_already() {
    run(async {
        let (session, ports) = (Session::start(&root()), free_ports());
        let (_first, _group, mut terminal) = on_a_terminal(&mut session.all_at(&ports));
        soon("all listen", until(&mut terminal, |shown| shown.ends_with(LAST))).await;
        let (output, said) = output(session.all_at(&ports).stdin(Stdio::null())).await;
        assert_eq!(output.status.code(), Some(1), "{said}");
        for port in ports {
            assert!(said.contains(&format!("  {port}  ")), "{said}");
        }
        if ["lsof", "ss"].iter().any(|program| is_there(program)) {
            assert_eq!(said.matches("scripts/all.sh, which runs already (process ").count(), 4);
        }
    });
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// Ctrl-C while cargo builds: nothing is left.
#[test]
fn stopped_while_it_builds() {
    run(async {
        let session = Session::start(&root());
        let asked = with_cargo(&session, "echo cargo 1.999.0", "echo building >&2; sleep 60");
        let temporary = session.folder.join("temporary");
        fs::create_dir(&temporary).expect("the folder is ours");
        let mut all = session.all_at(&free_ports());
        let (mut all, group, mut terminal) = on_a_terminal(all.env("TMPDIR", &temporary));
        soon("it builds", until(&mut terminal, |shown| shown.contains("\nbuilding\n"))).await;
        assert!(terminal.so_far().starts_with("Building the four servers. The first time, "));
        group.interrupt();
        let status = soon("its end", all.wait()).await.expect("it can be waited for");
        assert_eq!(status.code(), Some(130), "{}", terminal.so_far());
        assert!(asked.exists());
        assert_eq!(fs::read_dir(&temporary).expect("it is there").count(), 0, "a folder is left");
    });
}

/// On a terminal cargo shows how far it is; elsewhere it is quiet.
#[test]
fn no_silence_while_it_builds() {
    run(async {
        for (name, arguments) in [
            ("all.sh", &["--build"][..]),
            ("check.sh", &["polling", "--", "true"]),
            ("measure.sh", &["--quick"]),
            ("mark.sh", &["polling", "."]),
            ("pictures.sh", &[]),
            ("polling.sh", &[]),
            ("test.sh", &["build"]),
        ] {
            let session = Session::start(&root());
            let asked = with_cargo(&session, "echo cargo 1.999.0", "exit 101");
            let first =
                || fs::read_to_string(&asked).expect("it builds").lines().next().map(str::to_owned);
            let (result, said) = output(&mut script(&session, name, arguments)).await;
            assert!(!result.status.success(), "{name}: {said}");
            assert!(first().is_some_and(|line| line.starts_with("--quiet build ")), "{name}");
            fs::remove_file(&asked).expect("it is there");
            let (mut child, _group, _terminal) =
                on_a_terminal(&mut script(&session, name, arguments));
            soon("its end", child.wait()).await.expect("it can be waited for");
            assert!(first().is_some_and(|line| line.starts_with("build ")), "{name}");
        }
    });
}

/// `--help` builds nothing, and has all options that the program has.
#[test]
fn help_builds_nothing() {
    run(async {
        let session = Session::start(&root());
        let asked = with_cargo(&session, "echo cargo 1.999.0", "exit 101");
        let scripts = ["all", "check", "mark", "measure", "test", "past-one-machine"];
        for name in SERVERS.into_iter().chain(scripts) {
            let name = format!("{name}.sh");
            let (help, said) = output(&mut script(&session, &name, &["--help"])).await;
            assert!(help.status.success() && help.stderr.is_empty(), "{name}: {said}");
            assert!(said.contains(&format!("scripts/{name}")), "{name}: {said}");
            assert!(!asked.exists(), "{name} builds");
        }
        for name in ["check", "measure"] {
            let (_, short) =
                output(&mut script(&session, &format!("{name}.sh"), &["--help"])).await;
            let (_, whole) = output(Command::new(binary(name)).arg("--help")).await;
            let options = |help: &str| -> BTreeSet<String> {
                let lines = help.split_once("Options:\n").expect("it has options").1.lines();
                let words = lines.filter_map(|line| {
                    line.split_whitespace()
                        .find(|word| word.starts_with("--"))
                        .filter(|_| line.trim_start().starts_with('-'))
                });
                words
                    .filter_map(|word| word.split([',', '[']).next().map(str::to_owned))
                    .filter(|word| !["--help", "--version"].contains(&word.as_str()))
                    .collect()
            };
            assert_eq!(options(&short), options(&whole), "{short}");
            for preset in whole.split("[default: ").skip(1) {
                let preset = preset.split(']').next().expect("it ends");
                let is_list = preset.contains("polling"); // of all four
                assert!(
                    is_list || short.contains(&format!("[default: {preset}]")),
                    "{preset}: {short}"
                );
            }
        }
    });
}

/// Without cargo, or with one that is too old, one line says what to do.
#[test]
fn no_cargo_or_an_old_one() {
    run(async {
        let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
        let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
        let oldest = oldest.expect("it is said").trim_matches('"');
        let session = Session::start(&root());
        for (version, reason) in [
            (
                "exit 127",
                format!(
                    "cargo is missing. It comes with Rust {oldest} or newer: https://rustup.rs\n"
                ),
            ),
            (
                "echo cargo 1.75.0 (1d8b05cdd 2023-11-20)",
                format!("Rust {oldest} or newer is needed, and this is 1.75.0"),
            ),
        ] {
            let asked =
                with_cargo(&session, &version.replace('(', "\\(").replace(')', "\\)"), "exit 0");
            for (name, argument) in [("all.sh", "--build"), ("check.sh", "polling")] {
                let (output, said) = output(&mut script(&session, name, &[argument])).await;
                assert!(!output.status.success() && said.contains(&reason), "{name}: {said}");
                assert!(!asked.exists(), "{name} builds");
            }
        }
    });
}

/// What one server is built of serves the next one: all of them ask for the same features of the same
/// libraries, and so the second command of the README builds nothing twice.
#[test]
fn the_servers_share_what_is_built() {
    let mut libraries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for server in SERVERS {
        let words =
            "tree --offline --edges normal,no-proc-macro --prefix none --no-dedupe --package";
        let mut tree = std::process::Command::new(env!("CARGO"));
        tree.args(words.split(' ')).args([server, "--format", "{p} {f}"]).current_dir(root());
        let tree = tree.output();
        let tree = tree.expect("cargo is there");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).expect("it is text");
        for line in tree.lines().filter(|line| !line.starts_with(server)) {
            let (library, features) = line.split_at(line.rfind(' ').unwrap_or(line.len()));
            libraries.entry(library.into()).or_default().insert(features.trim().into());
        }
    }
    libraries.retain(|_, features| features.len() > 1);
    assert!(libraries.is_empty(), "built more than once: {libraries:#?}");
}

/// What nobody here can start: the image, the services and the dev container name what is there.
#[test]
fn containers() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("it is there");
    let (image, services) = (read("scripts/Containerfile"), read("scripts/compose.yaml"));
    let manifest = read("Cargo.toml");
    let members =
        manifest.lines().find(|line| line.starts_with("members = ")).expect("it has some");
    for member in members.split('"').skip(1).step_by(2) {
        let folder = member.split('/').next().expect("it is one");
        assert!(image.contains(&format!("\nCOPY {folder} {folder}\n")), "no {folder}");
    }
    for (port, name) in iter::zip(8001.., SERVERS) {
        assert!(
            image.contains(&format!(" {port}")) && services.contains(&format!("\"{port}:{port}\""))
        );
        assert_eq!(services.matches(&format!("command: {name}}}")).count(), 2);
    }

    // nginx's file has no place left that is not filled, each by a service and its port.
    let command = services.split("      - |\n").nth(1).expect("nginx has a command");
    let command = command.lines().take_while(|line| line.starts_with("        "));
    let command = command.map(str::trim_start).collect::<Vec<_>>().join("\n").replace("$$", "$");
    let command = command.replace("/etc/real-time/nginx.conf", "scripts/nginx.conf");
    let command =
        command.replace(" >/tmp/nginx.conf", "").replace("exec nginx -c /tmp/nginx.conf", "");
    let filled =
        std::process::Command::new("sh").args(["-euc", &command]).current_dir(root()).output();
    let filled = String::from_utf8(filled.expect("sh is there").stdout).expect("it is text");
    let open = |line: &&str| line.split('#').next().is_some_and(|line| line.contains('@'));
    assert_eq!(filled.lines().find(open), None);
    for (port, name) in iter::zip(8001.., SERVERS) {
        assert!(filled.contains(&format!("server {name}-1:{port} ")), "{filled}");
        assert!(filled.contains(&format!("server {name}-2:{port} ")), "{filled}");
        assert!(filled.contains(&format!("listen {port};")), "{filled}");
    }

    let container = read(".devcontainer/devcontainer.json");
    let json: String = container.lines().filter(|line| !line.starts_with("//")).collect();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["forwardPorts"], serde_json::json!([8001, 8002, 8003, 8004]));
    for (port, name) in iter::zip(8001.., SERVERS) {
        let label = json["portsAttributes"][port.to_string()]["label"].as_str();
        assert!(label.is_some_and(|label| label.starts_with(name)), "{port}: {label:?}");
    }
    assert_eq!(json["onCreateCommand"], "scripts/all.sh --build");
}
