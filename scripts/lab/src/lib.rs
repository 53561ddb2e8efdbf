//! What tries the servers: it starts their real binaries, is their client, and holds the suite of
//! tests that all four have in common.
//!
//! - [`server`]: a server's process: start it, read what it prints, see what it holds, stop it.
//! - [`client`]: a client of each technique, made of what other people wrote.
//! - [`raw`]: a TCP connection, for when bytes matter.
//! - [`cutter`]: a proxy that cuts connections at random moments.
//! - [`redis`]: an engine that servers share.
//! - [`browser`]: a real browser, with its driver.
//! - [`suite`]: the tests of the contract, each by the numbers of its sentences. A server's
//!   `tests/wire.rs` runs all of them, `scripts/check.sh` those that fit anybody's server.
//! - [`front`]: a page of ours before anybody's server.

pub mod browser;
pub mod client;
pub mod cutter;
pub mod front;
pub mod raw;
pub mod redis;
pub mod server;
pub mod suite;
pub mod time;

pub use client::{Client, Update};
pub use raw::Raw;
pub use redis::Redis;
pub use server::{SERVERS, Server, binary};
pub use time::{run, seeded, soon, together, within};
