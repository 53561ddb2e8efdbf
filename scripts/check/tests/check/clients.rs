//! The check of clients, tried: one that is right is told so, the naive ones what they lose, and one
//! with a mistake which. They are Node's, like the naive ones.

use std::process::{Command, Stdio};

use lab::SERVERS;
use libtest_mimic::{Failed, Trial};

use super::mistakes::{self, Mistake, all, command};
use super::{check, root, same, told};

fn naive(technique: &str) -> Vec<String> {
    let client = root().join(technique).join("naive/client.mjs");
    ["node", "--experimental-websocket", &client.to_string_lossy()].map(ToOwned::to_owned).into()
}

/// What the pages' client is made of, in Node, which clears up its memory after some seconds: what only
/// an `AbortSignal.any` waits for is forgotten then.
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

/// What a page in a browser is tried on here: what a browser, or how a page shows it, could break. (The
/// rest by hand, with `scripts/check/clients/table.sh`: a browser for each situation is heavy.)
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

pub fn trials() -> Vec<Trial> {
    let mistakes = mistakes::trials("client.mjs", is_found);
    if mistakes.is_empty() {
        return mistakes; // without Node
    }
    // What takes the longest begins.
    let mut trials = Vec::new();
    for technique in SERVERS {
        trials.push(Trial::test(format!("a_right_client_of_{technique}"), move || {
            let result = check(technique, &WHOLE, &command("client.mjs", technique, ""))?;
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
    trials.extend(mistakes);
    trials
}

/// It breaks these sentences, and keeps the plainest one beside them.
fn is_found((sentences, technique, name): &Mistake) -> Result<(), String> {
    let breaks: Vec<_> = sentences.split(',').collect();
    let only = format!("{sentences},C1.2");
    let result =
        check(technique, &["--client", "--only", &only], &command("client.mjs", technique, name))?;
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
