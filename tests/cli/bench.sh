# bench on small work: it ends, its results are right, and wrong names are answered with the right ones.
. "$2/tests/cli/common"

run 0 bench data digits --runs 2 --data "$SOURCE/recipes/digits.csv"
out "images/s"
run 0 bench data digits --runs 2 --json
json images_per_second images_per_second_min images_per_second_max threads images runs
is "$(head -n 1 values) > 0 && $(sed -n 2p values) <= $(sed -n 3p values)"
run 0 bench step digits --runs 2 --batch 8
out "images/s"
out "start to first step"
out "conv2d"
run 0 bench step digits --runs 2 --batch 8 --json
json images_per_second share_of_peak ops seconds gflops epoch_seconds start_seconds batch budget_bytes
is "$(head -n 1 values) > 0"

# every pass and algorithm of a layer in each precision, on 3 images
for precision in f32 bf16 f64; do
    run 0 bench conv --shape davidnet/layer2 --batch 3 --runs 1 --precision $precision --accept-slow
    for pass in fwd dx dw; do
        grep -qE "davidnet/layer2 .* $pass +direct" out || die "no direct $pass in $precision"
    done
    grep -q WRONG out && die "wrong in $precision"
done
run 0 bench conv --shape layer2 --batch 3 --runs 2 --pass dw --algo direct --layout nhwc --json
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
err "auto, direct, winograd2, winograd4, all"
run 1 bench conv --layout nchw
err "blocked, nhwc"
run 1 bench conv --shape layer2 --precision f64 --algo winograd2
err "no kernel"
run 1 bench conv --shape layer2 --results no-such-folder
err "no-such-folder"
run 2 bench conv --batch none
err "is no number"

# peaks: recorded ones are kept, and lower readings of another time are refused
run 0 bench peak --threads 1 --record . --json
json gflops_f32 gflops_bf16 gbytes_read gbytes_copy gbytes_stream threads
is "$(head -n 1 values) > 0 && $(sed -n 3p values) > 0 && $(sed -n 4p values) > 0"
ls *.json > /dev/null || die "no record"
for f in *.json; do sed 's/\("gflops_[a-z0-9]*": \)[0-9.]*/\11e9/' "$f" > high && mv high "$f"; done
run 0 bench conv --shape layer2 --batch 3 --runs 1 --pass fwd --algo direct --threads 1 --results .
out refused
err "accept-slow"
run 0 bench conv --shape layer2 --batch 3 --runs 1 --pass fwd --algo direct --threads 1 --results . --accept-slow
grep -q refused out && die "refused though accepted"
echo '{"cpu": "another", "peaks": []}' > "$f"
run 1 bench conv --shape layer2 --results .
err "expected an object"
exit 0
