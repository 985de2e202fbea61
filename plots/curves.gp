# Learning curves of one training: loss and accuracy, train and validation.
#
#   gnuplot -c plots/curves.gp LOG [OUT.png | OUT.svg]
#
# LOG is what dn_history_save writes. Without OUT the curves are drawn in the terminal.
log = ARG1
out = ARG2
if (log eq "") { print "usage: gnuplot -c plots/curves.gp LOG [OUT.png|OUT.svg]"; exit status 1 }

set decimalsign "."
set datafile separator "\t"
stats log using (column("epoch")) name "epoch" nooutput
stats log using (strstrt(strcol("validation_loss"), "nan") == 0) name "validated" nooutput
epochs = epoch_max
validated = validated_max > 0 # without a validation set its columns are NaN
validation = validated ? "validation" : ""
set xrange [0.5:epochs + 0.5]
set xtics ceil(epochs / 10.0)
set tics nomirror
set border 3

if (out eq "") {
    # In the terminal: as wide as it is, or 80 columns when nobody knows.
    width = int(system("{ stty size </dev/tty || echo 24 80; } 2>/dev/null | cut -d ' ' -f 2"))
    width = width < 60 ? 80 : width > 120 ? 120 : width
    set terminal dumb nofeed mono size width, 18
    if (strstrt(GPVAL_SYSNAME, "Windows") == 0) { set output "| tr -d '\\f' | sed 's/ *$//; 1d'" }
    set style line 1 linetype 1
    set style line 2 pointtype "o"
    train_as = "lines"
    validation_as = "points"
    set ytics scale 0
    set xtics scale 0
    set key samplen 2
} else {
    # In a file; the colours are two of Okabe and Ito (2008), told apart by every eye.
    if (out[strlen(out) - 3:] eq ".svg") {
        set terminal svg size 960, 400 font "sans-serif,15" background "white"
    } else {
        set terminal pngcairo size 960, 400 font "sans-serif,11"
    }
    set output out
    set style line 1 linecolor rgb "#0072B2" linewidth 2.5 pointtype 7 pointsize 0.7
    set style line 2 linecolor rgb "#D55E00" linewidth 2.5 pointtype 5 pointsize 0.7
    set grid ytics linecolor rgb "#DDDDDD" linetype 1 linewidth 1
    set border linecolor rgb "#555555"
    train_as = "linespoints"
    validation_as = "linespoints"
}

set multiplot layout 1, 2
set xlabel "epoch"
set title "loss"
set yrange [0:*]
set key top right
plot log using "epoch":"train_loss" \
         with @train_as linestyle 1 title "train", \
     log using "epoch":(validated ? column("validation_loss") : NaN) \
         with @validation_as linestyle 2 title validation
set title "accuracy (%)"
set yrange [*:100]
set key bottom right
plot log using "epoch":(100 * column("train_accuracy")) \
         with @train_as linestyle 1 title "train", \
     log using "epoch":(validated ? 100 * column("validation_accuracy") : NaN) \
         with @validation_as linestyle 2 title validation
unset multiplot
set output # waits until it is all out
