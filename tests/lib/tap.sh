# shellcheck shell=bash
# TAP from shell scripts: source it, call the functions, end with tap_done.
tap_n=0
tap_failed=0

ok() { # ok DESCRIPTION
    tap_n=$((tap_n + 1))
    printf 'ok %d - %s\n' "$tap_n" "$1"
}

not_ok() { # not_ok DESCRIPTION [WHY…]
    tap_n=$((tap_n + 1))
    tap_failed=1
    printf 'not ok %d - %s\n' "$tap_n" "$1"
    shift
    if [ $# -gt 0 ]; then printf '%s\n' "$*" | sed 's/^/# /'; fi
}

skip() { # skip DESCRIPTION REASON
    tap_n=$((tap_n + 1))
    printf 'ok %d - %s # SKIP %s\n' "$tap_n" "$1" "$2"
}

skip_all() { # skip_all REASON: ends the script
    printf '1..0 # SKIP %s\n' "$1"
    exit 0
}

note() {
    printf '%s\n' "$*" | sed 's/^/# /'
}

# check DESCRIPTION COMMAND…: ok if the command succeeds, its output only if it does not.
check() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1); then ok "$what"; else not_ok "$what" "$out"; fi
}

tap_done() {
    printf '1..%d\n' "$tap_n"
    exit "$tap_failed"
}
