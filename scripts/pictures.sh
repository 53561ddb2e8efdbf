#!/usr/bin/env bash
# Takes the README's pictures of the pages anew, after the pages were changed: scripts/pictures/*.png
#
# Needs Chromium or Chrome and its driver (on Debian: apt-get install chromium chromium-driver).
# Look at them before you commit them.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

cargo_shown build -p polling -p long-polling -p server-sent-events -p websockets -p line
pictures=$(programs -p pages)
exec "$pictures"
