# tap.sh: the Test Anything Protocol for shell tests, to be sourced. After it,
# $root is the repository and $work an empty folder that vanishes at the end.
# shellcheck shell=sh disable=SC2034
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/densenet-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
tap_count=0 tap_failed=0

# ok STATUS TEXT: one check, passed when STATUS is 0.
ok() {
    tap_count=$((tap_count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $tap_count - $2"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_count - $2"
    fi
}

# check TEXT COMMAND ...: passed when the command succeeds; shows what it said if not.
check() {
    tap_text=$1
    shift
    "$@" >"$work/.said" 2>&1
    set -- $?
    ok "$1" "$tap_text"
    if [ "$1" != 0 ]; then head -n 40 "$work/.said" | sed 's/^/#   /'; fi
    return "$1"
}

# fails COMMAND ...: succeeds when the command does not.
fails() { ! "$@"; }

# says FILE TEXT: the file has the text in it.
says() {
    grep -F -e "$2" "$1" >/dev/null || { echo "no '$2' in:"; cat "$1"; return 1; }
}

# skip COUNT REASON
skip() {
    tap_left=$1
    while [ "$tap_left" -gt 0 ]; do
        tap_left=$((tap_left - 1)) tap_count=$((tap_count + 1))
        echo "ok $tap_count # SKIP $2"
    done
}

have() { command -v "$1" >/dev/null 2>&1; }

# done_testing: prints the plan and ends the test.
done_testing() {
    echo "1..$tap_count"
    [ "$tap_failed" = 0 ] && [ "$tap_count" -gt 0 ]
    exit
}
