//! The check itself, tried: our servers keep every sentence of the contract, the naive ones what they
//! are said to keep, and a server with one mistake is told which; clients as well. `cargo test -p check --test check`

mod clients;
mod mistakes;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use lab::client::publish_all;
use lab::{SERVERS, Server, binary};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

fn main() {
    let mut trials = vec![
        Trial::test("the_naive_keep_the_first_level", || {
            let has_node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
            if has_node.is_ok() {
                return at_once(naive);
            }
            eprintln!("not tried: there is no Node (https://nodejs.org, 20 or newer)");
            Ok(())
        }),
        Trial::test("what_is_no_server_is_a_result", no_server),
        Trial::test("a_server_that_runs_already", || at_once(running)),
        Trial::test("what_was_asked_is_said_in_each_form", || Ok(forms()?)),
        Trial::test("nothing_is_left_behind", || Ok(left_behind()?)),
        Trial::test("what_is_handed_in_is_marked", || Ok(marks()?)),
    ];
    trials.extend(
        SERVERS
            .map(|name| Trial::test(format!("{name}_keeps_everything"), move || Ok(ours(name)?))),
    );
    // (Those that take the longest begin.)
    trials.extend(mistakes::servers());
    trials.extend(clients::trials());
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(10); // they wait most of the time
    libtest_mimic::run(&arguments, trials).exit();
}

/// All of them hold.
fn ours(technique: &'static str) -> Result<(), String> {
    let server = binary(technique).to_string_lossy().into_owned();
    let result = check(technique, &[], &[server])?;
    same(&result.fails, &[])?;
    if result.success { Ok(()) } else { Err("the exit code is not 0".into()) }
}

/// Level 1, and what comes by itself: the rest is the lesson.
fn naive(technique: &'static str) -> Result<(), String> {
    let server = root().join(technique).join("naive/server.mjs").to_string_lossy().into_owned();
    let result = check(technique, &[], &["node".into(), server])?;
    let told = told(technique, |row| row.starts_with(['2', '3']))?;
    // What needs a sentence that fails may be told of as well. Of a crowd (3.19), chance decides who
    // comes in time.
    let lost = [result.fails.clone(), result.needs].concat();
    let untold: Vec<_> =
        result.fails.iter().filter(|it| !told.contains(it) && *it != "3.19").collect();
    let kept: Vec<_> = told.iter().filter(|it| !lost.contains(it)).collect();
    if untold.is_empty() && kept.is_empty() {
        return Ok(());
    }
    Err(format!("its walkthrough does not tell of {untold:?}, and wrongly of {kept:?}"))
}

/// The sentences of which a walkthrough's table says why a naive server or client does not keep them.
fn told(technique: &str, is_row: fn(&str) -> bool) -> Result<Vec<String>, String> {
    let walkthrough = fs::read_to_string(root().join(technique).join("README.md"));
    let walkthrough = walkthrough.map_err(|why| why.to_string())?;
    let rows = walkthrough.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let mut told = Vec::new();
    for part in rows.filter(|row| is_row(row)).flat_map(|row| row.split(", ")) {
        let (from, to) = part.split_once(" to ").unwrap_or((part, part));
        let numbers = [from, to].map(|number| number.split_once('.'));
        let [Some((level, from)), Some((_, to))] = numbers else { continue };
        let [from, to] = [from, to].map(str::parse::<u32>);
        let range = from.map_err(|why| why.to_string())?..=to.map_err(|why| why.to_string())?;
        told.extend(range.map(|number| format!("{level}.{number}")));
    }
    Ok(told)
}

/// It has been used for a while, and nothing is asked of it that would start or stop it.
fn running(technique: &'static str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let server = runtime.block_on(async {
        let server = Server::start(technique).await;
        publish_all(&server, (0..1_100).map(|number| format!("before: {number}"))).await;
        server
    });
    let result = check(technique, &["--url", &server.url("/")], &[])?;
    same(&result.fails, &[])?;
    let left_out = ["1.1", "2.6", "3.14"];
    let is_left_out = left_out.iter().all(|number| !result.holds.iter().any(|it| it == number));
    if is_left_out && result.holds.len() > 15 { Ok(()) } else { Err(format!("{:?}", result.holds)) }
}

/// What does not start, ends, says nothing, or never stops saying something.
fn no_server() -> Result<(), libtest_mimic::Failed> {
    for command in ["no-such-program", "true", "yes", "sleep 100"] {
        let command: Vec<_> = command.split(' ').map(ToOwned::to_owned).collect();
        let result = check("polling", &["--level", "1"], &command)?;
        if result.success || !result.holds.is_empty() {
            return Err(format!("{command:?}: {:?} hold", result.holds).into());
        }
    }
    Ok(())
}

/// The exit code, JSON, `JUnit`, a page: of what holds, fails, was not tried, or does not exist.
fn forms() -> Result<(), String> {
    let folder = folder("forms")?;
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (json, junit, html) = (file("a.json"), file("a.xml"), file("a.html"));
    let server = [binary("polling").to_string_lossy().into_owned()];
    let naive = root().join("polling/naive/server.mjs").to_string_lossy().into_owned();
    let mistaken = ["node".to_owned(), naive];
    let options = ["--only", "1.2,2.1", "--junit", &junit, "--html", &html];
    let own = |options: &[&str], command: &[String], code: i32| {
        let mut check = Command::new(env!("CARGO_BIN_EXE_check"));
        check.arg("polling").args(options);
        if !command.is_empty() {
            check.arg("--").args(command);
        }
        let output = check.output().map_err(|why| why.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_so = output.status.code() == Some(code);
        if is_so {
            Ok(said)
        } else {
            Err(format!("{options:?}: {}, not {code}: {said}", output.status))
        }
    };
    own(&["--only", "1.2,2.1"], &server, 0)?;
    own(&["--only", "1"], &server, 0)?; // a level by its number
    let said = own(&["--level", "1"], &server, 0)?;
    if said.contains("Level 2") {
        return Err(format!("level 2 was tried, too: {said}"));
    }
    own(&["--only", "9.9"], &server, 2)?;
    let said = own(&["--only", "9.9", "--json"], &server, 2)?;
    let error: Value = serde_json::from_str(&said).map_err(|why| format!("{why}: {said}"))?;
    if !error["error"].as_str().is_some_and(|why| why.contains("9.9"))
        || error["contract"].is_null()
    {
        return Err(format!("it does not say why: {said}"));
    }
    let said = own(&options, &mistaken, 1)?;
    if !said.contains("again: scripts/check.sh polling --only 2.1 -- node ") {
        return Err(format!("it does not say how to try it again: {said}"));
    }
    own(&[&options[..2], &[&format!("--json={json}")]].concat(), &mistaken, 1)?;
    for (path, expected) in [
        (&junit, &["tests=\"2\" failures=\"1\"", "name=\"2.1 An id"][..]),
        (&html, &["<!doctype html>", "2.1 <b>FAILS</b>"]),
        (&json, &["\"fails\": 1", "\"contract\": \"20"]),
    ] {
        let text = fs::read_to_string(path).map_err(|why| format!("{path}: {why}"))?;
        if let Some(missing) = expected.iter().find(|part| !text.contains(**part)) {
            return Err(format!("{path} has no {missing}: {text}"));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let running = runtime.expect("a runtime can be made").block_on(Server::start("polling"));
    let url = running.url("/");
    own(&["--url", &url, "--only", "1.2,1.5"], &[], 0)?;
    own(&["--url", &url, "--only", "1.1,3.14"], &[], 3)?; // nothing of it could be tried
    fs::remove_dir_all(folder).map_err(|why| why.to_string())
}

/// A server may leave its process group, or its parent: what it has started ends with it.
fn left_behind() -> Result<(), String> {
    let server = binary("polling").to_string_lossy().into_owned();
    let sign = format!("{}.25", 90_000 + std::process::id());
    let start = format!("setsid sleep {sign} & (setsid sleep {sign} &) ; exec {server}");
    let result = check("polling", &["--only", "1.2"], &["sh".into(), "-c".into(), start])?;
    same(&result.holds, &["1.2"])?;
    let all = Command::new("ps").args(["-eo", "args"]).output().map_err(|why| why.to_string())?;
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    let left: Vec<_> = all.lines().filter(|line| line.contains(&sign)).collect();
    if !left.is_empty() {
        return Err(format!("left behind: {left:?}"));
    }
    let temporary = folder("files")?;
    let mut again = Command::new(env!("CARGO_BIN_EXE_check"));
    again.args(["polling", "--only", "1.2", "--", &server]).env("TMPDIR", &temporary);
    again.output().map_err(|why| why.to_string())?;
    // Only an empty folder can be removed so.
    fs::remove_dir(&temporary).map_err(|why| format!("{}: {why}", temporary.display()))
}

/// A line for each folder, in their order, whatever is in it.
fn marks() -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;

    let all = folder("marks")?;
    let script = format!("#!/bin/sh\nexec {}\n", binary("polling").to_string_lossy());
    for (name, text, mode) in [
        ("-right", script.clone(), 0o755),
        ("no x", script.clone(), 0o644),
        ("windows", script.replace('\n', "\r\n"), 0o755),
    ] {
        let start = all.join(name).join("start");
        let written = fs::create_dir(all.join(name)).and_then(|()| fs::write(&start, text));
        let set = || fs::set_permissions(&start, fs::Permissions::from_mode(mode));
        written.and_then(|()| set()).map_err(|why| why.to_string())?;
    }
    fs::create_dir(all.join("empty")).map_err(|why| why.to_string())?;
    let mark = |options: &[&str]| {
        let mut mark = Command::new(env!("CARGO_BIN_EXE_check"));
        mark.args(["mark", "polling", "--only", "1,2.1"]).args(options).current_dir(&all);
        let output = mark.args(["-right/", "no x", "windows", "empty", "none"]).output();
        let output = output.map_err(|why| why.to_string())?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (options, expected) in [
        (
            &[][..],
            [
                "very good         level 1: 7 of 7, level 2: 1 of 1",
                "chmod +x",
                "line ends",
                "nothing that can",
                "no such folder",
            ],
        ),
        (
            &["--csv", "--jobs=2"],
            [
                "\"-right\",very good,7,7,1,1,0,0,\"\"",
                "\"no x\",not passed,0,0",
                "windows",
                "empty",
                "none",
            ],
        ),
    ] {
        let said = mark(options)?;
        let lines = said.lines().skip(options.len().min(1));
        if lines.clone().count() != 5
            || !lines.zip(expected).all(|(line, part)| line.contains(part))
        {
            return Err(format!("{options:?}: {said}"));
        }
    }
    fs::remove_dir_all(all).map_err(|why| why.to_string())
}

/// An empty folder.
fn folder(name: &str) -> Result<PathBuf, String> {
    let folder = env::temp_dir().join(format!("check-{name}-{}", std::process::id()));
    fs::create_dir(&folder).map_err(|why| why.to_string())?;
    Ok(folder)
}

/// Each technique's by its own thread: they wait most of the time.
fn at_once(try_one: fn(&'static str) -> Result<(), String>) -> Result<(), libtest_mimic::Failed> {
    let threads = SERVERS.map(|name| (name, thread::spawn(move || try_one(name))));
    let failed = threads.into_iter().filter_map(|(name, thread)| {
        let result = thread.join().unwrap_or_else(|_| Err("panicked".into()));
        result.err().map(|why| format!("{name}: {why}"))
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

/// What the check says: the numbers of the sentences.
struct Said {
    success: bool,
    holds: Vec<String>,
    fails: Vec<String>,
    /// Those that were not tried, as they need one that fails.
    needs: Vec<String>,
}

fn check(technique: &str, options: &[&str], command: &[String]) -> Result<Said, String> {
    let mut check = Command::new(env!("CARGO_BIN_EXE_check"));
    check.arg(technique).args(options).arg("--json");
    if !command.is_empty() {
        check.arg("--").args(command);
    }
    let check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let check = check.map_err(|why| why.to_string())?;
    let status = format!("/proc/{}/status", check.id());
    let most = thread::spawn(move || most_memory(&status));
    let output = check.wait_with_output().map_err(|why| why.to_string())?;
    let most = most.join().map_err(|_| "nobody knows its memory")?;
    if most > MOST_MEMORY {
        return Err(format!("{technique} {options:?} {command:?}: the check took {most} KiB"));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let all: Value = serde_json::from_str(&said)
        .map_err(|why| format!("it says no JSON ({why}): {said}{errors}"))?;
    let sentences = all["sentences"].as_array().ok_or("there are no sentences")?;
    let of = |holds: bool| {
        let own = sentences.iter().filter(|sentence| sentence["holds"] == holds);
        own.filter_map(|sentence| sentence["number"].as_str().map(ToOwned::to_owned)).collect()
    };
    for sentence in sentences.iter().filter(|sentence| sentence["holds"] == false) {
        eprintln!("{technique} {}: {}", sentence["number"], sentence["why"]);
    }
    let needs = sentences
        .iter()
        .filter(|it| it["why"].as_str().is_some_and(|why| why.starts_with("needs ")));
    let needs = needs.filter(|it| it["holds"].is_null());
    let needs = needs.filter_map(|it| it["number"].as_str().map(ToOwned::to_owned)).collect();
    Ok(Said { success: output.status.success(), holds: of(true), fails: of(false), needs })
}

/// KiB: whatever a server sends without an end, the check holds no more of it than it has to.
const MOST_MEMORY: u64 = 300 * 1024;

/// How many KiB of memory a process took at most, up to its end. (Where there is no `/proc`, 0.)
fn most_memory(status: &str) -> u64 {
    let mut most = 0;
    while let Ok(status) = fs::read_to_string(status) {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(now) = line.and_then(|line| line.split_whitespace().next()) else { break };
        most = now.parse().unwrap_or(most);
        thread::sleep(Duration::from_millis(50));
    }
    most
}

fn same<T: AsRef<str>>(came: &[T], expected: &[&str]) -> Result<(), String> {
    let came: Vec<_> = came.iter().map(AsRef::as_ref).collect();
    let is_same = came.len() == expected.len() && expected.iter().all(|it| came.contains(it));
    if is_same { Ok(()) } else { Err(format!("{came:?} came, {expected:?} were expected")) }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
