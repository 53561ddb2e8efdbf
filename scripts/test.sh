#!/usr/bin/env bash
# Every check: what a pull request must pass, and what CI runs.
#
#   scripts/test.sh                  all of it
#   scripts/test.sh format lint      only these steps, in this order
#
# Needs the Rust toolchain (https://rustup.rs), git and curl. What else is missing is installed where
# that is possible (on Debian, as root); where it is not, the step `tools` says how to get it.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash
exec </dev/null # nothing here may ask
trap 'exit 130' INT
trap 'exit 143' TERM

steps=(tools format lint build tests doc shell polling long-polling server-sent-events websockets
    past-one-machine engine frameworks)

format() { cargo fmt --check; }
lint() { cargo_shown clippy --workspace --all-targets -- -D warnings; }
# (What takes its time is tried once: by the check, on all four servers. Each server's own tests would
# wait for it once more.)
tests() { tried --workspace -- --skip all_that_takes_its_time; }
doc() { RUSTDOCFLAGS='-D warnings' cargo_shown doc --workspace --no-deps; }
shell() { shellcheck -x scripts/*.sh scripts/*.bash scripts/check/clients/*.sh .ci/run; }
polling() { scripts/polling.sh; }
long-polling() { scripts/long-polling.sh; }
server-sent-events() { scripts/server-sent-events.sh; }
websockets() { scripts/websockets.sh; }
past-one-machine() { scripts/past-one-machine.sh; }
# (Level 1 of those that Node runs. Where npm is not, or finds nobody, it says "not tried".)
frameworks() { scripts/frameworks.sh --level 1 express ws; }

# Runs cargo test with these options. A test that fails beside the others is tried once more, alone: a
# busy machine is no fault of what is tried. One that passes then is named all the same.
tried() {
    local log name options=() failed=() status=0
    log=$(mktemp)
    cargo test --no-fail-fast "$@" 2>&1 | tee "$log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        while IFS= read -r name; do failed+=("$name"); done < <(
            sed -n 's/^test \([^ ]*\) *\.\.\. FAILED$/\1/p' "$log" | sort -u)
        # Whoever was killed, or did not build, has named no test.
        if [ ${#failed[@]} = 0 ] || grep -q '(signal: ' "$log"; then status=1; fi
        while [ "$1" != -- ]; do options+=("$1") && shift; done
        for name in ${failed[@]+"${failed[@]}"}; do
            printf '\n== once more, alone: %s\n' "$name"
            cargo test --no-fail-fast "${options[@]}" -- --exact "$name" --test-threads 1 || status=1
        done
    fi
    rm -f "$log"
    return "$status"
}

# What the four servers have in common, tried once more with their feed in Redis: each test has a
# stream of its own there. (What knows nothing of the feed is left out, and what takes its time.)
engine() {
    local folder port=$((20000 + RANDOM % 20000)) status=0 target=${CARGO_TARGET_DIR:-$PWD/target}
    folder=$(mktemp -d)
    cargo_shown build --features feed/redis --target-dir "$target/redis" \
        -p polling -p long-polling -p server-sent-events -p websockets || return
    redis-server --port "$port" --dir "$folder" --save '' >/dev/null &
    until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
    SERVERS=$target/redis/debug REDIS_URL=redis://127.0.0.1:$port tried --test wire \
        -p polling -p long-polling -p server-sent-events -p websockets -- \
        --skip all_that_takes_its_time --skip hostile:: --skip headers:: --skip methods:: \
        --skip names:: --skip start:: || status=$?
    kill %% && wait
    rm -rf "$folder"
    return "$status"
}

# Each server by itself, as `cargo run -p NAME` builds it: built together, what one asks of a library
# would hide that another forgot to ask for it.
build() {
    local server
    for server in polling long-polling server-sent-events websockets; do
        cargo_shown build -p "$server" || return
    done
}

# Looks for every program that the other steps need, and installs Debian's packages for those that
# are missing.
tools() {
    local packages=()
    have cargo || { echo "cargo is missing: https://rustup.rs" && return 1; }
    have cc || packages+=(gcc libc6-dev) # Rust links with it
    have curl || packages+=(curl)
    have shellcheck || packages+=(shellcheck)
    have xxd od || packages+=(xxd)
    have redis-server || packages+=(redis-server)
    have nginx /usr/sbin/nginx || packages+=(nginx-light)
    have_browser || packages+=(chromium chromium-driver)
    if can_install; then # more, where that costs nobody a question
        have firefox-esr firefox || packages+=(firefox-esr)
        have WebKitWebDriver || packages+=(webkit2gtk-driver)
        have xvfb-run || packages+=(xvfb xauth)
        [ -n "$(find /usr/lib -name "libfaketime*")" ] || packages+=(libfaketime) # for wrong clocks
        have node || packages+=(nodejs) # and what the naive servers are written for
    fi
    if [ ${#packages[@]} -gt 0 ]; then install "${packages[@]}" || return; fi
    component fmt rustfmt && component clippy clippy && firefox_and_webkit
}

# The pages are tried in Firefox and WebKit too, where both and their drivers are.
firefox_and_webkit() {
    local geckodriver=${CARGO_HOME:-$HOME/.cargo}/bin/geckodriver
    if can_install && ! have ${GECKODRIVER:+"$GECKODRIVER"} geckodriver "$geckodriver"; then
        echo "Firefox's driver is missing. cargo builds it, once, into $geckodriver: 4 to 5 minutes."
        cargo install --quiet geckodriver --locked || echo "It could not be built."
    fi
    if ! have ${FIREFOX:+"$FIREFOX"} firefox-esr firefox ||
        ! have ${GECKODRIVER:+"$GECKODRIVER"} geckodriver "$geckodriver"; then
        echo "The pages are not tried in Firefox: it needs firefox or firefox-esr, and its driver:" \
            "cargo install geckodriver --locked"
    fi
    if ! have WebKitWebDriver || ! have xvfb-run; then
        echo "The pages are not tried in WebKit. Debian and Ubuntu have it:" \
            "apt-get install webkit2gtk-driver xvfb xauth"
    fi
}

# Whether one of these programs is here.
have() {
    local program
    for program in "$@"; do
        type -P "$program" >/dev/null && return
    done
    return 1
}

# The pages are tried in a real browser, which is the user's own where there is one.
have_browser() {
    local applications=/Applications
    have ${CHROME:+"$CHROME"} chromium chromium-browser google-chrome google-chrome-stable \
        "$applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        "$applications/Chromium.app/Contents/MacOS/Chromium" &&
        have ${CHROMEDRIVER:+"$CHROMEDRIVER"} chromedriver /usr/lib/chromium-browser/chromedriver
}

can_install() { have apt-get && [ "$(id -u)" = 0 ]; }

install() {
    local apt=(apt-get -qq -y -o DPkg::Lock::Timeout=300)
    echo "missing, as Debian's packages are called: $*"
    if ! can_install; then
        echo "Install them and start again. Debian and Ubuntu: sudo apt-get install $*"
        echo "macOS: brew install shellcheck redis nginx; brew install --cask chromium chromedriver"
        echo "Your own browser: CHROME=/path/to/chrome CHROMEDRIVER=/path/to/chromedriver"
        return 1
    fi
    echo "Installing them."
    export DEBIAN_FRONTEND=noninteractive
    "${apt[@]}" update >/dev/null
    "${apt[@]}" install --no-install-recommends "$@" >/dev/null
}

# A part of the Rust toolchain that a minimal one does not have.
component() {
    cargo "$1" --version >/dev/null 2>&1 || rustup component add "$2" ||
        { echo "cargo $1 is missing: rustup component add $2" && return 1; }
}

! asks_for_help "$@" || { usage && exit; }
[ $# -gt 0 ] || set -- "${steps[@]}"
for step in "$@"; do
    [[ " ${steps[*]} " == *" $step "* ]] ||
        { echo "no such step: $step; there are: ${steps[*]}" >&2 && exit 2; }
done

failed=()
for step in "$@"; do
    printf '\n== %s\n' "$step"
    began=$SECONDS
    if "$step"; then
        echo "== $step passed after $((SECONDS - began)) s"
    else
        echo "== $step FAILED after $((SECONDS - began)) s"
        failed+=("$step")
        # Without these two, nothing after them could tell anything.
        case $step in tools | build) break ;; esac
    fi
done

printf '\n'
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" && exit 1; }
echo "every check passed"
