#!/bin/sh
# The programs examples/train.c and examples/predict.c, from their help to their answers.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
check "train.c is compiled" "${CC:-cc}" -O2 "$root/examples/train.c" -o "$work/train" -lm
check "predict.c is compiled" "${CC:-cc}" -O2 "$root/examples/predict.c" -o "$work/predict" -lm
cd "$work" || exit 1

# 400 pictures of 6 x 4 pixels: the class is the column that is bright.
perl -e '
    srand(1);
    open(my $images, ">:raw", "images"); open(my $labels, ">:raw", "labels");
    print $images pack("N4", 0x803, 400, 4, 6); print $labels pack("N2", 0x801, 400);
    for (1 .. 400) {
        my $class = int(rand(6));
        print $labels chr($class);
        print $images chr(int(rand(60)) + ($_ % 6 == $class ? 190 : 0)) for 0 .. 23;
    }
    open(my $pgm, ">:raw", "column3.pgm");
    print $pgm "P5\n# a remark\n6 4\n255\n";
    print $pgm chr($_ % 6 == 3 ? 255 : 0) for 0 .. 23;
    open(my $text, ">", "column2.pgm");
    print $text "P2 6 4 1 ", join(" ", map { $_ % 6 == 2 ? 0 : 1 } 0 .. 23), "\n";
    open(my $short, ">", "short.pgm"); print $short "P2 6 4 1 1 1 1\n";
    open(my $other, ">", "other.pgm"); print $other "P2 2 1 1 1 1\n";'

run() { "$@" >out 2>&1; }
status_is() { expected=$1; shift; run "$@"; status=$?; [ "$status" = "$expected" ] || { echo "status $status"; cat out; return 1; }; }

check "train --help" status_is 0 ./train --help
check "it names the options" says out "--early-stop N"
check "an unknown option" status_is 2 ./train --layer 3
check "is named" says out "there is no option '--layer'"
check "a value that is missing" status_is 2 ./train --epochs
check "a number that is none" status_is 2 ./train --epochs many
check "is named, too" says out "--epochs: 'many' is not a number"
check "no epochs" status_is 2 ./train --epochs 0
check "an unknown optimizer" status_is 2 ./train --optimizer magic
check "the known ones are named" says out "nesterov, rmsprop"
check "an option without effect" status_is 2 ./train --momentum 0.5
check "test images without labels" status_is 2 ./train --test-images images
check "a net in the checkpoint's place" status_is 2 ./train --save here.checkpoint
check "a folder that is not there" status_is 1 ./train --images images --labels labels --save nowhere/net
check "is found before the training" says out "nowhere/net.checkpoint: cannot be written"
check "an unknown activation" status_is 2 ./train --images images --labels labels --activation magic
check "a list that is none" status_is 2 ./train --images images --labels labels --layers 24,x
check "a file that is not there" status_is 1 ./train --images nothing --labels labels
check "inputs that do not fit" status_is 1 ./train --images images --labels labels --layers 25,6
check "are named" says out "24 numbers per sample, the net takes 25"
check "names for other classes" status_is 2 ./train --images images --labels labels --names a,b
[ ! -e net.checkpoint ] && [ ! -e net.safetensors ]
ok $? "what is refused leaves no file"
set -- --images images --labels labels --test-images images --test-labels labels --layers 24,16,6 --epochs 20 \
    --batch 16 --lr 0.01 --names zero,one,two,three,four,five --log run.tsv
check "it trains" status_is 0 ./train "$@"
check "to the right answers" says out "accuracy 100.00 %"
[ "$(wc -l <run.tsv)" -gt 21 ]
ok $? "and writes its log"
check "to go on when all is done" status_is 0 ./train "$@" --resume net.checkpoint
check "for more epochs" status_is 0 ./train "$@" --epochs 22 --resume net.checkpoint
check "which are trained" says out "epoch 22/22"
check "with another net it refuses" status_is 1 ./train "$@" --layers 24,15,6 --resume net.checkpoint
check "and says why" says out "another net"
check "with another split" status_is 1 ./train "$@" --seed 2 --resume net.checkpoint
check "too" says out "'samples 360 (sum"
check "with fewer epochs" status_is 1 ./train "$@" --epochs 3 --resume net.checkpoint
check "as well" says out "has begun 22 epochs, more than the 3 wanted"
for normalize in none sample feature; do
    check "inputs normalised: $normalize" status_is 0 ./train "$@" --normalize $normalize --save $normalize.safetensors
    check "predicted with it" status_is 0 ./predict $normalize.safetensors column3.pgm
done
check "squared error" status_is 0 ./train "$@" --loss squared-error --epochs 1
check "a plot" status_is 0 ./train "$@" --plot --epochs 2

check "predict --help" status_is 0 ./predict --help
check "without a file it says so" status_is 2 ./predict none.safetensors
./train "$@" >out 2>&1
check "a PGM picture in bytes" status_is 0 ./predict net.safetensors column3.pgm
check "is recognised" says out "sample 0: three"
check "and drawn" says out "   @  "
check "one in text, inverted" status_is 0 ./predict net.safetensors column2.pgm --invert
check "is recognised, too" says out "sample 0: two"
check "samples of a file" status_is 0 ./predict net.safetensors images --labels labels --first 398 --count 5
check "with their classes" says out "sample 399: "
check "which ends" says out "images ends with sample 399"
check "none behind the end" status_is 1 ./predict net.safetensors images --first 400
check "nor before the beginning" status_is 2 ./predict net.safetensors images --first -1
check "nor none" status_is 2 ./predict net.safetensors images --count 0
check "a picture of another size" status_is 1 ./predict net.safetensors other.pgm
check "is explained" says out "2 x 1 = 2 pixels, but the net takes 24"
check "a picture that ends early" status_is 1 ./predict net.safetensors short.pgm
check "a net that is none" status_is 1 ./predict images images
done_testing
