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
run 1 train digits --set batch=0 --out run
err 'batch'
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
