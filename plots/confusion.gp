# A confusion matrix as a heat map.
#
#   gnuplot -c plots/confusion.gp CONFUSION.tsv OUT.png|OUT.svg TITLE
#
# CONFUSION has rows "predicted true count", and behind two empty lines the names "number name".
data = ARG1; out = ARG2; width = 640; height = 560
if (out eq "") { print "usage: gnuplot -c plots/confusion.gp CONFUSION OUT TITLE"; exit status 1 }
load ARG0[:strstrt(ARG0, "confusion.gp") - 1]."style.gp"
unset key; unset grid; unset colorbox
set border 0
set tics scale 0
set title ARG3
set xlabel "predicted"
set ylabel "true"
set xrange [-0.5:9.5]
set yrange [9.5:-0.5]
set size square
set xtics rotate by 35 right
set palette defined (0 "#FFFFFF", 1 "#CFE4F2", 2 "#56A0CF", 3 "#0072B2", 4 "#003355")
set cbrange [0:4]
plot data index 0 using 1:2:(log10(1 + $3)) with image pixels, \
     data index 0 using 1:2:($3 > 0 ? sprintf("%d", $3) : ""):($3 > 300 ? 0xFFFFFF : 0x000000) with labels textcolor rgb variable, \
     data index 1 using (-1):1:ytic(2) with points, \
     data index 1 using 1:(-1):xtic(2) with points
set output
