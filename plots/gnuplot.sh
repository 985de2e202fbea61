#!/bin/sh
# Runs gnuplot with the arguments given. Where it is missing: on a Debian system, as
# root, it is installed; otherwise one line says how, and nothing fails (status 0),
# because a picture that is not drawn should not stop what made the numbers.
if ! command -v gnuplot >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing gnuplot (Debian package gnuplot-nox) ..." >&2
        install='apt-get install -y -q --no-install-recommends gnuplot-nox'
        export DEBIAN_FRONTEND=noninteractive
        $install >/dev/null 2>&1 || { apt-get update -q && $install; } >/dev/null 2>&1
    fi
    if ! command -v gnuplot >/dev/null 2>&1; then
        echo "no picture without gnuplot: as root, apt-get install gnuplot-nox" >&2
        exit 0
    fi
fi
exec gnuplot "$@"
