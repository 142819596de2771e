# train, eval and predict on what cannot work: each names the file, the place and the reason, and exits 1.
. "$2/tests/cli/common"

run 0 train digits --epochs 0.5 --out run --quiet
grep -v 'results in' err | grep -q . && die "--quiet is not quiet"

# A folder that holds a run, a folder that cannot be made, one that holds none to go on with.
run 1 train digits --epochs 0.5 --out run
err "run: holds a run already"
err "--resume"
cp run/model.safetensors before
: > file
run 1 train digits --epochs 0.5 --out file/below
err "file/below"
run 1 train digits --out nothing --resume
err "nothing: holds no run"
run 1 train digits --epochs 0.25 --out run --resume
err "run"
cmp -s before run/model.safetensors || die "a refused run changed the model"

# Of several seeds a later one's folder: said before the first one is trained.
mkdir -p many/seed-6 && cp run/config.json many/seed-6
run 1 train digits --epochs 0.5 --out many --runs 3 --seed 5
err "many/seed-6: holds a run already"
[ ! -e many/seed-5 ] || die "a run was begun"
run 2 train digits --log r.jsonl --keep 3
err "--keep needs --out"
run 2 train digits --log r.jsonl --checkpoint-every 3
err "--checkpoint-every needs --out"
run 2 recipes --set lr=1
err "--set changes a recipe"
# Weights to begin with, where a proxy is trained first: looked at before that.
{ cat "$SOURCE/recipes/digits.recipe"
  printf '[network proxy]\nkeep = 16\nlayer = conv_bn 3\nlayer = global_max_pool\nlayer = classifier 10\n'; } > proxy.recipe
run 1 train proxy.recipe --epochs 0.5 --out pw --warm-start missing.safetensors
err "missing.safetensors"
[ ! -e pw/proxy ] || die "the proxy was trained"

# Data that does not fit.
run 1 train fenwicks --out r2
err "--data"
run 1 train fenwicks --data missing.tfrec --out r2
err "missing.tfrec"
"$TOOL" npy x.npy 12 || die "t_tool"
"$FENWICKS" convert x.npy x.tfrec --labels x.npy-labels.npy --split-every 3 > out || die "convert"
run 1 train fenwicks --data x.tfrec --out r2
err "8 x 8 x 1"
err "32 x 32 x 3"
"$TOOL" flip x-train.tfrec -20 || die "t_tool"
run 1 train digits --data x.tfrec --out r2 --batch 4 --epochs 2
err "x-train.tfrec: record 7 at byte"
run 1 train digits --epochs 1 --out r3 --memory-limit 1M
err "the limit is 1 MiB"
# More threads than the process may use: both numbers, before anything is read or written.
export FENWICKS_OVERSUBSCRIBE=
allowed=$("$FENWICKS" doctor | awk '/^threads/ { print $2 }')
for verb in "train digits --out r5" "train fenwicks --data missing.tfrec" "eval run/model.safetensors --recipe digits" \
    "bench step digits" "bench peak" "bench data digits"; do
    run 1 $verb --threads $((allowed + 1))
    err "$((allowed + 1)) threads are asked for"
    err "allow this process $allowed"
done
[ -e r5 ] && die "a folder was made"
if command -v taskset > /dev/null; then
    cpu=$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')
    last="taskset -c $cpu fenwicks train digits --threads 2"
    taskset -c "$cpu" "$FENWICKS" train digits --out r5 --threads 2 > out 2> err && die "2 threads on one CPU"
    err "allow this process 1"
fi
# A pinned run leaves the next one of its session as many threads.
run 0 train digits --epochs 0.1 --quiet --pin --runs 2 --log pinned.jsonl
[ "$(grep -c "\"threads\": $allowed[,}]" pinned.jsonl)" = 2 ] || die "--pin: not $allowed threads in each run"
export FENWICKS_OVERSUBSCRIBE=1

# Pinned threads change no bit, and leave nothing behind for the next run.
run 0 train digits --epochs 0.5 --out pinned --quiet --pin --runs 2 --explain
err "pinned"
cmp run/model.safetensors pinned/seed-0/model.safetensors || die "--pin changed the model"

# Instruction sets that there are not.
export FENWICKS_ISA=avx1024
run 1 train digits --epochs 1 --out r5
err "FENWICKS_ISA=avx1024: unknown; valid names are ref, portable"
for isa in avx2 avx512 avx512_bf16; do
    export FENWICKS_ISA=$isa
    "$FENWICKS" doctor > out 2> err && continue
    err "FENWICKS_ISA=$isa"
    run 1 train digits --epochs 1 --out r5
    err "the best that it has is"
done
unset FENWICKS_ISA
[ -e r5 ] && die "a folder was made"

# What can't be had of the device is told before data is read.
run 1 train fenwicks --data nowhere --out r3 --device tpu
err "device tpu: unknown; known are cpu, cuda and cuda:NUMBER"
run 1 train fenwicks --data nowhere --out r3 --precision f16
err "precision f16 is for GPUs"
run 1 train digits --epochs 1 --out r3 --warm-start x.npy
err "x.npy"

# A label that the network has no class for.
awk 'BEGIN { for (r = 0; r < 20; r++) { for (i = 0; i < 64; i++) printf "%d,", (i * r) % 17; print r == 13 ? 12 : r % 10 } }' > l.csv
run 1 train digits --data l.csv --out r4
err "l.csv"
err "classes"
# Where its name does not say what it is, data.source may; and that is not second-guessed.
cp l.csv l.txt
run 1 train digits --data l.txt --out r4
err "l.txt: cannot tell what it is from its name"
run 1 train digits --data l.txt --set data.source=csv --out r4
err "l.txt"
err "classes"
run 1 train digits --data l.csv --set data.source=npy --out r4
err "l.csv: does not begin with"
run 1 eval run/model.safetensors --data l.csv
err "label"
err "12"
[ ! -e r4/model.safetensors ] || die "a model of nothing"

# Images without labels.
run 1 eval run/model.safetensors --data x.npy
err "x.npy: has no labels to evaluate against"
"$FENWICKS" convert x.npy u.tfrec > out || die "convert"
run 1 eval run/model.safetensors --data u.tfrec
err "u.tfrec: has no labels to evaluate against"
run 1 train digits --data x.npy --batch 2 --out r4
err "x.npy"
err "labels"
# Records tell it before plans are made: with or without labels in the other part.
"$FENWICKS" convert x.npy n.tfrec --split-every 3 > out || die "convert"
mkdir bare && "$FENWICKS" convert x.npy bare/m.tfrec --split-every 3 > out || die "convert"
"$FENWICKS" convert x.npy m.tfrec --labels x.npy-labels.npy --split-every 3 > out || die "convert"
cp bare/m-test.* . || die "cp"
run 1 train digits --data n.tfrec --batch 2 --memory-limit 1000 --out r4
err "n-train.tfrec: has no labels to train with"
run 1 train digits --data m.tfrec --batch 2 --memory-limit 1000 --set evaluate.tta=mirror --out r4
err "m-test.tfrec: has no labels: the accuracy of a run cannot be told without them, with one view or with several"

# A path that the run's files could not name.
odd=$(printf 'x\351.npy')
cp x.npy "$odd" || die "cp"
run 1 train digits --data "$odd" --batch 2 --out r4
err "the path of the data is not UTF-8 text"
[ -e r4 ] && die "a folder was made"

for tta in "" "--tta mirror" "--tta airbench6" "--tta selective"; do
    run 1 eval run/model.safetensors --data u.tfrec $tta
    err "u.tfrec: has no labels to evaluate against"
done
for tta in mirror airbench6 selective; do
    run 1 train digits --data x.npy --batch 2 --set evaluate.tta=$tta --out r4
    err "labels"
    [ -e r4 ] && die "a folder was made"
done

# Combinations that cannot be, each refused before any data is looked for.
refused() { # text recipe changes
    local text=$1
    shift
    run 1 train "$@" --data none.tfrec --out r6
    err "$text"
    [ -e r6 ] && die "a folder was made"
}
refused "bn_groups is 16, which does not divide a batch of 500" page-8.5 --batch 500
refused "train.resolution: network of 4 x 4 images: layer 3 (conv_blk 256)" e1 --set "train.resolution=4 28 32"
refused "train.resolution: network of 1 x 1 images" e1 --set "train.resolution=1 28 32"
refused "evaluate.tta: images of 1 x 64 are too small for a view that is shifted by a pixel" digits \
    --set "network.input=1 64 1" --set augment.transform=standardize --set evaluate.tta=airbench6
refused "muon" airbench94 --set "group=bias optimizer=muon lr_scale=1"
refused "lars" airbench94 --set "group=bias optimizer=lars lr_scale=1"

# Another length is another schedule.
run 0 train digits --epochs 0.5 --out short --quiet
run 1 train digits --epochs 1 --out short --resume
err 'another optimizer, first in sgd: there "steps=11", here "steps=22"; the schedule is part of it'

# Model files: damaged header, damaged data, cut, another kind of file, other shapes.
model=run/model.safetensors
cp $model h.safetensors && "$TOOL" flip h.safetensors 2 || die "t_tool"
run 1 eval h.safetensors --recipe digits
err "h.safetensors: "
cp $model j.safetensors && "$TOOL" flip j.safetensors 9 || die "t_tool"
run 1 eval j.safetensors --recipe digits
err "j.safetensors: "
cp $model c.safetensors && "$TOOL" flip c.safetensors -100 || die "t_tool"
run 1 eval c.safetensors --recipe digits
err "c.safetensors: "
err "crc"
run 1 inspect c.safetensors --verify
err "c.safetensors: "
head -c 3000 $model > t.safetensors
run 1 predict t.safetensors x.npy
err "t.safetensors: "
run 1 eval x.npy --recipe digits
err "x.npy: "
sed 's/conv_blk 64/conv_blk 46/' $model > s.safetensors
cmp -s s.safetensors $model && die "the test's own edit does nothing"
run 1 eval s.safetensors --recipe digits
err "s.safetensors: "
run 1 predict $model missing.npy
err "missing.npy"
"$TOOL" npy-float f.npy 3 || die "t_tool"
run 1 predict $model f.npy
err "f.npy: images of 4 x 4 x 3, the model takes 8 x 8 x 1"
# As many transforms as a recipe may have have room in what a checkpoint says of its data.
jitters=$(printf ', color_jitter 0.1234567 0.7654321%.0s' 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
run 0 train digits --epochs 0.1 --set "transform=color_jitter 0.1234567 0.7654321$jitters" --out jitters --quiet

# A start that came to nothing leaves no folder, not even an empty one; one that was there before stays.
run 1 train digits --memory-limit 1000 --out made/for/this --quiet
err "the limit is"
[ ! -e made ] || die "folders of a run that never was"
run 1 train digits --memory-limit 1000 --runs 2 --out made --quiet
[ ! -e made ] || die "folders of runs that never were"
mkdir -p there/before
run 1 train digits --memory-limit 1000 --out there/before/now --quiet
[ -d there/before ] && [ ! -e there/before/now ] || die "what was there before, or what was not"
mkdir nowhere && cd nowhere || exit 1
run 1 train digits --memory-limit 1000 --quiet
[ "$(ls)" = "$(printf 'err\nout')" ] || die "left: $(ls)"
cd ..

exit 0
