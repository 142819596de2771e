# train, then everything that can be done with its result: inspect, eval, predict, warm start.
. "$2/tests/cli/common"

run 0 train digits --epochs 1 --out run --seed 7 --eval-every 1
grep -qE '^accuracy [0-9]+\.[0-9]+ %, loss [0-9]+\.[0-9]+$' out || die "no accuracy line"
grep -qE '^time ' out || die "no time line"
out "model    run/model.safetensors"
err "recipe digits, seed 7, results in run"
err "memory: "
grep -qE '^epoch .* \| loss .* \| lr .* img/s \| eta ' err || die "no line for the epoch"
grep -qE '^test .*accuracy ' err || die "no line for the evaluation"
accuracy=$(sed -n 's/^accuracy \([0-9.]*\) %.*/\1/p' out)
is "$accuracy > 30"

# What a run's folder holds.
"$TOOL" json recipe fenwicks seed < run/config.json > values || die "config.json"
"$TOOL" jsonl event < run/log.jsonl || die "log.jsonl"
[ -f run/checkpoint-00000022.safetensors ] || die "no checkpoint of step 22"
[ "$(ls run | grep -c '^events\.out\.tfevents\.')" = 1 ] || die "no event file"
run 0 inspect run
out "checkpoint_step: 22"
run 0 inspect run --json
json kind config last_epoch last_eval checkpoint checkpoint_step model
ls -a run | grep -E 'tmp|part' && die "a temporary file stayed"
events=$(ls run | grep '^events')
run 0 inspect "run/$events" --verify
out "no tf.train.Example"

# The model says what it is, and nothing about where and when it was made.
run 0 inspect run/model.safetensors --verify
grep -qE '^5\.dense\.weight +f32 +10 x 128$' out || grep -qE '^[0-9]+\.dense\.weight +f32 ' out || die "no tensors"
out "format: fenwicks model 1"
out "input: 8 8 1"
out "transforms: standardize 1 "
out "layer"
run 0 inspect run/model.safetensors --json
json kind valid tensors elements metadata
grep -aqF "$PWD" run/model.safetensors && die "the model holds a path"

# eval finds the accuracy again.
run 0 eval run/model.safetensors --recipe digits
out "accuracy $accuracy %"
out "359 records"
run 0 eval run/model.safetensors --recipe digits --confusion --batch 7 --threads 1
out "accuracy $accuracy %"
[ "$(awk '/^ *[0-9]+ / && NF >= 11 { for (i = NF - 9; i <= NF; i++) n += $i } END { print n }' out)" -ge 359 ] ||
    die "the confusion matrix does not count every record"
run 0 eval run/model.safetensors --recipe digits --json
json accuracy accuracy_plain loss records images_per_second tta model confusion
is "$(head -n 1 values) * 100 - $accuracy < 0.01 && $accuracy - $(head -n 1 values) * 100 < 0.01"
# Views: an accuracy with them and one without, which is the one from before.
run 0 eval run/model.safetensors --recipe digits --tta airbench6
out "accuracy $accuracy % without the other views"
out "359 records"
run 0 eval run/model.safetensors --recipe digits --tta mirror --json
json accuracy accuracy_plain loss records images_per_second tta model confusion
is "$(sed -n 2p values) * 100 - $accuracy < 0.01 && $accuracy - $(sed -n 2p values) * 100 < 0.01"
# The model's own standardisation, whatever the recipe says today: imported, from records, by themselves.
sed 's/^transform = standardize 8 8/transform = standardize 60 0.5/' "$SOURCE/recipes/digits.recipe" > other.recipe
grep -q 'standardize 60' other.recipe || die "no other recipe"
run 0 eval run/model.safetensors --recipe ./other.recipe
out "accuracy $accuracy %"
"$FENWICKS" convert "$SOURCE/recipes/digits.csv" o.tfrec --split-every 5 > out || die "convert"
run 0 eval run/model.safetensors --recipe ./other.recipe --data o --batch 7
out "accuracy $accuracy %"
run 0 train ./other.recipe --epochs 1 --out run-other --seed 7 --quiet
other=$(sed -n 's/^accuracy \([0-9.]*\) %.*/\1/p' out)
[ "$other" != "$accuracy" ] || die "another standardisation changes nothing"
run 0 eval run-other/model.safetensors --recipe digits
out "accuracy $other %"
run 2 eval run/model.safetensors --recipe digits --tta six
err 'none of none, mirror, airbench6'
"$FENWICKS" convert "$SOURCE/recipes/digits.csv" d.tfrec --split-every 5 > out || die "convert"
run 0 eval run/model.safetensors --data d.tfrec
out "accuracy $accuracy %"
mkdir parts && "$FENWICKS" convert "$SOURCE/recipes/digits.csv" parts/d.tfrec --split-every 5 --shards 3 > out || die "convert"
for data in parts parts/d parts/d.tfrec parts/d-test.tfrec 'parts/d-test.tfrec-*-of-00003'; do
    run 0 eval run/model.safetensors --data "$data"
    out "accuracy $accuracy %"
done
run 0 inspect parts/d-test.tfrec --verify
out "records      359"
run 0 predict run/model.safetensors parts/d-test.tfrec
[ "$(wc -l < out)" = 359 ] || die "359 lines from shards"
"$TOOL" npy-float wide.npy 2 && run 1 predict run/model.safetensors wide.npy --json
err "wide.npy: images of 4 x 4 x 3, the model takes 8 x 8 x 1"
out '"error": "wide.npy: images of'
cp -r run hurt && printf '\001' | dd of=hurt/model.safetensors bs=1 seek=90000 conv=notrunc 2> /dev/null
run 0 inspect run --verify
run 1 inspect hurt --verify
err "hurt/model.safetensors: crc of the data"

# predict: text, CSV, JSON agree.
run 0 predict run/model.safetensors d-test.tfrec
[ "$(wc -l < out)" = 359 ] || die "359 lines"
grep -qE '^d-test\.tfrec\[0\] [0-9] [0-9.]+ %$' out || die "form of a line"
first=$(head -n 1 out | cut -d ' ' -f 2)
run 0 predict run/model.safetensors d-test.tfrec --top 3
grep -qE "^d-test\.tfrec\[0\] $first [0-9.]+ %, [0-9] [0-9.]+ %, [0-9] [0-9.]+ %$" out || die "three classes"
run 0 predict run/model.safetensors d-test.tfrec --csv
[ "$(head -n 1 out)" = "file,index,class,0,1,2,3,4,5,6,7,8,9" ] || die "header"
awk -F, 'NR == 2 && $3 != '"$first"' { exit 1 }
         NR > 1 { s = 0; for (i = 4; i <= 13; i++) s += $i; if (NF != 13 || s < .9999 || s > 1.0001) exit 1 }' out ||
    die "rows of probabilities that add up to 1"
run 0 predict run/model.safetensors d-test.tfrec --json
json predictions
"$TOOL" npy x.npy 5 || die "t_tool"
run 0 predict run/model.safetensors x.npy d-test.tfrec
[ "$(wc -l < out)" = 364 ] || die "364 lines"

# Of a source in two parts both are predicted, the test part first; rows of numbers have the model's size.
mkdir cifar && "$TOOL" cifar10 cifar 4 || die "t_tool"
run 0 train fenwicks --data cifar --epochs 1 --batch 4 --quiet --out tiny --set "layer=flatten, classifier 10"
run 0 predict tiny cifar --csv
[ "$(sed 1d out | cut -d , -f 1,2 | tr '\n' ' ')" = "$(seq -f 'cifar,%.0f' 0 23 | tr '\n' ' ')" ] || die "24 numbers of 24 images"
sed -n 2,5p out | cut -d , -f 2- > whole
run 0 convert cifar tiny.tfrec
run 0 predict tiny tiny-test.tfrec --csv
[ "$(sed 1d out | cut -d , -f 2-)" = "$(cat whole)" ] || die "the test part is not first"
awk 'BEGIN { for (r = 0; r < 2; r++) { for (i = 0; i < 3072; i++) printf "%d,", (i * r) % 200; print r } }' > rows.csv
run 0 predict tiny rows.csv
[ "$(wc -l < out)" = 2 ] || die "two rows"
run 0 eval tiny --data rows.csv
out "2 records"

# Another run begins with its weights.
run 0 train digits --epochs 1 --out warm --warm-start run/model.safetensors --json
json accuracy loss epochs steps runs accuracy_mean accuracy_std accuracy_se t_train t_total t_dawn \
    images_per_second accuracy_plain tta stopped_early peak_memory_bytes model t_build
grep -qE '"since_start": [0-9.]+' out || die "no time since the start"
is "$(head -n 1 values) * 100 > $accuracy - 3"
[ "$(sed -n 4p values)" = 22 ] || die "22 steps"

# Records go by the same names wherever they are read, the test part first.
for name in d d.tfrec parts parts/d; do
    run 0 predict run $name --csv
    [ "$(wc -l < out)" = 1798 ] || die "a header and 1797 lines of $name"
    sed 1d out | cut -d , -f 2- > lines-of
    [ -e lines ] || cp lines-of lines
    cmp -s lines lines-of || die "other lines of $name"
done
run 0 predict run d-test.tfrec --csv
[ "$(sed 1d out | cut -d , -f 2-)" = "$(head -n 359 lines)" ] || die "the test part is not first"
# A file that is there is meant, whatever records lie beside it.
head -n 3 "$SOURCE/recipes/digits.csv" > near.csv && cp d-test.tfrec near.csv.tfrec
run 0 predict run near.csv
[ "$(wc -l < out)" = 3 ] || die "other images than the file's"
rm near.csv.tfrec

# A folder without a model says what there is to do; a model by another name is one.
mkdir empty unended && cp run/config.json unended
run 1 eval empty --data d
err "empty: a folder without a model"
run 1 predict unended d-test.tfrec
err "unended: the run has left no model yet"
err "--out unended --resume"
run 1 train digits --warm-start unended --out never
err "unended: the run has left no model yet"
[ -e never ] && die "a folder of no run"
# a run that goes on needs no model to begin with any more, and is no repetition of others
run 0 train digits --epochs 0.2 --warm-start run --out warmed --quiet
mv run/model.safetensors kept && run 0 train digits --epochs 0.2 --warm-start run --out warmed --resume --quiet
mv kept run/model.safetensors
grep -qF '"warm_start": "run/model.safetensors"' warmed/config.json || die "what it began with is not said"
run 1 train digits --epochs 0.2 --out warmed --resume --log warmed.jsonl
err "warmed/config.json: the run began with the weights of a model"
[ ! -s warmed.jsonl ] || die "a line of it"
run 0 train digits --epochs 0.2 --runs 2 --seed 3 --out several --quiet
for verb in "eval several --data d" "predict several/ d-test.tfrec" "inspect several"; do
    # shellcheck disable=SC2086 # words
    run 1 $verb
    err "holds runs of several seeds: name one"
    err "/seed-3"
done
cp run/model.safetensors other-name
run 0 inspect other-name
out "elements"
run 0 inspect other-name --json
grep -q '"kind": "safetensors"' out || die "no tensors"
head -c 2000 other-name > cut-short
run 1 inspect cut-short
err "cut-short: is no TFRecord file but a safetensors file"

# A run's folder stands for its model; a checkpoint is none.
run 0 eval run/ --data d
whole=$(head -n 1 out)
run 0 eval run/model.safetensors --data d
[ "$(head -n 1 out | sed 's/,[^,]*$//')" = "$(echo "$whole" | sed 's/,[^,]*$//')" ] || die "another accuracy"
run 0 eval run/ --data d --json
grep -q '"model": "run/model.safetensors"' out || die "the model's name"
run 0 predict run d-test.tfrec
[ "$(wc -l < out)" = 359 ] || die "359 lines"
run 0 train digits --epochs 0.2 --out warm2 --warm-start run --quiet
run 1 eval run/checkpoint-00000022.safetensors --data d
err "checkpoint-00000022.safetensors: is a checkpoint"
"$TOOL" npy narrow.npy 5 && run 1 eval run --data wide.npy
err "wide.npy: images of 4 x 4 x 3, the model takes 8 x 8 x 1"
# What a recipe says of loss and sizes is what the network trains with, by its own account.
run 0 train digits --epochs 0.2 --out said --quiet --set label_smoothing=0.1 --set loss=sum --set lr=0.001 \
    --set "resolution=6 8" --set resolution_ends=0.5 --set resolution_by=crop
grep -qF '"loss": "sum smoothing=0.1"' said/config.json || die "another loss"
grep -qF '"resolution": "crop ' said/config.json || die "another way to a size"

# part of a model's tensors are a beginning too, and said to be
run 0 train digits --epochs 0.2 --out warm3 --warm-start run --set "layer:conv_blk=conv_blk 48" --quiet
grep -qE "warm start: [0-9]+ of the network's [0-9]+ tensors are in run/model.safetensors" err || die "a part of the tensors"

# The last evaluation is in the log, also where nobody asked for others; words come when nothing was refused.
run 0 train digits --epochs 0.5 --out once
last=$(sed -n 's/^accuracy \([0-9.]*\) %.*/\1/p' out)
[ "$(grep -c '"event":"eval"' once/log.jsonl)" = 1 ] || die "one evaluation"
is "$(sed -n 's/.*"event":"eval".*"accuracy":\([0-9.e-]*\),.*/\1/p' once/log.jsonl) * 100 - $last < 0.01"
run 1 train digits --epochs 0.5 --out refused --data none.tfrec
grep -q "results in" err && die "nothing was begun"

# Stopped early, and said so; --epochs holds whatever --set says.
run 0 train digits --epochs 5 --out early --until-accuracy 0.2 --set train.epochs=9
out "--until-accuracy was reached"
is "$("$FENWICKS" inspect early --json | "$TOOL" json checkpoint_step) < 5 * 22"
# A run that has ended so is not trained on: what it ended with is looked at first.
cp early/model.safetensors early.model
run 0 train digits --epochs 5 --out early --until-accuracy 0.2 --set train.epochs=9 --resume
out "--until-accuracy was reached"
cmp early.model early/model.safetensors || die "it trained on"

# A damaged checkpoint is told: the run would go on from the one before.
run 0 train digits --epochs 1 --checkpoint-every 10 --keep 2 --out torn
run 0 inspect torn --verify
printf 'torn' | dd of=torn/checkpoint-00000022.safetensors bs=1 seek=9000 conv=notrunc 2> /dev/null || die "dd"
run 0 inspect torn
out "checkpoint_step: 20"
out "checkpoint_damaged: torn: the checkpoint of step 22 is damaged; that of step 20 is whole"
run 1 inspect torn --verify
err "torn: the checkpoint of step 22 is damaged"

# A channel that is constant, and not 0, is 0 behind a norm (log 10 is the loss then), and in bf16, where it is rounded
# when stored, at most 1, not a rounding error divided by the root of eps (100 was the loss then).
for precision in f32 $("$FENWICKS" doctor | grep -q '^kernels .*avx2' && echo bf16); do
    run 0 train digits --epochs 0.1 --precision $precision --set train.lr=0 --set conv=direct --out flat-$precision --set \
        "layer=scaling 0, conv2d 4 kernel=1 bias=true init=pytorch, conv_bn 8 kernel=1 bn_eps=1e-12 init=pytorch, global_max_pool, classifier 10 init=pytorch"
    loss=$(sed -n 's/.*"event":"epoch".*"loss":\([0-9.e+-]*\),.*/\1/p' flat-$precision/log.jsonl)
    [ $precision = f32 ] && is "$loss > 2.30 && $loss < 2.31"
    is "$loss > 0 && $loss < 5"
done

# Floats without a sidecar say no shape: the recipe does.
run 0 convert "$SOURCE/recipes/digits.csv" f.tfrec --float --split-every 5
rm f-train.tfrec.json f-test.tfrec.json
run 0 train digits --epochs 0.2 --out floats --data f --quiet

# Several seeds: a folder each, and a mean. After a stop, --resume goes on with those begun and begins the rest.
run 0 train digits --epochs 0.2 --runs 3 --seed 5 --out seeds
grep -qE '^accuracy [0-9.]+ % \(mean of 3 runs, standard deviation [0-9.]+\), loss ' out || die "no mean"
[ "$(ls seeds | tr '\n' ' ')" = "seed-5 seed-6 seed-7 " ] || die "a folder per seed"
mean=$(head -n 1 out)
rm -r seeds/seed-6/model.safetensors seeds/seed-7
run 0 train digits --epochs 0.2 --runs 3 --seed 5 --out seeds --resume
[ "$(head -n 1 out)" = "$mean" ] || die "another mean than: $mean"
[ -f seeds/seed-6/model.safetensors ] || die "no model of the second seed"
run 1 train digits --epochs 0.2 --runs 3 --seed 8 --out seeds --resume
err "seeds/seed-8: holds no run"

# Runs that nobody names, begun together: a folder each. One that cannot begin leaves none.
for i in 1 2 3; do "$FENWICKS" train digits --epochs 0.05 --quiet > "out$i" 2>&1 & done
wait
[ "$(cat runs/digits-*/config.json | grep -c recipe)" -ge 3 ] || die "runs took one another's folder"
[ "$(ls runs | wc -l)" = 3 ] || die "not a folder for each of three runs"
run 1 train digits --data nowhere
[ "$(ls runs | wc -l)" = 3 ] || die "a folder of a run that did not begin"
exit 0
