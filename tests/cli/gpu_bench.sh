# bench and doctor on a GPU that is made up (tests/cuda/gpu/fake_gpu.c): what they print, what they refuse, and the file
# of choices that tuning writes. Times are the stand-in's: engine 11 is its fastest that is right and allowed, for f32
# engine 5.
# (ctest: once)
. "$2/tests/cli/common"

# ---- without a GPU, or with the wrong words ----
for call in "peak" "conv --shape layer2" "ops --shape layer2" "step digits --runs 1"; do
    run 1 bench $call --device cuda:99
    err "device cuda:99: "
    run 1 bench $call --device gpu
    err "device gpu: unknown; known are cpu, cuda and cuda:NUMBER"
done
run 1 bench conv --shape layer2 --device cuda:99 --json
json error status
run 2 bench conv --tune
err "--tune needs a GPU: --device cuda"
run 2 bench conv --tune --device cpu
err "--tune needs a GPU"
run 2 bench peak --tune --device cuda
err "--tune says nothing of peak"
run 2 bench peak --device cuda --record .
err "--record is for the peaks of CPUs"
run 2 bench peak --runs 3
err "--runs says nothing of peak"
run 2 bench conv --precision tf32
err "tf32 is for step, and for conv on a GPU"
run 2 bench data --device cuda
err "--device says nothing of data"
run 1 bench conv --device cuda --precision f64
err "precision f64: a GPU computes in f32, tf32, bf16 and f16"
run 1 bench ops --device cuda --precision f64
err "precision f64: a GPU computes in f32, bf16 and f16"
run 1 bench conv --device cuda --layout blocked
err "there is nhwc"
run 1 bench conv --device cuda --algo winograd2
err "auto, cudnn, wgmma, narrow, cuda, all"
run 1 bench conv --device cuda --tune --algo cuda
err "what is tuned is auto, not cuda"

# ---- on one ----
FENWICKS=$FW_BUILD_DIR/fenwicks_fake_gpu
[ -x "$FENWICKS" ] || { [ -e "$FW_BUILD_DIR/cuda" ] && die "no $FENWICKS"; exit 0; } # built where nvcc is
export FENWICKS_CONV_CHOICES=$PWD/choices/conv.json
run 1 bench peak --device cuda:1
err "device cuda:1: there is 1 GPU, numbered from 0; number 1 was asked for"

run 0 doctor
out "GPU 0    NVIDIA of no kind, compute capability 9.0"
out "memory 1.0 GiB, 0.5 free"
out "driver 580.0 for CUDA 13.0"
out "cuDNN 9.19.0; cuBLASLt 13.1.0"
out "precisions f32, tf32, bf16, f16"
run 0 doctor --json
json gpus
for key in name compute_capability memory_bytes memory_free_bytes driver libraries precisions why_not; do
    out "\"$key\": "
done

run 0 bench peak --device cuda --runs 3
out "medians of 3"
grep -qE '^products on tensor cores, bf16 .* TFLOP/s +\(' out || die "no ceiling of tensor cores"
grep -qE '^memory, read .* GB/s +\(' out || die "no ceiling of memory"
run 0 bench peak --device cuda:0 --runs 1 --json
json gflops_f32 gflops_tf32 gflops_bf16 gflops_f16 gbytes_per_second gbytes_read gbytes_copy device runs readings note
for i in 1 2 3 4 5 6 7; do
    is "$(sed -n ${i}p values) > 0" "figure $i"
done

small="--shape resnet18/block4_skip --batch 1 --runs 1"
for precision in f32 tf32 bf16 f16; do
    run 0 bench conv $small --device cuda --precision $precision
    for pass in fwd dx dw; do
        grep -qE "^resnet18/block4_skip .* $pass +cudnn\*" out || die "no $pass by cuDNN in $precision"
        grep -qE "^resnet18/block4_skip .* $pass +cuda " out || die "no $pass by our own kernels in $precision"
    done
    grep -q WRONG out && die "wrong in $precision"
    out "the heuristic's"
done
grep -q "engine 7" out || die "not the heuristic's first engine"
run 0 bench conv $small --device cuda --precision bf16 --pass dw --algo auto --json
json device precision net name pass algo chosen kernel engine n h w c oc k stride pad seconds gflops peak_before \
    peak_after share_of_peak error wrong scratch_bytes runs
[ "$(sed -n 6p values)" = cudnn ] || die "auto is not what training takes"
is "$(sed -n 22p values) > 0" "share of the peak"
FENWICKS_CUDNN=none run 0 bench conv $small --device cuda --precision bf16 --pass fwd
grep -qE " fwd +cuda\*" out || die "without cuDNN our own kernels are not what training takes"
[ ! -e choices ] || die "a file of choices without tuning"

# ---- tuning ----
run 0 bench conv $small --device cuda --precision bf16 --tune
out "of 4 engines, 1 of them wrong"
out "kept in $PWD/choices/conv.json"
[ "$(grep -c 'engine 11, knobs 1=11000 2=11001' out)" = 3 ] || die "not the fastest engine that is right"
[ "$(grep -c 'measured' out)" = 3 ] || die "the choices are not in use"
"$TOOL" json format version sm cudnn choices < choices/conv.json > values || die "the file is no JSON object"
[ "$(grep -c '"engine": 11' choices/conv.json)" = 3 ] || die "the file lacks a choice"
cp choices/conv.json before.json
run 0 bench conv $small --device cuda --precision f32 --tune --pass fwd --json
json algo engine tuned
out '"engines": 1'
grep -q '"engine": 5' choices/conv.json || die "no choice for f32"
[ "$(grep -c '"engine": 11' choices/conv.json)" = 3 ] || die "the earlier choices are gone"
# who opens the device next takes them
run 0 bench conv $small --device cuda --precision bf16 --pass fwd --algo cudnn
out "engine 11, knobs 1=11000 2=11001, measured"
# refused: a file that cannot be written or read, and one of another GPU
FENWICKS_CONV_CHOICES=/dev/null/conv.json run 1 bench conv $small --device cuda --precision bf16 --tune
err "/dev/null"
[ ! -s out ] || die "measured for a file that cannot be written"
printf '{"format": "fenwicks-conv-choices", "version": 1, "sm": 80, "cudnn": 91900, "choices": []}' > other.json
FENWICKS_CONV_CHOICES=$PWD/other.json run 1 bench conv $small --device cuda --precision bf16 --tune
err "holds choices for sm_80, here is sm_90"
cp before.json broken.json
sed -i 's/"engine": 11/"engine": "11"/' broken.json
FENWICKS_CONV_CHOICES=$PWD/broken.json run 1 bench conv $small --device cuda --precision bf16 --tune
err "broken.json: choice 0: engine is neither a number nor own:NAME"
grep -q '"engine": "11"' broken.json || die "a file that cannot be read was replaced"
FENWICKS_CUDNN=none run 1 bench conv $small --device cuda --precision bf16 --tune
err "engines are cuDNN's"

# the convolutions of a recipe
run 0 bench conv digits --device cuda --precision bf16 --runs 1 --batch 4 --pass fwd --tune
grep -qE '^digits/conv1 +4 8x8 1 > ' out || die "not the recipe's first convolution"
out "engine 11"
# and where no engine takes its channels as they are
FW_FAKE_CHANNELS=1 FENWICKS_CONV_CHOICES=$PWD/padded.json run 0 bench conv digits --device cuda --precision bf16 --runs 1 \
    --batch 4 --pass fwd --tune --shape conv1
out "engine 11, knobs 1=11000 2=11001, channels padded to 8, measured"
grep -q '"pad": 8' padded.json || die "a choice without its padding"
run 1 bench conv digits --device cuda --shape conv99
err "digits has "
run 2 bench conv digits --device cpu
err "conv takes no recipe"
# the file as the table in the source
if command -v python3 > /dev/null && command -v cc > /dev/null; then
    "$SOURCE/scripts/conv-choices-table" choices/conv.json > table.c || die "no table"
    [ "$(grep -c '.engine = 11, .n_knobs = 2, .knobs = {{1, 11000}, {2, 11001}}' table.c)" -ge 4 ] || die "the table lacks a choice"
    for dir in include src/core src/ir src/exec src/cuda; do
        echo "\"-I$SOURCE/$dir\""
    done > flags
    cc -std=c17 -Wall -Wextra -Werror -fsyntax-only @flags table.c 2> err || die "the table does not compile"
    "$SOURCE/scripts/conv-choices-table" choices/conv.json before.json other.json | cmp -s - table.c || die "a choice stands twice"
    "$SOURCE/scripts/conv-choices-table" padded.json | grep -q '\.n_knobs = 2, \.pad = 8, ' || die "a row without its padding"
    "$SOURCE/scripts/conv-choices-table" /dev/null > table.c 2> err && die "a file that is none gives a table"
    err "/dev/null"
fi

# ---- sweeps, and a step ----
run 0 bench ops --shape airbench94/whiten --batch 2 --runs 1 --device cuda --precision bf16
for op in bn_stats bn_act bn_act_grad bias_act max_pool add; do
    grep -qE "^$op .* bf16_nhwc_cuda|^$op .*_bf16_.*cuda" out || die "no $op"
done
run 0 bench ops --shape airbench94/block3 --batch 2 --runs 1 --device cuda --op bn_act --json
json device op kernel n h w c bytes seconds gbytes_per_second share_of_peak gbytes_read gbytes_copy
run 0 bench step digits --runs 1 --batch 8 --device cuda --precision bf16
out "of peak ceiling"
out "times its kernels"
out "after the first step 0 blocks of device memory allocated, 0 of the host's"
run 0 bench step digits --runs 2 --batch 8 --device cuda --json
json images_per_second share_of_peak ops parts seconds graph_seconds kernels_seconds graph_to_kernels allocations \
    host_allocations memory_taken_bytes peak device
is "$(sed -n 6p values) > 0 && $(sed -n 7p values) > 0 && $(sed -n 8p values) > 0" "the recorded step"
is "$(sed -n 9p values) == 0" "allocations"
out '"ceiling": "f32"'
out '"ceiling": "memory"'
exit 0
