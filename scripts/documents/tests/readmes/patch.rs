//! A change as a solution shows it: the lines of a `diff`, each with what happens to it in front.

/// The text with the change made: ` ` begins a line that stays, `-` one that goes, `+` one that
/// comes; a line that begins with `@@` parts two places. What stays and goes has to stand in the
/// text, at one place only.
pub fn apply(text: &str, change: &str) -> Result<String, String> {
    let mut text = format!("\n{text}");
    let lines: Vec<_> = change.lines().collect();
    for place in lines.split(|line| line.starts_with("@@")) {
        let with = |other: char| -> Result<String, String> {
            let mut lines = String::from("\n");
            for line in place {
                match line.chars().next() {
                    Some('-' | '+') if line.starts_with(other) => {}
                    Some(' ' | '-' | '+') => lines.extend([&line[1..], "\n"]),
                    None => lines += "\n",
                    Some(_) => {
                        return Err(format!("it begins with none of ' ', -, + and @@: {line}"));
                    }
                }
            }
            Ok(lines)
        };
        let (old, new) = (with('+')?, with('-')?);
        if old == new {
            return Err(format!("it changes nothing:{old}"));
        }
        let places = text.char_indices().filter(|(at, _)| text[*at..].starts_with(&old));
        match places.count() {
            1 => text = text.replacen(&old, &new, 1),
            count => return Err(format!("these lines stand there {count} times, not once:{old}")),
        }
    }
    Ok(text.split_off(1))
}

#[test]
fn a_change_is_made_where_its_lines_stand_once() {
    let text = "a\nb\nc\nd\n";
    assert_eq!(apply(text, " a\n-b\n+B\n+BB\n@@\n-d\n").unwrap(), "a\nB\nBB\nc\n");
    for wrong in ["-x\n", " a\n b\n", "+new\n", "?\n", "-b\n@@\n-b\n", " b\n+new\n d\n"] {
        assert!(apply(text, wrong).is_err(), "{wrong}");
    }
    assert!(apply("a\na\n", "-a\n").is_err());
}
