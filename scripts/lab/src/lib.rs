//! What the tools share: it starts the servers' real binaries, is their client, cuts their lines, and
//! drives browsers.
//!
//! - [`server`]: a server's process: start it, read what it prints, see what it holds, stop it.
//! - [`client`]: a client of each technique, made of what other people wrote.
//! - [`mod@asked`]: what a failure shows of its requests, and a bound for what answers hold.
//! - [`lines`]: the four servers, each behind a line.
//! - [`raw`]: a TCP connection, for when bytes matter.
//! - [`time`], [`chance`]: nothing hangs, and what was random can be had again.
//! - [`cutter`]: a proxy that cuts connections at random moments.
//! - [`redis`]: an engine that servers share.
//! - `browser`: a real browser, with its driver (with the feature of that name).

pub mod asked;
#[cfg(feature = "browser")]
pub mod browser;
pub mod chance;
pub mod client;
pub mod cutter;
pub mod descendants;
pub mod lines;
pub mod raw;
pub mod redis;
pub mod server;
pub mod time;

pub use asked::asked;
pub use chance::seeded;
pub use client::{Client, Update};
pub use lines::Lines;
pub use raw::Raw;
pub use redis::Redis;
pub use server::{SERVERS, Server, binary};
pub use time::{run, soon, together, within};
