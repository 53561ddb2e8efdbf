//! What goes over the wire, tried on the real binary, by the cases of `check::suite`: what is the same
//! for all four, and what only this technique has. [The contract](../../feed/WIRE.md) says what is
//! tried; `cargo test -p polling --test wire -- --list` lists how.

fn main() {
    check::suite::main("polling");
}
