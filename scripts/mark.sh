#!/usr/bin/env bash
# Marks what a class has handed in: tries each server, or client, on the contract, as scripts/check.sh
# does, and says in one line for each how much of it holds. All that was seen is in its folder's check.txt.
#
#   scripts/mark.sh polling handed-in/*/
#   scripts/mark.sh polling --client handed-in/*/           clients
#   scripts/mark.sh polling --csv handed-in/*/ >marks.csv   for a table
#   scripts/mark.sh polling --only 1.3,2.2 handed-in/*/     only these sentences
#   scripts/mark.sh polling --jobs 4 handed-in/*/           four side by side
#
# A folder has an executable file `start`, or server.mjs, server.js (Node) or server.py (Python); of a
# client: client.mjs, client.js or client.py.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
check=$PWD/scripts/check.sh
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

! asks_for_help "$@" || { usage && options_of scripts/check/src/mark.rs && exit; }
cd "$here" # folders that are named are where the user is
exec "$check" mark "$@"
