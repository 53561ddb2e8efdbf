# shellcheck shell=bash
# How the scripts build, and how they say what they do. They source this file; it does nothing by
# itself. It keeps to what bash 3.2 knows, which is what macOS has.

# The oldest Rust that can build this: `rust-version` in Cargo.toml.
oldest=1.89

# Prints what is said at the top of the script.
usage() { sed -n '2,${/^#/!q;s/^# \{0,1\}//p;}' "scripts/${0##*/}"; }

# Prints the options of a program, as its source has them: nothing has to be built for it.
options_of() {
    printf '\nOptions:\n'
    awk '/^(pub )?struct Options/ { inside = 1 }
        inside && /^}/ { exit }
        !inside { next }
        sub(/^ *\/\/\/ /, "") { about = about "\n      " $0; next }
        /#\[arg\(.*long/ { long = 1 }
        match($0, /default_value(s|_t)? = ("[^"]*"|[^,)]*)/) {
            value = substr($0, RSTART, RLENGTH)
            sub(/.* = /, "", value); gsub(/"/, "", value)
            preset = value == "SERVERS" ? "" : " [default: " value "]"
        }
        /^ *(pub )?[a-z_]+: / {
            sub(/^ *(pub )?/, ""); sub(/:.*/, ""); gsub(/_/, "-")
            if (long) print "  --" $0 about preset
            about = preset = long = ""
        }' "$1"
}

# Whether --help is asked for, in front of --: what stands behind it is another program's.
asks_for_help() {
    local word
    for word in "$@"; do
        case $word in
        -h | --help) return 0 ;;
        --) return 1 ;;
        esac
    done
    return 1
}

# Runs cargo, which shows on a terminal how far it is, and elsewhere is quiet.
cargo_shown() {
    local version
    version=$(cargo --version 2>/dev/null) || {
        echo "cargo is missing. It comes with Rust $oldest or newer: https://rustup.rs" >&2
        return 1
    }
    version=${version#cargo 1.}
    if [ "${version%%.*}" -lt "${oldest#1.}" ] 2>/dev/null; then
        echo "Rust $oldest or newer is needed, and this is 1.$version: rustup update" >&2
        return 1
    fi
    if [ -t 2 ]; then cargo "$@"; else cargo --quiet "$@"; fi
}

# Builds with these options, and prints where the programs are that were built, one a line.
programs() {
    cargo_shown build --message-format json-render-diagnostics "$@" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

# Says how long it takes to build a program that is not there yet.
say_how_long() {
    [ -e "${CARGO_TARGET_DIR:-target}/$1" ] || echo "Building. This first time it takes $2." >&2
}
