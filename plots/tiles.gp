# Small pictures side by side: weights, mistakes.
#
#   gnuplot -c plots/tiles.gp TILES.tsv OUT.png|OUT.svg TITLE
#
# TILES has rows "x y red green blue" (0 to 255) of a full rectangle, and behind two empty lines
# the labels "x y text".
data = ARG1; out = ARG2
if (out eq "") { print "usage: gnuplot -c plots/tiles.gp TILES OUT TITLE"; exit status 1 }
set datafile separator "\t"
stats data using 1:2 index 0 nooutput
# A pixel is 6 x 6 on the screen, exactly: no seams.
across = 6 * (STATS_max_x + 1); down = 6 * (STATS_max_y + 1)
width = across + 20; height = down + 40
load ARG0[:strstrt(ARG0, "tiles.gp") - 1]."style.gp"
unset border; unset tics; unset key; unset grid
set title ARG3
set lmargin at screen 10.0 / width
set rmargin at screen (across + 10.0) / width
set bmargin at screen 0.0
set tmargin at screen (down + 0.0) / height
set xrange [-0.5:STATS_max_x + 0.5]
set yrange [STATS_max_y + 0.5:-0.5]
plot data index 0 using 1:2:3:4:5 with rgbimage, \
     data index 1 using 1:2:3 with labels
set output
