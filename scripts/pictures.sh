#!/usr/bin/env bash
# Takes the README's pictures of the pages anew, after the pages were changed: scripts/pictures/*.png
#
# Needs Chromium or Chrome and its driver (on Debian: apt-get install chromium chromium-driver).
# Look at them before you commit them.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for server in polling long-polling server-sent-events websockets; do
    cargo build --quiet -p "$server"
done
cargo run --quiet -p pages
