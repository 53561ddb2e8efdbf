//! Marks what a class has handed in: each folder is tried by a check of its own, and is one line.

use std::io::{Write as _, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use lab::SERVERS;
use serde_json::Value;

/// Marks what a class has handed in. All that was seen is in each folder's check.txt and check.json.
#[derive(Parser)]
#[command(name = "scripts/mark.sh")]
pub struct Options {
    /// They are clients: client.mjs, client.js or client.py
    #[arg(long)]
    client: bool,
    /// By which technique the servers tell what is new
    #[arg(value_parser = SERVERS)]
    technique: String,
    /// Tries only the sentences up to this level
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: Option<u8>,
    /// Tries only these sentences, separated by commas, as in 1.3,2.2; a level by its number alone
    #[arg(long)]
    only: Option<String>,
    /// Prints comma-separated values (RFC 4180)
    #[arg(long)]
    csv: bool,
    /// How many are tried side by side; without it, as many as there are processors
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: Option<u8>,
    /// A folder has an executable file `start`, or server.mjs, server.js (Node) or server.py (Python)
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    folders: Vec<String>,
}

/// What is said of a folder.
struct Mark {
    /// The levels: how many sentences hold, of how many.
    levels: Vec<(u64, u64)>,
    /// Why it could not be tried.
    remark: String,
}

impl Options {
    /// Tries all folders, and prints a line for each, in their order, as soon as those before are done.
    pub fn run(&self) {
        if self.csv {
            println!("folder,mark,level 1,of,level 2,of,level 3,of,remark");
        }
        let jobs = self
            .jobs
            .map_or_else(|| thread::available_parallelism().map_or(1, Into::into), usize::from);
        let (next, marks) = (AtomicUsize::new(0), Mutex::new((0, Vec::new())));
        let work = || {
            while let Some(folder) = self.folders.get(next.fetch_add(1, SeqCst)) {
                let mark = self.mark(Path::new(folder));
                let remark =
                    |why: anyhow::Error| Mark { levels: Vec::new(), remark: format!("{why:#}") };
                let (printed, marks) = &mut *marks.lock().expect("nobody panics with it");
                marks.push((folder, mark.unwrap_or_else(remark)));
                while let Some(at) =
                    marks.iter().position(|(folder, _)| self.folders.get(*printed) == Some(folder))
                {
                    let (folder, mark) = marks.swap_remove(at);
                    let _ = writeln!(stdout(), "{}", self.line(folder, &mark));
                    *printed += 1;
                }
            }
        };
        thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    }

    fn mark(&self, folder: &Path) -> Result<Mark> {
        let folder = folder.canonicalize().context("there is no such folder")?;
        let (text, json) = (folder.join("check.txt"), folder.join("check.json"));
        let mut check = Command::new(env::current_exe()?);
        check.arg(&self.technique).arg(format!("--json={}", json.display()));
        check.args(self.client.then_some("--client"));
        check.args(self.level.map(|level| format!("--level={level}")));
        check.args(self.only.as_ref().map(|only| format!("--only={only}")));
        check
            .arg("--")
            .args(starts(&folder, if self.client { "client" } else { "server" })?)
            .current_dir(&folder);
        let file = fs::File::create(&text)
            .with_context(|| format!("{} can't be written", text.display()))?;
        let output = check.stdout(file).stderr(Stdio::piped()).output()?;
        let result: Value = serde_json::from_slice(&fs::read(&json)?)?;
        if let Some(why) = result["error"].as_str() {
            bail!("{why} {}", String::from_utf8_lossy(&output.stderr));
        }
        let level = |level: &Value| Some((level["holds"].as_u64()?, level["of"].as_u64()?));
        let levels = (1..=3).map(|number: u64| {
            let of = result["levels"].as_array()?.iter().find(|it| it["level"] == number)?;
            level(of)
        });
        Ok(Mark { levels: levels.map(Option::unwrap_or_default).collect(), remark: String::new() })
    }

    fn line(&self, folder: &str, mark: &Mark) -> String {
        let folder = folder.trim_end_matches('/');
        let levels = (1..).zip(&mark.levels);
        if self.csv {
            let field = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let counts = [mark.levels.clone(), vec![(0, 0); 3 - mark.levels.len()]].concat();
            let counts: Vec<_> = counts.iter().map(|(holds, of)| format!("{holds},{of}")).collect();
            format!(
                "{},{},{},{}",
                field(folder),
                mark.name(),
                counts.join(","),
                field(&mark.remark)
            )
        } else if mark.levels.is_empty() {
            format!("{folder:24}  {}", mark.remark)
        } else {
            let asked = levels.filter(|(_, (_, of))| *of > 0);
            let counts =
                asked.map(|(level, (holds, of))| format!("level {level}: {holds} of {of}"));
            let counts: Vec<_> = counts.collect();
            format!("{folder:24}  {:16}  {}", mark.name(), counts.join(", "))
        }
    }
}

impl Mark {
    /// By levels: all of the first, half of the second, all of it, half of the third. None, where no
    /// more than single sentences of a level were tried.
    fn name(&self) -> &'static str {
        let holds = |level: usize, half: bool| {
            let (holds, of) = self.levels.get(level - 1).copied().unwrap_or_default();
            of > 0 && if half { 2 * holds >= of } else { holds == of }
        };
        match () {
            () if !holds(1, false) => "not passed",
            () if holds(2, false) && holds(3, true) => "with distinction",
            () if holds(2, false) => "very good",
            () if holds(2, true) => "good",
            () => "passed",
        }
    }
}

/// The command that starts what is in a folder: a server, or a client.
fn starts(folder: &Path, what: &str) -> Result<Vec<String>> {
    let start = folder.join("start");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    if start.exists() {
        let first = fs::read(&start)?;
        let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
        ensure!(
            !(first.starts_with(b"#!") && first.ends_with(b"\r")),
            "start has the line ends of Windows: sed -i 's/\\r$//' start"
        );
        ensure!(is_executable(&start)?, "start is not executable: chmod +x start");
        return Ok(vec![path("start")]);
    }
    let programs = [("mjs", &["node"][..]), ("js", &["node"]), ("py", &["python3", "-u"])];
    for (end, program) in programs {
        let file = path(&format!("{what}.{end}"));
        if Path::new(&file).exists() {
            return Ok(program.iter().map(ToString::to_string).chain([file]).collect());
        }
    }
    bail!("nothing that can be started: start, {what}.mjs, {what}.js or {what}.py")
}

fn is_executable(file: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(file)?.permissions().mode() & 0o111 != 0)
}
