#!/bin/sh
# A training that is killed at random moments and resumed ends with the same file, bit by
# bit, as the one that was left alone: for every optimizer. Then Ctrl-C, and SIGTERM.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"

if ! "${CC:-cc}" -O2 "$root/examples/train.c" -o "$work/train" -lm >"$work/log" 2>&1; then
    ok 1 "examples/train.c is compiled"
    head -n 20 "$work/log" | sed 's/^/# /'
    done_testing
fi
cd "$work" || exit 1

# 800 pictures of 8 x 8 pixels, with classes that can be learned.
perl -e '
    srand(5);
    open(my $images, ">:raw", "images"); open(my $labels, ">:raw", "labels");
    print $images pack("N4", 0x803, 800, 8, 8); print $labels pack("N2", 0x801, 800);
    for (1 .. 800) {
        my $class = int(rand(10));
        print $labels chr($class);
        print $images chr(int(rand(120)) + ($_ % 10 == $class ? 100 : 0)) for 1 .. 64;
    }'

# train OPTIMIZER OUT ...
train() {
    optimizer=$1 out=$2
    shift 2
    exec ./train --images images --labels labels --layers 64,24,10 --dropout 0.2 --batch 16 --epochs 6 \
        --early-stop 3 --optimizer "$optimizer" --lr 0.01 --save "$out.safetensors" --every 0 "$@"
}

undisturbed() { (train "$@"); }

# kill_often OPTIMIZER OUT: starts, kills and resumes until it is done; counts the kills.
kill_often() {
    kills=0
    while :; do
        set -- "$1" "$2"
        if [ -f "$2.checkpoint" ]; then set -- "$@" --resume "$2.checkpoint"; fi
        if [ "$kills" -ge 60 ]; then # however slow the machine is, it must end
            (train "$@") >>"$2.log" 2>&1
            return
        fi
        (train "$@") >>"$2.log" 2>&1 &
        process=$!
        perl -e 'select undef, undef, undef, 0.005 + rand 0.05'
        if kill -9 $process 2>/dev/null; then
            if wait $process 2>/dev/null; then return 0; fi # it was done already
            kills=$((kills + 1))
        else
            wait $process
            return
        fi
    done
}

all_kills=0
for optimizer in sgd momentum weighted-momentum nesterov rmsprop adam adamw; do
    check "$optimizer: trains undisturbed" undisturbed "$optimizer" alone --every 1000
    rm -f killed.checkpoint killed.safetensors killed.log
    kill_often "$optimizer" killed
    cmp -s alone.safetensors killed.safetensors
    ok $? "$optimizer: killed $kills times and resumed, it ends with the same file"
    if [ -f killed.log ] && ! cmp -s alone.safetensors killed.safetensors; then tail -n 5 killed.log | sed 's/^/# /'; fi
    all_kills=$((all_kills + kills))
done
[ "$all_kills" -ge 10 ]
ok $? "in all, it was killed $all_kills times"
rm -f ./*.tmp-*

# A signal that asks: it saves, says how to go on, and has the usual exit status.
for signal in INT TERM; do
    rm -f asked.*
    (train adam asked) >asked.log 2>&1 &
    process=$!
    while [ ! -f asked.checkpoint ] && kill -0 $process 2>/dev/null; do perl -e 'select undef, undef, undef, 0.002'; done
    kill -s "$signal" $process
    wait $process
    status=$?
    case $signal in INT) expected=130 ;; *) expected=143 ;; esac
    [ $status = $expected ]
    ok $? "SIG$signal: the exit status is $expected (was $status)"
    check "it says how to go on" says asked.log "--resume asked.checkpoint"
    resume=$(tail -n 1 asked.log)
    check "doing what it says" sh -c "$resume"
    (train adam whole) >/dev/null 2>&1
    cmp -s whole.safetensors asked.safetensors
    ok $? "gives the file of the training that was left alone"
done
done_testing
