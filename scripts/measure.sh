#!/usr/bin/env bash
# Measures what each technique costs on this machine.
#
#   scripts/measure.sh                         what an update and a quiet minute cost: 4 minutes
#   scripts/measure.sh --all --quick           what can be seen in so short a time: 1 minute
#   scripts/measure.sh --rtt 0,20ms,100ms      at a distance, too: 5 minutes
#   scripts/measure.sh --burst 1000            what one core takes, too: 5 minutes
#   scripts/measure.sh --pages                 what the pages take of Chromium, too: 6 minutes
#   scripts/measure.sh --naive                 ours beside the naive servers, which need Node: 7 minutes
#   scripts/measure.sh --server polling='node server.mjs'     another server in the place of ours
#   scripts/measure.sh --clients 1000,10000    what a client costs when there are many: 2 minutes
#   scripts/measure.sh --morning 19000         a server is killed, and all its clients come back: 1 minute
#   scripts/measure.sh --redis --nodes 1,2     what it costs to share the feed with other servers
#   scripts/measure.sh --redis --clients 95000 --nodes 5     more clients than a process may have: 1 minute
#   scripts/measure.sh --readme                what a client costs, into the pages: 22 minutes
#   scripts/measure.sh --redis --readme        the engine, into the pages: 4 minutes
#   scripts/measure.sh --again                 the pages anew, from the figures that are kept
#
# The first time, it builds for some 4 minutes before that.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

! asks_for_help "$@" || { usage && options_of scripts/measure/src/plan.rs && exit; }
say_how_long release/measure "some 4 minutes, as the servers are optimised as a whole.
How long it measures after that stands in scripts/measure.sh --help"
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
