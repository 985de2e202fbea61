#!/bin/sh
# `make` in a fresh copy: at least 98.0 % on MNIST, a log and pictures that are what
# they should be, and no harm when gnuplot is missing.
# shellcheck source=tests/tap.sh disable=SC2016,SC2317
. "$(dirname "$0")/tap.sh"
if [ ! -f "$root/data/mnist/t10k-labels-idx1-ubyte" ]; then
    skip 1 "no data/mnist here ('make' gets it)"
    done_testing
fi
mkdir "$work/copy" && cd "$work/copy" || exit 1
cp -r "$root/densenet.h" "$root/Makefile" "$root/examples" "$root/plots" .
unset MAKEFLAGS MFLAGS MAKELEVEL

# A folder with the commands that `make` needs, gnuplot not among them.
mkdir "$work/bin"
for tool in "${CC:-cc}" cc gcc as ld sh env make awk sed grep cat cmp cut mkdir rm mv cp head tail wc \
    tr id gzip sha256sum mktemp basename dirname printf echo stty expr; do
    path=$(command -v "$tool") && [ -x "$path" ] && ln -sf "$path" "$work/bin/${tool##*/}"
done
check "make, without gnuplot: succeeds" env DENSENET_DATA="$root/data" PATH="$work/bin" make
cp "$work/.said" "$work/said"
accuracy=$(sed -n 's/^test accuracy \([0-9.]*\) %$/\1/p' "$work/said")
echo "# test accuracy $accuracy %"
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'; }
check "the test accuracy is at least 98.0 %" at_least "${accuracy:-0}" 98.0
check "in 10 epochs at most" [ "$(grep -c '^epoch' "$work/said")" -le 10 ]
check "not on a terminal: no carriage return in the output" fails grep "$(printf '\r')" "$work/said"
check "without gnuplot: one line says how to get it" says "$work/said" "apt-get install gnuplot-nox"

if [ "$(id -u)" = 0 ]; then
    # A false apt-get that "installs" a false gnuplot, which says how it was called.
    cat >"$work/bin/apt-get" <<'END'
#!/bin/sh
printf '#!/bin/sh\necho "gnuplot called with $*"\n' >"${0%/*}/gnuplot"
chmod +x "${0%/*}/gnuplot"
END
    ln -sf "$(command -v chmod)" "$work/bin/chmod"
    chmod +x "$work/bin/apt-get"
    env PATH="$work/bin" plots/gnuplot.sh -c a b >"$work/installed" 2>&1
    check "without gnuplot, as root with apt: it is installed, then called" \
        says "$work/installed" "gnuplot called with -c a b"
else
    skip 1 "only root installs gnuplot"
fi

log=build/quickstart.tsv
for word in densenet.h seed net optimizer data date; do
    check "the log says: $word" grep -q "^# $word " $log
done
header='epoch	learning_rate	train_loss	train_accuracy	validation_loss	validation_accuracy'
check "the log's header row" [ "$(grep -v '^#' $log | head -n 1)" = "$header" ]
check "the log's rows: one per epoch, six numbers each" awk -F '\t' '
    !/^#/ && !/^epoch/ { n++; if (NF != 6 || $1 != n) bad = 1
        for (i = 1; i <= NF; i++) if ($i !~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/) bad = 1 }
    END { exit bad || n < 1 }' $log

if have gnuplot; then
    check "curves.gp: PNG" gnuplot -c plots/curves.gp $log a.png
    check "the PNG is one" [ "$(head -c 8 a.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]
    check "the PNG is small enough for the README" [ "$(wc -c <a.png)" -le 100000 ]
    check "curves.gp: SVG" gnuplot -c plots/curves.gp $log a.svg
    check "the SVG is one" says a.svg "</svg>"
    gnuplot -c plots/curves.gp $log >a.txt
    check "curves.gp: terminal, both titles" says a.txt "accuracy (%)"
    check "curves.gp: terminal, the curve has points" says a.txt "*"
    awk -F '\t' -v OFS='\t' '/^[0-9]/ { $5 = $6 = "nan" } 1' $log >unvalidated.tsv
    check "curves.gp: a log without validation" gnuplot -c plots/curves.gp unvalidated.tsv b.png
    check "curves.gp: no log" fails gnuplot -c plots/curves.gp nowhere.tsv c.png
else
    skip 9 "no gnuplot (Debian package gnuplot-nox)"
fi
done_testing
