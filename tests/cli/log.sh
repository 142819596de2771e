# train --runs --log: lines instead of folders, each run once, and what several runs come to.
. "$2/tests/cli/common"

run 0 train digits --epochs 0.2 --runs 3 --seed 5 --log r.jsonl --target 0.01
grep -qE '^compute  0.003645 TFLOP to train, [0-9]+ GFLOP/s; 0.00171 TFLOP to evaluate$' out || die "no operations"
grep -qE '^accuracy [0-9.]+ % \(mean of 3 runs, standard deviation [0-9.]+\), loss ' out || die "no mean"
grep -qE '^ +standard error [0-9.]+, least [0-9.]+ %; at or above 1.00 %: 3 of 3 runs; p = ' out || die "no target"
grep -qE '^ +[0-9.]+ s with reading the data; standard deviations of these [0-9.]+, [0-9.]+, [0-9.]+; to train at least ' out || die "no times"
err "seed 5, results in r.jsonl"
[ "$(ls)" = "$(printf 'err\nout\nr.jsonl')" ] || die "something else than the file: $(ls)"
"$TOOL" jsonl recipe id variant changes seed epochs steps accuracy accuracy_plain loss t_train t_total t_dawn data \
    precision device version commit cpu isa threads images_per_second peak_memory_bytes t_build train_flops eval_flops < r.jsonl || die "lines"
# 4 steps of 64 images, 359 evaluated: as `recipes` counts them
grep -q '"train_flops": 3644719104.0, "eval_flops": 1708127744.0' r.jsonl || die "operations: $(grep -o '"train_flops.*flops": [0-9.e+]*' r.jsonl)"
[ "$(wc -l < r.jsonl)" = 3 ] || die "three lines"
grep -q '"changes": "train.epochs=0.2"' r.jsonl || die "no changes"
[ "$(grep -c '"t_build": 0.0,' r.jsonl)" = 2 ] || die "what the runs share is built once, by the first"

# again: nothing is run; one more seed: that one is; the line cut short was not there
cp r.jsonl before
run 0 train digits --epochs 0.2 --runs 3 --seed 5 --log r.jsonl --json
json accuracy_mean accuracy_std accuracy_se accuracy_min target target_share target_p t_train t_total t_dawn t_train_std \
    t_total_std t_dawn_std t_train_min t_train_without_first runs version commit model t_build
cmp before r.jsonl || die "runs were done again"
[ "$(sed -n 5p values)" = 0.94 ] || die "the target's default"
is "$(sed -n 4p values) <= $(head -n 1 values) && $(sed -n 7p values) > 0.5"
printf '{"recipe": "dig' >> r.jsonl
run 0 train digits --epochs 0.2 --runs 4 --seed 5 --log r.jsonl
err "r.jsonl: the last line was cut short"
[ "$(grep -c 'done before' err)" = 3 ] || die "three done before"
[ "$(wc -l < r.jsonl)" = 4 ] || die "four lines"
# another length, another precision: other runs
run 0 train digits --epochs 0.3 --seed 5 --log r.jsonl
run 0 train digits --epochs 0.2 --seed 5 --precision f64 --log r.jsonl
[ "$(wc -l < r.jsonl)" = 6 ] || die "six lines"
# data in a folder is named by it, with or without a slash behind
"$TOOL" npy x.npy 40 && mkdir set other || die "t_tool"
"$FENWICKS" convert x.npy set/x.tfrec --labels x.npy-labels.npy --split-every 4 > /dev/null || die "convert"
cp set/* other/
run 0 train digits --data set/ --batch 8 --epochs 1 --log named.jsonl
run 0 train digits --data set --batch 8 --epochs 1 --log named.jsonl
err "done before"
run 0 train digits --data other/ --batch 8 --epochs 1 --log named.jsonl
[ "$(grep -o '"data": "[a-z]*"' named.jsonl | tr -d '\n')" = '"data": "set""data": "other"' ] || die "names of data"
# the folder that one is in has a name too
(cd other && "$FENWICKS" train digits --data . --batch 8 --epochs 1 --log ../named.jsonl > /dev/null 2> ../err) || die "--data ."
err "done before"
# records have one name, with .tfrec behind it or not
run 0 train digits --data set/x --batch 8 --epochs 1 --log x.jsonl
run 0 train digits --data set/x.tfrec --batch 8 --epochs 1 --log x.jsonl
err "done before"
grep -q '"data": "x",' x.jsonl || die "the name of records"
sed -i 's/"data": "x",/"data": "x.tfrec",/' x.jsonl # as lines once had it
run 0 train digits --data set/x.tfrec --batch 8 --epochs 1 --log x.jsonl
err "done before"
# what no line could hold is refused before the run, and said in JSON all the same
odd=$(printf 'K\344se')
mkdir "$odd" && cp set/* "$odd"/
run 1 train digits --data "$odd" --batch 8 --epochs 1 --log named.jsonl
err "the path of the data is not UTF-8 text"
run 1 train digits --epochs 0.2 --label "$odd" --log named.jsonl
err "the name of the variant is not UTF-8 text"
run 1 train digits --data "$odd" --batch 8 --epochs 1 --out odd --json
json error status
out "K?se"
[ "$(wc -l < named.jsonl)" = 2 ] || die "a line of a refused run"
# runs of another machine, or of another commit, in one mean are told
grep '"seed": 5,' before > origins.jsonl
sed -n '/"seed": 6,/s/"cpu": "[^"]*"/"cpu": "another"/p' before >> origins.jsonl
run 0 train digits --epochs 0.2 --runs 2 --seed 5 --log origins.jsonl
err "these runs are of several machines"
case $(sed -n '1s/.*"commit": "\([^"]*\)".*/\1/p' before) in
    "" | *-changed) err "note: these runs are of several commits, or of changed sources" ;; # of this very build
    *) ! grep -q "several commits" err || die "commits" ;;
esac
sed -n '/"seed": 6,/s/"commit": "[^"]*"/"commit": "another"/p' before >> origins.jsonl
sed -i 2d origins.jsonl
run 0 train digits --epochs 0.2 --runs 2 --seed 5 --log origins.jsonl
err "these runs are of several commits"
! grep -q "several machines" err || die "machines"
grep -q "results in" err && die "nothing was run"
# with folders, too; the same bits as a run by itself
run 0 train digits --epochs 0.2 --runs 2 --seed 9 --log r.jsonl --out both
run 0 train digits --epochs 0.2 --seed 10 --out alone
cmp both/seed-10/model.safetensors alone/model.safetensors || die "a run depends on the one before it"

# where the first run's time is not known, those behind it are all that there is
run 0 train digits --epochs 0.2 --runs 3 --seed 20 --log first.jsonl --quiet
sed -i '1s/"t_train": [0-9.e-]*,/"t_train": 0,/' first.jsonl
run 0 train digits --epochs 0.2 --runs 3 --seed 20 --log first.jsonl --json
json t_train t_train_without_first
[ "$(sort -u values | wc -l)" = 1 ] || die "a run that is not the first is left out: $(cat values)"
# seeds that a line cannot hold are refused before the first run
run 2 train digits --epochs 0.2 --runs 2 --seed 9223372036854775807 --log first.jsonl
err "the last that a line of a file can hold"

# a single run has no spread
run 0 train digits --epochs 0.2 --seed 5 --log r.jsonl --json
json accuracy_std target_p t_train_std
[ "$(tr '\n' ' ' < values)" = "0.0 null null " ] || die "spread of one run: $(cat values)"

# a single run that is there already says so
run 0 train digits --epochs 0.2 --seed 5 --log r.jsonl --quiet
err ", done before"

# of a run that goes on without the log of what came before nobody knows how long it took
run 0 train digits --epochs 0.4 --out lost --checkpoint-every 2 --keep 9 --quiet
rm lost/log.jsonl lost/model.safetensors "lost/$(ls lost | grep checkpoint | tail -n 1)"
run 0 train digits --epochs 0.4 --out lost --resume --log lost.jsonl
err "that of the run is not known"
out "time     of 1 of 1 runs not known"
grep -qE '"t_train": 0(\.0)?, "t_total": 0(\.0)?, "t_dawn": 0(\.0)?,' lost.jsonl || die "a time that nobody knows: $(cat lost.jsonl)"

# one that the file has is not made anew for a folder's sake, which is told
run 0 train digits --epochs 0.2 --seed 5 --log r.jsonl --out nothing --quiet
err "nothing is not made: r.jsonl has this run already"
[ ! -e nothing ] || die "a folder of a run that was not run"
# runs that diverge: a line each, in no figure; the others go on
diverging="digits --epochs 0.5 --set lr=1e6,schedule=constant --quiet"
run 1 train $diverging --log d.jsonl
err "seed 0, results in d.jsonl"
err "the loss is not a number at learning rate 1e+06; no checkpoint was kept"
grep -q '"accuracy": null, .*"diverged": true' d.jsonl || die "no line of a run that diverged"
run 1 train $diverging --log d.jsonl --json
out '"status": "FW_ENONFINITE"'
err "seed 0 diverged when it was run"
run 1 train $diverging --log d.jsonl --runs 2
err "seed 0: diverged: done before"
err "seed 1: diverged: step "
err "all 2 runs diverged"
[ "$(wc -l < d.jsonl)" = 2 ] || die "a run that diverged was done again"
run 1 train $diverging --runs 2 --out diverged
err "all 2 runs diverged"
# of a run that did not, there are figures: here by two lines of another program
sed -e 's/"seed": 1,/"seed": 7,/' -e 's/"accuracy": null, "accuracy_plain": null, "loss": null/"accuracy": 0.125, "loss": 2.5/' \
    -e 's/, "diverged": true//' d.jsonl | grep '"seed": 7' > mixed.jsonl
sed -e 's/"seed": 7,/"seed": 8,/' mixed.jsonl > eight
cat eight >> mixed.jsonl
run 0 train $diverging --log mixed.jsonl --seed 6 --runs 3
out "accuracy 12.50 % (mean of 2 runs"
out "1 of 3 runs diverged: below the target, and in none of the other figures"
err "seed 6: diverged: "
grep -q "; p = " out && die "p of a mean that leaves runs out"
run 0 train $diverging --log mixed.jsonl --seed 6 --runs 3 --target 0.1 --json
json diverged accuracy_mean target_share target_p
[ "$(tr '\n' ' ' < values | cut -c 1-14)" = "1 0.125 0.6666" ] && [ "$(tail -n 1 values)" = null ] || die "figures of runs that diverged: $(cat values)"

# interrupted: whole lines, and the same command goes on
"$FENWICKS" train digits --epochs 3 --runs 50 --log i.jsonl > out 2> err &
pid=$!
while kill -0 $pid 2> /dev/null && [ ! -s i.jsonl ]; do sleep 0.02; done
kill -INT $pid 2> /dev/null
code=0
wait $pid || code=$?
[ $code = 130 ] || die "exit code $code, expected 130"
err "to go on: the same command; runs that are done are in i.jsonl"
"$TOOL" jsonl seed accuracy < i.jsonl || die "lines"
done_before=$(wc -l < i.jsonl)
run 0 train digits --epochs 3 --runs "$done_before" --log i.jsonl
[ "$(wc -l < i.jsonl)" = "$done_before" ] || die "done again"

echo '{"seed": 1}' > bad.jsonl
run 1 train digits --epochs 0.2 --log bad.jsonl
err "bad.jsonl: line 1: no seed, epochs or accuracy"
echo '{"seed": 1, "epochs": 0.2, "accuracy": 94.1}' > bad.jsonl
run 1 train digits --epochs 0.2 --log bad.jsonl
err "bad.jsonl: line 1: an accuracy that is no fraction"
run 1 train digits --epochs 0.2 --log no/folder.jsonl
err "no/folder.jsonl"
run 2 train digits --log r.jsonl --until-accuracy 0.9
err "--until-accuracy does not go with --log"
run 2 train digits --log r.jsonl --warm-start m.safetensors
run 2 train digits --same-commit
err "--same-commit needs --log"
run 2 train digits --runs 2 --target 94
err "--target: 94 is no fraction"
# what is added to is read first: a pipe would be waited for for ever
mkfifo pipe
run 1 train digits --epochs 0.2 --log pipe
err "pipe: is no regular file"
run 0 train digits --epochs 0.2 --log /dev/null
exit 0
