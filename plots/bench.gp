# How many times as long as densenet.h the others take, for each workload, on one thread.
#
#   gnuplot -c plots/bench.gp build/bench.tsv OUT.png|OUT.svg
#
# The log of `make bench`: columns who, workload, threads, seconds, ratio (densenet's seconds
# divided by these).
data = ARG1; out = ARG2; width = 900; height = 460
if (out eq "") { print "usage: gnuplot -c plots/bench.gp BENCH.tsv OUT"; exit status 1 }
load ARG0[:strstrt(ARG0, "bench.gp") - 1]."style.gp"
names = "W1 W2 W3 W4 W5 I1 I2 first"
peers = "pytorch numpy sklearn fann lean-openblas roofline"
at(workload) = sum [i = 1:words(names)] (word(names, i) eq workload) * i
place(p) = at(stringcolumn(2)) + 0.11 * (p - 3.5)
set logscale y 2
set ylabel "time, densenet.h = 1 (logarithmic)"
set xrange [0.5:words(names) + 0.5]
set xtics ()
do for [i = 1:words(names)] { set xtics add (word(names, i) i) }
set key outside top horizontal center
set style line 1 linewidth 2
array shape[6] = [7, 5, 9, 11, 13, 3]
array shade[6] = [colour[1], colour[2], colour[3], colour[4], colour[5], "#000000"]
plot 1 with lines linewidth 2 linecolor rgb "#555555" title "densenet.h", \
     for [p = 1:words(peers)] data every ::1 \
         using (place(p)):(stringcolumn(1) eq word(peers, p) && $3 == 1 && at(stringcolumn(2)) > 0 ? 1 / $5 : NaN) \
         with points pointtype shape[p] pointsize 1.5 linewidth 2 linecolor rgb shade[p] title word(peers, p)
set output
