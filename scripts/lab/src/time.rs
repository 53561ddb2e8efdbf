//! Waiting and chance in a test: nothing hangs, and what was random can be had again.

use std::{env, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::{FutureExt as _, future};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, timeout};

use crate::server::is_other;

/// For what should happen at once: long enough for a very busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits for something, but not longer than that.
///
/// # Panics
/// When it has not happened by then.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    timeout(limit, future).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}

/// Waits for what should happen at once.
///
/// # Panics
/// When it has not happened after 20 seconds.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(SOON, what, future).await
}

/// Runs one test, in a runtime of its own.
///
/// # Panics
/// When the test fails, or has not ended after two minutes.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let test = within(Duration::from_secs(120), "the whole test", test);
    runtime.expect("a runtime can be made").block_on(test);
}

/// A named part of a test that takes its time.
pub type Part = (&'static str, Pin<Box<dyn Future<Output = ()>>>);

/// Runs all parts at the same time, to the end, whichever of them fail. There are as many test
/// threads as processors: parts that only wait should not each block one of them.
///
/// # Panics
/// When a part fails: says which ones.
pub async fn together(parts: Vec<Part>) {
    let start = Instant::now();
    let parts = parts.into_iter().map(async |(name, part)| {
        let failed = AssertUnwindSafe(part).catch_unwind().await.is_err();
        eprintln!("{name}: {} after {:?}", if failed { "FAILED" } else { "ok" }, start.elapsed());
        failed.then_some(name)
    });
    let failed: Vec<_> = future::join_all(parts).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "failed, each for the reason above: {failed:?}");
}

/// Chance that can be had again: the test prints its seed, and takes one from `SEED`.
#[must_use]
pub fn seeded() -> StdRng {
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u32>);
    if !is_other() {
        eprintln!("to have the same chance again: SEED={seed}");
    }
    StdRng::seed_from_u64(seed.into())
}
