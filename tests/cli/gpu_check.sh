# scripts/gpu-check on made-up machines: without a GPU, with one whose tools are small scripts, and with one where steps
# fail. What it measures is not looked at, what it does with it is.
# (ctest: once)
. "$2/tests/cli/common"

mkdir -p tree/scripts tools fakes
cp "$SOURCE/scripts/gpu-check" tree/scripts/
for tool in awk basename bash cat cmp cut cp date dirname env find git grep head mkdir nproc readlink rm sed sh sleep sort tail timeout tr uname wc; do
    path=$(command -v $tool) && ln -s "$path" "tools/$tool"
done
HERE=$PWD
export GPU_CHECK_FOLDERS=$HERE/system
unset CUDNN_ROOT CUDNN_PATH FENWICKS_CUDNN FENWICKS_CUBLASLT CUDA_HOME CUDA_PATH LD_LIBRARY_PATH
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
check 2 "$HERE/tools" --peers nowhere
err "no such folder"
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
    *"-i 0 "*temperature.gpu,clocks.sm,power.draw*) echo "61, 1980, 512.5" ;;
    *"-i 0 "*) echo 700 ;;
    -L) echo "GPU 0: NVIDIA H999" ;;
    *) echo "No devices were found"; exit 6 ;;
esac
END
PATH_ALL=$HERE/fakes:$HERE/tools
check 1 "$PATH_ALL" --device cuda:3
err "lists no GPU number 3"
check 1 "$PATH_ALL" --out "$HERE/result"
err "ctest was not found: scripts/deps"
[ ! -e result ] || die "a folder without a result"
fake nvcc << 'END'
echo "Cuda compilation tools, release 13.0, V13.0.88"
END
fake cc << 'END'
END
fake protoc-c << 'END'
END
fake pkg-config << 'END'
[ ! -e ../no-inih ] || [ "$2" != inih ]
END
fake ctest << 'END'
END
fake cmake << 'END'
END
touch no-inih
check 1 "$PATH_ALL"
err "the library inih was not found: scripts/deps"
err "cudnn_graph.h was not found: "
err "$HERE/system/include"
err "cublasLt.h was not found: "
grep -q -e nvcc -e ctest err && die "more is missing than is"
rm no-inih
# headers and libraries of python3's package, which is looked in last
mkdir -p site/nvidia/cudnn/include site/nvidia/cudnn/lib site/nvidia/cublas/include site/nvidia/cublas/lib
touch site/nvidia/cudnn/include/cudnn_graph.h site/nvidia/cudnn/lib/libcudnn.so.9
touch site/nvidia/cublas/include/cublasLt.h site/nvidia/cublas/lib/libcublasLt.so.13
fake python3 << 'END'
case $1 in
    -c) cat ../package ;;
    *) exec bash "$1" ;; # a peer
esac
END
echo "$HERE/site/nvidia" > package

# everything is there
fake cmake << 'END'
echo "$@" >> ../calls
[ ! -e ../no-build ] || { echo "x.cu(3): error: no"; exit 1; }
mkdir -p build/gpu
echo "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" > build/gpu/CMakeCache.txt
echo "$CUDNN_ROOT, $FENWICKS_CUDNN, $FENWICKS_CUBLASLT" > ../found
cp ../fakes/the-fenwicks build/gpu/fenwicks
cp ../fakes/the-fenwicks build/gpu/test_act
cp ../fakes/own-engines build/gpu/test_wgmma
cp ../fakes/first-losses build/gpu/test_device_runs
END
fake first-losses << 'END'
[ -e "$FENWICKS_DATA" ] && [ "$FW_TEST_DEVICE" = cuda:0 ] && [ "$FW_TEST_RECIPE" = airbench94-muon ]
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
    doctor)
        libraries="cuDNN 9.19.0; cuBLASLt 13.1.0"
        [ ! -e ../no-cudnn ] || libraries="no cuDNN: cannot open it; cuBLASLt 13.1.0"
        echo '{"parts": [{"name": "cuda", "present": true}], "gpus": [{"libraries": "'$libraries'"}]}'
        ;;
    recipes) [ "$2" != no-such ] || exit 1 ;;
    train)
        n=1
        while [ $# -gt 0 ]; do
            [ "$1" != --runs ] || n=$2
            [ "$1" != --log ] || log=$2
            [ "$1" != --out ] || { mkdir -p "$2"; [ ! -e ../no-bits ] && echo same > "$2/model.safetensors" || echo "$2" > "$2/model.safetensors"; }
            shift
        done
        if [ -e ../no-end ] && [ -n "${log-}" ]; then # two runs, and a line that is cut
            printf '{"seed": 0, "accuracy": 0.95, "t_train": 0.5}\n{"seed": 1, "accuracy": 0.93, "t_train": 0.7}\n{"se' > "$log"
            sleep 30
        fi
        printf '{"accuracy": 0.9, "runs": ['
        for i in $(seq 1 "$n"); do
            [ "$i" = 1 ] || printf ', '
            printf '{"seed": %d, "accuracy": 0.9%d, "t_train": 0.%d, "t_total": 0.0%d, "t_dawn": 1.%d}' $((i - 1)) $((i + 3)) "$i" "$i" "$i"
        done
        echo '], "accuracy_mean": 0.1, "t_train": 77, "t_total": 77, "t_dawn": 77}'
        ;;
    bench)
        echo "${FENWICKS_CONV_ENGINE:-any}" >> ../engines
        graph='"graph_seconds": 0.002, "graph_to_kernels": 1.02'
        [ ! -e ../slow-conv ] || slow=conv2d_dx_bf16_nhwc
        [ ! -e ../no-graph ] || graph='"graph_seconds": 0.0, "graph_to_kernels": 1.2'
        if [ "$2" = step ]; then
            echo '{"allocations": 0, '$graph', "ops": [{"kernel": "conv2d_bf16_nhwc_cudnn"}, {"kernel": "'${slow:-conv2d_dw_bf16_wgmma_128x64}'"}]}'
        else
            echo '{"gflops": 1}'
        fi
        case "$2" in conv | ops) echo '{"gflops": 2}' ;; esac
        case "$*" in *--tune*) echo '{"choices": [7]}' > "$FENWICKS_CONV_CHOICES" ;; esac
        ;;
    --version) echo "fenwicks 9.9.9" ;;
esac
END
ln -s "$(command -v seq)" tools/seq
mkdir data
check 0 "$PATH_ALL" --budget 900 --seeds 3 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result"
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
grep -q '"ended": "left out' result/gpu-check.json && die "something is named as left out"
grep -qxF "$HERE/site/nvidia/cudnn;$HERE/site/nvidia/cublas, $HERE/site/nvidia/cudnn/lib/libcudnn.so.9, $HERE/site/nvidia/cublas/lib/libcublasLt.so.13" found ||
    die "what python3 has was not taken: $(cat found)"
for name in libraries recorded-airbench94-muon graph-airbench94-muon allocations-airbench94-muon libraries-airbench94-muon first-losses \
    same-bits-airbench94-muon sanitizer-memcheck-digits sanitizer-initcheck-test_act sanitizer-synccheck-digits; do
    with "\"name\": \"$name\", \"ended\": \"ok\""
done
with '"temperature_clock_power": "61, 1980, 512.5"'
grep -qE '"start_to_result_seconds": [0-9]+\.[0-9],' result/gpu-check.json || die "no seconds from start to result"
with '"short": false, "left_out": ""'
with '"peers": []'
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

# a step of trainings that is stopped keeps the runs that were done
rm -rf result && touch no-end
check 1 "$PATH_ALL" --budget 14 --seeds 50 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --skip "tests tune bench sanitizer"
with '"ended": "stopped after'
with '"result": {"stopped": true, "runs": [{"seed": 0, "accuracy": 0.95, "t_train": 0.5},{"seed": 1, "accuracy": 0.93, "t_train": 0.7}]}'
with '"against_94": {"n": 2, "accuracy_mean": 0.940000'
rm no-end

# a convolution by our own slow kernel is named
rm -rf result && touch slow-conv
check 1 "$PATH_ALL" --budget 100 --recipes airbench94-muon --out "$HERE/result" --skip "tests tune train sanitizer"
with 'convolutions or Muon by neither a library nor our own on tensor cores: \"conv2d_dx_bf16_nhwc\" '
rm slow-conv

# what fails is named, and what depends on it is left out
rm -rf result calls tree/build && touch no-build
check 1 "$PATH_ALL" --budget 100 --out "$HERE/result" --data "$HERE/data"
with 'failed: x.cu(3): error: no'
with '"training": []'
"$TOOL" json steps < result/gpu-check.json > values || die "the result is no JSON object"
rm -rf result no-build && touch no-test no-sanitizer
check 1 "$PATH_ALL" --budget 900 --seeds 2 --out "$HERE/result" --data "$HERE/none" --recipes "airbench94-muon no-such"
with '"failed": 1'
with "no data at $HERE/none"
with 'this machine does not allow it: ========= Error: no debugger here'
with '"name": "sanitizer", "ended": "ok"'
rm -rf result no-test no-sanitizer
check 1 "$PATH_ALL" --budget 100 --seeds 2 --out "$HERE/result" --data "$HERE/data" --recipes no-such --skip "tests tune bench sanitizer"
with 'this build has no recipe of that name'

# a short check: the op tests alone are built and run, before the steps and the trainings; what is cut is said, and is no failure
rm -rf result calls tree/build
check 0 "$PATH_ALL" --budget 500 --seeds 2 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --peers "$HERE/data"
with '"short": true, "left_out": "tests other than those of ops, sweeps, convolutions by themselves, compute-sanitizer, peers"'
with '"sanitizer": "not run: a short check"'
with '"runs_asked": 2, "complete": true'
grep -q -e '--target fenwicks_cli .*test_conv2d' calls || die "everything is built"
grep -q 'bench ops' calls && die "sweeps in a short check"
[ "$(grep -n 'bench step' calls | head -n 1 | cut -d : -f 1)" -lt "$(grep -n 'fenwicks train' calls | head -n 1 | cut -d : -f 1)" ] ||
    die "trained before the step was looked at"

# a tree that was carried: its build folder is configured anew, or refused with --skip build
sed -i 's|INTERNAL=.*|INTERNAL=/where/it/was|' tree/build/gpu/CMakeCache.txt
rm -rf result
check 1 "$PATH_ALL" --budget 500 --out "$HERE/result" --skip build
err "build/gpu was made for /where/it/was, the tree is in $HERE/tree now: call without --skip build"
touch tree/build/gpu/build.ninja
check 0 "$PATH_ALL" --budget 500 --out "$HERE/result" --skip "tests tune train bench"
err "it is configured anew"
[ ! -e tree/build/gpu/build.ninja ] || die "rules for another folder are kept"

# what a machine or a build lacks is a failed step each
only="--seeds 1 --recipes airbench94-muon --data $HERE/data --out $HERE/result"
for wrong in no-cudnn:libraries no-graph:recorded-airbench94-muon no-graph:graph-airbench94-muon no-bits:same-bits-airbench94-muon; do
    rm -rf result
    touch "${wrong%:*}"
    check 1 "$PATH_ALL" --budget 500 $only --skip "tests tune"
    with "\"name\": \"${wrong#*:}\", \"ended\": \"failed: "
    rm "${wrong%:*}"
done

# peers: the user's own scripts, their seconds beside ours (0.2 and 0.1: the mean of two runs is 0.15)
mkdir -p peers/keller
cat > peers/keller/airbench94_muon.py << 'END'
echo "|  warmup |  eval  | 0.9 | 99.0 |"
echo "|  0 |  eval  | 0.94 | 0.3 |"
echo "|  1 |  eval  | 0.94 | 0.6 |"
END
echo 'echo "training time: 0.75 seconds"' > peers/e1.sh
echo 'echo nothing >&2; exit 3' > peers/cifar10_speedrun.py
rm -rf result
check 1 "$PATH_ALL" --budget 900 --seeds 2 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --skip "tests tune bench sanitizer" --peers "$HERE/peers"
with '"runs": 2, "seconds_mean": 0.4500, "seconds_min": 0.3000, "our_t_train_mean": 0.150000, "ratio": 3.0000}'
with '"runs": 1, "seconds_mean": 0.7500, "seconds_min": 0.7500, "our_t_train_mean": 0.150000, "ratio": 5.0000}'
with '"name": "peer-cifar10_speedrun.py", "ended": "failed: it printed no seconds: nothing"'
"$TOOL" json peers < result/gpu-check.json > values || die "the result is no JSON object"
exit 0
