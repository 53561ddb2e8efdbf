//! What goes over the wire, acknowledgements included: a client of each technique behind a network
//! interface of its own, whose packets the kernel counts. Linux only, and only for root or where
//! everybody may make a user namespace (`unshare(1)`).

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join_all;
use tokio::process::{Child, Command};
use tokio::task::spawn_local;
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::clients::{self, Publisher, Return, Setup, Tally};
use crate::distance::line_before;
use crate::figures::{Traffic, Variant, Wire};
use crate::plan::{Plan, begin};
use crate::running::evenly;
use crate::start_server;

/// How far away the client is.
pub const DISTANCE: Duration = Duration::from_millis(100);
/// How long is counted, which is whole periods of whatever repeats; and the time between two updates,
/// long enough for each to come alone.
pub const WINDOW: Duration = Duration::from_secs(75);
pub const EVERY: Duration = Duration::from_secs(5);
/// A radio goes to sleep in such a while, so that the next packet wakes it.
const AWAKE: Duration = Duration::from_secs(1);

/// How long all of it takes, about, with what is done meanwhile: [`crate::deployed`].
pub const TAKES: Duration = Duration::from_secs(95);

/// Runs this program in a namespace of its own, where it may make interfaces. An error says what the
/// system does not have or allow.
pub async fn measure(plan: &Plan) -> Result<Vec<Wire>> {
    if !plan.wire {
        return Ok(Vec::new());
    }
    plan.say("packets on the wire".into());
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg("--net").arg(std::env::current_exe()?).arg("--on-the-wire").kill_on_drop(true);
    command.arg("--poll-interval").arg(format!("{}s", plan.poll_interval.as_secs_f64()));
    let output = command.output().await.context("unshare")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), said.lines().last().unwrap_or_default().to_owned());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What is done there: each variant twice, with updates and without, all at the same time.
pub async fn within(plan: &Plan) -> Result<Vec<Wire>> {
    run(Command::new("ip").args(["link", "set", "lo", "up"])).await?;
    let both = plan.variants.iter().enumerate().map(async |(number, variant)| {
        let quiet = one(plan, *variant, 2 * number, false);
        let (quiet, update) = tokio::try_join!(quiet, one(plan, *variant, 2 * number + 1, true))?;
        let updates = WINDOW.div_duration_f64(EVERY);
        let minutes = WINDOW.as_secs_f64() / 60.0;
        anyhow::Ok(Wire {
            name: variant.name(),
            update: update.per(updates),
            quiet: quiet.per(minutes),
        })
    });
    try_join_all(both).await
}

async fn one(plan: &Plan, variant: Variant, number: usize, has_updates: bool) -> Result<Traffic> {
    let server = start_server(plan, variant.server).await;
    let port = line_before(server.port(), DISTANCE)?;
    let (ours, theirs) = (format!("ours{number}"), format!("theirs{number}"));
    ip(&format!("link add {ours} type veth peer name {theirs}")).await?;
    let mut client = client(variant, SocketAddr::from(([10, 77, u8::try_from(number)?, 1], port)))?;
    let pid = client.id().context("it has ended")?;
    // It is in a namespace of its own as soon as `unshare` has become the client.
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/net"));
    while namespace(&pid.to_string())? == namespace("self")? {
        ensure!(client.try_wait()?.is_none(), "a client ended");
        sleep(Duration::from_millis(10)).await;
    }
    ip(&format!("link set {theirs} netns {pid}")).await?;
    let there = format!("nsenter -t {pid} -n ip");
    // No packets but the client's: no search for neighbours, nothing of IPv6.
    for (ip, name, own, other) in [("ip", &ours, 1, 2), (&*there, &theirs, 2, 1)] {
        for what in [
            format!("link set {name} addrgenmode none address 02:00:00:00:{number:02x}:0{own}"),
            format!("address add 10.77.{number}.{own}/24 dev {name}"),
            format!("link set {name} up"),
            format!(
                "neighbour replace 10.77.{number}.{other} lladdr 02:00:00:00:{number:02x}:0{other} \
                 dev {name} nud permanent"
            ),
        ] {
            words(&format!("{ip} {what}")).await?;
        }
    }
    let mut publisher = Publisher::connect(server.port()).await?;
    let start = Instant::now() + Duration::from_secs(3) + begin(variant);
    if has_updates {
        spawn_local(async move {
            for at in evenly(EVERY, WINDOW) {
                sleep_until(start + at + EVERY / 2).await;
                publisher.publish(false).await?;
            }
            anyhow::Ok(())
        });
    }
    sleep_until(start).await;
    let before = counters(&ours)?;
    ensure!(before[0] > 3, "the client does not reach the server");
    let (mut last, mut since, mut wakes) = (before, None::<Instant>, 0);
    let mut ticks = interval(Duration::from_millis(20));
    while start.elapsed() < WINDOW {
        ticks.tick().await;
        let now = counters(&ours)?;
        if now != last {
            wakes += u32::from(since.is_none_or(|since| since.elapsed() > AWAKE));
            (last, since) = (now, Some(Instant::now()));
        }
    }
    let [up, up_bytes, down, down_bytes] = [0, 1, 2, 3].map(|it| (last[it] - before[it]) as f64);
    let (packets, bytes) = ([up, down], [up_bytes, down_bytes]);
    Ok(Traffic { packets, bytes, wakes: wakes.into() })
}

/// This program once more, as a client in a namespace of its own.
fn client(variant: Variant, server: SocketAddr) -> Result<Child> {
    let mut command = Command::new("unshare");
    command.arg("--net").arg(std::env::current_exe()?).arg("--as-client").arg(server.to_string());
    command.arg("--techniques").arg(variant.server).kill_on_drop(true).stdout(Stdio::null());
    command.arg("--poll-interval").arg(format!("{}s", variant.poll_interval.as_secs_f64()));
    if variant.bare {
        command.arg("--bare");
    }
    Ok(command.spawn()?)
}

/// Is a client, until it is killed.
pub async fn be_client(variant: Variant, server: SocketAddr) -> Result<()> {
    let phase = variant.poll_interval;
    clients::run(
        Setup { address: [0; 4], server, variant, phase, comes_back: Some(Return::Soon) },
        Tally::new(),
    )
    .await
}

async fn ip(what: &str) -> Result<()> {
    words(&format!("ip {what}")).await
}

async fn words(command: &str) -> Result<()> {
    let mut words = command.split(' ');
    run(Command::new(words.next().unwrap_or_default()).args(words)).await
}

async fn run(command: &mut Command) -> Result<()> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.output().await.with_context(|| format!("there is no {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Packets and bytes that came from the client, and that went to it (`/proc/net/dev`).
fn counters(interface: &str) -> Result<[u64; 4]> {
    let all = fs::read_to_string("/proc/thread-self/net/dev")?;
    let line = all.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    let line = line.context("the interface is gone")?.split_whitespace();
    let numbers: Vec<u64> = line.map_while(|number| number.parse().ok()).collect();
    let at = |index: usize| numbers.get(index).copied().context("it has other counters");
    Ok([at(1)?, at(0)?, at(9)?, at(8)?])
}
