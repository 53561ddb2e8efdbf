//! What a case saw, in words for somebody who knows HTTP and no Rust.

use std::any::Any;

/// How many letters of a text are shown, and how many of them before the first difference.
const SHOWN: usize = 100;
const BEFORE: usize = 40;

/// What a case panicked with: what came, what should have come, and where the two begin to differ.
pub fn seen(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str);
    let text =
        text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    let comparison = text.strip_prefix("assertion `left == right` failed");
    let sides = comparison.and_then(|rest| rest.split_once("\n  left: "));
    match sides.and_then(|(what, sides)| Some((what, sides.split_once("\n right: ")?))) {
        Some((what, (came, expected))) => {
            let what = in_one_line(what.trim_start_matches(": "));
            difference(&what, &plain(&in_one_line(came)), &plain(&in_one_line(expected)))
        }
        None => from(&in_one_line(text), 0, 4 * SHOWN),
    }
}

/// Both where they begin to differ, one below the other, with a mark there.
fn difference(what: &str, came: &str, expected: &str) -> String {
    let alike = came.chars().zip(expected.chars()).take_while(|(a, b)| a == b).count();
    if came.len() + expected.len() < SHOWN / 2 {
        let colon = if what.is_empty() { "" } else { ": " };
        return format!("{what}{colon}came {came}, expected {expected}");
    }
    let start = alike.saturating_sub(BEFORE);
    let (came, expected) = (from(came, start, SHOWN), from(expected, start, SHOWN));
    let mark = " ".repeat(alike - start + if start > 0 { 2 } else { 0 });
    format!("{what}\n came      {came}\n expected  {expected}\n           {mark}^ here they differ")
}

/// So many letters of a text from this one on, with a sign where something is left out.
fn from(text: &str, start: usize, count: usize) -> String {
    let shown: String = text.chars().skip(start).take(count).collect();
    let (before, behind) = (start > 0, text.chars().nth(start + count).is_some());
    format!("{}{shown}{}", if before { "… " } else { "" }, if behind { " …" } else { "" })
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as Rust shows it, without what only Rust's readers know: `Some(3)` is 3, `None` is nothing,
/// and `Object {"id": Number(3)}` is `{"id": 3}`.
fn plain(value: &str) -> String {
    const NAMES: [&str; 7] = ["Some(", "String(", "Number(", "Bool(", "Object ", "Array ", "Ok("];
    let (mut rest, mut open, mut plain) = (value, Vec::new(), String::new());
    while let Some(c) = rest.chars().next() {
        if let Some(name) = NAMES.iter().find(|name| rest.starts_with(**name)) {
            rest = &rest[name.len()..];
            open.extend(name.ends_with('(').then_some(false));
            continue;
        }
        let mut length = c.len_utf8();
        match c {
            '"' => length = quoted(rest),
            '(' => open.push(true),
            ')' if open.pop() == Some(false) => length = 0,
            _ => {}
        }
        plain.push_str(match &rest[..length] {
            "N" if rest.starts_with("None") => "nothing",
            text => text,
        });
        let skipped = if rest.starts_with("None") { 4 } else { length.max(1) };
        rest = &rest[skipped..];
    }
    plain
}

/// How many bytes a text in quotes has, at the beginning of this one.
fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{difference, plain};

    #[test]
    fn values_are_shown_without_the_names_of_types() {
        for (rust, shown) in [
            ("Some(\"no\")", "\"no\""),
            ("None", "nothing"),
            (
                r#"Object {"id": Number(1), "update": String("Some(\"x")}"#,
                r#"{"id": 1, "update": "Some(\"x"}"#,
            ),
            (r#"[1 "one" (greeting), 2 "two"]"#, r#"[1 "one" (greeting), 2 "two"]"#),
        ] {
            assert_eq!(plain(rust), shown);
        }
    }

    #[test]
    fn the_first_difference_is_marked() {
        let long = "x".repeat(200);
        let said = difference("the text", &format!("{long}a"), &format!("{long}b"));
        let lines: Vec<_> = said.lines().collect();
        let mark = lines[3].find('^').expect("it is marked");
        assert!(lines[1].chars().count() < 130 && lines[1].ends_with('a'), "{said}");
        assert_eq!(lines[1].chars().nth(mark - 1 + 1), Some('a'), "{said}");
    }
}
