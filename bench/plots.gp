# gnuplot -e "data='DIR'; plots='DIR'" plots.gp: what bench/run measured, as SVG.

set terminal svg size 720,440 font 'sans-serif,13' background '#ffffff'
set datafile missing '-'
set encoding utf8
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set style data linespoints
set key top left reverse Left
ours = '#1b6ca8'
theirs = '#c2571a'

set output plots.'/pairs.svg'
set title 'A join and a leave, while a flush of the WAL takes 1 ms more'
set xlabel 'clients'
set ylabel 'pairs a second'
set logscale x 2
set yrange [0:*]
plot data.'/pairs' using 1:2:xtic(1) title 'presence, with events' lw 2 pt 7 lc rgb ours, \
	'' using 1:3 title 'presence, without' lw 1 dt 2 pt 6 lc rgb ours, \
	'' using 1:4 title 'one table in PL/pgSQL, with pg\_notify' lw 2 pt 7 lc rgb theirs, \
	'' using 1:5 title 'one table in PL/pgSQL, without' lw 1 dt 2 pt 6 lc rgb theirs

set output plots.'/rooms.svg'
set title 'What the size of a room costs'
set xlabel 'members'
set ylabel 'ms a call, the machine at full load'
set logscale x 10
set logscale y 10
set xrange [8:12000]
set yrange [*:*]
plot data.'/rooms' using 1:2:xtic(1) title 'room\_members' lw 2 pt 7 lc rgb ours, \
	'' using 1:3 title 'the bare SELECT' lw 2 pt 7 lc rgb theirs, \
	'' using 1:4 title 'poll\_room, nothing new' lw 1 dt 2 pt 6 lc rgb ours, \
	'' using 1:5 title 'SELECT 1' lw 1 dt 2 pt 6 lc rgb theirs

set output plots.'/history.svg'
set title 'What the size of the history costs'
set xlabel 'presences that have ended'
set ylabel 'ms a call, the machine at full load'
unset logscale x
set xrange [*:*]
set offsets 0.2, 0.2, 0, 0
set key outside right top
plot data.'/history' using 0:2:xtic(1) title 'join and leave' lw 2 pt 7, \
	'' using 0:3 title 'room\_members of 100' lw 2 pt 7, \
	'' using 0:4 title 'poll\_room of 10' lw 2 pt 7, \
	'' using 0:5 title 'touch\_room' lw 2 pt 7
