//! What is shown, and what came: the same, but for what changes from run to run.

use std::collections::HashMap;

use snapbox::IntoData as _;
use snapbox::filter::NormalizeToExpected;
use snapbox::report::{Palette, write_diff};

/// The ids and ports that a README shows, and those that stand for them in this run.
///
/// An id that is shown is *some* id, but always the same one: it is bound to the one that came where
/// it is shown first. So a later command may use it, as a reader does who copies what came.
#[derive(Debug, Default)]
pub struct Names {
    ids: HashMap<String, String>,
    ports: HashMap<u16, u16>,
}

impl Names {
    /// From now on, the shown port means this one.
    pub fn bind_port(&mut self, shown: u16, real: u16) {
        self.ports.insert(shown, real);
    }

    pub fn port(&self, shown: u16) -> Option<u16> {
        self.ports.get(&shown).copied()
    }

    /// The ports of this run.
    pub fn real_ports(&self) -> Vec<u16> {
        self.ports.values().copied().collect()
    }

    /// What has to be run where this is shown.
    pub fn real(&self, shown: &str) -> String {
        replace_numbers(shown, |number| {
            let port = number.parse().ok().and_then(|port| self.port(port));
            self.ids.get(number).cloned().or(port.map(|port| port.to_string()))
        })
    }

    /// What has to be shown where this came.
    fn shown(&self, real: &str) -> String {
        replace_numbers(real, |number| {
            let id = self.ids.iter().find(|(_, real)| *real == number);
            let port = self.ports.iter().find(|(_, real)| real.to_string() == number);
            id.map(|(shown, _)| shown.clone()).or(port.map(|(shown, _)| shown.to_string()))
        })
    }

    /// Binds the ids that are shown here for the first time, each to that of the line that looks
    /// like the one where it is shown.
    fn bind_ids(&mut self, shown: &str, real: &str) {
        let mut lines = real.lines();
        for line in shown.lines().filter(|line| numbers(line).any(is_id)) {
            let alike = |real: &&str| {
                let is_real = compare(&without_ids(line), &without_ids(&self.shown(real))).is_ok();
                is_real && numbers(line).filter(|id| is_id(id)).count() == ids_of(real).count()
            };
            let Some(real) = lines.find(alike) else { return };
            for (shown, real) in ids_of(line).zip(ids_of(real)) {
                let is_free = !self.ids.values().any(|bound| bound == real);
                if is_free && !self.ids.contains_key(shown) {
                    self.ids.insert(shown.into(), real.into());
                }
            }
        }
    }

    /// Whether this came as it is shown; if not, the difference.
    pub fn compare(&mut self, shown: &str, real: &str) -> Result<(), String> {
        let shown = tidy(shown);
        let real = in_order(&shown, &tidy(real));
        self.bind_ids(&shown, &real);
        compare(&shown, &self.shown(&real))
    }
}

/// Compares with `[..]` (anything in a line) and `...` (any lines).
fn compare(shown: &str, real: &str) -> Result<(), String> {
    let shown = shown.into_data().raw();
    let real = NormalizeToExpected::new().redact().normalize(real.into_data().raw(), &shown);
    if shown == real {
        return Ok(());
    }
    let mut difference = String::new();
    write_diff(&mut difference, &shown, &real, Some(&"shown"), Some(&"came"), Palette::plain())
        .expect("a string takes everything");
    Err(difference)
}

/// Without what no reader sees or cares for: the hour, white space at the end.
fn tidy(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| match line.split_once(": ") {
        Some((name @ ("date" | "< date"), _)) => format!("{name}: today"),
        _ => line.trim_end().to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// The headers of each HTTP response in the order in which they are shown, as a server has another
/// order each time it is started. Those that are not shown come where `...` is, or at the end.
fn in_order(shown: &str, real: &str) -> String {
    let is_status = |line: &&str| line.trim_start_matches("< ").starts_with("HTTP/1.1 ");
    let name = |line: &str| line.split(": ").next().unwrap_or_default().to_owned();
    let mut shown = shown.lines();
    let mut ordered = Vec::new();
    let mut lines = real.lines().peekable();
    while let Some(line) = lines.next() {
        ordered.push(line);
        if is_status(&line) && shown.clone().any(|shown| shown == line) {
            let headers = |line: &&str| !["", "<"].contains(line);
            shown.find(|shown| *shown == line);
            let order: Vec<_> = shown.clone().take_while(headers).map(name).collect();
            let place = |name: &str| order.iter().position(|shown| shown == name);
            let other = place("...").unwrap_or(order.len());
            let start = ordered.len();
            while let Some(header) = lines.next_if(headers) {
                ordered.push(header);
            }
            ordered[start..].sort_by_key(|header| place(&name(header)).unwrap_or(other));
        }
    }
    ordered.into_iter().map(|line| line.to_owned() + "\n").collect()
}

/// An id is the microsecond in which an update was made: until the year 2286 it has 16 digits.
fn is_id(number: &str) -> bool {
    number.len() == 16
}

fn ids_of(text: &str) -> impl Iterator<Item = &str> {
    numbers(text).filter(|number| is_id(number))
}

fn without_ids(text: &str) -> String {
    replace_numbers(text, |number| is_id(number).then(|| "ID".into()))
}

/// All numbers of a text, as they stand there.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty())
}

fn replace_numbers(text: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        replaced += before;
        replaced += &replace(&from[..end]).unwrap_or_else(|| from[..end].into());
        rest = &from[end..];
    }
    replaced + rest
}
