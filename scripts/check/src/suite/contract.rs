//! The contract's sentences, as `feed/WIRE.md` says them.

/// One sentence of it.
pub struct Sentence {
    /// As in `2.13`: its level, and its place there; or `C2.1`, where it is a client's.
    pub number: &'static str,
    /// Of which techniques it speaks (there may be commas between them); without, of all.
    pub technique: Option<&'static str>,
    /// In its own words, without the signs of Markdown.
    pub text: String,
}

impl Sentence {
    /// 1, 2 or 3.
    #[must_use]
    pub fn level(&self) -> usize {
        let number = self.number.trim_start_matches('C');
        number.split('.').next().and_then(|level| level.parse().ok()).unwrap_or(0)
    }

    /// Whether it is called so: by its number, or by its level alone.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.number == name || self.number.split_once('.').is_some_and(|(level, _)| level == name)
    }

    /// Whether a server (or a client) of this technique has to keep it.
    #[must_use]
    pub fn is_for(&self, technique: &str) -> bool {
        self.technique.is_none_or(|of| of.split(", ").any(|one| one == technique))
    }
}

/// What a server's levels are called, the first one first.
pub const LEVELS: [&str; 3] = ["it works", "nothing is lost", "nobody brings it down"];
/// The same of a client's.
pub const CLIENTS_LEVELS: [&str; 3] = ["it works", "it loses nothing", "it is polite"];

const TEXT: &str = include_str!("../../../../feed/WIRE.md");

/// The day of which the contract is, as `2026-11-26`: it changes with every sentence that changes.
#[must_use]
pub fn date() -> &'static str {
    TEXT.split_once("contract of ").and_then(|(_, rest)| rest.get(..10)).unwrap_or("no date")
}

/// All sentences about servers, in their order.
#[must_use]
pub fn sentences() -> Vec<Sentence> {
    all().filter(|sentence| !sentence.number.starts_with('C')).collect()
}

/// All sentences about clients, in their order.
#[must_use]
pub fn clients_sentences() -> Vec<Sentence> {
    all().filter(|sentence| sentence.number.starts_with('C')).collect()
}

fn all() -> impl Iterator<Item = Sentence> {
    // A sentence is an item of a list, and may be broken into lines that are indented.
    let items = TEXT.split("\n- **").skip(1).filter_map(|item| item.split_once("**"));
    let sentence = |(number, rest): (&'static str, &'static str)| {
        let rest = rest.split("\n\n").next().unwrap_or_default();
        let words = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        let technique = rest.trim_start().strip_prefix('*').and_then(|rest| rest.split_once(":*"));
        let technique = technique.map(|(technique, _)| technique);
        let text = technique.map_or(&*words, |name| words[name.len() + 3..].trim_start());
        // Behind a technique's name it goes on small; without that name it begins large.
        let first = text.chars().next().filter(|_| technique.is_some()).map(char::to_uppercase);
        let rest = if first.is_some() { &text[1..] } else { text };
        let text: String = first.into_iter().flatten().chain(rest.chars()).collect();
        Sentence { number, technique, text: text.replace(['`', '*'], "").trim().into() }
    };
    items.map(sentence)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use lab::SERVERS;

    use crate::suite::cases;

    /// No promise without a test, and no test of what was never promised.
    #[test]
    fn each_sentence_has_a_test() {
        let sentences = sentences();
        let numbers: BTreeSet<_> = sentences.iter().map(|it| it.number).collect();
        assert_eq!(numbers.len(), sentences.len(), "a number stands there twice");
        for technique in SERVERS {
            let cases = cases(technique);
            let tried: BTreeSet<_> = cases.iter().filter_map(|case| case.sentence).collect();
            let own = sentences.iter().filter(|it| it.is_for(technique)).map(|it| it.number);
            let own: BTreeSet<_> = own.collect();
            let untried: Vec<_> = own.difference(&tried).collect();
            assert!(untried.is_empty(), "{technique}: no test tries {untried:?}");
            let unsaid: Vec<_> = tried.difference(&own).collect();
            assert!(unsaid.is_empty(), "{technique}: feed/WIRE.md does not say {unsaid:?}");
        }
    }

    #[test]
    fn sentences_are_read_as_they_stand_there() {
        let sentences = sentences();
        assert!(sentences.len() > 60, "{}", sentences.len());
        let polling = sentences.iter().find(|it| it.number == "1.7").expect("it is there");
        assert_eq!(polling.technique, Some("polling"));
        assert!(polling.text.starts_with("GET /api/messages, without"), "{}", polling.text);
        assert!(
            sentences
                .iter()
                .all(|it| (1..=3).contains(&it.level()) && it.text.ends_with(['.', ')']))
        );
    }
}
