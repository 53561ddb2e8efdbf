//! The pages' house: each room knows the rooms before it, and none behind it. No browser is needed
//! to see that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lab::SERVERS;

/// The rooms, in the order in which they may know each other.
const ROOMS: [&str; 4] = ["client", "page", "a technique's page", "compare"];

/// What each module imports: the addresses by which a browser asks for them.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<(String, PathBuf)> = SERVERS
        .into_iter()
        .map(|name| (format!("/{name}.html"), root.join(name).join("public/html/index.html")))
        .collect();
    for room in ["client", "page", "compare"] {
        for file in fs::read_dir(root.join("public").join(room)).expect("there is a folder") {
            let file = file.expect("it can be read").path();
            if file.extension().is_some_and(|extension| extension == "js") {
                let name = file.file_name().expect("it has one").to_string_lossy();
                files.push((format!("/public/{room}/{name}"), file.clone()));
            }
        }
    }
    files.into_iter().map(|(address, file)| (address.clone(), imported(&address, &file))).collect()
}

/// `import … from "…"`, `export … from "…"`, `import "…"`, `import("…")`, and a page's `<script src="…"`.
fn imported(address: &str, file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).expect("it is text");
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join(" ");
    let starts = ["from \"", "import \"", "import(\"", "<script src=\""];
    let found = starts.iter().flat_map(|start| code.split(start).skip(1));
    let found = found.map(|rest| rest.split('"').next().expect("it has a first part"));
    let base = url::Url::parse("http://localhost").and_then(|base| base.join(address));
    let base = base.expect("it is an address");
    found
        .filter(|found| found.starts_with(['.', '/']) || found.starts_with("public/"))
        .map(|found| base.join(found).expect("it is an address").path().to_owned())
        .collect()
}

fn room(address: &str) -> usize {
    match address.split('/').collect::<Vec<_>>()[..] {
        [_, "public", room, _] => ROOMS.iter().position(|known| *known == room),
        _ => Some(2),
    }
    .unwrap_or_else(|| panic!("{address} is in no room"))
}

/// No module imports one of a room behind its own, and none comes back to itself. Each is used.
#[test]
fn arrows_lead_one_way() {
    let imports = imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 30, "{imports:#?}");
    let known = |address: &String| imports.get(address).unwrap_or_else(|| panic!("no {address}"));
    for (module, wanted) in &imports {
        for other in wanted {
            assert!(room(other) <= room(module), "{module} imports {other}");
            assert_ne!(ROOMS[room(other)], ROOMS[2], "{module} imports a technique's page");
        }
        let mut behind = BTreeSet::new();
        let mut next: Vec<_> = wanted.iter().collect();
        while let Some(other) = next.pop() {
            assert_ne!(other, module, "a circle: {module} leads back to itself");
            if behind.insert(other) {
                next.extend(known(other));
            }
        }
        let entry = room(module) == 2 || module == "/public/compare/compare.js";
        let used = imports.values().any(|others| others.contains(module));
        assert!(entry || used, "nobody imports {module}");
    }
}

/// What needs no DOM has none: `client/` finds, makes and changes no element.
#[test]
fn the_client_shows_nothing() {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../public/client");
    for file in fs::read_dir(client).expect("there is a folder") {
        let file = file.expect("it can be read").path();
        let text = fs::read_to_string(&file).expect("it is text");
        for word in ["querySelector", "getElement", "createElement", "Element", "textContent"] {
            assert!(!text.contains(word), "{} has a {word}", file.display());
        }
    }
}
