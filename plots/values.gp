# Accuracy against a hyperparameter, with the deviation over seeds; the reported values stand
# beside it.
#
#   gnuplot -c plots/values.gp VALUES.tsv OUT.png|OUT.svg "NAME OF THE VALUE|NAME OF THE THIRD"
#
# VALUES has a head and the columns label, x (a logarithm, so that the axis is logarithmic),
# reported, and mean and deviation of: as described, a third setting, as coded.
data = ARG1; out = ARG2; width = 640; height = 420
if (out eq "") { print "usage: gnuplot -c plots/values.gp VALUES OUT NAMES"; exit status 1 }
load ARG0[:strstrt(ARG0, "values.gp") - 1]."style.gp"
bar = strstrt(ARG3, "|")
set xlabel ARG3[:bar - 1]." (logarithmic)"
stats data using 2 every ::1 name "x" nooutput
stats data using 3 every ::1 name "y" nooutput
stats data using (valid(4) ? $4 : $3) every ::1 name "d" nooutput # without a run: the report's
step = (x_max - x_min) / (x_records - 1)
set xrange [x_min - step / 2:x_max + step / 2]
set xtics rotate by 30 right
lowest = d_min < y_min ? d_min : y_min
# From collapse to 99 % on one axis: the share of mistakes is logarithmic, the labels are accuracies.
wide = lowest < 0.9
at(p) = wide ? (p < 1 ? -log10(1 - p) : NaN) : 100 * p
if (wide) {
    set ytics ("0" at(0), "30" at(.3), "50" at(.5), "70" at(.7), "80" at(.8), "90" at(.9), "95" at(.95), "97" at(.97), \
        "98" at(.98), "99" at(.99))
    set ylabel "accuracy (%), mistakes on a logarithmic scale"
} else {
    set ylabel "accuracy (%)"
}
set key bottom left
if (wide) { set key top left }
set key outside top horizontal center
d = step * 0.1
plot data every ::1 using ($2):(at($3)):xtic(1) with points pointtype 3 pointsize 1.6 linewidth 2 linecolor rgb "#000000" title "reported", \
     data every ::1 using ($2 - d):(at($4)):(at($4 - $5)):(at($4 + $5)) with yerrorbars pointtype 7 pointsize 0.9 linewidth 2 linecolor rgb colour[1] title "as described", \
     data every ::1 using ($2 + 2 * d):(at($6)):(at($6 - $7)):(at($6 + $7)) with yerrorbars pointtype 9 pointsize 1 linewidth 2 linecolor rgb colour[3] title ARG3[bar + 1:], \
     data every ::1 using ($2 + d):(at($8)):(at($8 - $9)):(at($8 + $9)) with yerrorbars pointtype 5 pointsize 0.8 linewidth 2 linecolor rgb colour[2] title "as coded"
set output
