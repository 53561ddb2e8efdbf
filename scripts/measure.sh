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
#   scripts/measure.sh --readme                everything but --redis, into the pages: 15 minutes
#   scripts/measure.sh --redis --readme        the engine, into the pages: 4 minutes
#   scripts/measure.sh --again                 the pages anew, from the figures that are kept
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

! asks_for_help "$@" || { usage && options_of scripts/measure/src/main.rs && exit; }
say_how_long release/measure 'some minutes, as the servers are optimised as a whole'
servers=(-p polling -p long-polling -p server-sent-events -p websockets)
if [[ " $* " == *' --redis '* ]]; then
    # In a folder of their own: the servers without the engine stay as they are.
    target=${CARGO_TARGET_DIR:-$PWD/target}/redis
    cargo_shown build --release --features feed/redis --target-dir "$target" "${servers[@]}"
    export SERVERS=$target/release
else
    cargo_shown build --release "${servers[@]}"
fi
measure=$(programs --release --package measure)
cd "$here" # files and commands that are named are where the user is
exec "$measure" "$@"
