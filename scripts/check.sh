#!/usr/bin/env bash
# Tries any server of one of the four techniques, or any client, on the contract (feed/WIRE.md), sentence
# by sentence.
#
#   scripts/check.sh polling -- node server.mjs         starts it, again and again, and tries it
#   scripts/check.sh polling --level 1 -- python3 -u server.py       level 1 only
#   scripts/check.sh polling --only 1.3,2.2 -- node server.mjs       only these sentences
#   scripts/check.sh polling --url http://localhost:3000             one that runs already
#   scripts/check.sh --page polling -- node server.mjs               our page before it, to look at
#   scripts/check.sh --client polling -- node client.mjs             a client, by a hard server
#
# The command has to be the server itself: it gets PORT, QUIET and HOST in its environment, and the
# signals. A client gets SERVER, and prints a line of JSON for each update. Exit code 0: all that was asked
# for holds; 1: something does not; 2: it could not be tried; 3: something was not tried.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

! asks_for_help "$@" || { usage && options_of scripts/check/src/main.rs && exit; }
say_how_long debug/check 'one to two minutes'
check=$(programs --package check)
cd "$here" # files that the command names are where the user is
exec "$check" "$@"
