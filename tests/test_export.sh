#!/bin/sh
# Exported nets: every activation, depth and normalisation, in both forms, compiled
# freestanding by every compiler that is there; their self-tests; and on MNIST and
# Fashion-MNIST what 8 bits cost, natively and on an emulated machine of the other byte order.
# shellcheck source=tests/tap.sh disable=SC2317,SC2166
. "$(dirname "$0")/tap.sh"
strict="-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror -ffreestanding"
capitals() { echo "$1" | tr '[:lower:]' '[:upper:]'; }

check "the maker of nets compiles" \
    "${CC:-cc}" -O2 "$root/tests/export/nets.c" -o "$work/nets" -lm || done_testing
mkdir "$work/small"
check "small nets of all kinds are exported" "$work/nets" "$work/small"

selftests() { # COMPILER FLAGS...: compiles and runs the self-test of every small net
    for file in "$work"/small/*.c; do
        name=$(basename "$file" .c)
        "$@" "-D$(capitals "$name")_SELFTEST" "$file" -o "$work/selftest" || return 1
        "$work/selftest" || { echo "$name: its self-test fails"; return 1; }
    done
}
number=$(find "$work/small" -name '*.c' | wc -l)
for compiler in gcc clang tcc; do
    if have $compiler; then
        # shellcheck disable=SC2086
        check "$compiler: $number exported nets compile freestanding and pass their self-tests" \
            selftests $compiler $strict
    else
        skip 1 "no $compiler (Debian package $compiler)"
    fi
done
damaged() { # the self-test must notice a wrong number
    sed 's/\(_biases_0\[[0-9]*\] = {\)/\1 1000000 + /' "$work/small/n1_a1_d2_int8.c" >"$work/bad.c"
    ! cmp -s "$work/bad.c" "$work/small/n1_a1_d2_int8.c" &&
        ${CC:-cc} -DN1_A1_D2_INT8_SELFTEST "$work/bad.c" -o "$work/bad" && ! "$work/bad"
}
check "a self-test fails when a number is wrong" damaged

real() { # SET ALLOWED: exports a net trained on SET; what 8 bits may cost, in samples of 10,000
    set_of=$1 allowed=$2 data=$root/data/$1
    [ -n "${DENSENET_DATA:-}" ] && data=$DENSENET_DATA/$1
    if [ ! -f "$data/t10k-images-idx3-ubyte" ]; then
        skip 4 "no $set_of ('make data' gets it)"
        return
    fi
    count() { # COMPILER RUNNER FORM: how many of the test images are classified rightly
        "$1" -O2 -c "$work/net_$3.c" -o "$work/net.o" &&
            "$1" -O2 -DNET="net_$3" "$root/tests/export/count.c" "$work/net.o" -o "$work/count" -static &&
            $2 "$work/count" "$data/t10k-images-idx3-ubyte" "$data/t10k-labels-idx1-ubyte"
    }
    right=$("$work/nets" "$work" "$data" net)
    float=$(count "${CC:-cc}" "" float)
    int8=$(count "${CC:-cc}" "" int8)
    echo "# $set_of: of 10,000 test images right: library $right, float $float, int8 $int8"
    check "$set_of: the float form classifies as the library does" [ "$right" -eq "$float" ]
    check "$set_of: 8 bits cost at most $allowed of 10,000" [ $((right - int8)) -le "$allowed" ]
    tables() { "${CC:-cc}" -O2 -c "$work/net_$1.c" -o "$work/size.o" &&
        size -A "$work/size.o" | awk '$1 ~ /^\.rodata/ { bytes += $2 } END { print bytes }'; }
    float_size=$(tables float) int8_size=$(tables int8)
    echo "# $set_of: tables in bytes: float $float_size, int8 $int8_size"
    check "$set_of: int8 is about a quarter of the size" \
        [ "$int8_size" -gt 100000 -a $((int8_size * 10)) -le $((float_size * 3)) ]
    if have s390x-linux-gnu-gcc && have qemu-s390x-static; then
        there=$(count s390x-linux-gnu-gcc qemu-s390x-static int8)
        check "$set_of: big-endian s390x counts the same" [ "$there" -eq "$int8" ]
    elif have aarch64-linux-gnu-gcc && have qemu-aarch64-static; then
        there=$(count aarch64-linux-gnu-gcc qemu-aarch64-static int8)
        check "$set_of: aarch64 counts the same" [ "$there" -eq "$int8" ]
    else
        skip 1 "no emulated machine (Debian packages qemu-user-static gcc-s390x-linux-gnu libc6-dev-s390x-cross)"
    fi
}
real mnist 20
real fashion-mnist 40
done_testing
