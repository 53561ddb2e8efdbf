//! Figures and tables as text, in Markdown and for a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// How wide a paragraph is on a terminal.
const WIDTH: usize = 100;

/// Makes a Markdown table.
pub fn markdown(head: &[String], lines: &[(&str, Vec<String>)]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    let rule = (0..head.len()).map(|index| if index == 0 { "---" } else { "--:" }.to_owned());
    text += &line(&rule.collect::<Vec<_>>());
    for (name, cells) in lines {
        text += &line(&[&[(*name).to_owned()], &cells[..]].concat());
    }
    text
}

/// Markdown as a terminal shows it best: columns below each other, lines that are not too long, and no
/// marks.
pub fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut table: Vec<Vec<&str>> = Vec::new();
    let marks = markdown.replace(['*', '`'], "");
    for line in marks.lines().chain([""]) {
        if line.starts_with('|') {
            table.push(line.trim_matches('|').split('|').map(str::trim).collect());
            continue;
        }
        if !table.is_empty() {
            text += &columns(&std::mem::take(&mut table));
        }
        text += &textwrap::fill(line, WIDTH);
        text.push('\n');
    }
    text
}

/// The lines of a table, of which the second is a rule in Markdown. Its heads take several lines.
fn columns(lines: &[Vec<&str>]) -> String {
    let mut table = Table::new();
    let heads = lines[0].iter().enumerate();
    let heads = heads.map(|(at, head)| textwrap::fill(head, if at == 0 { 44 } else { 12 }));
    table.load_preset(NOTHING).set_header(heads).add_rows(&lines[2..]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt() + "\n"
}

/// Each once, in their order.
pub fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&&**name) {
            all.push(name);
        }
    }
    all
}

/// A part in per cent.
pub fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

pub fn milliseconds(value: f64) -> String {
    if value >= 1000.0 {
        format!("{} s", figure(value / 1000.0))
    } else {
        format!("{} ms", figure(value))
    }
}

/// A small number, with a place behind the point where it has one.
pub fn few(value: f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}

/// Three significant digits at the most, and no more than two places.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => count(value),
    }
}

/// Two significant digits: nobody knows a rate any better.
pub fn rate(value: f64) -> String {
    let (size, places) = match value {
        0.0..1.0 => (0.01, 2),
        1.0..10.0 => (0.1, 1),
        10.0..100.0 => (1.0, 0),
        _ => (10.0, 0),
    };
    let text = format!("{:.places$}", (value / size).round() * size);
    if places == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// A whole number of which three digits are known.
pub fn about(value: f64) -> String {
    let size = 10_f64.powf((value.max(1.0).log10().floor() - 2.0).max(0.0));
    count((value / size).round() * size)
}

/// A whole number, its thousands separated.
pub fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_columns() {
        let table = markdown(
            &[String::new(), "polling every 5 s".into(), "*the ideal*".into()],
            &[
                ("bytes", vec!["21".into(), "0".into()]),
                ("time", vec!["2.50 s".into(), String::new()]),
            ],
        );
        let seen = plain(&format!("{table}\n*p50*: `half`"));
        let expected = "          polling  the ideal\n        every 5 s\n bytes         21          0\n \
                        time      2.50 s\n\np50: half\n\n";
        assert_eq!(seen, expected);
    }

    #[test]
    fn figures_have_no_more_digits_than_are_known() {
        assert_eq!([0.1, 1.0, 4.63, 56.2, 155.0].map(rate), ["0.1", "1", "4.6", "56", "160"]);
        assert_eq!([7.0, 932.4, 167_463.0].map(about), ["7", "932", "167,000"]);
    }
}
