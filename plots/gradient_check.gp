# The error of a gradient check against epsilon: the V-shaped curve.
#
#   gnuplot -c plots/gradient_check.gp CHECK.tsv OUT.png|OUT.svg TITLE
#
# CHECK has a block per curve, its name on top: "epsilon error".
data = ARG1; out = ARG2; width = 640; height = 440
if (out eq "") { print "usage: gnuplot -c plots/gradient_check.gp CHECK OUT TITLE"; exit status 1 }
load ARG0[:strstrt(ARG0, "gradient_check.gp") - 1]."style.gp"
stats data using 1:2 nooutput
set title ARG3
set xlabel "epsilon of the central difference"
set ylabel "largest relative error of six weights"
set logscale xy
set format "10^{%T}"
set key bottom right
set yrange [*:10]
plot for [i = 1:STATS_blocks] data index i - 1 using 1:2 with linespoints linecolor rgb colour[i] linewidth 2.5 \
     pointtype (4 + i) pointsize 1 title columnheader(1)
set output
