# How the cost of a training sample grows with the batch and the hidden layer.
#
#   gnuplot -c plots/scaling.gp build/scaling.tsv OUT.png|OUT.svg
#
# Columns hidden, batch, seconds_per_sample, ratio (to the roofline), digits_seconds_per_sample,
# digits_ratio, from tests/bench/scaling.c.
data = ARG1; out = ARG2; width = 960; height = 400
if (out eq "") { print "usage: gnuplot -c plots/scaling.gp SCALING.tsv OUT"; exit status 1 }
load ARG0[:strstrt(ARG0, "scaling.gp") - 1]."style.gp"
set logscale x 2
set multiplot layout 1, 2
set key top right title "batch"
set xlabel "hidden units H of the net 784-H-10 (logarithmic)"
array batch[4] = [1, 16, 256, 4096]
array shape[4] = [7, 5, 9, 11]
set logscale y
set ylabel "microseconds per sample (logarithmic)"
set key top left
plot for [i = 1:4] data every 7::(2 * i - 1) using 1:(1e6 * $3) \
    with linespoints linewidth 2 pointtype shape[i] linecolor rgb colour[i] title sprintf("%d", batch[i])
set xlabel "samples in a batch (logarithmic)"
set ylabel "times as long as the multiply-adds alone"
set key top right title "hidden units"
array hidden[4] = [64, 256, 1024, 4096]
set yrange [0.4:8]
set ytics (0.5, 1, 2, 4, 8)
plot for [i = 1:4] data every ::1 using ($1 == hidden[i] ? $2 : NaN):4 \
    with linespoints linewidth 2 pointtype shape[i] linecolor rgb colour[i] title sprintf("%d", hidden[i]), \
    for [i = 1:4] data every ::1 using ($1 == hidden[i] ? $2 : NaN):6 \
    with lines linewidth 2 dashtype 3 linecolor rgb colour[i] notitle, \
    NaN with lines linewidth 2 dashtype 3 linecolor rgb "#555555" title "digits", \
    1.5 with lines dashtype 2 linecolor rgb "#555555" title "1.5"
unset multiplot
set output
