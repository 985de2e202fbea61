#!/bin/sh
# The programs that redo the reports, each from end to end on a tenth of the data: the tables
# parse, the pictures are PNG files, the logs have their columns, and nothing is run twice.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
cd "$root" || exit 1
data=${DENSENET_DATA:-data}
for set in mnist fashion-mnist; do
    [ -f "$data/$set/train-images-idx3-ubyte" ] || { echo "1..0 # SKIP no $data/$set: 'make data' gets it"; exit 0; }
done
export OMP_NUM_THREADS=1

# Every row of a table has as many cells as its head, and there are tables.
tables_parse() {
    awk -F '|' '/^\|/ { if (!columns) { columns = NF; tables++ }
            if (NF != columns) { print FILENAME ":" NR ": " $0; bad = 1 } next }
        { columns = 0 } END { exit bad || !tables }' "$1"
}
# Each row of a log has a number in every column of the head.
log_parses() {
    awk -F '\t' '/^#/ { next } !columns { columns = NF; next } NF != columns { bad = 1 } { rows++ }
        END { exit bad || !rows }' "$1"
}
logs_parse() { for log in "$1"/log-*.tsv "$1"/results.tsv; do log_parses "$log" || { echo "$log"; return 1; }; done; }
pictures_are_png() { # and every one that the report shows is there
    sed -n 's/^!\[.*\](\(.*\.png\))$/\1/p' "$1/report.md" >"$work/pictures"
    [ -s "$work/pictures" ] || { echo "the report shows no picture"; return 1; }
    while read -r picture; do
        [ "$(head -c 8 "$1/$picture" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] ||
            { echo "$picture is no PNG file"; return 1; }
        tail -c 8 "$1/$picture" | grep -q IEND || { echo "$picture is cut off"; return 1; }
    done <"$work/pictures"
}
quick() { "$work/$1" --quick --data "$data/$2" --out "$work/out-$1"; }
# Sets $now to what the commands so far have taken of a processor: the clock on the wall knows too
# much of the neighbours. (In a subshell, "times" would begin at zero.)
count_seconds() {
    times >"$work/times"
    now=$(awk -F '[ ms]+' 'NR == 2 { printf "%d", 60 * $1 + $2 + 60 * $3 + $4 }' "$work/times")
}
none_again() { quick "$@" >"$work/again" && ! grep -E '^ *[0-9]+/[0-9]+  ' "$work/again"; }

while read -r name set; do
    check "$name is compiled" "${CC:-cc}" -O2 "examples/$name.c" -o "$work/$name" -lm
    check "$name --help" "$work/$name" --help
    check "an unknown section is refused" fails "$work/$name" --only nothing --quick --out "$work/none"
    count_seconds
    before=$now
    check "$name --quick" quick "$name" "$set"
    count_seconds
    seconds=$((now - before))
    echo "# $name --quick took $seconds s"
    check "in less than 20 s of one processor" [ "$seconds" -lt 20 ]
    check "its tables parse" tables_parse "$work/out-$name/report.md"
    check "its logs have their columns" logs_parse "$work/out-$name"
    if command -v gnuplot >/dev/null; then
        check "its pictures are whole" pictures_are_png "$work/out-$name"
    else
        skip 1 "no gnuplot (Debian package gnuplot-nox)"
    fi
    check "what is there is not run again" none_again "$name" "$set"
done <<END
two_layer_mnist mnist
softmax_to_hidden_layer mnist
three_layer_fashion fashion-mnist
two_layer_numpy mnist
keras_dropout mnist
END

# When the time is up no run is begun; what is missing is made by the next call.
some() { "$work/two_layer_numpy" --quick --only loss --data "$data/mnist" --out "$work/some" "$@" >"$work/said"; }
runs() { grep -c '^[a-z]*	500' "$work/some/results.tsv"; }
check "time that is up" some --minutes 0 --train
check "says how many runs are missing" grep -q '^4 runs are missing' "$work/said"
check "begins none" [ "$(runs)" -eq 0 ]
check "--train" some --train
check "trains them" [ "$(runs)" -eq 4 ]
check "and prints no tables" fails test -e "$work/some/report.md"
check "called without" some
check "it prints them" tables_parse "$work/some/report.md"
done_testing
