//! What is not run: source lines, links, diagrams.

use std::path::{Component, Path, PathBuf};
use std::{fs, iter};

use lab::SERVERS;
use snapbox::IntoData as _;
use snapbox::report::{Palette, write_diff};

use crate::document::{At, Block, Document};
use crate::patch;

/// Whose pages are still there in years: standards, and projects of their own pages.
const SITES: &[&str] = &[
    "actix.rs",
    "caniuse.com",
    "centrifugal.dev",
    "crates.io",
    "curl.se",
    "datatracker.ietf.org",
    "developer.chrome.com",
    "developer.mozilla.org",
    "docs.nats.io",
    "docs.rs",
    "doc.rust-lang.org",
    "fetch.spec.whatwg.org",
    "firefox-source-docs.mozilla.org",
    "github.com",
    "html.spec.whatwg.org",
    "mercure.rocks",
    "nats.io",
    "nchan.io",
    "nginx.org",
    "redis.io",
    "rustup.rs",
    "tokio.rs",
    "url.spec.whatwg.org",
    "websockets.spec.whatwg.org",
    "www.iana.org",
    "www.rfc-editor.org",
    "www.rust-lang.org",
    "www.w3.org",
];

/// What a block may be besides commands (`console`).
const LANGUAGES: &[&str] = &[
    "", "css", "diff", "html", "http", "js", "json", "lua", "mermaid", "nginx", "rust", "text",
    "toml",
];

/// What of these comes from a file, and says from which one.
const FROM_FILES: &[&str] = &["css", "html", "js", "lua", "rust", "toml"];

/// Whether a block is what it says.
pub fn check_block(root: &Path, block: &At<Block>) -> Vec<At<String>> {
    let At { line, is: Block { info, text, .. } } = block;
    let (language, file) = info.split_once(' ').unwrap_or((info, ""));
    let mut problems = Vec::new();
    let mut problem = |line, text: String| problems.push(At { line, is: text });
    if !LANGUAGES.contains(&language) {
        problem(*line, format!("a block is one of console, {LANGUAGES:?}, and not {language:?}"));
    }
    if let Some((place, _)) = text.lines().enumerate().find(|(_, line)| line.starts_with("$ ")) {
        problem(line + place, "a command stands in a block of the language `console`".into());
    }
    if let (Some(file), "diff") = (file.strip_prefix("file="), language) {
        let source = fs::read_to_string(root.join(file)).map_err(|error| error.to_string());
        if let Err(error) = source.and_then(|source| patch::apply(&source, text)) {
            problem(*line, format!("this change can't be made to {file}: {error}"));
        }
    } else if let Some(file) = file.strip_prefix("file=") {
        if let Err(error) = check_source(root, file, text) {
            problem(*line, error);
        }
    } else if FROM_FILES.contains(&language) {
        problem(*line, format!("source is of a file, which it says: `{language} file=PATH`"));
    } else if !file.is_empty() {
        problem(*line, format!("it is not known what {file:?} means"));
    }
    if language == "mermaid" {
        let found = check_diagram(text);
        problems
            .extend(found.into_iter().map(|At { line: place, is }| At { line: line + place, is }));
    }
    problems
}

/// Whether these lines stand in the file, one after another, perhaps further to the right.
fn check_source(root: &Path, file: &str, shown: &str) -> Result<(), String> {
    let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let shown = without_indentation(shown);
    let lines: Vec<_> = text.lines().collect();
    let count = shown.lines().count();
    if count == 0 {
        return Err("it shows nothing".into());
    }
    let parts = lines.windows(count).map(|part| without_indentation(&part.join("\n")));
    // The part that is most like it is the one that has been changed meanwhile.
    let alike =
        |part: &String| iter::zip(part.lines(), shown.lines()).filter(|(a, b)| a == b).count();
    let part = parts.max_by_key(alike).unwrap_or_else(|| without_indentation(&text));
    if part == shown {
        return Ok(());
    }
    let mut difference = format!("these lines do not stand in {file}, one after another:\n");
    let (shown, part) = (shown.into_data().raw(), part.into_data().raw());
    write_diff(&mut difference, &shown, &part, Some(&"shown"), Some(&file), Palette::plain())
        .expect("a string takes everything");
    Err(difference)
}

fn without_indentation(text: &str) -> String {
    let lines = || text.lines().map(str::trim_end);
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let common = lines().filter(|line| !line.is_empty()).map(indentation).min().unwrap_or(0);
    lines().map(|line| line.get(common..).unwrap_or_default().to_owned() + "\n").collect()
}

/// Whether links lead somewhere. Other sites are not asked: they may be down when we are tested.
pub fn check_links(root: &Path, readme: &str, document: &Document) -> Vec<At<String>> {
    let check = |link: &At<String>| {
        Some(At { line: link.line, is: check_link(root, readme, document, &link.is).err()? })
    };
    document.links.iter().filter_map(check).collect()
}

fn check_link(root: &Path, readme: &str, document: &Document, link: &str) -> Result<(), String> {
    // The servers are asked for these; GitHub has its CI's pages there, whatever the repository's name.
    if link.starts_with("http://localhost:") || link.starts_with("../../actions/workflows/ci.yml") {
        return Ok(());
    }
    if let Some((scheme, rest)) = link.split_once("://") {
        let site = rest.split(['/', '#', '?']).next().unwrap_or_default();
        return match (scheme, SITES.contains(&site)) {
            ("https", true) => Ok(()),
            ("https", false) => Err(format!("{site} is not among the sites that we link to")),
            _ => Err(format!("{link} is not https")),
        };
    }
    let (path, anchor) =
        link.split_once('#').map_or((link, None), |(path, name)| (path, Some(name)));
    if path.is_empty() {
        return check_anchor(document, anchor.unwrap_or_default(), readme);
    }
    let target = Path::new(readme).parent().expect("it is in a folder").join(path);
    let target = normal(&target).ok_or_else(|| format!("{link} leads out of the repository"))?;
    let file = root.join(&target);
    match anchor {
        _ if !file.exists() => Err(format!("{link}: there is no {}", target.display())),
        None => Ok(()),
        Some(anchor) if target.extension().is_some_and(|extension| extension == "md") => {
            let text = fs::read_to_string(file).map_err(|error| format!("{link}: {error}"))?;
            check_anchor(&Document::of(&text), anchor, &target.display().to_string())
        }
        Some(_) => Err(format!("{link}: only a README has sections (numbers of lines change)")),
    }
}

fn check_anchor(document: &Document, anchor: &str, readme: &str) -> Result<(), String> {
    if document.anchors.iter().any(|known| known == anchor) {
        return Ok(());
    }
    Err(format!("#{anchor}: {readme} has no such heading, but {:?}", document.anchors))
}

/// The path without `..` in it.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => normal.pop().then_some(())?,
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    Some(normal)
}

/// Whether what looks like a path of this repository, within a sentence, is there: `feed/src/lib.rs`.
pub fn check_paths(root: &Path, readme: &str, document: &Document) -> Vec<At<String>> {
    let mut problems = Vec::new();
    for At { line, is: code } in &document.code {
        let mut words = code.split_whitespace();
        while let Some(word) = words.next() {
            if word == "--features" {
                words.next(); // what it names, as in `feed/redis`, is none
                continue;
            }
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let first = word.split_once('/').map_or("", |(first, _)| first);
            if first.is_empty() || !word.chars().all(is_path) || !root.join(first).is_dir() {
                continue;
            }
            // From the root, from the README, or the same in each of the four.
            let beside = Path::new(readme).parent().expect("it is in a folder");
            let mut folders = [Path::new(""), beside, Path::new(SERVERS[0])].into_iter();
            if !folders.any(|folder| root.join(folder).join(word).exists()) {
                problems.push(At { line: *line, is: format!("there is no {word}") });
            }
        }
    }
    problems
}

/// What is wrong with a Mermaid diagram that one would see only where it is drawn.
fn check_diagram(text: &str) -> Vec<At<String>> {
    let mut lines = text.lines().map(str::trim).enumerate();
    let mut lines = lines.by_ref().filter(|(_, line)| !line.is_empty() && !line.starts_with("%%"));
    let first = lines.next().map_or("", |(_, line)| line);
    let mut problems = match first.split_whitespace().next() {
        Some("sequenceDiagram") => check_sequence(lines),
        Some("flowchart" | "graph") => check_flowchart(first, lines),
        Some("stateDiagram-v2" | "timeline" | "classDiagram") => Vec::new(),
        _ => vec![(0, format!("this is no diagram that is known here: {first:?}"))],
    };
    problems.sort();
    problems.into_iter().map(|(line, is)| At { line, is }).collect()
}

fn check_sequence<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, String)> {
    const ARROWS: [&str; 8] = ["-->>", "->>", "--x", "-x", "--)", "-)", "-->", "->"];
    let mut participants: Vec<&str> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut problems = Vec::new();
    for (place, line) in lines {
        let mut problem = |text: &str| problems.push((place, format!("{text}: {line}")));
        if line.contains(';') {
            problem("a semicolon ends a line here");
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (head, text) = rest.split_once(':').unwrap_or((rest, ""));
        match word {
            "participant" | "actor" => {
                let (name, label) = rest.split_once(" as ").unwrap_or((rest, rest));
                if name.trim().is_empty() || label.trim().is_empty() {
                    problem("a participant has a name");
                }
                participants.push(name.trim());
            }
            "loop" | "alt" | "opt" | "par" | "critical" | "break" | "rect" | "box" => {
                open.push(place);
            }
            "else" | "and" | "option" if open.is_empty() => problem("nothing is open"),
            "end" if open.pop().is_none() => problem("nothing is open"),
            "end" | "else" | "and" | "option" | "autonumber" | "title" | "activate"
            | "deactivate" => {}
            "Note" | "note" => {
                let names = ["over ", "left of ", "right of "];
                let names = names.iter().find_map(|side| head.strip_prefix(side)).unwrap_or("");
                if text.trim().is_empty()
                    || !names.split(',').all(|name| participants.contains(&name.trim()))
                {
                    problem("a note has a text, over participants");
                }
            }
            _ => {
                let (head, text) = line.split_once(':').unwrap_or((line, ""));
                let arrow = ARROWS.iter().find_map(|arrow| head.split_once(arrow));
                let is_known =
                    |name: &str| participants.contains(&name.trim().trim_start_matches(['+', '-']));
                match arrow {
                    None => problem("it is not known what this line means"),
                    Some((from, to)) if !is_known(from) || !is_known(to) => {
                        problem("one of these is no participant");
                    }
                    Some(_) if text.trim().is_empty() => problem("a message has a text"),
                    Some(_) => {}
                }
            }
        }
    }
    problems.extend(open.into_iter().map(|place| (place, "this has no end".into())));
    problems
}

fn check_flowchart<'a>(
    first: &str,
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    if !["TB", "TD", "BT", "RL", "LR"]
        .contains(&first.split_whitespace().nth(1).unwrap_or_default())
    {
        problems.push((0, format!("a flow chart has a direction: {first}")));
    }
    let mut open = 0;
    for (place, line) in lines {
        let mut problem = |text: &str| problems.push((place, format!("{text}: {line}")));
        for (begin, end) in [('[', ']'), ('{', '}'), ('(', ')')] {
            if line.matches(begin).count() != line.matches(end).count() {
                problem("a bracket is not closed");
            }
            if line.contains(&format!("{begin}{end}"))
                || line.contains(&format!("{begin}\"\"{end}"))
            {
                problem("a node has a text");
            }
        }
        if line.contains("||") {
            problem("an arrow has a text");
        }
        open += i32::from(line.starts_with("subgraph"));
        open -= i32::from(line == "end");
        if line.split(' ').any(|word| word == "end") && line != "end" {
            problem("no node can be named `end`");
        }
    }
    if open != 0 {
        problems.push((0, "subgraph and end do not match".into()));
    }
    problems
}
