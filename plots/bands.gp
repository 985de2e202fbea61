# Learning curves of several settings, each with its seeds as a band: loss on the left (thin:
# training loss of each tenth of an epoch), accuracy on the right (dashed: training).
#
#   gnuplot -c plots/bands.gp FIGURE.tsv OUT.png|OUT.svg TITLE
#
# FIGURE has two blocks per setting, each below its name: "epoch loss deviation", and "epoch",
# then mean and deviation of learning rate, training loss, training accuracy, validation loss,
# validation accuracy.
data = ARG1; out = ARG2; width = 960; height = 420
if (out eq "") { print "usage: gnuplot -c plots/bands.gp FIGURE OUT TITLE"; exit status 1 }
load ARG0[:strstrt(ARG0, "bands.gp") - 1]."style.gp"
stats data using 1:2 nooutput
settings = STATS_blocks / 2
set style fill transparent solid 0.2 noborder
set multiplot layout 1, 2 title ARG3
set xlabel "epoch"
set xrange [0:*]
set title "loss: training (thin), validation"
set logscale y
set format y "%g"
set key outside bottom center horizontal
plot for [i = 1:settings] data index 2 * i - 2 every ::1 using 1:2 with lines linecolor rgb colour[i] linewidth 0.7 notitle, \
     for [i = 1:settings] data index 2 * i - 1 every ::1 using 1:($8 - $9 > 0 ? $8 - $9 : $8):($8 + $9) with filledcurves linecolor rgb colour[i] notitle, \
     for [i = 1:settings] data index 2 * i - 1 using 1:8 with linespoints linecolor rgb colour[i] linewidth 2 pointtype 7 pointsize 0.4 title columnheader(1)
unset logscale y
set title "accuracy (%): training (dashed), validation"
plot for [i = 1:settings] data index 2 * i - 1 every ::1 using 1:(100 * $6) with lines dashtype 2 linecolor rgb colour[i] notitle, \
     for [i = 1:settings] data index 2 * i - 1 every ::1 using 1:(100 * ($10 - $11)):(100 * ($10 + $11 < 1 ? $10 + $11 : 1)) with filledcurves linecolor rgb colour[i] notitle, \
     for [i = 1:settings] data index 2 * i - 1 using 1:(100 * $10) with linespoints linecolor rgb colour[i] linewidth 2 pointtype 7 pointsize 0.4 title columnheader(1)
unset multiplot
set output
