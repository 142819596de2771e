# train on a GPU that is made up (tests/cuda/gpu/fake_gpu.c): the engines of a run's convolutions are in its config.json,
# and a run goes on with those or not at all.
# (ctest: once)
. "$2/tests/cli/common"

FENWICKS=$FW_BUILD_DIR/fenwicks_fake_gpu
[ -x "$FENWICKS" ] || { [ -e "$FW_BUILD_DIR/cuda" ] && die "no $FENWICKS"; skip "built where nvcc is"; }
export FENWICKS_CONV_CHOICES=$PWD/choices.json
# 16 images to train on, 4 to test
awk 'BEGIN { for (r = 0; r < 20; r++) { for (i = 0; i < 64; i++) printf "%d,", (i * (r + 3)) % 17; print r % 10 } }' > few.csv
small="digits --data few.csv --batch 4 --set evaluate.batch=4 --epochs 0.75 --device cuda --precision bf16 --quiet" # 3 steps
conv1="conv2d bf16 4x8x8x1 > 8x8x32 k3x3 s1 p1 1 1 1"

run 0 train $small --out r --checkpoint-every 1
grep -qF "\"$conv1\": \"conv2d_bf16_nhwc_cudnn: engine 7\"" r/config.json || die "no engine of the first convolution"
[ "$(grep -cE '^    "conv2d(_dx|_dw)? bf16 .*: "conv2d.*_cudnn: engine 7' r/config.json)" = 8 ] || # the images want no gradient
    die "not the engines of all convolutions"
grep -q 'engine 7, in f32"' r/config.json || die "a filter's gradient without its type"
rm r/checkpoint-00000003.safetensors r/model.safetensors
cp r/config.json before.json
run 0 train $small --out r --resume
cmp -s before.json r/config.json || die "another config.json behind the same run"

# another version of a library: the same engine's number may mean something else
grep -qF '"libraries": "cuDNN 9.19.0' before.json || die "no libraries"
sed 's/cuDNN 9.19.0/cuDNN 9.18.1/' before.json > r/config.json
rm r/checkpoint-00000003.safetensors r/model.safetensors
run 0 train $small --out r --resume
err "r: the run was last with cuDNN 9.18.1"
err "perhaps not with the same bits"
cmp -s before.json r/config.json || die "the libraries of now are not in config.json"

# another engine for one convolution
printf '{"format": "fenwicks-conv-choices", "version": 1, "sm": 90, "cudnn": 91900, "choices": []}' > choices.json
run 0 bench conv digits --device cuda --precision bf16 --runs 1 --batch 4 --pass fwd --tune --shape conv1
rm r/checkpoint-00000003.safetensors r/model.safetensors
run 1 train $small --out r --resume
# with its channels padded or not: the stand-in says the same time of both, and the host's clock decides
err "config.json: $conv1 was computed by conv2d_bf16_nhwc_cudnn: engine 7, and is by conv2d_bf16_nhwc_cudnn: engine 11, knobs 1=11000 2=11001"
err " now: the bits would be others"
cmp -s before.json r/config.json || die "what was refused has changed the run"
rm choices.json
run 0 train $small --out r --resume

# no GPU computes in f64
run 1 train $(echo $small | sed s/bf16/f64/) --out f64
err "precision f64: device "
err "computes in f32, tf32, bf16 and f16; the device cpu has f64"
[ ! -e f64/config.json ] || die "a run that cannot be was begun"

# a CPU has no engines to name
run 0 train digits --batch 64 --epochs 0.1 --quiet --out cpu
grep -qE "engines|libraries" cpu/config.json && die "engines on a CPU"
exit 0
