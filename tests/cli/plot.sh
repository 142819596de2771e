# plot lr: an SVG and a PNG of the schedule; without gnuplot a sentence, and exit code 1.
. "$2/tests/cli/common"

PATH=/nonexistent run 1 plot lr fenwicks -o none.svg
err "gnuplot"
[ ! -e none.svg ] || die "a plot without gnuplot"

command -v gnuplot > /dev/null || skip "gnuplot is not installed"
run 0 plot lr fenwicks
out_is "lr.svg: learning rate over 2328 steps"
grep -q '<svg' lr.svg || die "no SVG"
run 0 plot lr digits -o d.png --records 1438 --epochs 3 --json
json plot steps
[ "$(sed -n 2p values)" = 66 ] || die "66 steps"
[ "$(head -c 4 d.png | od -An -c | tr -d ' ')" = '211PNG' ] || die "no PNG"
run 1 plot lr fenwicks -o missing/lr.svg
err "missing/lr.svg"
run 1 plot lr fenwicks -o lr.gif
err "lr.gif"
run 1 plot lr fenwicks --set warmup=2
err "warmup"
ls -a | grep -E 'tmp|part' && die "a temporary file stayed"
exit 0
