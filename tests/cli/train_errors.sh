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
run 1 train digits --epochs 1 --out r3 --device tpu
err "tpu"
run 1 train digits --epochs 1 --out r3 --warm-start x.npy
err "x.npy"

# A label that the network has no class for.
awk 'BEGIN { for (r = 0; r < 20; r++) { for (i = 0; i < 64; i++) printf "%d,", (i * r) % 17; print r == 13 ? 12 : r % 10 } }' > l.csv
run 1 train digits --data l.csv --out r4
err "l.csv"
err "classes"
run 1 eval run/model.safetensors --data l.csv
err "label"
err "12"
[ ! -e r4/model.safetensors ] || die "a model of nothing"

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
exit 0
