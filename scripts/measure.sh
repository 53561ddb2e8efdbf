#!/usr/bin/env bash
# Measures what each technique costs on this machine, and prints a table. `scripts/measure.sh --help`
# lists the options; `--readme` writes table and picture into the README; `--redis` measures what it
# costs to share the feed with other servers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo 'Building for release …' >&2
servers=(polling long-polling server-sent-events websockets)
target=${CARGO_TARGET_DIR:-target}
if [[ " $* " == *' --redis '* ]]; then
  # In a folder of their own: the servers without the engine stay as they are.
  cargo build --release --quiet --features feed/redis --target-dir "$target/redis" "${servers[@]/#/-p}"
  export SERVERS=$target/redis/release
else
  for server in "${servers[@]}"; do
    cargo build --release --quiet --package "$server"
  done
fi
cargo build --release --quiet --package lab --bin measure
exec "$target/release/measure" "$@"
