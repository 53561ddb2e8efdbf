#!/usr/bin/env bash
# Measures what each technique costs on this machine, and prints a table. `scripts/measure.sh --help`
# lists the options; `--readme` writes table and picture into the README.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo 'Building for release …' >&2
for server in polling long-polling server-sent-events websockets; do
  cargo build --release --quiet --package "$server"
done
cargo build --release --quiet --package lab --bin measure
exec target/release/measure "$@"
