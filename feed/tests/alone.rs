//! Whether `src/lib.rs` can be taken alone, as the README says: into a fresh crate with the
//! dependencies that it names, where the thermometer runs.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn the_list_alone_in_a_fresh_crate() {
    let feed = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file| fs::read_to_string(feed.join(file)).expect("it is in the repository");
    let readme = read("README.md");
    let (_, dependencies) = readme.split_once("```text\n[dependencies]\n").expect("it names them");
    let (dependencies, _) = dependencies.split_once("```").expect("the block ends");
    let shown = "the display shows 19 °C\nthe display catches up: 20 °C\n";
    assert!(readme.contains(shown), "what it prints");

    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fresh");
    let package = "[package]\nname = \"fresh\"\nedition = \"2024\"\n[workspace]\n";
    let thermometer = read("examples/thermometer.rs");
    let begin = thermometer.find("use feed::Feed;").expect("it uses it");
    fs::create_dir_all(fresh.join("src")).expect("the target folder can be written to");
    for (file, text) in [
        ("Cargo.toml", format!("{package}[dependencies]\n{dependencies}")),
        ("Cargo.lock", read("../Cargo.lock")), // what is here already: nothing is downloaded
        ("src/feed.rs", read("src/lib.rs")),
        ("src/main.rs", format!("mod feed;\n{}", &thermometer[begin..])),
    ] {
        fs::write(fresh.join(file), text).expect("the target folder can be written to");
    }
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let mut run = Command::new(cargo);
    run.args(["run", "--quiet", "--offline"]).current_dir(&fresh);
    run.env("CARGO_TARGET_DIR", fresh.join("target"));
    let output = run.output().expect("cargo is there");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(shown), "{output:?}");
    for complaint in complaints.lines().filter(|line| line.starts_with("warning: ")) {
        let is_expected = ["unexpected `cfg`", " never ", "generated"];
        assert!(is_expected.iter().any(|it| complaint.contains(it)), "{complaint}");
    }
}
