# scripts/bench-peers before it measures: help, and mistakes named. PyTorch is no part of the tests.
. "$2/tests/cli/common"

peers() { code=0; "$SOURCE/scripts/bench-peers" "$@" > out 2> err || code=$?; last="bench-peers $*"; }
peers --help
[ $code = 0 ] || die "exit code $code"
out "PEERS_PYTHON"
peers --shape davidnet
[ $code = 2 ] || die "exit code $code, expected 2"
err "unknown option --shape"
peers --runs
[ $code = 2 ] || die "exit code $code, expected 2"
PEERS_PYTHON=false peers --fenwicks "$FENWICKS"
[ $code = 1 ] || die "exit code $code, expected 1"
err "false has no PyTorch"
PEERS_PYTHON=false peers --fenwicks no-such-command
[ $code = 1 ] || die "exit code $code, expected 1"
err "no command fenwicks"

# everything but PyTorch itself: the driver against a worker that answers without doing
mkdir fake
cp "$SOURCE/scripts/peers/bench_peers.py" fake
command -v python3 > /dev/null || exit 0
cat > fake/torch_worker.py <<'END'
import json, sys
for line in sys.stdin:
    do = json.loads(line)["do"]
    print(json.dumps({"hello": {"torch": "0", "threads": 1}, "run": {"seconds": [1e6]}}.get(do, {})), flush=True)
END
python3 fake/bench_peers.py --python python3 --fenwicks "$FENWICKS" --what conv --shapes one_image --precision f32 \
    --modes "eager compile" --runs 2 --threads 1 --json > lines || die "the driver fails"
[ "$(wc -l < lines)" = 9 ] || die "expected 3 passes of 3 configurations"
sed -n 2p lines > out
json kind name precision who config seconds ratio runs torch
exit 0
