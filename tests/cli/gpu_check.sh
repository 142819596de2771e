# scripts/gpu-check on made-up machines: without a GPU, with one whose tools are small scripts, and with one where steps
# fail. What it measures is not looked at, what it does with it is.
. "$2/tests/cli/common"

mkdir -p tree/scripts tools fakes
cp "$SOURCE/scripts/gpu-check" tree/scripts/
for tool in awk basename bash cat cut cp date dirname env git grep head mkdir nproc readlink rm sed sh sleep sort tail timeout tr uname wc; do
    path=$(command -v $tool) && ln -s "$path" "tools/$tool"
done
HERE=$PWD
check() { # CODE PATH ARGUMENT...
    want=$1 path=$2
    shift 2
    last="gpu-check $*"
    code=0
    PATH=$path bash tree/scripts/gpu-check "$@" > out 2> err || code=$?
    [ "$code" = "$want" ] || die "exit code $code, expected $want"
}
with() { grep -qF -e "$1" result/gpu-check.json || die "the JSON lacks: $1"; }
fake() { # NAME, its script on standard input
    { echo "#!/bin/bash"; cat; } > "fakes/$1"
    chmod +x "fakes/$1"
}

# wrong usage, whatever the machine
check 2 "$HERE/tools" --bugdet 5
err "unknown option --bugdet"
check 2 "$HERE/tools" --budget
err "--budget wants a value"
check 2 "$HERE/tools" --budget 5x
check 2 "$HERE/tools" --device cpu
check 0 "$HERE/tools" --help
out "--budget SECONDS"
grep -q "set -u" out && die "help goes on into the script"

# no driver; no such GPU; no toolkit: one line each
check 1 "$HERE/tools" --out "$HERE/result"
err "nvidia-smi was not found"
[ "$(wc -l < err)" = 1 ] || die "more than a line"
[ ! -e result ] || die "a folder without a result"
fake nvidia-smi << 'END'
case "$*" in
    *"-i 0 "*name*) echo "NVIDIA H999" ;;
    *"-i 0 "*compute_cap*) echo 9.0 ;;
    *"-i 0 "*) echo 700 ;;
    -L) echo "GPU 0: NVIDIA H999" ;;
    *) echo "No devices were found"; exit 6 ;;
esac
END
PATH_ALL=$HERE/fakes:$HERE/tools
check 1 "$PATH_ALL" --device cuda:3
err "lists no GPU number 3"
check 1 "$PATH_ALL"
err " was not found: " # nvcc; cmake where the toolkit is

# everything is there
fake nvcc << 'END'
echo "release 13.0"
END
fake cmake << 'END'
echo "$@" >> ../calls
[ ! -e ../no-build ] || { echo "x.cu(3): error: no"; exit 1; }
mkdir -p build/gpu
cp ../fakes/the-fenwicks build/gpu/fenwicks
cp ../fakes/the-fenwicks build/gpu/test_act
cp ../fakes/own-engines build/gpu/test_wgmma
END
fake own-engines << 'END'
[ "$FW_TEST_DEVICE" = cuda:0 ] || exit 1
[ -e ../no-own ] && echo "own engines on a GPU: 0 times" || echo "own engines on a GPU: 12 times"
END
fake ctest << 'END'
echo " 1/3 Test #1: ops.test_act .......   Passed    0.1 sec"
echo " 2/3 Test #2: ops.test_bn ........***Skipped   0.1 sec"
[ ! -e ../no-test ] || { echo " 3/3 Test #3: unit.x ...***Failed  0.1 sec"; exit 8; }
END
fake compute-sanitizer << 'END'
[ ! -e ../no-sanitizer ] || { echo "========= Error: no debugger here"; exit 1; }
echo "========= ERROR SUMMARY: 0 errors"
END
fake the-fenwicks << 'END'
echo "fenwicks $*" >> ../calls
case "$1" in
    doctor) echo '{"parts": [{"name": "cuda", "present": true}]}' ;;
    recipes) [ "$2" != no-such ] || exit 1 ;;
    train)
        n=1
        while [ $# -gt 0 ]; do
            [ "$1" != --runs ] || n=$2
            shift
        done
        printf '{"accuracy": 0.9, "runs": ['
        for i in $(seq 1 "$n"); do
            [ "$i" = 1 ] || printf ', '
            printf '{"seed": %d, "accuracy": 0.9%d, "t_train": 0.%d, "t_total": 0.0%d, "t_dawn": 1.%d}' $((i - 1)) $((i + 3)) "$i" "$i" "$i"
        done
        echo '], "accuracy_mean": 0.1, "t_train": 77, "t_total": 77, "t_dawn": 77}'
        ;;
    bench)
        echo "${FENWICKS_CONV_ENGINE:-any}" >> ../engines
        echo '{"gflops": 1}'
        case "$2" in conv | ops) echo '{"gflops": 2}' ;; esac
        case "$*" in *--tune*) echo '{"choices": [7]}' > "$FENWICKS_CONV_CHOICES" ;; esac
        ;;
    --version) echo "fenwicks 9.9.9" ;;
esac
END
ln -s "$(command -v seq)" tools/seq
mkdir data
check 0 "$PATH_ALL" --budget 100 --seeds 3 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result"
out "$HERE/result/gpu-check.json"
cp out kept && "$TOOL" json gpu steps tests training bench doctor sanitizer seconds < result/gpu-check.json > values ||
    die "the result is no JSON object"
with '"passed": 1, "failed": 0, "skipped": 1'
with '"name": "NVIDIA H999", "compute_capability": "9.0"'
with '"runs_asked": 3, "complete": true'
# 0.94, 0.95, 0.96: mean 0.95, deviation 0.01, t = 0.01 / (0.01 / sqrt 3); times 0.1, 0.2, 0.3
with '"n": 3, "accuracy_mean": 0.950000, "accuracy_std": 0.010000, "accuracy_min": 0.940000, "share_at_94": 1.0000, "t": 1.732, "diverged": 0'
with '"passes": false, "t_train_mean": 0.200000, "t_train_std": 0.100000, "t_train_min": 0.100000, "t_train_mean_without_first": 0.250000'
with '"sanitizer": "nothing found"'
for name in peak step-airbench94-muon tune-airbench94-muon ops conv conv-f32 conv-tf32 conv-f16; do
    with "\"bench-$name\": "
done
with '"conv_choices": {"choices": [7]}'
grep -q 'left out' result/gpu-check.json && die "something is named as left out"
grep -q cudnn engines && die "engines of our own left out, though they ran and passed"
grep -q 'bench peak --device cuda:0 --json' calls || die "no ceilings"
grep -q 'bench conv airbench94-muon --precision bf16 --tune --device cuda:0 --json' calls || die "no tuning of the recipe"
[ "$(grep -n -e --tune calls | head -n 1 | cut -d : -f 1)" -lt "$(grep -n 'fenwicks train' calls | head -n 1 | cut -d : -f 1)" ] ||
    die "trained before it was tuned"
grep -q 'FW_CUDA_TARGETS=90a' calls || die "not built for this GPU"
grep -q 'train airbench94-muon .*--device cuda:0 --precision bf16 --seed 0 --runs 3' calls || die "no training of 3 seeds"

# engines of our own that never ran on the GPU are not measured
rm -rf result engines && touch no-own
check 0 "$PATH_ALL" --budget 100 --seeds 1 --data "$HERE/data" --out "$HERE/result" --recipes airbench94-muon --skip "tune train sanitizer"
grep -q any engines && die "engines of our own are measured, though none ran"
rm no-own

# more seeds than fit: as many as do, and that is said
rm -rf result calls
check 1 "$PATH_ALL" --budget 12 --seeds 5000 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --skip "tune bench sanitizer"
with '"complete": false'
with 'of 5000 seeds fitted'

# what fails is named, and what depends on it is left out
rm -rf result calls tree/build && touch no-build
check 1 "$PATH_ALL" --budget 100 --out "$HERE/result" --data "$HERE/data"
with 'failed: x.cu(3): error: no'
with '"training": []'
"$TOOL" json steps < result/gpu-check.json > values || die "the result is no JSON object"
rm -rf result no-build && touch no-test no-sanitizer
check 1 "$PATH_ALL" --budget 100 --seeds 2 --out "$HERE/result" --data "$HERE/none" --recipes "airbench94-muon no-such"
with '"failed": 1'
with "no data at $HERE/none"
with 'this machine does not allow it: ========= Error: no debugger here'
with '"name": "sanitizer", "ended": "ok"'
rm -rf result no-test no-sanitizer
check 1 "$PATH_ALL" --budget 100 --seeds 2 --out "$HERE/result" --data "$HERE/data" --recipes no-such --skip "tests tune bench sanitizer"
with 'this build has no recipe of that name'
