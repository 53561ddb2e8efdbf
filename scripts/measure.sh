#!/usr/bin/env bash
# Measures what each technique costs on this machine.
#
#   scripts/measure.sh                         what an update and a quiet minute cost: 5 minutes
#   scripts/measure.sh --all --quick           everything, but so short that it takes a minute
#   scripts/measure.sh --rtt 0,20ms,100ms      at a distance
#   scripts/measure.sh --burst 1000            what one core takes
#   scripts/measure.sh --naive                 ours beside the naive servers, which need Node
#   scripts/measure.sh --server polling='node server.mjs'     another server in the place of ours
#   scripts/measure.sh --redis --nodes 1,2     what it costs to share the feed with other servers
#   scripts/measure.sh --readme                everything but --redis, into the README: 15 minutes
#   scripts/measure.sh --redis --readme        the engine, into the README: 4 minutes
#   scripts/measure.sh --again                 the README anew, from the figures that are kept
#   scripts/measure.sh --help                  all options
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo 'Building for release …' >&2
servers=(polling long-polling server-sent-events websockets)
target=${CARGO_TARGET_DIR:-$PWD/target}
if [[ " $* " == *' --redis '* ]]; then
  # In a folder of their own: the servers without the engine stay as they are.
  cargo build --release --quiet --features feed/redis --target-dir "$target/redis" "${servers[@]/#/-p}"
  export SERVERS=$target/redis/release
else
  for server in "${servers[@]}"; do
    cargo build --release --quiet --package "$server"
  done
fi
cargo build --release --quiet --package measure
cd "$here" # files and commands that are named are where the user is
exec "$target/release/measure" "$@"
