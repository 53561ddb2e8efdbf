//! Tries the cases, whatever the server does.

use std::any::Any;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use check::suite::{Case, cases};
use lab::Server;
use lab::server::NotTried;

use crate::report::is_dumb;

/// How many cases are tried at the same time, besides those that mostly wait.
const AT_ONCE: usize = 4;
/// How long one case may take, one of those that mostly wait, and all together.
const ONE: Duration = Duration::from_secs(60);
const SLOW: Duration = Duration::from_secs(150);
const ALL: Duration = Duration::from_secs(280);

/// What was found out about a case.
#[derive(Clone)]
pub enum Found {
    Holds,
    /// What was seen instead.
    Fails(String),
    /// Why it was not tried.
    NotTried(&'static str),
}

/// Tries all cases of these sentences: what was found, in the order of the suite.
pub fn try_all(
    technique: &'static str,
    is_asked: impl Fn(&str) -> bool,
    runs_already: bool,
) -> Vec<(Case, Found)> {
    let begin = Instant::now();
    let mut cases: Vec<_> = cases(technique)
        .into_iter()
        .filter(|case| case.sentences.iter().any(|number| is_asked(number)))
        .map(|case| (case, None))
        .collect();
    // Whoever does not start need not be waited for again and again.
    let broken = (!runs_already).then(|| does_not_start(technique)).flatten();
    let broken = broken.map(|why| Found::Fails(format!("it does not start: {why}")));
    for (case, found) in &mut cases {
        let is_left_out = runs_already && !case.is_for_any;
        *found = if is_left_out { Some(Found::NotTried(STARTS)) } else { broken.clone() };
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let left: Vec<_> = (0..cases.len()).filter(|index| cases[*index].1.is_none()).collect();
    let (slow, quick): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|index| cases[*index].0.is_slow);
    let (found, count) = (Mutex::new(Vec::new()), slow.len() + quick.len());
    let try_one = |index: usize| {
        let is_late = begin.elapsed() + ONE > ALL;
        let late = || Found::NotTried("the others took too long");
        let result = if is_late { late() } else { one(&cases[index].0, technique) };
        found.lock().expect("nobody panics with it").push((index, result));
        progress(&format!("{} of {count} tried", done.fetch_add(1, SeqCst) + 1));
    };
    let (try_one, next) = (&try_one, &next);
    thread::scope(|scope| {
        for index in slow {
            scope.spawn(move || try_one(index));
        }
        let quick = &quick;
        // A server that runs already is one for all: what one case says is news to the others.
        for _ in 0..if runs_already { 1 } else { AT_ONCE } {
            scope.spawn(move || {
                while let Some(index) = quick.get(next.fetch_add(1, SeqCst)) {
                    try_one(*index);
                }
            });
        }
    });
    progress("");
    for (index, result) in found.into_inner().expect("nobody panicked with it") {
        cases[index].1 = Some(result);
    }
    cases.into_iter().filter_map(|(case, found)| Some((case, found?))).collect()
}

const STARTS: &str = "it would start, stop or look into the server";

/// Why the server does not start; one that says nothing, or something else, may work all the same.
fn does_not_start(technique: &'static str) -> Option<String> {
    let start = async || drop(Server::start(technique).await);
    outcome(start(), ONE).err().map(|why| seen(why.as_ref()))
}

/// Shows how far it is, where somebody looks at it.
fn progress(text: &str) {
    if stderr().is_terminal() && !is_dumb() {
        let _ = write!(stderr(), "\r{text:30}\r");
    }
}

/// Tries one case, whatever the server does.
fn one(case: &Case, technique: &'static str) -> Found {
    match outcome(case.run(technique), if case.is_slow { SLOW } else { ONE }) {
        Ok(()) => Found::Holds,
        Err(why) if why.is::<NotTried>() => Found::NotTried(STARTS),
        Err(why) => Found::Fails(format!("{}: {}", case.title(), seen(why.as_ref()))),
    }
}

/// Runs it, in a runtime of its own; the error is what it panicked with.
fn outcome(test: impl Future<Output = ()>, limit: Duration) -> thread::Result<()> {
    panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        runtime.block_on(lab::within(limit, "the whole case", test));
        runtime.shutdown_background();
    }))
}

/// What was seen, and what should have been.
pub fn seen(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str);
    let text =
        text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    let comparison = text.strip_prefix("assertion `left == right` failed");
    let sides = comparison.and_then(|rest| rest.split_once("\n  left: "));
    match sides.and_then(|(what, sides)| Some((what, sides.split_once("\n right: ")?))) {
        Some((what, (came, expected))) => {
            let what = short(what.trim_start_matches(": "));
            let what = if what.is_empty() { what } else { format!("{what}: ") };
            format!("{what}came {}, expected {}", short(came), short(expected))
        }
        None => short(text),
    }
}

/// In one line, and not too long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(160) {
        None => line,
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}
