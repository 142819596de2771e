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
# names in another encoding: JSON has a ? for what is no UTF-8, and the result
latin=$(printf 'K\344se')
run 0 plot lr digits -o "$latin.svg" --json
json plot steps
[ "$(head -n 1 values)" = "K?se.svg" ] && [ -s "$latin.svg" ] || die "the plot's name"
"$FENWICKS" recipes digits | grep -v '^name' > "$latin.recipe"
run 0 recipes "./$latin.recipe" --json
json name
[ "$(cat values)" = K_se ] || die "the name of a recipe by its file: $(cat values)"
run 0 ablate "./$latin.recipe" --with lr=0.1 --epochs 0.05 --runs 2 --plot "$latin.svg" --json
json recipe plot variants
[ "$(sed -n 2p values)" = "K?se.svg" ] || die "the picture's name"
run 1 plot lr fenwicks -o missing/lr.svg
err "missing/lr.svg"
run 1 plot lr fenwicks -o lr.gif
err "lr.gif"
run 1 plot lr fenwicks --set warmup=2
err "warmup"
ls -a | grep -E 'tmp|part' && die "a temporary file stayed"
exit 0
