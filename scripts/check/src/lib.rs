//! The contract's suite, and what it takes to try it on anybody's server.
//!
//! - [`suite`]: the tests of the contract, each by the numbers of its sentences. A server's
//!   `tests/wire.rs` runs all of them, `scripts/check.sh` those that fit anybody's server.
//! - [`front`]: a page of ours before anybody's server.

pub mod front;
pub mod suite;
