# bench data and bench step on small work: they end, and say images per second.
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
exit 0
