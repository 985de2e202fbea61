#!/bin/sh
# The form of the source: what a reader, a weaver and a portable shell rely on.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
cd "$root" || exit 1

none() { ! LC_ALL=C grep -n "$@"; }
sources="densenet.h $(echo examples/*.c examples/*.h tests/*.c tests/*.h)"

# shellcheck disable=SC2086
{
    check "densenet.h is ASCII" none '[^ -~]' densenet.h
    check "no tab in the C sources" none "$(printf '\t')" $sources
    check "no blank at the end of a line" none ' $' $sources
    check "densenet.h: no line is longer than 100 columns" none '^.\{101\}' densenet.h
}
code() { awk '$0 == "/*" { prose = 1 } { print prose ? "" : $0 } $0 == "*/" { prose = 0 }' densenet.h; }
names() { ! code | grep -nE '^(static|DN_API)[^=;]*\b[a-z_]+\(' |
    grep -vE '\b(dn|dni|DN|DNI)_[A-Za-z0-9_]*\(|__attribute__'; }
check "every function of densenet.h begins with dn_ or dni_" names
silent() { ! code | grep -nE '^[^/]*[^a-z_](printf|puts|exit|abort|assert)\(' |
    grep -v 'define DN_ASSERT'; }
check "no call that prints, exits or asserts" silent
for script in examples/*.sh plots/*.sh tests/*.sh; do
    check "$script: the shell can read it" sh -n "$script"
done
if have shellcheck; then
    check "shellcheck has nothing to say" shellcheck -x .ci/run examples/*.sh plots/*.sh tests/*.sh
else
    skip 1 "no shellcheck (Debian package shellcheck)"
fi
done_testing
