# scripts/ab: the comparison of arms on made-up lines with known results, and that runs are done once.
. "$2/tests/cli/common"
AB=$SOURCE/scripts/ab

line() { # arm seed epochs accuracy
    echo "{\"arm\": \"$1\", \"seed\": $2, \"epochs\": $3, \"accuracy\": $4, \"loss\": 1, \"commit\": \"c\"}"
}
row() { # epochs arm: its fields
    awk -v e="$1" -v a="$2" '$1 == e && $2 == a { print $3, $4, $5, $6, $7 }' out
}

last="scripts/ab --help"
"$AB" --help > out 2> err || die "exit code"
out "--summary FILE"
grep -q 'set -eu' out && die "help goes on into the script"
"$AB" --sumary m.jsonl > out 2> err && die "an unknown option"
err "unknown option --sumary"

# Two arms of equal spread: n = 3 each, deviations 0.1 points, so the standard errors are 0.1 / sqrt(3), the degrees of
# freedom 4 and the 95 % point of t 2.1318: the bound is 0.05 + 2.1318 * 0.1 * sqrt(2 / 3) = 0.2241 points.
i=0
for a in 0.940 0.941 0.939; do line bf16-direct $i 4 $a && i=$((i + 1)); done > m.jsonl
i=0
for a in 0.9395 0.9405 0.9385; do line bf16-f4 $i 4 $a && i=$((i + 1)); done >> m.jsonl
# A better arm with unequal spread and more runs: Welch-Satterthwaite.
i=0
for a in 0.9420 0.9421 0.9419 0.9420 0.9420; do line bf16-f2 $i 4 $a && i=$((i + 1)); done >> m.jsonl
line f32 0 4 0.95 >> m.jsonl
line bf16-f4 0 8 0.9 >> m.jsonl
printf '{"arm": "f32", "seed": 1, "ep' >> m.jsonl # a line cut short
last="scripts/ab --summary"
"$AB" --summary m.jsonl > out 2> err || die "exit code"
[ "$(row 4 bf16-direct | sed 's/ *$//')" = "3 94.000 0.058" ] ||
    die "bf16-direct: $(row 4 bf16-direct)"
[ "$(row 4 bf16-f4)" = "3 93.950 0.058 0.050 0.224" ] || die "bf16-f4: $(row 4 bf16-f4)"
grep -q 'bf16-f4 .*not under 0.15' out || die "no verdict on bf16-f4"
# s = 0.00707107 points; se of the difference sqrt(0.1^2 / 3 + 0.00707107^2 / 5) = 0.0578217, df 2.01196, t 2.91294.
[ "$(row 4 bf16-f2)" = "5 94.200 0.003 -0.200 -0.032" ] || die "bf16-f2: $(row 4 bf16-f2)"
grep -q 'bf16-f2 .* under 0.15' out || die "no verdict on bf16-f2"
[ "$(row 4 f32)" = "1 95.000 0.000 - -" ] || die "f32: $(row 4 f32)"
[ "$(row 8 bf16-f4)" = "1 90.000 0.000 - -" ] || die "epochs are mixed: $(row 8 bf16-f4)"
err "m.jsonl:14: no whole JSON object"
"$AB" --summary missing.jsonl > out 2> err && die "a missing file"
err "missing.jsonl"
echo '{"seed": 1}' > n.jsonl
"$AB" --summary n.jsonl > out 2> err && die "a line of nothing"
err "n.jsonl:1: no arm"

# Runs: each once, and what a file lacks is done.
last="scripts/ab --recipe digits"
"$AB" --fenwicks "$FENWICKS" --recipe digits --epochs 0.5 --runs 2 --arms f32 --out r.jsonl > out 2> err || die "exit code"
"$TOOL" jsonl arm seed epochs accuracy accuracy_plain loss steps seconds commit command < r.jsonl > values || die "lines"
[ "$(grep -c . r.jsonl)" = 2 ] || die "not two runs"
grep -qF '"command": "fenwicks train digits --epochs 0.5 --seed 1 --precision f32"' r.jsonl || die "no command"
cp r.jsonl before
"$AB" --fenwicks "$FENWICKS" --recipe digits --epochs 0.5 --runs 2 --arms f32 --out r.jsonl > out 2> err || die "exit code"
cmp -s before r.jsonl && [ ! -s err ] || die "runs were done again"
head -n 1 before > r.jsonl
"$AB" --fenwicks "$FENWICKS" --recipe digits --epochs 0.5 --runs 2 --arms f32 --out r.jsonl > out 2> err || die "exit code"
err "ab: f32, seed 1"
[ "$(sed 's/"seconds": [^,]*//' before)" = "$(sed 's/"seconds": [^,]*//' r.jsonl)" ] || die "the same run has another result"
"$AB" --fenwicks "$FENWICKS" --arms f16 > out 2> err && die "an unknown arm"
err 'none of bf16-direct, bf16-f2'
"$AB" --fenwicks "$FENWICKS" --recipe missing --arms f32 --out q.jsonl > out 2> err && die "a run that fails"
err "f32, seed 0: the run failed"
[ ! -s q.jsonl ] || die "a line for a failed run"
