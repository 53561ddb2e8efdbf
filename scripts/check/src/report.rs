//! What was found, sentence by sentence: for a reader, for a program, for a CI, to hand out.

use std::env;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdout};

use check::suite::contract::{self, CLIENTS_LEVELS, LEVELS, Sentence};
use serde_json::{Value, json};

use crate::tries::{Found, Tried, is_dumb};

/// Everything that one run has found out.
pub struct Report {
    /// By which technique: what was tried is a server of it, or a client.
    pub technique: &'static str,
    /// The words that tried it, behind the program's name.
    pub options: Vec<String>,
    pub sentences: Vec<(Sentence, Found)>,
    pub cases: Vec<Tried>,
    /// What the levels are called.
    levels: [&'static str; 3],
}

/// How many sentences of a level, or of all.
pub struct Count {
    pub holds: usize,
    pub fails: usize,
    pub not_tried: usize,
}

impl Report {
    /// A sentence holds when all of its cases do.
    pub fn new(technique: &'static str, asked: Vec<Sentence>, cases: Vec<Tried>) -> Report {
        let is_client = asked.iter().any(|sentence| sentence.number.starts_with('C'));
        let result = |sentence: Sentence| {
            let own = cases.iter().filter(|case| case.sentences.contains(&sentence.number));
            let found = own.fold(Found::Holds, |found, next| found.and(&next.found));
            (sentence, found)
        };
        let sentences = asked.into_iter().map(result).collect();
        let levels = if is_client { CLIENTS_LEVELS } else { LEVELS };
        let options = env::args().skip(1).collect();
        Report { technique, options, sentences, cases, levels }
    }

    fn of_level(&self, level: usize) -> impl Iterator<Item = &(Sentence, Found)> {
        self.sentences.iter().filter(move |(sentence, _)| sentence.level() == level)
    }

    /// The levels of which something was asked: number, name, counts.
    fn levels(&self) -> impl Iterator<Item = (usize, &'static str, Count)> {
        let levels =
            (1..).zip(self.levels).map(|(level, name)| (level, name, count(self.of_level(level))));
        levels.filter(|(.., count)| count.of() > 0)
    }

    pub fn count(&self) -> Count {
        count(self.sentences.iter())
    }

    /// Whether something that was asked for was not tried.
    pub fn is_open(&self) -> bool {
        let mut found = self.sentences.iter().map(|(_, found)| found);
        found.any(|found| matches!(found, Found::NotTried(_)) && !found.does_not_apply())
    }

    /// The command that tries one sentence again.
    fn again(&self, number: &str) -> String {
        let mut words = Vec::new();
        let (mut options, mut server) = (self.options.as_slice(), &[][..]);
        if let Some(end) = options.iter().position(|word| word == "--") {
            (options, server) = options.split_at(end);
        }
        let mut options = options.iter();
        while let Some(word) = options.next() {
            let name = word.split('=').next().unwrap_or_default();
            match name {
                "--only" | "--level" | "--junit" | "--html" if name == word => drop(options.next()),
                "--only" | "--level" | "--junit" | "--html" | "--json" => {}
                _ => words.push(quoted(word)),
            }
        }
        words.push(format!("--only {number}"));
        words.extend(server.iter().map(|word| quoted(word)));
        format!("scripts/check.sh {}", words.join(" "))
    }

    /// A line for each sentence, level by level, and why where it does not hold; the last line counts.
    pub fn as_text(&self) -> String {
        let has_colours = stdout().is_terminal() && !is_dumb() && env::var_os("NO_COLOR").is_none();
        let coloured = |colour: &str, text: &str| {
            if has_colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.into() }
        };
        let (mut lines, mut counts, mut said) = (Vec::new(), Vec::new(), "");
        for (level, name, count) in self.levels() {
            lines.push(format!("Level {level}: {name}"));
            for (sentence, found) in self.of_level(level) {
                let colour = if found.is_held() { "32" } else { "31" };
                let colour = if matches!(found, Found::NotTried(_)) { "33" } else { colour };
                let sign = coloured(colour, &format!("{:<10}", found.sign()));
                let text = wrapped(&sentence.text).join(&format!("\n{INDENT}"));
                lines.push(format!("  {sign} {:5} {text}", sentence.number));
                // Once is enough, where all fail for one reason.
                let why = found.why().unwrap_or_default();
                let again = !why.is_empty() && why == said;
                let shown = if again { "(as above)" } else { why };
                // What stands one below the other stays so.
                let shown = shown.lines().flat_map(|line| {
                    if line.starts_with(' ') { vec![line.into()] } else { wrapped(line) }
                });
                lines.extend(shown.map(|line| format!("{INDENT}  {line}")));
                if matches!(found, Found::Fails(_)) && !again {
                    lines.push(format!("{INDENT}  again: {}", self.again(sentence.number)));
                }
                said = why;
            }
            lines.push(String::new());
            let left = match count.not_tried {
                0 => String::new(),
                left => format!(" ({left} not tried)"),
            };
            counts.push(format!("level {level}: {} of {}{left}", count.holds, count.of()));
        }
        lines.join("\n") + "\n" + &counts.join(", ") + "\n"
    }

    /// For a program. `holds` is `null` for what was not tried; `why` says what was seen instead.
    pub fn as_json(&self) -> Value {
        let found = |found: &Found| {
            let holds = (!matches!(found, Found::NotTried(_))).then(|| found.is_held());
            (holds, found.sign(), found.why().map(ToOwned::to_owned))
        };
        let sentences = self.sentences.iter().map(|(sentence, result)| {
            let (holds, result, why) = found(result);
            let Sentence { number, text, .. } = sentence;
            json!({"number": number, "text": text, "holds": holds, "result": result, "why": why})
        });
        let cases = self.cases.iter().map(|case| {
            let (holds, result, why) = found(&case.found);
            let Tried { id, sentences, .. } = case;
            json!({"id": id, "sentences": sentences, "holds": holds, "result": result, "why": why})
        });
        let levels = self.levels().map(|(level, _, count)| {
            let mut counts = count.as_json();
            counts["level"] = level.into();
            counts
        });
        let mut all = json!({
            "technique": self.technique,
            "counts": self.count().as_json(),
            "levels": levels.collect::<Vec<_>>(),
            "sentences": sentences.collect::<Vec<_>>(),
            "cases": cases.collect::<Vec<_>>(),
        });
        all.as_object_mut()
            .expect("it is one")
            .append(about(&self.options).as_object_mut().expect("it is one"));
        all
    }

    /// For another program's CI, in the form of `JUnit`: a suite for each level, a test for each sentence.
    pub fn as_junit(&self) -> String {
        let all = self.count();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\">\n",
            self.technique,
            all.of(),
            all.fails
        );
        for (level, name, count) in self.levels() {
            let _ = writeln!(
                xml,
                "  <testsuite name=\"level {level}: {name}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
                count.of(),
                count.fails,
                count.not_tried
            );
            for (sentence, found) in self.of_level(level) {
                let (name, why) =
                    (escaped(&sentence.text), escaped(found.why().unwrap_or_default()));
                let inside = match found {
                    Found::Fails(_) => format!("<failure>{why}</failure>"),
                    Found::NotTried(_) => format!("<skipped message=\"{why}\"/>"),
                    _ => String::new(),
                };
                let _ = writeln!(
                    xml,
                    "    <testcase classname=\"{}\" name=\"{} {name}\">{inside}</testcase>",
                    self.technique, sentence.number
                );
            }
            xml += "  </testsuite>\n";
        }
        xml + "</testsuites>\n"
    }

    /// One page to hand out: it needs nothing beside it.
    pub fn as_html(&self) -> String {
        let mut levels = String::new();
        for (level, name, count) in self.levels() {
            let _ = write!(
                levels,
                "<h2>Level {level}: {name}, {} of {}</h2>\n<dl>\n",
                count.holds,
                count.of()
            );
            for (sentence, found) in self.of_level(level) {
                let why = found.why().map(|why| format!("\n<pre>{}</pre>", escaped(why)));
                let _ = write!(
                    levels,
                    "<dt class=\"{}\">{} <b>{}</b></dt>\n<dd>{}{}</dd>\n",
                    if found.is_held() { "holds" } else { "open" },
                    sentence.number,
                    found.sign(),
                    escaped(&sentence.text),
                    why.unwrap_or_default()
                );
            }
            levels += "</dl>\n";
        }
        let options = self.options.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let (title, about) = (self.technique, about(&[]));
        let about = format!("check {}, contract of {}", about["version"], about["contract"])
            .replace('"', "");
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n:root {{ color-scheme: light dark; font: 1rem/1.4 system-ui, sans-serif; }}\n\
             body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}\n\
             dt {{ margin-top: 1rem; }}\n.open b {{ color: light-dark(#a40000, #ff8a80); }}\n\
             pre {{ overflow-x: auto; padding: .5rem; border: 1px solid; }}\n</style>\n\
             <h1>{title}</h1>\n<p><code>check {}</code></p>\n{levels}<p>{about}</p>\n</html>\n",
            escaped(&options)
        )
    }
}

/// What a result was made by: the check, its commit, the contract, the words that were typed.
pub fn about(options: &[String]) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("CHECK_COMMIT"),
        "contract": contract::date(),
        "options": options,
    })
}

fn count<'a>(results: impl Iterator<Item = &'a (Sentence, Found)>) -> Count {
    let mut count = Count { holds: 0, fails: 0, not_tried: 0 };
    for (_, found) in results {
        match found {
            Found::Holds | Found::HoldsBut(_) => count.holds += 1,
            Found::Fails(_) => count.fails += 1,
            Found::NotTried(_) => count.not_tried += 1,
        }
    }
    count
}

impl Count {
    pub fn of(&self) -> usize {
        self.holds + self.fails + self.not_tried
    }

    fn as_json(&self) -> Value {
        json!({"holds": self.holds, "fails": self.fails, "not_tried": self.not_tried, "of": self.of()})
    }
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

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,@%+-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A text in XML or HTML; what XML can't have at all is shown as a question mark.
fn escaped(text: &str) -> String {
    let text =
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.chars().map(|c| if c.is_control() && !"\n\t".contains(c) { '?' } else { c }).collect()
}
