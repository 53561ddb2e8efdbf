//! The check of clients, tried: one that is right is told so, the naive ones what they lose, and one
//! with a mistake which. They are Node's, like the naive ones.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;

use lab::SERVERS;
use libtest_mimic::{Failed, Trial};

use super::{check, root, same, told};

/// How a right client is started, and one with each of the mistakes.
fn ours(technique: &str, mistake: &str) -> Vec<String> {
    let client = root().join("scripts/check/tests/check/client.mjs");
    let mistake = format!("MISTAKE={mistake}");
    ["env", &mistake, "node", &client.to_string_lossy(), technique].map(ToOwned::to_owned).into()
}

fn naive(technique: &str) -> Vec<String> {
    let client = root().join(technique).join("naive/client.mjs");
    ["node", "--experimental-websocket", &client.to_string_lossy()].map(ToOwned::to_owned).into()
}

/// What the pages' client is made of, in Node, which clears up its memory after some seconds:
/// Node 20 forgets a timeout then that only an `AbortSignal.any` waits for.
fn outside(technique: &str) -> Vec<String> {
    let client = root().join("scripts/check/clients/ours.mjs");
    let clear_up = ["--expose-gc", "--import", "data:text/javascript,setTimeout(gc,4000)"];
    let words = [&["node", "--experimental-websocket"], &clear_up[..]].concat();
    words
        .into_iter()
        .chain([&*client.to_string_lossy(), technique])
        .map(ToOwned::to_owned)
        .collect()
}

/// All sentences. Side by side with many others it needs no more of them at the same time.
const WHOLE: [&str; 3] = ["--client", "--at-once", "8"];

/// Of these it takes a minute until a mistake is found.
const LONG: [&str; 6] = ["C3.9", "C1.1", "C3.1", "C3.2", "C3.7", "C3.12"];

/// What a page in a browser is tried on here: what a browser, or how a page shows it, could break. (The
/// rest by hand, as `scripts/HOMEWORK.md` has it: a browser for each situation is heavy.)
const IN_A_BROWSER: [(&str, &str); 4] = [
    ("polling", "C1.3,C2.9"),
    ("long-polling", "C2.6,C3.8"),
    ("server-sent-events", "C2.7,C3.1"),
    ("websockets", "C3.11,C3.12"),
];

/// A page of ours in Chromium.
fn page(technique: &str) -> Vec<String> {
    let client = root().join("scripts/check/clients/page.mjs");
    ["node", &client.to_string_lossy(), technique, "chromium"].map(ToOwned::to_owned).into()
}

/// The sentences that it breaks, its technique, and its name.
type Mistake = (String, String, String);

pub fn trials() -> Vec<Trial> {
    let output = Command::new("node").args(&ours("--mistakes", "")[3..]).output();
    let Ok(output) = output else {
        eprintln!("clients are not tried: there is no Node (https://nodejs.org, 20 or newer)");
        return Vec::new();
    };
    let mut mistakes = BTreeMap::<String, Vec<Mistake>>::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (before, name) = line.split_once(": ").expect("a mistake has a name");
        let (sentences, technique) = before.rsplit_once(' ').expect("and a technique");
        let first = sentences.split(' ').next().unwrap_or_default();
        let mistake = (sentences.replace(' ', ","), technique.into(), name.into());
        mistakes.entry(first.into()).or_default().push(mistake);
    }
    let three = |(number, wrong): (String, Vec<Mistake>)| {
        Trial::test(format!("clients_with_a_mistake_{number}"), move || {
            if wrong.len() < 3 {
                return Err(format!("{number} has {} mistakes", wrong.len()).into());
            }
            all(wrong.iter().cloned().map(|mistake| move || is_found(&mistake)))
        })
    };
    // What takes the longest begins.
    let mut trials = Vec::new();
    for technique in SERVERS {
        trials.push(Trial::test(format!("a_right_client_of_{technique}"), move || {
            let result = check(technique, &WHOLE, &ours(technique, ""))?;
            Ok(same(&result.fails, &[])?)
        }));
        trials.push(Trial::test(
            format!("the_pages_client_outside_of_a_page_{technique}"),
            move || {
                let result = check(technique, &WHOLE, &outside(technique))?;
                // A script is shown no pings: a WebSocket that dies in silence can't be noticed by one.
                let cant: &[&str] = if technique == "websockets" { &["C3.9"] } else { &[] };
                Ok(same(&result.fails, cant)?)
            },
        ));
        trials.push(Trial::test(format!("the_naive_client_of_{technique}"), move || {
            let result = check(technique, &WHOLE, &naive(technique))?;
            let told = told(technique, |row| row.starts_with('C'))?;
            same(&result.fails, &told.iter().map(String::as_str).collect::<Vec<_>>()).map_err(
                |why| format!("its walkthrough does not tell exactly what fails: {why}").into(),
            )
        }));
    }
    let has_chromium = Command::new("node").args(&page("")[1..2]).output();
    let has_chromium =
        has_chromium.is_ok_and(|it| it.stderr.windows(8).any(|it| it == b"chromium"));
    for (technique, only) in IN_A_BROWSER {
        let trial = Trial::test(format!("the_page_in_chromium_{technique}"), move || {
            let options = ["--client", "--at-once", "2", "--only", only];
            let result = check(technique, &options, &page(technique))?;
            let held: Vec<_> = only.split(',').collect();
            Ok(same(&result.holds, &held)?)
        });
        trials.push(trial.with_ignored_flag(!has_chromium));
    }
    trials.push(Trial::test("what_is_no_client_is_a_result", no_client));
    let (long, short): (Vec<_>, Vec<_>) =
        mistakes.into_iter().partition(|(number, _)| LONG.contains(&&**number));
    trials.extend(long.into_iter().chain(short).map(three));
    trials
}

/// It breaks these sentences, and keeps the plainest one beside them.
fn is_found((sentences, technique, name): &Mistake) -> Result<(), String> {
    let breaks: Vec<_> = sentences.split(',').collect();
    let only = format!("{sentences},C1.2");
    let result = check(technique, &["--client", "--only", &only], &ours(technique, name))?;
    same(&result.fails, &breaks).map_err(|why| format!("{technique}, {name}: {why}"))
}

/// What does not start, ends, says nothing, or never stops saying something or making others.
fn no_client() -> Result<(), Failed> {
    let forks = "while :; do sleep 4321.5 & sleep 0.2; done";
    let clients = [
        vec!["no-such-program"],
        vec!["true"],
        vec!["yes"],
        vec!["sleep", "100"],
        vec!["sh", "-c", forks],
    ];
    all(clients.into_iter().map(|words| {
        move || {
            let command: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            let result =
                check("polling", &["--client", "--only", "C1.1,C1.2,C2.2,C3.11"], &command)?;
            if !result.success && result.holds.is_empty() {
                Ok(())
            } else {
                Err(format!("{words:?} is a client"))
            }
        }
    }))?;
    let left = Command::new("pgrep").args(["-f", "sleep 4321.5"]).stdout(Stdio::null()).status();
    if left.is_ok_and(|status| status.success()) {
        Err("what it has started lives on".into())
    } else {
        Ok(())
    }
}

/// All of them at the same time: they wait most of the time.
fn all<T: FnOnce() -> Result<(), String> + Send + 'static>(
    tries: impl Iterator<Item = T>,
) -> Result<(), Failed> {
    let threads: Vec<_> = tries.map(thread::spawn).collect();
    let results =
        threads.into_iter().map(|it| it.join().unwrap_or_else(|_| Err("panicked".into())));
    let failed: Vec<_> = results.filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}
