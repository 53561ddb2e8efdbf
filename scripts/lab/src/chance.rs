//! Chance in a test: what was random can be had again.

use std::env;

use rand::{SeedableRng as _, rngs::StdRng};

use crate::server::is_other;

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
