#!/bin/sh
# densenet.h under every compiler, standard and configuration that it promises to
# build in, without a warning; what needs a missing compiler is skipped.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
cd "$work" || exit 1
cp "$root/densenet.h" . # alone: it must not need a neighbour

strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wsign-conversion -Werror'

# A program that trains a little, so that what is built also runs.
cat >main.c <<'END'
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
#include <stdio.h>
int main(void) {
    const dn_real inputs[8] = {0, 0, 0, 1, 1, 0, 1, 1};
    const dn_real targets[4] = {0, 1, 1, 0};
    static dn_dataset table; /* zero in C and in C++ */
    static dn_net net;
    static dn_training how;
    static dn_error error;
    if (dn_dataset_targets(&table, 4, 2, inputs, 1, targets, &error)) return 2;
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 8, DN_TANH);
    dn_net_dense(&net, 1, DN_SIGMOID);
    how.optimizer = dn_adam((dn_real)0.05);
    how.epochs = 300;
    how.batch = 4;
    if (dn_train(&net, &table, NULL, &how, &error)) {
        printf("%s\n", error.message);
        return 3;
    }
    const double loss = dn_evaluate(&net, &table).loss;
    dn_net_free(&net);
    printf("loss %.3g\n", loss);
    return loss < 0.05 ? 0 : 4;
}
END
cat >implementation.c <<'END'
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
END
cat >user.c <<'END'
#include "densenet.h"
dn_status user(dn_net *net);
dn_status user(dn_net *net) {
    dn_net_init(net, 3, 1);
    dn_net_dense(net, 2, DN_SOFTMAX);
    return net->error.status;
}
END
cat >two.c <<'END'
#include "densenet.h"
dn_status user(dn_net *net);
int main(void) {
    dn_net net = {0};
    if (user(&net)) return 1;
    dn_net_free(&net);
    return 0;
}
END
cat >static.c <<'END'
#define DN_STATIC
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
int other(void);
int main(void) {
    dn_random random = dn_random_seed(1);
    return other() + (dn_random_uniform(&random) < 1 ? 0 : 1);
}
END
cat >static_other.c <<'END'
#define DN_STATIC
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
int other(void);
int other(void) { return dn_status_text(DN_OK) == NULL; }
END
cat >include_twice.c <<'END'
#include "densenet.h"
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
#include "densenet.h"
int main(void) { return dn_status_text(DN_OK) == NULL; }
END

# runs FLAGS...: compiles main.c and runs it.
runs() { rm -f main; "$@" main.c -o main -lm && ./main; }
# quiet COMMAND...: compiles without a word.
quiet() { "$@" >said 2>&1 || { cat said; return 1; }; cat said; [ ! -s said ]; }
# in_two COMPILER-AND-FLAGS: two translation units, linked.
in_two() { "$@" -c implementation.c && "$@" -c user.c && "$@" -c two.c &&
    "$@" implementation.o user.o two.o -o two -lm && ./two; }
static_in_two() { "$@" static.c static_other.c -o static -lm && ./static; }
# no_files COMPILER-AND-FLAGS: the object must not ask for a file function.
no_files() {
    "$@" -DDN_NO_STDIO -c implementation.c -o nostdio.o || return 1
    if have nm && nm nostdio.o | grep -E ' U _*(fopen|fread|fwrite|fclose|fputs|printf|fprintf)$'; then
        echo "uses the file functions above"; return 1
    fi
}

for cc in gcc clang; do
    if ! have $cc; then skip 11 "no $cc (Debian package $cc)"; continue; fi
    check "$cc -O2, no other flag: builds without a word, runs" quiet $cc -O2 main.c -o main -lm
    for std in c99 c11; do
        # shellcheck disable=SC2086
        check "$cc -std=$std, strict: runs" runs $cc -std=$std -O2 $strict
    done
    # shellcheck disable=SC2086
    {
        check "$cc -O0, strict" runs $cc -std=c99 -O0 $strict
        check "$cc -O3, strict" runs $cc -std=c99 -O3 $strict
        check "$cc, DN_REAL=double, strict" runs $cc -std=c99 -O1 -DDN_REAL=double $strict
        check "$cc, two translation units" in_two $cc -std=c99 -O1 $strict
        check "$cc, DN_STATIC in two translation units" static_in_two $cc -std=c99 -O1 $strict
        check "$cc, DN_NO_STDIO" no_files $cc -std=c99 -O1 $strict
        check "$cc, DN_USE_CBLAS, strict: builds" \
            $cc -std=c99 -O1 -DDN_USE_CBLAS $strict -c main.c -o main.o
        check "$cc, included before and after the implementation" \
            $cc -std=c99 -O1 $strict include_twice.c -o twice -lm
    }
done

for cxx in g++ clang++; do
    if ! have $cxx; then skip 4 "no $cxx"; continue; fi
    # shellcheck disable=SC2086
    {
        check "$cxx -std=c++11, strict: runs" runs $cxx -x c++ -std=c++11 -O1 $strict
        check "$cxx -std=c++20, strict: runs" runs $cxx -x c++ -std=c++20 -O1 $strict
        check "$cxx, DN_REAL=double, strict" \
            runs $cxx -x c++ -std=c++11 -O1 -DDN_REAL=double $strict
        check "$cxx, DN_STATIC" $cxx -x c++ -std=c++11 -O1 $strict -c static.c -o static.o
    }
done
if have gcc && have g++; then
    cat >user.cpp <<'END'
#include "densenet.h"
int main() {
    dn_net net = dn_net();
    dn_net_init(&net, 3, 1);
    dn_net_free(&net);
    return 0;
}
END
    gcc -O1 -c implementation.c -o implementation.o
    check "implementation in C, user in C++" g++ user.cpp implementation.o -o mixed -lm
else
    skip 1 "no gcc and g++ together"
fi

# builds COMPILER FLAGS...: whether a program with the library's headers builds at all.
builds() {
    printf '#include <errno.h>\n#include <math.h>\n#include <stdio.h>\nint main(void) { return (int)sqrt(0.0); }\n' >probe.c
    "$@" probe.c -o probe -lm >/dev/null 2>&1
}
for cc in gcc clang; do
    if builds $cc -fopenmp; then
        # shellcheck disable=SC2086
        check "$cc -fopenmp, strict: runs" runs $cc -std=c99 -O2 -fopenmp $strict
    else
        skip 1 "$cc has no OpenMP here"
    fi
done
# The 64-bit system's own headers serve 32 bits too (without the package gcc-multilib, which
# drives out the cross compilers).
gcc32="gcc -m32 -idirafter /usr/include/$(gcc -print-multiarch 2>/dev/null)"
# shellcheck disable=SC2086
if builds $gcc32; then
    check "gcc -m32 (32-bit), strict: runs" runs $gcc32 -std=c99 -O2 $strict
else
    skip 1 "no 32-bit gcc (Debian packages libc6-dev-i386 and lib32gcc-12-dev)"
fi
if have tcc; then
    check "tcc: runs" runs tcc
else
    skip 1 "no tcc (Debian package tcc)"
fi
if have x86_64-w64-mingw32-gcc; then
    # shellcheck disable=SC2086
    check "mingw (Windows), strict: builds" \
        x86_64-w64-mingw32-gcc -std=c99 -O2 $strict main.c -o main.exe -lm
    { echo '#include <windows.h>' && cat main.c; } > windows.c
    check "mingw (Windows): builds behind windows.h, which defines near, far and small" \
        x86_64-w64-mingw32-gcc -O2 windows.c -o windows.exe -lm
    check "mingw (Windows): the quick start builds" x86_64-w64-mingw32-gcc -O2 -Wall -Wextra -Werror \
        "$root/examples/quickstart.c" -o quickstart.exe -lm
else
    skip 3 "no mingw (Debian package gcc-mingw-w64-x86-64-win32)"
fi

# The examples, as strictly; unlike the library, they may use what POSIX has.
cd "$root" || exit 1
for program in examples/*.c; do
    # shellcheck disable=SC2086
    check "$program, strict" "${CC:-cc}" -std=gnu99 -O1 $strict "$program" -o "$work/program" -lm
done
done_testing
