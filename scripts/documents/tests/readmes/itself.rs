//! Whether this test finds what is wrong: small READMEs, each with one mistake, or with none.

use lab::run;

use super::problems;

/// What is found in a README of these lines. Where it stands matters for its links: in `feed/`.
fn found(readme: &str) -> Vec<String> {
    let mut found = Vec::new();
    run(async { found = problems("feed/README.md", readme).await });
    found
}

#[track_caller]
fn is_right(readme: &str) {
    assert_eq!(found(readme), [""; 0]);
}

/// One mistake is found, in this line, and what is said of it has this in it.
#[track_caller]
fn is_wrong(readme: &str, line: usize, reason: &str) {
    let found = found(readme);
    let [problem] = &found[..] else { panic!("one problem was to be found: {found:#?}") };
    assert!(problem.starts_with(&format!("feed/README.md:{line}: ")), "{problem}");
    assert!(problem.contains(reason), "{problem}");
}

/// A README of these commands, the first of which stands in its second line.
fn console(commands: &str) -> String {
    format!("```console\n{commands}\n```\n")
}

#[test]
fn output_that_differs() {
    is_right(&console("$ echo one\none\n$ echo two >&2; echo three\ntwo\nthree"));
    is_wrong(&console("$ echo one\none\n$ echo two >&2; echo three\nthree\ntwo"), 4, "two");
    is_wrong(&console("$ echo one\n"), 2, "one");
    is_wrong(&console("$ true\none"), 2, "one");
}

#[test]
fn patterns() {
    is_right(&console("$ echo one two three\none [..] three"));
    is_wrong(&console("$ echo one two four\none [..] three"), 2, "four");
    is_right(&console("$ seq 9\n1\n...\n9"));
    is_wrong(&console("$ seq 9\n1\n...\n7"), 2, "9");
    is_right(&console("$ seq 9\n1\n...\n8\n..."));
}

#[test]
fn one_bash_runs_all() {
    is_right(&console(
        "$ cd feed\n$ name='of \n> two lines'\n$ echo \"$name\"; ls\nof\ntwo lines\n[..] src [..]",
    ));
    is_wrong(&console("$ cat\n$ exit"), 3, "ended bash");
    is_wrong("```console\nls\n```\n", 2, "begins with `$ `");
}

#[test]
fn commands_within_a_sentence() {
    is_right(
        "Try `diff Cargo.toml LICENSE`, `cargo run -p polling`, `cargo test -p feed`, `cargo`.\n",
    );
    is_wrong("Try `diff Cargo.toml LICENCE`.\n", 1, "No such file");
    is_wrong("Try `cargo test -p fed`.\n", 1, "no package fed");
    is_wrong("Try `cargo run -p poling`.\n", 1, "no package poling");
}

#[test]
fn exit_statuses() {
    is_right(&console("$ diff Cargo.toml Cargo.toml\n$ diff Cargo.toml LICENSE\n..."));
    is_wrong(&console("$ (exit 3)"), 2, "exit status 3");
    is_right(&console("$ (exit 3)\n$ echo $?\n3"));
    is_wrong(&console("$ (exit 3)\n$ echo $?\n4"), 3, "3");
    is_right(&console("$ timeout 0.1 cat /dev/zero >/dev/null"));
    let refused = "curl: (7) Failed to connect to localhost port 9 [..]";
    is_right(&console(&format!("$ curl localhost:9\n{refused}")));
    is_wrong(&console("$ curl -s localhost:9"), 2, "exit status 7");
}

#[test]
fn what_a_terminal_shows() {
    let start = "$ cargo run -p polling\nListening at http://localhost:8001\n";
    let asks = "$ curl -s localhost:8001/ | grep -o Update\nUpdate";
    is_right(&console(&format!("{start}{asks}")));
    let without_s = asks.replace("-s ", ""); // as curl shows how far it is, then
    is_wrong(&console(&format!("{start}{without_s}")), 4, "% Total");
}

#[test]
fn the_same_id_where_the_same_update_is_meant() {
    let readme = |second: &str, after: &str, rest: &str| {
        console(&format!(
            "$ QUIET=1 cargo run -p polling
Listening at http://localhost:8001
SENT: Real-Time Update 1
$ curl localhost:8001/
{{\"id\":1795186800000000,\"update\":\"Real-Time Update 1\"}}
$ curl localhost:8001/api/messages --json '{{\"update\": \"Hello\"}}'
{{\"id\":{second},\"update\":\"Hello\"}}
$ curl 'localhost:8001/api/messages?after={after}'
{rest}"
        ))
    };
    let (first, second) = ("1795186800000000", "1795186800000001");
    let hello = format!("[{{\"id\":{second},\"update\":\"Hello\"}}]");
    is_right(&readme(second, first, &hello));
    is_right(&readme(second, second, "[]"));
    is_wrong(&readme(second, first, "[]"), 9, "Hello");
    // One id is shown for two updates: here it is, and where it is used.
    assert_eq!(found(&readme(first, first, "[]")).len(), 2);
    is_wrong(&readme(second, second, &hello), 9, "[]");
}

#[test]
fn headers_in_any_order_but_to_the_letter() {
    let readme = |type_line: &str, more: &str| {
        console(&format!(
            "$ cargo run -p polling
Listening at http://localhost:8001
$ curl -i localhost:8001/
HTTP/1.1 200 OK
date: Fri, 20 Nov 2026 15:00:00 GMT
{type_line}{more}
content-length: 53

{{\"id\":1795186800000000,\"update\":\"Real-Time Update 1\"}}"
        ))
    };
    let json = "content-type: application/json\n";
    let all = "cache-control: no-cache\nx-content-type-options: nosniff";
    is_right(&readme(json, all));
    is_right(&readme(json, "..."));
    is_wrong(&readme(json, "cache-control: no-cache"), 4, "nosniff");
    is_wrong(&readme("content-type: text/plain\n", all), 4, "text/plain");
}

#[test]
fn what_a_server_prints() {
    let readme = |printed: &str| console(&format!("$ cargo run -p websockets\n{printed}"));
    let listening = "Listening at http://localhost:8004";
    is_right(&readme(listening));
    is_wrong(&readme("Listening at http://localhost:8003"), 2, "8003");
    is_right(&readme(&format!("{listening}\nSENT: Real-Time Update 1\nSENT: Real-Time Update 2")));
    is_wrong("```console\n$ curl localhost:8004/\n```\n", 2, "No command before it starts");
    is_right("[The page](http://localhost:8004/html/index.html)\n");
    is_wrong("[The page](http://localhost:8004/index.html)\n", 1, "404");
}

#[test]
fn all_four_servers() {
    let readme = |line: &str| {
        console(&format!(
            "$ scripts/all.sh\nBuilding [..]\n...\n  polling [..] {line}\n...\n\
             $ curl -i localhost:8002/html/index.html\nHTTP/1.1 200 OK\n..."
        ))
    };
    is_right(&readme("http://localhost:8001/html/index.html"));
    is_wrong(&readme("http://localhost:8001/index.html"), 2, "index.html");
}

#[test]
fn commands_that_go_on() {
    let readme = |beneath: &str, later: &str| {
        console(&format!(
            "$ cargo run -p long-polling
Listening at http://localhost:8002
$ curl -s localhost:8002/api/messages/long-poll &
{beneath}$ curl localhost:8002/api/messages --json '{{\"update\": \"Hello\"}}'
{{\"id\":1795186800000000,\"update\":\"Hello\"}}
$ wait
{later}"
        ))
    };
    let answer = "[{\"id\":1795186800000000,\"update\":\"Hello\"}]\n";
    is_right(&readme(answer, ""));
    is_right(&readme("", answer));
    is_wrong(&readme("", ""), 7, "Hello");
}

#[test]
fn source_that_has_changed() {
    let readme = |line: &str| {
        format!("\n```rust file=scripts/documents/tests/readmes/itself.rs\n{line}\n```\n")
    };
    is_right(&readme("let mut found = Vec::new();"));
    is_right(&readme("use lab::run;\n\nuse super::problems;"));
    is_wrong(&readme("use lab::run;\nuse super::problems;"), 3, "one after another");
    is_wrong(&readme("use lab::walk;"), 3, "walk");
    is_wrong("```rust file=feed/src/nothing.rs\nlet x;\n```\n", 2, "nothing.rs");
    is_wrong("```rust\nlet x;\n```\n", 2, "file=PATH");
    is_wrong("```sh\nls\n```\n", 2, "a block is one of");
    is_wrong("```\n$ ls\n```\n", 2, "`console`");
}

#[test]
fn changes_that_can_not_be_made() {
    let readme = |change: &str| format!("\n```diff file=LICENSE\n{change}\n```\n");
    is_right(&readme("-MIT License\n+Another"));
    is_wrong(&readme("-GPL License\n+Another"), 3, "0 times");
    is_wrong(&readme(" MIT License"), 3, "changes nothing");
    is_right("```diff\n-a\n+b\n```\n");
}

#[test]
fn what_is_unfinished() {
    is_wrong("# A\n\nXXX: a picture\n", 3, "unfinished");
    is_wrong("<!-- measured: begin -->\n", 1, "measured"); // that is in README.md
}

#[test]
fn links_that_are_dead() {
    is_right("# Of *A* `b`!\n[a](#of-a-b) [b](src/lib.rs) [c](../LICENSE) [d](../polling/)\n");
    is_wrong("# A\n\n[a](#b)\n", 3, "no such heading");
    is_right("# A\n# A\n[a](#a-1)\n");
    is_wrong("[a](src/nothing.rs)\n", 1, "there is no feed/src/nothing.rs");
    is_wrong("![a](picture.png)\n", 1, "there is no feed/picture.png");
    is_wrong("<img src=\"picture.png\">\n", 1, "there is no feed/picture.png");
    is_wrong("[a](src/lib.rs#L1)\n", 1, "numbers of lines change");
    is_wrong("[a](../../etc)\n", 1, "out of the repository");
    is_right("<https://www.rfc-editor.org/rfc/rfc6455#section-1.3>\n");
    is_wrong("<http://www.rfc-editor.org/rfc/rfc6455>\n", 1, "not https");
    is_wrong("<https://example.com/>\n", 1, "example.com");
    is_wrong("[a][b]\n", 1, "[b]");
    is_right("`feed/src/lib.rs`, `src/lib.rs`, `and/or`, `--features feed/redis`\n");
    is_wrong("`feed/src/nothing.rs`\n", 1, "nothing.rs");
}

#[test]
fn diagrams_that_would_not_be_drawn() {
    let sequence = |line: &str| {
        format!(
            "```mermaid\nsequenceDiagram\n  participant A as Client A\n  actor B\n{line}\n```\n"
        )
    };
    is_right(&sequence(
        "  loop every 5 s\n  A->>+B: GET /\n  B-->>-A: 200\n  end\n  Note over A,B: held",
    ));
    is_wrong(&sequence("A->>C: GET /"), 5, "no participant");
    is_wrong(&sequence("A->>B:"), 5, "has a text");
    is_wrong(&sequence("A->>B: a; b"), 5, "semicolon");
    is_wrong(&sequence("loop for ever"), 5, "no end");
    is_wrong("```mermaid\nsequence\n```\n", 2, "no diagram");
    is_right("```mermaid\nflowchart TD\n  A[One] -->|yes| B{Two?}\n```\n");
    is_wrong("```mermaid\nflowchart TD\n  A[One] --> B{}\n```\n", 3, "has a text");
}
