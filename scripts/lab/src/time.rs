//! Waiting in a test: nothing hangs, and who was late says so.

use std::{cell::Cell, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::{FutureExt as _, future};
use tokio::time::{Instant, timeout};

/// For what should happen at once: long enough for a very busy machine.
pub const SOON: Duration = Duration::from_secs(20);

thread_local! {
    /// Whether the test that runs on this thread has failed for want of time.
    static LATE: Cell<bool> = const { Cell::new(false) };
}

/// Says that what fails now may be the machine's fault, which has other things to do.
pub fn late() {
    LATE.set(true);
}

/// Whether something was late on this thread since this was asked last.
#[must_use]
pub fn was_late() -> bool {
    LATE.replace(false)
}

/// Waits for something, but not longer than that.
///
/// # Panics
/// When it has not happened by then.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    timeout(limit, future).await.unwrap_or_else(|_| {
        late();
        panic!("not within {limit:?}: {what}")
    })
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
