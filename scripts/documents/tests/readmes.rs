//! Whether the READMEs are true: every command in them is run, every line of source is looked for
//! in its file, every link leads somewhere. `cargo test -p documents --test readmes`
//!
//! # How to write a README
//!
//! Commands stand in blocks of the language `console`. `$ ` begins a command, `> ` goes on with it,
//! and what follows is its output. All commands of one README are run in one bash, in their order,
//! at the root of the checkout, on a terminal.
//!
//! - Output is compared to the letter. `[..]` is anything in a line, `...` alone in a line any
//!   lines. The `date:` of HTTP may differ, and the order of its headers, which is another one each
//!   time a server is started. An id (16 digits) may too, but the same id has to stand
//!   where the same update is meant; in a later command it is the one that really came.
//! - `cargo run -p SERVER` and `scripts/all.sh`, also with variables before them, start servers that
//!   go on to the end of the file, or until they are started again. The real ones listen on free
//!   ports, which 8001 to 8004 mean in later commands. They are quiet, unless a second update is
//!   shown. What is shown is the beginning of what they print, whenever it comes.
//! - A command with `&` at its end goes on too, as if in a terminal of its own: what is shown beneath
//!   it is the beginning of what it prints. The next command is run when it is connected. Where
//!   nothing is shown beneath it, what it printed is shown beneath a later `$ wait`.
//! - A command has to succeed. One that fails shows it: curl by `curl: (7) …` in its output, any by
//!   `$ echo $?` as the next command. Not to be shown are curl's 28 (`--max-time`) and the 124 of
//!   `timeout`, which end a stream, the 1 of `diff`, which found a difference, and that of
//!   `scripts/check.sh`, which found a sentence that does not hold. Without a Node, what needs one is
//!   not run.
//! - What can't be run as it is shown stands in [`INSTEAD`].
//!
//! Commands within a sentence that begin with `cargo`, `diff` or `scripts/` are run too, at the end,
//! and have to succeed.
//!
//! Source stands in blocks like `rust file=feed/src/lib.rs`: these lines, one after another, perhaps
//! further to the right. A change to a file stands in a block like `diff file=feed/src/lib.rs`: its
//! old lines have to stand there once (`@@` parts two places). In a `SOLUTIONS.md`, a server is
//! started with all such changes made to it (see `solutions.rs`). What looks like a path of this repository within a sentence has to be one.

#[path = "readmes/compare.rs"]
mod compare;
#[path = "readmes/document.rs"]
mod document;
#[path = "readmes/itself.rs"]
mod itself;
#[path = "readmes/patch.rs"]
mod patch;
#[path = "readmes/prose.rs"]
mod prose;
#[path = "readmes/servers.rs"]
mod servers;
#[path = "readmes/session.rs"]
mod session;
#[path = "readmes/solutions.rs"]
mod solutions;

use std::path::{Path, PathBuf};
use std::{fs, process, time::Duration};

use lab::{SERVERS, Server, soon};
use tokio::time::{sleep, timeout};

use compare::Names;
use document::{At, Command, Document};
use servers::{PORTS, Running, Start};
use session::{Session, Terminal};
use solutions::Solved;

/// Commands that can't be run as they are shown: how they begin, what is run instead, and why. The
/// rest of a command takes the place of `REST`. What is shown beneath them is not compared.
const INSTEAD: &[(&str, &str, &str)] = &[
    ("git clone ", ":", "it is for somebody who has no checkout yet"),
    ("scripts/test.sh", "bash -n scripts/test.sh", "it is what runs this test"),
    (
        "scripts/past-one-machine.sh",
        "bash -n scripts/past-one-machine.sh",
        "a step of its own runs it",
    ),
    (
        "scripts/frameworks.sh",
        "bash -n scripts/frameworks.sh",
        "it would fetch frameworks; a step of its own runs it",
    ),
    ("scripts/pictures.sh", "bash -n scripts/pictures.sh", "it would take the pictures again"),
    (
        "scripts/measure.sh",
        // That its options are known, then, once, that it measures: few updates, and in no file.
        "cargo run -p measure -- REST --help && { [ \"${MEASURED-}\" ] || cargo run -p measure -- \
         --clients 3 --updates 3 --every 20ms --poll-interval 50ms --rounds 1 --idle 0s; } && MEASURED=yes",
        "it would measure for minutes, and write into pages when asked for that",
    ),
    ("cargo test", ":", "it would run this test"),
    ("cargo clean", ":", "it would delete this test"),
];

macro_rules! readmes {
    ($($name:ident: $path:literal,)*) => {
        /// The READMEs that have a test.
        const READMES: &[&str] = &[$($path),*];

        $(
            #[test]
            fn $name() {
                lab::run(is_true($path));
            }
        )*
    };
}

readmes! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    polling: "polling/README.md",
    polling_solutions: "polling/SOLUTIONS.md",
    long_polling: "long-polling/README.md",
    long_polling_solutions: "long-polling/SOLUTIONS.md",
    server_sent_events: "server-sent-events/README.md",
    server_sent_events_solutions: "server-sent-events/SOLUTIONS.md",
    websockets: "websockets/README.md",
    websockets_solutions: "websockets/SOLUTIONS.md",
    feed: "feed/README.md",
    contract: "feed/WIRE.md",
    public: "public/README.md",
    lesson: "scripts/LESSON.md",
    homework: "scripts/HOMEWORK.md",
    clients: "scripts/check/clients/README.md",
    frameworks: "scripts/check/frameworks/README.md",
    costs: "scripts/COSTS.md",
    past_one_machine: "scripts/PAST-ONE-MACHINE.md",
}

#[test]
fn each_readme_has_its_test() {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
    let list = process::Command::new("git").args(list).current_dir(root()).output();
    let list = list.expect("git is there");
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let list = String::from_utf8(list.stdout).expect("names are UTF-8");
    let missing: Vec<_> = list.lines().filter(|readme| !READMES.contains(readme)).collect();
    assert!(missing.is_empty(), "add them to `readmes!`: {missing:?}");
}

/// The README says how long the servers are at most, and each walkthrough about how long its own is.
#[test]
fn the_servers_are_as_long_as_is_said() {
    let lines = |file: &str| {
        let text = fs::read_to_string(root().join(file)).expect("it is there");
        text.lines().count()
    };
    let lengths = SERVERS.map(|server| lines(&format!("{server}/src/main.rs")));
    let (shortest, longest) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
    assert!(readme.contains(&format!("a server of {shortest} to {longest} lines")), "{lengths:?}");
    assert!(*longest <= 120 && lines("feed/src/lib.rs") <= 250);
    for (server, length) in SERVERS.into_iter().zip(lengths) {
        let readme = fs::read_to_string(root().join(server).join("README.md"));
        let readme = readme.expect("it is there").replace('\n', " ");
        let about =
            readme.split(" server of about ").nth(1).and_then(|rest| rest.split(' ').next());
        let about: usize = about.and_then(|about| about.parse().ok()).expect("it says how long");
        assert!(about.abs_diff(length) <= 5, "{server}: {length}, not {about}");
    }
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("it is there")
}

async fn is_true(readme: &str) {
    let text = fs::read_to_string(root().join(readme));
    let text = text.unwrap_or_else(|error| panic!("{readme}: {error}"));
    let problems = problems(readme, &text).await;
    assert!(problems.is_empty(), "not true in {readme}:\n\n{}", problems.join("\n"));
}

/// All that is not true in a README, each with its place.
async fn problems(readme: &str, text: &str) -> Vec<String> {
    let root = root();
    let document = Document::of(text);
    let mut problems = document.problems.clone();
    problems.extend(document.blocks.iter().flat_map(|block| prose::check_block(&root, block)));
    problems.extend(prose::check_links(&root, readme, &document));
    problems.extend(prose::check_paths(&root, readme, &document));
    problems.extend(check_markers(readme, text));
    problems.extend(unfinished(text));
    let solved = readme.strip_suffix("/SOLUTIONS.md");
    let solved = solved.and_then(|name| SERVERS.into_iter().find(|server| *server == name));
    problems.extend(Run::new(&root, solved.map(Solved::of)).all(&document).await);
    problems.extend(check_addresses(&document).await);
    problems.sort_by_key(|problem| problem.line);
    problems.into_iter().map(|At { line, is }| format!("{readme}:{line}: {is}\n")).collect()
}

/// What is measured stands between markers, where the measurement finds its place.
fn check_markers(readme: &str, text: &str) -> Option<At<String>> {
    let markers = ["<!-- measured: begin -->", "<!-- measured: end -->"];
    let found: Vec<_> = text.lines().filter(|line| line.starts_with("<!-- measured:")).collect();
    let is_measured = ["README.md", "scripts/COSTS.md"].contains(&readme);
    let expected = if is_measured { &markers[..] } else { &[] };
    (found != expected)
        .then(|| At { line: 1, is: format!("has {found:?}, should have {expected:?}") })
}

/// What its author wanted to write later.
fn unfinished(text: &str) -> impl Iterator<Item = At<String>> {
    let is_open = |line: &&str| ["XXX", "TODO", "FIXME"].iter().any(|mark| line.contains(mark));
    let open = (1..).zip(text.lines()).filter(move |(_, line)| is_open(line));
    open.map(|(line, text)| At { line, is: format!("unfinished: {text}") })
}

/// The run of a README's commands.
struct Run {
    session: Session,
    /// What is started where a SOLUTIONS.md starts its server.
    solved: Option<Solved>,
    names: Names,
    running: Vec<Running>,
    /// Commands that go on, with their terminals.
    beside: Vec<(At<Command>, Terminal)>,
    problems: Vec<At<String>>,
}

impl Run {
    fn new(root: &Path, solved: Option<Solved>) -> Run {
        let session = Session::start(root);
        let (running, beside, problems) = (Vec::new(), Vec::new(), Vec::new());
        Run { session, solved, names: Names::default(), running, beside, problems }
    }

    fn problem(&mut self, command: &At<Command>, problem: &str) {
        let is = format!("$ {}\n{problem}", command.is.text);
        self.problems.push(At { line: command.line, is });
    }

    async fn all(mut self, document: &Document) -> Vec<At<String>> {
        for (index, command) in document.commands.iter().enumerate() {
            let rest = &document.commands[index + 1..];
            let result = if let Some(start) = Start::of(&command.is.text) {
                self.start(&start, command, rest).await
            } else {
                self.command(command, rest.first()).await
            };
            if let Err(problem) = result {
                self.problem(command, &problem);
            }
            if self.session.is_over {
                break;
            }
        }
        for (command, terminal) in std::mem::take(&mut self.beside) {
            let printed = || terminal.so_far().lines().map(Into::into).collect();
            let shown = &command.is.shown;
            if let Err(problem) = servers::begins_with(shown, &mut self.names, printed).await {
                self.problem(&command, &problem);
            }
        }
        for code in &document.code {
            if let Err(problem) = self.command_within_a_sentence(code).await {
                self.problems.push(At { line: code.line, is: format!("`{}`\n{problem}", code.is) });
            }
        }
        self.stop(|_| true).await;
        self.problems
    }

    /// Starts servers. Those whose ports they take are stopped first.
    async fn start(
        &mut self,
        start: &Start,
        command: &At<Command>,
        rest: &[At<Command>],
    ) -> Result<(), String> {
        self.stop(|running| running.is_started_again_by(start)).await;
        let later = rest.iter().take_while(|command| Start::of(&command.is.text).is_none());
        let mut shown = std::iter::once(command).chain(later).map(|command| &command.is.shown);
        let quiet = !shown.any(|shown| servers::has_later_update(shown));
        let (solved, session) = (self.solved.as_ref(), &self.session);
        let running = Running::start(start, command, quiet, solved, session, &mut self.names);
        self.running.push(running.await?);
        Ok(())
    }

    /// Stops servers, and looks at what they have printed.
    async fn stop(&mut self, which: impl Fn(&Running) -> bool) {
        let stopped: Vec<_> = self.running.extract_if(.., |running| which(running)).collect();
        for running in stopped {
            let command = running.command.clone();
            if let Err(problem) = running.end(&mut self.names).await {
                self.problem(&command, &problem);
            }
        }
    }

    async fn command(
        &mut self,
        command: &At<Command>,
        next: Option<&At<Command>>,
    ) -> Result<(), String> {
        let Command { text, shown } = &command.is;
        check_packages(text)?;
        if text.contains(" node ") && !has_node() {
            return Ok(());
        }
        if let Some((begin, instead, _)) =
            INSTEAD.iter().find(|(begin, ..)| text.starts_with(begin))
        {
            let instead = instead.replace("REST", &text[begin.len()..]);
            return match self.session.run(&instead).await? {
                (_, 0) => Ok(()),
                (printed, status) => Err(format!("Exit status {status}:\n{printed}")),
            };
        }
        if let Some(port) = PORTS.iter().find(|port| {
            text.contains(&format!("localhost:{port}")) && self.names.port(**port).is_none()
        }) {
            return Err(format!("No command before it starts the server at port {port}."));
        }
        let real = self.names.real(text);
        if text.ends_with('&') && !text.ends_with("&&") {
            let ports = self.names.real_ports();
            let before = servers::connections(&ports);
            let terminal = self.session.run_beside(&real).await?;
            let connected = async {
                while servers::connections(&ports) <= before {
                    sleep(Duration::from_millis(20)).await; // nobody tells: it has to be polled
                }
            };
            // Not all connect; those that do send their request then, which nobody sees.
            let _ = timeout(Duration::from_secs(1), connected).await;
            sleep(Duration::from_millis(200)).await;
            self.beside.push((command.clone(), terminal));
            return Ok(());
        }
        let (mut printed, status) = self.session.run(&real).await?;
        if text.starts_with("wait") {
            printed = self.printed_beside() + &printed;
        }
        self.names.compare(shown, &printed)?;
        let says_status = shown.contains(&format!("curl: ({status})"))
            || next.is_some_and(|next| next.is.text == "echo $?");
        if status == 0 || says_status || is_usual(text, status) {
            Ok(())
        } else {
            let how = "which is shown nowhere (`$ echo $?`)";
            Err(format!("It ended with exit status {status}, {how}. It printed:\n{printed}"))
        }
    }

    /// Runs a command that stands within a sentence, which shows no output.
    async fn command_within_a_sentence(&mut self, code: &At<String>) -> Result<(), String> {
        let is_command =
            ["cargo ", "diff ", "scripts/"].iter().any(|word| code.is.starts_with(word));
        if !is_command || !code.is.contains(' ') || self.session.is_over {
            return Ok(());
        }
        if Start::of(&code.is).is_some() {
            return Ok(()); // blocks show often enough that these start
        }
        let command = Command { text: code.is.clone(), shown: "...".into() };
        self.command(&At { line: code.line, is: command }, None).await
    }

    /// What was printed by the commands that go on and that have nothing shown beneath them.
    fn printed_beside(&mut self) -> String {
        let is_not_shown = |(command, _): &mut (At<Command>, Terminal)| command.is.shown.is_empty();
        let taken = self.beside.extract_if(.., is_not_shown);
        taken.map(|(_, terminal)| terminal.so_far() + "\n").collect()
    }
}

/// Whether the servers know the addresses that links lead to.
async fn check_addresses(document: &Document) -> Vec<At<String>> {
    let mut problems = Vec::new();
    for link in &document.links {
        let Some(rest) = link.is.strip_prefix("http://localhost:") else { continue };
        let port = rest.split('/').next().and_then(|port| port.parse().ok());
        let problem = match PORTS.iter().position(|default| Some(*default) == port) {
            Some(place) => {
                let server = Server::start(SERVERS[place]).await;
                let port = server.port().to_string();
                ask(&link.is.replace(&PORTS[place].to_string(), &port)).await
            }
            None => Err("No server is at this port.".into()),
        };
        if let Err(problem) = problem {
            problems.push(At { line: link.line, is: format!("{}: {problem}", link.is) });
        }
    }
    problems
}

/// Whether the address has something.
async fn ask(url: &str) -> Result<(), String> {
    let answer = soon("an answer", reqwest::get(url)).await;
    answer.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
    Ok(())
}

/// Exit statuses that need not be shown, as they say what was asked for.
fn is_usual(command: &str, status: i32) -> bool {
    match status {
        1 => ["diff ", "scripts/check.sh "].iter().any(|begin| command.starts_with(begin)),
        28 => command.contains("curl ") && command.contains(" --max-time "),
        124 => command.contains("timeout "),
        _ => false,
    }
}

/// Whether what is written in JavaScript can be run.
fn has_node() -> bool {
    let version = process::Command::new("node").arg("--version").output();
    let is_there = version.is_ok_and(|version| version.status.success());
    if !is_there {
        eprintln!("There is no Node (https://nodejs.org): what needs it is not run.");
    }
    is_there
}

/// Whether the packages that a command names are there.
fn check_packages(command: &str) -> Result<(), String> {
    let mut words = command.split_whitespace();
    if !command.contains("cargo ") {
        return Ok(());
    }
    while let Some(option) = words.next() {
        let name = ["-p", "--package"].contains(&option).then(|| words.next()).flatten();
        let is_there =
            |folder: &str, name| root().join(folder).join(name).join("Cargo.toml").exists();
        if let Some(name) = name
            && !is_there("", name)
            && !is_there("scripts", name)
        {
            return Err(format!("There is no package {name}."));
        }
    }
    Ok(())
}
