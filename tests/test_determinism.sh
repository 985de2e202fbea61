#!/bin/sh
# The same seed gives the same bits: the quick form of tests/determinism.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
if [ ! -f "${DENSENET_DATA:-$root/data}/mnist/train-images-idx3-ubyte" ]; then
    skip 2 "no data/mnist ('make' gets it)"
    done_testing
fi
check "all rows of tests/determinism --quick are the same" "$root/tests/determinism" --quick
sed 's/^/# /' "$work/.said"
# It must be able to fail: a copy whose sums run another way gives other bits.
mkdir -p "$work/copy/tests" && cp "$root/tests/determinism.c" "$root/tests/determinism" "$work/copy/tests"
sed 's/DNI_FMA(x, b##v, c##r##v)/DNI_ADD(DNI_MUL(x, b##v), c##r##v)/' "$root/densenet.h" >"$work/copy/densenet.h"
check "and it notices two roundings in the place of one" \
    fails env DENSENET_DATA="${DENSENET_DATA:-$root/data}" "$work/copy/tests/determinism" --quick
done_testing
