# shellcheck shell=bash disable=SC2034,SC2154
# How other people's servers and clients are prepared: what they need is fetched into $target, and
# $command starts them. The scripts that try them source this file; $here is where their programs are.

needs() { type -P "$1" >/dev/null || { echo "there is no $1" && return 1; }; }

in_node() {
    needs npm || return
    command=(node "$target/$1.mjs")
    cp "$here"/*.mjs "$here/package.json" "$target"
    [ -d "$target/node_modules" ] || npm install --silent --no-package-lock --prefix "$target"
}

in_python() {
    needs python3 || return
    command=("$target/python/bin/python" "$here/$1.py")
    [ -x "${command[0]}" ] || python3 -m venv "$target/python" || return
    "$target/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}
