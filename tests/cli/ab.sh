# scripts/ab: the comparison of arms on made-up lines with known results, and that runs are done once.
# (ctest: once)
. "$2/tests/cli/common"
AB=$SOURCE/scripts/ab

line() { # arm seed epochs accuracy
    echo "{\"arm\": \"$1\", \"seed\": $2, \"epochs\": $3, \"accuracy\": $4, \"loss\": 1, \"commit\": \"c\"}"
}
row() { # arm: its fields
    awk -v a="$1" '$1 == a { print $2, $3, $4, $5, $6, $7, $8; exit }' out
}

last="scripts/ab --help"
"$AB" --help > out 2> err || die "exit code"
out "--summary FILE"
grep -q 'set -eu' out && die "help goes on into the script"
"$AB" --sumary m.jsonl > out 2> err && die "an unknown option"
err "unknown option --sumary"

# Pairs of one seed: differences -0.05 points in each, so there is no spread; +0.200, +0.110, +0.290: their mean is 0.2,
# their deviation 0.09, the error 0.09 / sqrt(3) = 0.05196, and the 95 % point of t with 2 degrees of freedom 2.91999.
i=0
for a in 0.940 0.941 0.939; do line bf16-direct $i 4 $a && i=$((i + 1)); done > m.jsonl
i=0
for a in 0.9395 0.9405 0.9385; do line bf16-f4 $i 4 $a && i=$((i + 1)); done >> m.jsonl
i=0
for a in 0.9420 0.9421 0.9419 0.9420; do line bf16-f2 $i 4 $a && i=$((i + 1)); done >> m.jsonl
line f32 0 4 0.95 >> m.jsonl
line bf16-f4 0 8 0.9 >> m.jsonl
line bf16-direct 0 8 0.91 >> m.jsonl
printf '{"arm": "f32", "seed": 1, "ep' >> m.jsonl # a line cut short: left out
last="scripts/ab --summary"
"$AB" --summary m.jsonl --fenwicks "$FENWICKS" > out 2> err || die "exit code"
[ "$(row bf16-direct)" = "3 94.000 0.058 - - - -" ] || die "bf16-direct: $(row bf16-direct)"
[ "$(row bf16-f4)" = "3 93.950 0.058 -0.050 0.000 -0.050 -0.050" ] || die "bf16-f4: $(row bf16-f4)"
[ "$(row bf16-f2)" = "4 94.200 0.004 0.200 0.052 0.048 0.352" ] || die "bf16-f2: $(row bf16-f2)"
grep -q 'bf16-f2 .*  loses under 0.15' out || die "no verdict on bf16-f2"
[ "$(row f32)" = "1 95.000 - 1.000 - - -" ] || die "f32: $(row f32)"
grep -q 'f32 .*  needs two runs' out || die "no verdict on f32"
grep -q '^8 epochs' out || die "epochs are mixed"
"$AB" --summary missing.jsonl > out 2> err && die "a missing file"
err "missing.jsonl"
echo '{"seed": 1}' > n.jsonl
"$AB" --summary n.jsonl --fenwicks "$FENWICKS" > out 2> err && die "a line of nothing"
err "n.jsonl: line 1: no seed, epochs or accuracy"
for f in "$SOURCE"/docs/results/ab-*.jsonl; do # those of the past can be read
    key=variant # older lines have an arm; either is given the name that others are compared with
    grep -q '"arm": ' "$f" && key=arm
    sed "s/\"$key\": \"[^\"]*\"/\"$key\": \"bf16-direct\"/" "$f" > past.jsonl
    "$AB" --summary past.jsonl --fenwicks "$FENWICKS" > out 2> err || die "$f"
    grep -q '^bf16-direct  *[0-9]' out || die "nothing of $f"
done

# Runs: each once, and what a file lacks is done.
last="scripts/ab --recipe digits"
ab() { "$AB" --fenwicks "$FENWICKS" --recipe digits --epochs 0.5 --runs 2 --arms f32 --out r.jsonl > out 2> err; }
ab && die "a comparison without its base"
err 'no run is called "bf16-direct"'
"$TOOL" jsonl variant seed epochs accuracy accuracy_plain loss steps t_train commit changes < r.jsonl || die "lines"
[ "$(grep -c '"variant": "f32"' r.jsonl)" = 2 ] || die "not two runs"
cp r.jsonl before
ab && die "a comparison without its base"
cmp -s before r.jsonl || die "runs were done again"
head -n 1 before > r.jsonl
ab && die "a comparison without its base"
same() { sed 's/"\(t_[a-z]*\|images_per_second\|peak_memory_bytes\)": [^,]*,//g' "$1"; }
[ "$(same before)" = "$(same r.jsonl)" ] || die "the same run has another result"
# A run that diverges is a result: the others follow, and none is done twice.
sed -e 's/^momentum.*/momentum = 0.99/' -e 's/^lr = .*/lr = 1e6/' -e 's/^schedule.*/schedule = constant/' \
    "$SOURCE/recipes/digits.recipe" > wild.recipe
wild() { "$AB" --fenwicks "$FENWICKS" --recipe wild.recipe --epochs 0.6 --runs 2 --arms "bf16-direct f32" --out w.jsonl > out 2> err; }
wild || die "a comparison of runs that diverge"
[ "$(grep -c '"diverged": true' w.jsonl)" = 4 ] || die "four runs that diverge"
cp w.jsonl before
wild || die "the same again"
cmp -s before w.jsonl || die "runs were done again"
"$AB" --fenwicks "$FENWICKS" --arms f16 > out 2> err && die "an unknown arm"
err 'none of bf16-direct, bf16-f2'
"$AB" --fenwicks "$FENWICKS" --recipe missing --arms f32 --out q.jsonl > out 2> err && die "a run that fails"
err "f32, seed 0: the run failed"
[ ! -s q.jsonl ] || die "a line for a failed run"
exit 0
