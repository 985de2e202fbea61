# One value for each of several named rows, with its deviation over seeds, and what was reported.
#
#   gnuplot -c plots/rows.gp ROWS.tsv OUT.png|OUT.svg NAME_OF_THE_VALUE
#
# ROWS has a head and the columns label, value, deviation, and two reported values.
data = ARG1; out = ARG2; width = 720; height = 440
if (out eq "") { print "usage: gnuplot -c plots/rows.gp ROWS OUT NAME"; exit status 1 }
load ARG0[:strstrt(ARG0, "rows.gp") - 1]."style.gp"
stats data using 2 every ::1 nooutput
set xrange [-0.5:STATS_records - 0.5]
set xtics rotate by 30 right
set ylabel ARG3
set key outside top horizontal center
plot data every ::1 using 0:2:3:xtic(1) with yerrorbars pointtype 7 pointsize 1 linewidth 2 linecolor rgb colour[1] title "here, mean and deviation", \
     data every ::1 using ($0 + 0.15):4 with points pointtype 3 pointsize 1.4 linewidth 2 linecolor rgb "#000000" title "reported, categorical", \
     data every ::1 using ($0 + 0.15):5 with points pointtype 4 pointsize 1.4 linewidth 2 linecolor rgb colour[2] title "reported, sparse"
set output
