# ablate: variants on the same seeds, once each; files compared without a run; what is impossible is refused before any run.
. "$2/tests/cli/common"

cat > my.recipe << 'END'
[recipe]
trick = crop transform:pad_crop=
trick = decay weight_decay=0, momentum=0.8
END
sed -e '/^\[recipe\]/d' -e '/^name/d' -e '/^about/d' "$SOURCE/recipes/digits.recipe" | grep -v '^#' >> my.recipe
args="my.recipe --epochs 0.5 --runs 2 --quiet"

run 1 ablate $args --without nonesuch
err 'recipe my has no trick, key, transform or option of layers "nonesuch", the nearest is'
run 1 ablate $args --without crpo --json
err 'the nearest is crop'
json error status
run 1 ablate $args --with momentum=0.9
err "momentum=0.9 changes nothing"
run 1 ablate $args --with mometum=0.8
err "the nearest valid one is train.momentum"
run 1 ablate digits --without all
err "recipe digits has no line trick = NAME CHANGES"
run 1 ablate $args --with layer:conv_bm.act=relu
err "no line of network.layer begins with conv_bm"
run 1 ablate $args --without crop --plot x.gif
err "x.gif: a plot's name ends in .svg or .png"
run 1 ablate $args --without crop --plot no/such/x.svg --log r.jsonl
err "no/such/x.svg: no file can be made in no/such: "
[ ! -e r.jsonl ] || die "something was run"

run 0 ablate $args --with lr=0.1,momentum=0.8 --without all --log r.jsonl
for name in base lr=0.1,momentum=0.8 'without crop' 'without decay'; do
    grep -qE "^$name +2 +[0-9.]+ +[0-9.]+ " out || die "no row for $name"
done
out "difference in points from base, on the same seeds; low to high holds it with 95 %"
[ "$(wc -l < r.jsonl)" = 8 ] || die "eight runs"
"$TOOL" jsonl recipe variant changes id seed accuracy t_train commit < r.jsonl || die "lines"
grep -q '"changes": "train.epochs=0.5, weight_decay=0, momentum=0.8"' r.jsonl || die "no changes of a trick"
table=$(cat out)
cp r.jsonl before
run 0 ablate $args --with lr=0.1,momentum=0.8 --without all --log r.jsonl
cmp before r.jsonl || die "runs were done again"
[ "$(cat out)" = "$table" ] || die "another table from the same runs"
[ "$(grep -c 'done before' err)" = 8 ] || die "eight done before"

# the same difference as train's runs have
run 0 train my.recipe --epochs 0.5 --runs 2 --set transform:pad_crop= --log r.jsonl --json
json accuracy_mean
cmp before r.jsonl || die "a run of ablate is another run to train"
without=$(head -n 1 values)
run 0 train my.recipe --epochs 0.5 --runs 2 --log r.jsonl --json
json accuracy_mean
base=$(head -n 1 values)
run 0 ablate $args --without crop --log r.jsonl --json
json recipe confidence variants slope version commit
grep -qF '"slope": null' out || die "a slope that was not asked for"
sed 's/.*"name": "without crop"//' out > second
difference=$(sed 's/.*"difference": \([-0-9.e]*\).*/\1/' second)
is "$difference - ($without - $base) < 2e-6 && ($without - $base) - $difference < 2e-6"

# seconds at matched accuracy: another length of the base
run 0 ablate $args --without crop --log r.jsonl --slope 0.2
grep -qE '^slope +[-0-9.]+ points per epoch \([-0-9.e+]+ to [-0-9.e+]+\), of base between ' out || die "no slope"
out "s matched"
[ "$(wc -l < r.jsonl)" = 10 ] || die "two runs more"
run 0 ablate $args --without crop --log r.jsonl --slope 0.2 --json
json slope
grep -q '"accuracy_per_epoch"' values || die "no slope"
# and by hand: the same runs with other numbers in the log
cp r.jsonl kept
epochs() { sed -n "/\"variant\": \"$1\"/s/.*\"epochs\": \([0-9.]*\),.*/\1/p" r.jsonl | head -n 1; }
set_to() { # variant, seed, accuracy, t_train
    sed -i "/\"variant\": \"$1\".*\"seed\": $2,/{s/\"accuracy\": [0-9.]*/\"accuracy\": $3/;s/\"t_train\": [0-9.e-]*/\"t_train\": $4/}" r.jsonl
}
set_to base 0 0.90 40
set_to base 1 0.92 44
set_to "base, 0.2 epochs" 0 0.84 9
set_to "base, 0.2 epochs" 1 0.861 9
set_to "without crop" 0 0.88 50
set_to "without crop" 1 0.899 52
run 0 ablate $args --without crop --log r.jsonl --slope 0.2 --json
long=$(epochs base) short=$(epochs "base, 0.2 epochs")
matched=$(sed 's/.*"name": "without crop"//;s/.*"matched_seconds": \([0-9.]*\).*/\1/' out)
want="(51 * (1 + 0.0205 / (0.0595 / ($long - $short)) / $long))"
is "$matched - $want < 1e-6 && $want - $matched < 1e-6 && $long > 2 * $short"
mv kept r.jsonl

run 1 ablate $args --without crop --slope 0.5
err "--slope 0.5: the recipe has that length already"

run 1 ablate $args --without crop --slope many
err "--slope many: train.epochs"
run 1 ablate $args --with lr=0.1 --with momentum=0.8 --with train.lr=0.1
err "train.lr=0.1 asks for the same runs as lr=0.1"
run 1 ablate $args --without all --without crop
err "without crop asks for the same runs as without crop"

# a variant that diverges: its line, a row of dashes, the others as they are
run 0 ablate $args --with lr=1e6,schedule=constant,momentum=0.99 --without crop --epochs 0.6 --log v.jsonl
grep -qE '^lr=1e6,schedule=constant,momentum=0.99 +0 +- +- ' out || die "no row of a variant that diverged"
out "lr=1e6,schedule=constant,momentum=0.99: 2 of 2 runs diverged, and are in no figure"
grep -qE '^without crop +2 ' out || die "no row of the other variant"
[ "$(grep -c '"diverged": true' v.jsonl)" = 2 ] || die "two lines of runs that diverged"
[ "$(wc -l < v.jsonl)" = 6 ] || die "six lines"
run 0 ablate $args --with lr=1e6,schedule=constant,momentum=0.99 --without crop --epochs 0.6 --log v.jsonl --json
json variants
out '"diverged": 2, "accuracy_mean": null'
run 1 ablate digits --epochs 0.2 --precision f32 --with train.precision=bf16
err "changes train.precision, and --precision f32 goes before it"
# another batch has other whole steps, 0.214 epochs for 0.182: one table all the same
run 0 ablate digits --epochs 0.2 --runs 2 --with train.batch=50 --log steps.jsonl
run 0 ablate --compare steps.jsonl
grep -qE '^train.batch=50 +2 ' out || die "the other batch is not compared"
[ ! -s err ] || ! grep -q "not compared" err || die "a length of its own"
run 0 ablate --compare v.jsonl
grep -qE '^lr=1e6,schedule=constant,momentum=0.99 +0 +- +- ' out || die "no row from the file"

# one run: a difference without an error
run 0 ablate my.recipe --epochs 0.5 --runs 1 --quiet --without crop --log r.jsonl
grep -qE '^without crop +1 +[0-9.]+ +- +[-0-9.]+ +- +- +- +- ' out || die "an error of one run"

# files
run 0 ablate --compare r.jsonl
grep -qE '^without crop +2 ' out || die "no row of the file"
out "0.5 epochs"
run 0 ablate --compare r.jsonl --json
json base confidence tables
run 1 ablate --compare r.jsonl --base bsae
err 'no run is called "bsae"; the nearest is base'
# a file need not say how long runs took: that is not known, and no second
for seed in 1 2; do
    for variant in base other; do
        echo "{\"variant\": \"$variant\", \"seed\": $seed, \"epochs\": 2, \"accuracy\": 0.$seed}"
    done
done > untimed.jsonl
run 0 ablate --compare untimed.jsonl
grep -qE '^base +2 .* - +-$' out || die "seconds of runs that have none"
run 0 ablate --compare untimed.jsonl --json
out '"seconds": null, "seconds_std": null'
# one seed that both have: its difference, and not that of groups of one and two
line() { # VARIANT SEED ACCURACY [MORE]
    echo "{\"recipe\": \"r\", \"variant\": \"$1\", \"seed\": $2, \"epochs\": 2, \"accuracy\": $3, \"id\": \"1\"${4:-}}"
}
{ line base 0 0.80; line base 1 0.90; line other 0 0.81; } > shared.jsonl
run 0 ablate --compare shared.jsonl
grep -qE '^other +1 +81\.000 +- +1\.000 ' out || die "the difference on the seed that both have"
out "on the same seeds;"
{ line base 0 0.80; line base 1 0.90; line other 2 0.81; } > shared.jsonl
run 0 ablate --compare shared.jsonl
out "(of groups, where they share under two)"
# records are one set of data with and without their ending; what differs in more than the seed is told
{ line base 0 0.80 ', "data": "d.tfrec"'; line base 1 0.90 ', "data": "d"'; line base 2 0.9 ', "data": "d", "precision": "f32"'
  line base 3 0.9 ', "data": "d", "precision": "bf16"'; } > named.jsonl
run 0 ablate --compare named.jsonl
grep -qE '^base +4 ' out || die "records with and without their ending"
err "note: base, 2 epochs: its runs differ in more than the seed"
# what train adds: its length is no change, and what no base has the length of is told
run 0 train my.recipe --epochs 0.5 --log mix.jsonl --quiet
run 0 train my.recipe --set epochs=0.5 --set lr=0.05 --log mix.jsonl --quiet
run 0 train my.recipe --epochs 1 --set lr=0.05 --log mix.jsonl --quiet
run 0 ablate --compare mix.jsonl
grep -qE '^base +1 ' out && grep -qE '^lr=0.05 +1 ' out || die "names without a length"
err 'not compared: lr=0.05, 1 epochs, 1 runs: there is no "base" of that length'
# what a file calls its runs moves no cursor and colours nothing
printf '{"arm": "base", "seed": 1, "epochs": 1, "accuracy": 0.5}\n' > escape.jsonl
printf '{"arm": "\\u001b[31mred\\u009b", "seed": 1, "epochs": 1, "accuracy": 0.6}\n' >> escape.jsonl
run 0 ablate --compare escape.jsonl
out "?[31mred??"
[ "$(LC_ALL=C tr -d '\n -~' < out | wc -c)" = 0 ] || die "control characters"
run 1 ablate --compare none.jsonl
err "none.jsonl"
run 2 ablate my.recipe --compare r.jsonl
err "--compare reads files"

run 2 ablate --compare r.jsonl --data x
err "--compare reads files"
run 2 ablate --compare r.jsonl --runs 3
err "--compare reads files"
run 2 ablate $args --without crop --base crop
err "--base goes with --compare"
run 2 ablate my.recipe --runs 1 --without crop --slope 0.2
err "--slope needs two runs"
# several recipes, and sets of data: the names say which, and nothing is mixed
{ grep '"changes": "train.epochs=0.5"' r.jsonl
  grep '"changes": "train.epochs=0.5"' r.jsonl | sed -e 's/"recipe": "my"/"recipe": "other"/' -e 's/"variant": "base"/"variant": ""/' -e 's/"changes": "[^"]*"/"changes": ""/'; } > two.jsonl
[ "$(wc -l < two.jsonl)" = 4 ] || die "four lines"
run 0 ablate --compare two.jsonl --base other
grep -qE '^other +2 ' out || die "no row of a recipe as it is"
grep -qE '^my: base +2 ' out || die "no row of the other recipe"
grep -q 'repeat a variant' err && die "runs of one recipe are left out for those of another"
sed 's/"data": "[^"]*"/"data": "d"/; s/"recipe": "other"/"recipe": "my"/' two.jsonl | tail -n 2 >> r2.jsonl
head -n 2 two.jsonl >> r2.jsonl
run 1 ablate --compare r2.jsonl
err 'no run is called "base"'
err 'base on '

if command -v gnuplot > /dev/null; then
    # a picture of runs that are there, of one length
    run 0 ablate --compare r.jsonl --plot old.svg --json
    json plot tables
    [ -s old.svg ] && [ "$(head -n 1 values)" = old.svg ] || die "a picture of runs that are there"
    run 0 train my.recipe --epochs 1 --log mix.jsonl --quiet
    run 1 ablate --compare mix.jsonl --plot two.svg
    err "--plot shows one length, the files have the base at several"
    run 0 ablate $args --with lr=0.1,momentum=0.8 --without all --log r.jsonl --plot d.svg
    out "plot     d.svg"
    grep -q '<svg' d.svg || die "no SVG"
    grep -q 'without crop' d.svg || die "no name in the plot"
    grep -q 'difference in accuracy' d.svg || die "no axis in the plot"
fi
PATH=/nonexistent run 1 ablate $args --without crop --plot d2.svg
err "gnuplot"
# a picture that cannot be made takes no figure with it
mkdir bin && printf '#!/bin/sh\nexit 1\n' > bin/gnuplot && chmod +x bin/gnuplot
PATH=$PWD/bin:$PATH run 1 ablate $args --without crop --plot d2.svg --log r.jsonl --json
json variants plot
out '"plot": ""'
err "gnuplot"
PATH=$PWD/bin:$PATH run 0 ablate $args --with lr=1e6,schedule=constant,momentum=0.99 --epochs 0.6 --log v.jsonl --plot d3.svg
err "d3.svg: no variant has a difference to draw"
[ ! -e d3.svg ] || die "a picture of nothing"

run 2 ablate
err "needs a recipe's name or file"
run 2 ablate digits
err "needs a variant"
run 2 ablate digits --with lr
err '--with: "lr", expected KEY=VALUE'
run 2 ablate digits --with lr=1 --runs 0
err "--runs: \"0\", expected a whole number, 1 or more"
run 2 ablate digits --with lr=1 --confidence 95
err "--confidence: 95 is no fraction"
run 2 ablate digits --with lr=1 --same-commit
err "--same-commit needs --log"
run 2 ablate digits --wiht lr=1
err "unknown option --wiht; the nearest is --with"
exit 0
