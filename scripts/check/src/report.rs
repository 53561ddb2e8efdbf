//! What was found, sentence by sentence: for a reader, and for a program.

use std::env;
use std::io::{IsTerminal as _, stdout};

use check::suite::Case;
use check::suite::contract::{LEVELS, Sentence};
use serde_json::json;

use crate::tries::{Found, is_dumb};

/// A sentence holds when all of its cases do.
pub fn result(sentence: &Sentence, found: &[(Case, Found)]) -> Found {
    let own = found.iter().filter(|(case, _)| case.sentence == Some(sentence.number));
    let (mut fails, mut buts, mut not_tried) = (Vec::new(), Vec::new(), None);
    for (_, found) in own {
        match found {
            Found::Holds => {}
            Found::HoldsBut(what) => buts.push(&**what),
            Found::Fails(why) => fails.push(&**why),
            Found::NotTried(why) => not_tried = Some(why.clone()),
        }
    }
    fails.dedup();
    buts.dedup();
    match not_tried {
        _ if !fails.is_empty() => Found::Fails(fails.join("\n")),
        Some(why) => Found::NotTried(why),
        None if !buts.is_empty() => Found::HoldsBut(buts.join("; ")),
        None => Found::Holds,
    }
}

/// A line for each sentence, level by level, and why where it does not hold; the last line counts.
pub fn as_text(results: &[(&Sentence, Found)]) -> String {
    let has_colours = stdout().is_terminal() && !is_dumb() && env::var_os("NO_COLOR").is_none();
    let coloured = |colour: &str, text: &str| {
        if has_colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.into() }
    };
    let (mut lines, mut counts, mut said) = (Vec::new(), Vec::new(), "");
    for (level, name) in (1..).zip(LEVELS) {
        let own = results.iter().filter(|(sentence, _)| sentence.level() == level);
        let own: Vec<_> = own.collect();
        if own.is_empty() {
            continue;
        }
        lines.push(format!("Level {level}: {name}"));
        for (sentence, result) in &own {
            let (sign, more) = match result {
                Found::Holds => (coloured("32", "holds    "), ""),
                Found::HoldsBut(what) => (coloured("32", "holds,but"), &**what),
                Found::Fails(why) => (coloured("31", "FAILS    "), &**why),
                Found::NotTried(why) => (coloured("33", "not tried"), &**why),
            };
            let text = wrapped(&sentence.text).join(&format!("\n{INDENT}"));
            lines.push(format!("  {sign}  {:5} {text}", sentence.number));
            // Once is enough, where all fail for one reason.
            let again = !more.is_empty() && more == said;
            let shown = if again { "(as above)" } else { more };
            let shown = shown.lines().flat_map(wrapped);
            lines.extend(shown.map(|line| format!("{INDENT}  {line}")));
            said = more;
        }
        lines.push(String::new());
        let count = |is_it: fn(&Found) -> bool| own.iter().filter(|(_, it)| is_it(it)).count();
        let holds = count(Found::is_held);
        let left = match count(|it| matches!(it, Found::NotTried(_))) {
            0 => String::new(),
            left => format!(" ({left} not tried)"),
        };
        counts.push(format!("level {level}: {holds} of {}{left}", own.len()));
    }
    lines.join("\n") + "\n" + &counts.join(", ") + "\n"
}

/// What stands before all lines of a sentence but its first.
const INDENT: &str = "                   ";
/// How many letters of it stand in a line.
const WIDTH: usize = 79;

/// A text in lines, broken between words.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one at least");
        if line.is_empty() {
            *line = word.into();
        } else if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.into());
        } else {
            *line = format!("{line} {word}");
        }
    }
    lines
}

/// The same, for a program that reads it.
pub fn as_json(technique: &str, results: &[(&Sentence, Found)]) -> serde_json::Value {
    let sentences = results.iter().map(|(sentence, result)| {
        let (holds, why) = match result {
            Found::Holds => (Some(true), None),
            Found::HoldsBut(what) => (Some(true), Some(&**what)),
            Found::Fails(why) => (Some(false), Some(&**why)),
            Found::NotTried(why) => (None, Some(&**why)),
        };
        json!({"number": sentence.number, "text": sentence.text, "holds": holds, "why": why})
    });
    let levels = (1..=3).map(|level| {
        let own = || results.iter().filter(move |(sentence, _)| sentence.level() == level);
        let holds = own().filter(|(_, result)| result.is_held()).count();
        json!({"level": level, "holds": holds, "of": own().count()})
    });
    json!({
        "technique": technique,
        "levels": levels.collect::<Vec<_>>(),
        "sentences": sentences.collect::<Vec<_>>(),
    })
}
