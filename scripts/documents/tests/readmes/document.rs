//! A README taken apart: its commands, its source lines, its diagrams, its links, its headings.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

/// Something that stands in a README from this line on.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub line: usize,
    pub is: T,
}

/// A command as it is shown, with what is shown as its output.
#[derive(Clone, Debug)]
pub struct Command {
    pub text: String,
    pub shown: String,
}

/// A fenced block, but for the commands.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence: a language, and perhaps `file=PATH`.
    pub info: String,
    pub text: String,
    /// The heading above it, as it is written.
    pub section: String,
}

/// All that is checked of a README.
#[derive(Debug, Default)]
pub struct Document {
    pub commands: Vec<At<Command>>,
    pub blocks: Vec<At<Block>>,
    /// Where links and images lead.
    pub links: Vec<At<String>>,
    /// Code within a sentence.
    pub code: Vec<At<String>>,
    /// What an `#anchor` may name.
    pub anchors: Vec<String>,
    /// What is wrong with its Markdown.
    pub problems: Vec<At<String>>,
}

impl Document {
    pub fn of(text: &str) -> Document {
        let line_of = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        let mut document = Document::default();
        let mut broken = Vec::new();
        // `[text][name]` without such a name; `[text]` alone is text.
        let on_broken = |link: pulldown_cmark::BrokenLink<'_>| {
            if link.link_type != LinkType::ShortcutUnknown && link.link_type != LinkType::Shortcut {
                broken.push(At {
                    line: line_of(&link.span),
                    is: format!("no link is named [{}]", link.reference),
                });
            }
            None::<(CowStr<'_>, CowStr<'_>)>
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM;
        let parser = Parser::new_with_broken_link_callback(text, options, Some(on_broken));

        let mut block: Option<At<Block>> = None;
        let mut heading: Option<String> = None;
        let mut section = String::new();
        for (event, range) in parser.into_offset_iter() {
            let line = line_of(&range);
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let (info, line) = match kind {
                        CodeBlockKind::Fenced(info) => (info.to_string(), line + 1),
                        CodeBlockKind::Indented => (String::new(), line),
                    };
                    block = Some(At {
                        line,
                        is: Block { info, text: String::new(), section: section.clone() },
                    });
                }
                Event::End(TagEnd::CodeBlock) => {
                    let block = block.take().expect("it began");
                    if block.is.info == "console" {
                        document.read_console(block.line, &block.is.text);
                    } else {
                        document.blocks.push(block);
                    }
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    section = heading.take().expect("it began");
                    let anchor = document.anchor_of(&section);
                    document.anchors.push(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(At { line, is: dest_url.to_string() });
                }
                Event::Text(text) => {
                    if let Some(block) = &mut block {
                        block.is.text += &text;
                    } else if let Some(heading) = &mut heading {
                        *heading += &text;
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        *heading += &code;
                    }
                    document.code.push(At { line, is: code.to_string() });
                }
                Event::Html(html) | Event::InlineHtml(html) => document.read_html(line, &html),
                _ => {}
            }
        }
        document.problems.append(&mut broken);
        document
    }

    /// Commands and what is shown beneath them.
    fn read_console(&mut self, first: usize, text: &str) {
        let mut command: Option<At<Command>> = None;
        for (line, text) in (first..).zip(text.lines()) {
            if let Some(text) = text.strip_prefix("$ ") {
                let new = Command { text: text.into(), shown: String::new() };
                self.commands.extend(command.replace(At { line, is: new }));
            } else if let Some(At { is: command, .. }) = &mut command {
                match text.strip_prefix("> ") {
                    Some(text) if command.shown.is_empty() => {
                        command.text += "\n";
                        command.text += text;
                    }
                    _ => {
                        command.shown += text;
                        command.shown += "\n";
                    }
                }
            } else {
                let is = "a block of commands begins with `$ `".into();
                self.problems.push(At { line, is });
            }
        }
        self.commands.extend(command);
    }

    /// HTML may have links too, and may name places that links lead to.
    fn read_html(&mut self, line: usize, html: &str) {
        for (attribute, is_link) in
            [("src", true), ("srcset", true), ("href", true), ("id", false), ("name", false)]
        {
            for part in html.split(&format!(" {attribute}=\"")).skip(1) {
                let value = part.split('"').next().expect("there is a first part").to_owned();
                if is_link {
                    self.links.push(At { line, is: value });
                } else {
                    self.anchors.push(value);
                }
            }
        }
    }

    /// The anchor that GitHub makes of a heading: lower case, spaces become hyphens, other
    /// punctuation goes; of two equal ones, the second gets a number.
    fn anchor_of(&self, heading: &str) -> String {
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let is_free = |anchor: &String| !self.anchors.contains(anchor);
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        std::iter::once(anchor.clone()).chain(numbered).find(is_free).expect("numbers don't end")
    }
}
