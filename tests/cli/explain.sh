# --explain: what was chosen is said on standard error before the first step, and changes nothing.
. "$2/tests/cli/common"

run 0 train digits --epochs 1 --seed 1 --out plain --quiet
cp out plain_out
run 0 train digits --epochs 1 --seed 1 --out told --quiet --explain
cmp plain/model.safetensors told/model.safetensors || die "--explain changed the model"
[ -s out ] && grep -q 'device:' out && die "the plan is on standard output"
grep -qE '^device: cpu \((ref|portable|avx2|avx512|avx512_bf16), [0-9]+ threads?\); precision f32, conv auto$' err ||
    die "no device line"
grep -qE '^training, batches of [0-9]+: [0-9]+ steps, [0-9.]+ MiB of scratch; layout: ' err || die "no plan of training"
grep -qE '^evaluation, batches of 360: ' err || die "no plan of evaluation"
grep -qE '^  fwd  8x8 1 > [0-9]+ +3x3/1 +direct +conv2d_' err || die "no forward pass"
grep -qE '^  dx   [0-9]+x[0-9]+ ' err || die "no input gradient"
grep -qE '^  dw   8x8 1 > ' err || die "no filter gradient"
[ "$(grep -c '^  fused:' err)" = 2 ] || die "fused ops of two plans"
grep -qE '^memory: [0-9.]+ MiB: state [0-9.]+, scratch ' err || die "no memory line"

# What a user wants of convolutions is in it, and in config.json; another one does not go on with the run.
run 0 train digits --epochs 1 --seed 1 --out direct --quiet --explain --set train.conv=direct
err "conv direct"
grep -q winograd err && die "Winograd although direct was asked for"
grep -q 'conv = direct' direct/config.json || grep -q '"conv": *"direct"' direct/config.json || die "config.json"
run 1 train digits --epochs 1 --seed 1 --out direct --quiet --resume --set train.conv=winograd4
err "another conv"
run 1 train digits --set train.conv=fast
err 'direct'

# eval and bench step.
run 0 eval plain/model.safetensors --recipe digits --explain --batch 30
grep -qE '^evaluation, batches of 30: ' err || die "eval"
grep -q '^  d[xw] ' err && die "gradients in an evaluation"
run 0 bench step digits --runs 1 --explain --json
json images_per_second
grep -qE '^training, batches of ' err || die "bench step"
run 1 bench step digits --runs 1 --memory-limit 1M
err "the limit is 1 MiB"

# Images of 28 pixels: sides of 13 and 6, which squares of 5 and of 6 fit.
run 0 bench step sprint --set resolution=28 --set resolution_ends= --at 1 --batch 4 --precision f32 --runs 1 --explain
grep -qE '^  fwd  13x13 64 > 64 .* winograd5 ' err || die "no winograd5"
grep -qE '^  dw   6x6 256 > 256 .* winograd6 ' err || die "no winograd6"
grep -q ' winograd7 ' err && die "winograd7 of images stored as f32"
if grep -qw avx2 /proc/cpuinfo; then # stored as bf16, multiplied as f32: squares of 7, but not for filters
    export FENWICKS_ISA=avx2
    run 0 bench step sprint --set resolution=28 --set resolution_ends= --at 1 --batch 4 --precision bf16 --runs 1 --explain
    grep -qE '^  fwd  13x13 64 > 64 .* winograd7 ' err || die "no winograd7"
    grep -qE '^  dx   13x13 64 > 64 .* winograd7 ' err || die "no winograd7 for dx"
    grep -qE '^  dw   13x13 64 > 64 .* winograd5 ' err || die "no winograd5 for dw"
    unset FENWICKS_ISA
fi
run 0 bench step sprint --set resolution=28 --set resolution_ends= --at 1 --batch 4 --precision f32 --runs 1 --explain --set conv=winograd3
grep -qE ' winograd[4567] ' err && die "more than was asked for"
grep -qE '^  fwd  13x13 64 > 64 .* winograd3 ' err || die "no winograd3"
