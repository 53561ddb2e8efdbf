//! Servers and clients that are right, or wrong in one thing: each mistake is found, and called by its
//! sentence. They are Node's, like the naive ones.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

use lab::SERVERS;
use libtest_mimic::{Failed, Trial};

use super::{check, root, same};

/// The sentences that it breaks, its technique, and its name.
pub type Mistake = (String, String, String);

/// What is tried beside a mistake's sentences, by their level: what is soon done, and might be blamed.
const BESIDE: [&str; 3] = [
    "1.2,1.3,1.4,1.5,1.6,1.7,1.8,1.10,1.11,1.12,1.13,1.14",
    "2.1,1.2,1.3,1.5,2.13,2.15,2.18,2.20",
    "3.3,1.2,1.3,1.12,2.13",
];

/// How what is right is started (`server.mjs`, `client.mjs`), and what has one of its mistakes.
pub fn command(file: &str, technique: &str, mistake: &str) -> Vec<String> {
    let file = root().join("scripts/check/tests/check").join(file);
    let mistake = format!("MISTAKE={mistake}");
    ["env", &mistake, "node", &file.to_string_lossy(), technique].map(ToOwned::to_owned).into()
}

/// A test for each sentence, of which there are three mistakes at least (of a server's level 3, some).
pub fn trials(file: &'static str, is_found: fn(&Mistake) -> Result<(), String>) -> Vec<Trial> {
    let output = Command::new("node").args(&command(file, "--mistakes", "")[3..]).output();
    let Ok(output) = output else {
        eprintln!("{file} is not tried: there is no Node (https://nodejs.org, 20 or newer)");
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
        let name = format!("{}s_with_a_mistake_{number}", file.trim_end_matches(".mjs"));
        // They would take CI six minutes more: `-- --ignored servers_with` tries them.
        let is_long = file == "server.mjs" && !number.starts_with("1.") && wrong.len() >= 3;
        let trial = Trial::test(name, move || {
            if wrong.len() < 3 && !number.starts_with("3.") {
                return Err(format!("{number} has {} mistakes", wrong.len()).into());
            }
            all(wrong.iter().cloned().map(move |mistake| move || is_found(&mistake)))
        });
        trial.with_ignored_flag(is_long)
    };
    mistakes.into_iter().map(three).collect()
}

/// The same of servers; and one that is right.
pub fn servers() -> Vec<Trial> {
    let trials = trials("server.mjs", |(sentences, technique, name)| {
        let breaks: Vec<_> = sentences.split(',').collect();
        let beside = BESIDE.into_iter().find(|beside| beside[..1] == sentences[..1]);
        let only = [&**sentences, beside.unwrap_or_default()].join(",");
        let server = command("server.mjs", technique, name);
        let result = check(technique, &["--only", &only], &server)?;
        same(&result.fails, &breaks).map_err(|why| format!("{technique}, {name}: {why}"))
    });
    if trials.is_empty() {
        return trials; // without Node
    }
    let right = |technique: &'static str| {
        Trial::test(format!("a_right_server_of_{technique}"), move || {
            let server = command("server.mjs", technique, "");
            let result = check(technique, &["--level", "2"], &server)?;
            same(&result.fails, &[])?;
            if result.success { Ok(()) } else { Err("the exit code is not 0".into()) }
        })
    };
    SERVERS.map(right).into_iter().chain(trials).collect()
}

/// All of them at the same time: they wait most of the time.
pub fn all<T: FnOnce() -> Result<(), String> + Send + 'static>(
    tries: impl Iterator<Item = T>,
) -> Result<(), Failed> {
    let threads: Vec<_> = tries.map(thread::spawn).collect();
    let results =
        threads.into_iter().map(|it| it.join().unwrap_or_else(|_| Err("panicked".into())));
    let failed: Vec<_> = results.filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}
