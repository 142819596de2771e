# bench on small work: it ends, its results are right, and wrong names are answered with the right ones.
# (ctest: once)
. "$2/tests/cli/common"

run 0 bench data digits --runs 2 --data "$SOURCE/recipes/digits.csv"
out "images/s"
run 0 bench data digits --runs 2 --json
json images_per_second images_per_second_min images_per_second_max threads images runs ms_per_batch
is "$(head -n 1 values) > 0 && $(sed -n 2p values) <= $(sed -n 3p values)"
is "$(sed -n 2p values) > 0"
run 0 bench data digits --runs 1 --with data.prefetch=0 --with data.cache=true,data.prefetch=4
for row in "digits" "digits data.prefetch=0" "digits data.cache=true,data.prefetch=4"; do
    grep -qE "^$row +[0-9]+ +[0-9]+ +[0-9]+ +[0-9.]+ +[0-9.]+$" out || die "no row of $row"
done
run 0 bench data digits mnist --runs 1 --json
json images_per_second ms_per_batch name variants
grep -q '"name": "mnist"' out || die "no second recipe"
run 1 bench data digits --with data.prefetc=0
err "the nearest valid one is data.prefetch"
run 0 bench step digits --runs 2 --batch 8
out "images/s"
out "start to first step"
out "conv2d"
out "everything else"
out "in f32"
out "of peak ceiling"
grep -qE '^conv2d.* [0-9.]+% f32$' out || die "no share of the products' ceiling"
grep -qE '^.*_stats.* [0-9.]+% (f32|memory)$' out || die "no share of sums"
run 0 bench step digits --runs 2 --batch 8 --json
grep -q '"ceiling": "memory"' out || die "no ceiling"
json images_per_second share_of_peak ops parts seconds gflops epoch_seconds start_seconds batch budget_bytes peak_memory_bytes
is "$(head -n 1 values) > 0"
run 1 bench step digits --runs 1 --batch 8 --memory-limit 1K
err "the limit is"

# peaks are recorded; here as so low that none is refused, whoever else uses the machine
run 0 bench peak --threads 1 --record . --json
json gflops_f32 gflops_bf16 gbytes_read gbytes_copy gbytes_stream threads
is "$(head -n 1 values) > 0 && $(sed -n 3p values) > 0 && $(sed -n 4p values) > 0"
record=$(echo *.json)
[ -s "$record" ] || die "no record"
set_peaks() { sed "s/\(\"gflops_[a-z0-9]*\": \)[0-9.e-]*/\1$1/" "$record" > new && mv new "$record"; }
set_peaks 1e-9

# every pass and algorithm of a layer in each precision, on 3 images; bf16 from AVX2 on
precisions="f32 f64"
grep -q '"isa": "avx' "$record" && precisions="f32 bf16 f64"
for precision in $precisions; do
    run 0 bench conv --shape airbench94/block3 --batch 3 --runs 1 --precision $precision --threads 1 --results .
    for pass in fwd dx dw; do
        grep -qE "airbench94/block3 .* $pass +direct" out || die "no direct $pass in $precision"
    done
    grep -qE "WRONG|%!" out && die "wrong or refused in $precision"
done
run 0 bench conv --shape layer2 --batch 3 --runs 2 --pass dw --algo direct --layout nhwc --threads 1 --results . --json
json net name pass algo kernel layout seconds seconds_min seconds_max gflops executed share_of_peak error wrong
is "$(sed -n 12p values) > 0 && $(sed -n 13p values) < 1e-4"
is "$(sed -n 8p values) <= $(sed -n 7p values) && $(sed -n 7p values) <= $(sed -n 9p values)"
# 16 x 16 with a border of 1: (3 * 16 - 2)^2 of (3 * 16)^2 taps
is "$(sed -n 11p values) > 0.9184 && $(sed -n 11p values) < 0.9185"
run 1 bench conv --shape layer0
err "davidnet: prep layer1"
run 1 bench conv --pass up
err "fwd, dx, dw"
run 1 bench conv --algo fft
err "auto, direct, winograd2 to winograd7, all"
run 1 bench conv --layout nchw
err "blocked, nhwc"
run 1 bench conv --shape layer2 --precision f64 --algo winograd2
err "no kernel"
run 1 bench conv --shape layer2 --results no-such-folder
err "no-such-folder"
for batch in none 0 9000000000; do
    run 2 bench conv --batch $batch
    err "expected a whole number from 1 to 1048576"
done
for subject in conv ops; do
    run 1 bench $subject --shape davidnet/layer1 --batch 1048576
    err "a smaller batch needs less"
done
# what says nothing of the subject is not passed over
run 2 bench conv davidnet
err "conv takes no recipe"
run 2 bench peak --pin
err "--pin says nothing of peak"
run 2 bench step digits --shape layer1
err "--shape says nothing of step"
run 2 bench ops --pass dw
err "--pass says nothing of ops"
run 2 bench cnov
err "none of step, conv, ops, data, peak"

run 0 bench conv --shape layer2 --batch 14 --runs 1 --pass fwd --algo auto --threads 1 --results . --json
json algo chosen error
[ "$(sed -n 2p values)" = true ] || die "auto runs what is not chosen"

# the sweeps between them
run 0 bench ops --shape davidnet/layer3_res --batch 2 --runs 1
out "GB/s read"
for op in bn_train relu_grad max_pool add; do
    grep -q "^$op " out || die "no $op"
done
run 0 bench ops --shape airbench94/block1_in --batch 20 --runs 3 --op add --in-place --layout nhwc --json
json op n h w c bytes seconds gbytes_per_second share_of_peak
is "$(sed -n 6p values) == 3 * 20 * 31 * 31 * 64 * 4 && $(sed -n 8p values) > 0"
run 1 bench ops --op conv2d
err "bn_train, bn_train_grad"
# another activation than the net's, with the ops that know it
run 0 bench ops --shape airbench94/whiten --batch 2 --runs 1 --act silu
grep -qE "^act silu +airbench94/whiten +2x31x31x24 " out || die "no act silu"
grep -q "^relu" out && die "relu measured as silu"
# sizes of images where the net is given them; filters, where they are updated
for row in "resize +airbench94/whiten +2x32x32x3 > 24x24" "resize +airbench94/whiten +2x32x32x3 > 28x28" \
    "sgd +airbench94/whiten +24x2x2x3" "muon +airbench94/whiten +24x2x2x3"; do
    grep -qE "^$row " out || die "no $row"
done
run 0 bench ops --shape airbench94/whiten --batch 2 --runs 1 --act celu --op bn_act --json
json act op
[ "$(sed -n 1p values)" = celu ] || die "bn_act of another activation"
run 0 bench ops --shape airbench94/whiten --batch 2 --runs 1 --act relu --op relu_grad
run 1 bench ops --act swish
err "relu, identity, celu, gelu, silu, tanh, sigmoid, softplus"
run 1 bench ops --op relu --act silu
err "relu has no activation silu"
run 1 bench ops --op add --act silu
err "add has no activation silu"
run 2 bench conv --act silu
err "--act says nothing of conv"
run 0 bench ops --shape davidnet/layer3_res --batch 2 --runs 1 --op sgd --json
json n h w c bytes
is "$(sed -n 5p values) == 5 * 4 * 512 * 9 * 512 + 8 * 5"
run 1 bench ops --shape davidnet/layer3_res --batch 2 --op resize
err "no kernel"
run 1 bench ops --shape block9
err "airbench94: whiten block1_in"
run 1 bench ops --layout nchw
err "blocked, nhwc"

# readings under those of another time are refused, unless they are accepted
set_peaks 1e9
run 1 bench conv --shape layer2 --batch 3 --runs 1 --pass fwd --algo direct --threads 1 --results .
out "%!"
err "1 row was refused"
err "accept-slow"
run 0 bench conv --shape layer2 --batch 3 --runs 1 --pass fwd --algo direct --threads 1 --results . --accept-slow
grep -q "%!" out && die "refused though accepted"
[ ! -s err ] || die "a warning though accepted"
# nothing recorded: an error of a folder that was named; else the rows come, and that none was refused is said
export FENWICKS_ISA=portable
run 1 bench conv --shape airbench94/block3 --batch 1 --precision bf16
err "precision bf16"
run 0 bench conv --shape airbench94/block3 --batch 1 --runs 1 --pass fwd --algo direct --threads 1
err "no peak is recorded"
unset FENWICKS_ISA
sed 's/"peaks".*/"peaks": []}/; /peaks/q' "$record" > new && mv new "$record"
run 1 bench conv --shape layer2 --batch 3 --runs 1 --pass fwd --algo direct --threads 1 --results .
err "no peaks are recorded for"
echo '{"cpu": "another", "peaks": []}' > "$record"
run 1 bench conv --shape layer2 --results .
err "expected an object"
exit 0
