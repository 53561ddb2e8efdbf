//! Tries the cases, whatever the server does.

use std::collections::BTreeSet;
use std::env;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use check::suite::{Case, NEEDED, buts, cases};
use lab::server::NotTried;
use lab::time::was_late;
use lab::{Server, asked};

use crate::words::seen;

/// How many cases are tried at the same time, besides those that mostly wait.
const AT_ONCE: usize = 4;
/// How long one case may take at most: what it waits for has limits of its own, within which
/// something has to happen.
const ONE: Duration = Duration::from_secs(300);
/// For how long no case may have held, until the rest counts as not tried.
const NOTHING_HELD: Duration = Duration::from_secs(200);

/// What was found out about a case.
#[derive(Clone, Debug)]
pub enum Found {
    Holds,
    /// What any client can live with.
    HoldsBut(String),
    /// What was seen instead.
    Fails(String),
    /// Why it was not tried.
    NotTried(String),
}

/// Why a sentence is not tried on a client that only listens.
pub const LISTENS_ONLY: &str = "it does not send";
/// Why a case is not tried on a server that runs already.
const STARTS: &str = "it would start, stop or look into the server";

impl Found {
    /// Whether it was tried, and is as the contract says.
    pub fn is_held(&self) -> bool {
        matches!(self, Found::Holds | Found::HoldsBut(_))
    }

    /// Whether it is no matter of what was tried: a client that only listens does not send.
    pub fn does_not_apply(&self) -> bool {
        matches!(self, Found::NotTried(why) if why == LISTENS_ONLY)
    }

    /// What it is called in a report.
    pub fn sign(&self) -> &'static str {
        match self {
            Found::Holds => "holds",
            Found::HoldsBut(_) => "holds, but",
            Found::Fails(_) => "FAILS",
            Found::NotTried(_) => "not tried",
        }
    }

    /// What was seen, where it does not simply hold.
    pub fn why(&self) -> Option<&str> {
        match self {
            Found::Holds => None,
            Found::HoldsBut(why) | Found::Fails(why) | Found::NotTried(why) => Some(why),
        }
    }

    /// What is to be said of both: the worse one; of two that are alike, all that was seen.
    pub fn and(self, other: &Found) -> Found {
        let rank = |found: &Found| match found {
            Found::Holds => 0,
            Found::HoldsBut(_) => 1,
            Found::NotTried(_) => 2,
            Found::Fails(_) => 3,
        };
        match (self, other) {
            (Found::Fails(one), Found::Fails(two)) if one != *two => {
                Found::Fails(format!("{one}\n{two}"))
            }
            (Found::HoldsBut(one), Found::HoldsBut(two)) if one != *two => {
                Found::HoldsBut(format!("{one}; {two}"))
            }
            (one, two) => {
                if rank(&one) < rank(two) {
                    two.clone()
                } else {
                    one
                }
            }
        }
    }
}

/// A case, or a situation: what it is called, the sentences that it tries, and what was found.
pub struct Tried {
    pub id: &'static str,
    pub sentences: Vec<&'static str>,
    pub found: Found,
}

/// The cases of a technique, and what was found of those that were tried.
struct Tries {
    technique: &'static str,
    cases: Vec<Case>,
    found: Mutex<Vec<Option<Found>>>,
    held: Mutex<Instant>,
}

/// Tries all cases of these sentences: what was found, in the order of the suite. What others need is
/// tried first; what fails for want of time, once more at the end, alone.
pub fn try_all(
    technique: &'static str,
    is_asked: impl Fn(&str) -> bool,
    runs_already: bool,
) -> Vec<Tried> {
    let mut cases = cases(technique);
    cases.retain(|case| case.sentence.is_some());
    let found = Mutex::new(vec![None; cases.len()]);
    let tries = Tries { technique, cases, found, held: Mutex::new(Instant::now()) };
    // What is asked for, and what that needs.
    let mut needed: BTreeSet<&str> = NEEDED.into_iter().filter(|number| is_asked(number)).collect();
    let mut asked: Vec<usize> = Vec::new();
    for (index, case) in tries.cases.iter().enumerate() {
        if case.sentence.is_some_and(&is_asked) {
            asked.push(index);
            needed.extend(&case.needs);
        }
    }
    for number in NEEDED.into_iter().rev() {
        if let Some(first) = tries.first_of(number).filter(|_| needed.contains(number)) {
            needed.extend(&tries.cases[first].needs);
        }
    }
    // Whoever does not start need not be waited for again and again.
    if let Some(why) = (!runs_already).then(|| does_not_start(technique)).flatten() {
        let not_tried = Found::NotTried("it does not start".into());
        tries.found().fill(Some(not_tried));
        tries.found()[0] = Some(Found::Fails(format!("it does not start: {why}")));
    } else if runs_already {
        for (case, found) in tries.cases.iter().zip(tries.found().iter_mut()) {
            *found = (!case.is_for_any).then(|| Found::NotTried(STARTS.into()));
        }
    }
    let first = NEEDED.into_iter().filter(|number| needed.contains(number));
    for index in first.filter_map(|number| tries.first_of(number)) {
        tries.try_one(index);
        tries.forget_late(&[index]);
        tries.try_one(index);
    }
    tries.try_many(&asked, if runs_already { 1 } else { AT_ONCE });
    tries.forget_late(&asked);
    tries.try_many(&asked, 1);
    progress("");
    let found = tries.found.into_inner().expect("nobody panicked with it");
    let found = tries.cases.into_iter().zip(found).enumerate();
    let found = found.filter(|(index, _)| asked.contains(index));
    let as_tried = |(_, (case, found)): (usize, (Case, Option<Found>))| {
        let sentences = case.sentence.into_iter().collect();
        Some(Tried { id: case.name, sentences, found: found?.said() })
    };
    found.filter_map(as_tried).collect()
}

impl Tries {
    fn found(&self) -> std::sync::MutexGuard<'_, Vec<Option<Found>>> {
        self.found.lock().expect("nobody panics with it")
    }

    /// The case that has to hold where this sentence is needed.
    fn first_of(&self, number: &str) -> Option<usize> {
        self.cases.iter().position(|case| case.sentence == Some(number))
    }

    /// What has failed for want of time is to be tried anew: the machine may have been busy.
    fn forget_late(&self, cases: &[usize]) {
        let mut found = self.found();
        for index in cases {
            if matches!(&found[*index], Some(Found::Fails(why)) if why.starts_with(LATE)) {
                found[*index] = None;
            }
        }
    }

    /// Those that mostly wait each on their own; of the others, some at a time.
    fn try_many(&self, asked: &[usize], at_once: usize) {
        let is_left = |index: &usize| self.found()[*index].is_none();
        let left: Vec<usize> = asked.iter().copied().filter(is_left).collect();
        let (slow, quick): (Vec<usize>, Vec<usize>) =
            left.iter().partition(|index| self.cases[**index].is_slow);
        let (next, done, count) = (AtomicUsize::new(0), AtomicUsize::new(0), left.len());
        let try_one = |index: usize| {
            self.try_one(index);
            progress(&format!("{} of {count} tried", done.fetch_add(1, SeqCst) + 1));
        };
        let (try_one, next, quick) = (&try_one, &next, &quick);
        thread::scope(|scope| {
            for index in slow {
                scope.spawn(move || try_one(index));
            }
            // A server that runs already is one for all: what one case says is news to the others.
            for _ in 0..at_once {
                scope.spawn(move || {
                    while let Some(index) = quick.get(next.fetch_add(1, SeqCst)) {
                        try_one(*index);
                    }
                });
            }
        });
    }

    /// Tries a case, unless it is known already what comes of it.
    fn try_one(&self, index: usize) {
        let case = &self.cases[index];
        if self.found()[index].is_some() {
            return;
        }
        let is_late = self.held.lock().expect("nobody panics with it").elapsed() > NOTHING_HELD;
        let result = if let Some(number) = self.missing(case) {
            Found::NotTried(format!("needs {number}"))
        } else if is_late {
            Found::NotTried("nothing has held for minutes".into())
        } else {
            one(case, self.technique)
        };
        if result.is_held() {
            *self.held.lock().expect("nobody panics with it") = Instant::now();
        }
        self.found()[index] = Some(result);
    }

    /// A sentence that this one needs, and that does not hold; the one at the bottom of it.
    fn missing(&self, case: &Case) -> Option<String> {
        let found = self.found();
        let own = case.sentence.filter(|own| NEEDED.contains(own)); // of which it may be the first
        case.needs.iter().chain(&own).find_map(|number| {
            let found = found[self.first_of(number)?].as_ref()?;
            match found {
                Found::NotTried(why) if why == STARTS => None, // nobody has said that it does not
                Found::NotTried(why) => Some(why.trim_start_matches("needs ").to_owned()),
                Found::Fails(_) => Some((*number).to_owned()),
                _ => None,
            }
        })
    }
}

/// Whether all of a sentence can be tried on a server that runs already.
pub fn is_for_any(technique: &str, number: &str) -> bool {
    cases(technique).iter().all(|case| case.sentence != Some(number) || case.is_for_any)
}

/// Stands before what has failed for want of time, until that is tried once more.
const LATE: &str = "(late) ";

impl Found {
    fn said(self) -> Found {
        match self {
            Found::Fails(why) => Found::Fails(why.trim_start_matches(LATE).into()),
            other => other,
        }
    }
}

/// Why the server does not start; one that says nothing, or something else, may work all the same.
fn does_not_start(technique: &'static str) -> Option<String> {
    let start = async || drop(Server::start(technique).await);
    outcome(start(), ONE).err().map(|why| seen(why.as_ref()))
}

/// Whether the terminal can only print.
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Shows how far it is, where somebody looks at it.
pub fn progress(text: &str) {
    if stderr().is_terminal() && !is_dumb() {
        let _ = write!(stderr(), "\r{text:30}\r");
    }
}

/// Tries one case, whatever the server does.
fn one(case: &Case, technique: &'static str) -> Found {
    let _ = (was_late(), buts(), asked()); // of another case, on this thread
    let outcome = outcome(case.run(technique), ONE);
    let (late, buts) = (was_late(), buts());
    match outcome {
        Ok(()) if buts.is_empty() => Found::Holds,
        Ok(()) => Found::HoldsBut(buts.join("; ")),
        Err(why) if why.is::<NotTried>() => Found::NotTried(STARTS.into()),
        Err(why) => {
            let late = if late { LATE } else { "" };
            let mut lines = vec![format!("{late}{}: {}", case.title(), seen(why.as_ref()))];
            lines.extend(asked().iter().map(|it| format!("request: {it}")));
            Found::Fails(lines.join("\n"))
        }
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
