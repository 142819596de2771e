# The recipes, one recipe, its keys; unknown names and keys fail and name the nearest one.
. "$2/tests/cli/common"

run 0 recipes
for name in airbench94-muon page-1 page-4 page-8.9 airbench96 hiverge e1 hlb digits fenwicks mnist; do
    grep -qE "^$name  *[^ ]" out || die "no line for $name"
done

run 0 recipes fenwicks
out "layer = conv_res_blk 128"
out "weight_decay = 5e-4*batch"
out "6573120 parameters"

run 0 recipes airbench94-muon
out "layer = whiten"
out "group = conv optimizer=muon"
out "1971352 parameters, 1440 frozen, 2304 running statistics"
out "118147360 multiply-accumulates"
cp out printed.recipe
run 0 recipes ./printed.recipe
cmp -s out printed.recipe || die "a printed recipe reads back differently"
run 0 recipes fenwicks

# What is printed is a recipe file, and printing it again gives the same text.
cp out printed.recipe
run 0 recipes ./printed.recipe
cmp -s out printed.recipe || die "a printed recipe reads back differently"

# What a run computes: a line behind a recipe, a table of all, and the documentation's table is the same.
run 0 recipes airbench96
out "; a run: 2160 steps, 1105920 images, 3176 TFLOP: 2998 training, 124 proxy, 54.2 evaluation"
run 0 recipes e1 --set epochs=142/32 --json
json steps images images_seen run_train_flops run_update_flops run_proxy_flops run_eval_flops text params frozen
[ "$(head -n 1 values)" = 142 ] || die "steps of a shorter run"
run 2 recipes e1 --costs
err "leave e1 out"
run 0 recipes --costs --json
json recipes
run 0 recipes
rows=$(wc -l < out)
run 0 recipes --costs
[ "$(wc -l < out)" = $((rows + 1)) ] || die "a row for each recipe"
sed 1d out | awk '{ for (i = 8; i <= 10; i++) if ($i == "0") $i = ""
    print $1 "|" $2 "|" $3 "|" $4 "|" $5 "|" $6 "|" $8 "|" $9 "|" $10 "|" $11 }' | sort > computed
sed -n '/^## Every recipe in numbers/,/^## /p' "$SOURCE/docs/recipes.md" | grep '^| `' |
    awk -F ' *[|] *' '{ gsub(/[`,]/, ""); print $2 "|" $3 "|" $4 "|" $5 "|" $6 "|" $7 "|" $8 "|" $9 "|" $10 "|" $11 }' | sort > documented
[ "$(wc -l < documented)" -ge 26 ] || die "the table of docs/recipes.md is not whole"
comm -23 documented computed > differs
[ ! -s differs ] || die "docs/recipes.md differs from recipes --costs: $(head -n 2 differs)"

run 0 recipes fenwicks --set epochs=3 --set train.batch=64
out "epochs = 3"
out "batch = 64"

run 1 recipes fenwiks
out_is ""
err 'no recipe "fenwiks"'
err 'nearest one is fenwicks'
run 1 train digts --out run
err 'no recipe "digts"'
err 'nearest one is digits'
[ ! -e run ] || die "a folder for a run that never was"

run 1 train digits --set epoch=3 --out run
err '"epoch"'
err 'epochs'
run 1 train digits --set train.momentun=0.5 --out run
err 'momentum'
run 1 train digits --set train.batch=0 --out run
err 'train.batch'
run 1 train digits --set batch=5 --out run
err 'may be train.batch or evaluate.batch'
run 1 train digits --epochs none --out run
err 'epochs'
[ ! -e run ] || die "a folder for a run that never was"

sed 's/^momentum/momentmu/' "$SOURCE/recipes/digits.recipe" > wrong.recipe
run 1 train ./wrong.recipe
err "wrong.recipe"
err "momentmu"
err "momentum"
line=$(grep -n momentmu wrong.recipe | cut -d : -f 1)
err "line $line"

sed 's/conv_blk 64/conv_bkl 64/' "$SOURCE/recipes/digits.recipe" > wrong.recipe
run 1 recipes ./wrong.recipe
err "conv_bkl"
err "conv_blk"

run 1 train ./missing.recipe
err "missing.recipe"
exit 0
