# What every picture shares, to be loaded after `out`, `width` and `height` are set: terminal
# by the ending of the name, colours that every eye tells apart (Okabe and Ito, 2008).
set decimalsign "."
set datafile separator "\t"
set datafile missing "nan"
set encoding utf8
if (out[strlen(out) - 3:] eq ".svg") {
    set terminal svg size width, height font "sans-serif,15" background "white"
} else {
    set terminal pngcairo size width, height font "sans-serif,11"
}
set output out
array colour[5] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"]
set border 3 linecolor rgb "#555555"
set tics nomirror
set grid ytics linecolor rgb "#DDDDDD" linetype 1 linewidth 1
