# scripts/gpu-check on made-up machines: without a GPU, with one whose tools are small scripts, and with one where steps
# fail. What it measures is not looked at, what it does with it is.
# (ctest: once)
. "$2/tests/cli/common"

mkdir -p tree/scripts tools fakes
cp -r "$SOURCE/scripts/gpu-check" "$SOURCE/scripts/gpu-check.d" tree/scripts/
for tool in ar awk basename bash cat cmp cut cp date dirname env find git grep gzip head ln mkdir mv nproc readlink rm sed sh sha256sum sleep sort \
    tail tar timeout tr uname wc; do
    path=$(command -v $tool) && ln -s "$path" "tools/$tool"
done
HERE=$PWD
export GPU_CHECK_FOLDERS=$HERE/system
unset CUDNN_ROOT CUDNN_PATH FENWICKS_CUDNN FENWICKS_CUBLASLT CUDA_HOME CUDA_PATH LD_LIBRARY_PATH CUDA_VISIBLE_DEVICES
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

# Each test that it builds and runs is a target of this build and, but for some, a test of the ops.
targets=$(bash -c '. "$1"; echo $op_tests; echo $other_tests' - "$SOURCE/scripts/gpu-check.d/build.sh")
sanitized=$(sed -n 's/^ *tests="\(.*\)/\1/p; s/^  *\(ops_test_pool .*\)"$/\1/p' "$SOURCE/scripts/gpu-check.d/sanitizer.sh" | tr -d '";')
[ "$(echo $sanitized | wc -w)" -ge 14 ] || die "tests for compute-sanitizer were not found: $sanitized"
if [ -e "$FW_BUILD_DIR/CTestTestfile.cmake" ]; then
    for target in $(echo "$targets" | head -n 1) $sanitized; do
        grep -qE "add_test\(.*ops\.[a-z0-9_]+.* \"[^\"]*/$target\"\)" "$FW_BUILD_DIR/CTestTestfile.cmake" || die "$target is no test of the ops"
        case " $targets " in *[[:space:]]$target[[:space:]]*) ;; *) die "$target is not built" ;; esac
    done
    for target in $(echo "$targets" | tail -n 1) test_wgmma; do
        grep -q "\"[^\"]*/$target\")" "$FW_BUILD_DIR/CTestTestfile.cmake" || die "no test is $target"
    done
fi

# p of Student's t: closed forms for 1 and 2 degrees of freedom, tables, and the normal distribution's limit
p() { # T FREEDOM EXPECTED
    echo "BEGIN { p = student_p($1, $2); exit !(p - $3 < 1e-6 && $3 - p < 1e-6) }" > p.awk
    awk -f "$SOURCE/scripts/gpu-check.d/student.awk" -f p.awk || die "p of t = $1 at $2 degrees of freedom is not $3"
}
p 0 5 0.5
p 1 1 0.25
p -1 1 0.75
p 2 2 0.0917517
p 2.2281389 10 0.025
p 1.6525467 199 0.05
p 3.1314776 199 0.001
p 1.6448536 1000000 0.0500002

# wrong usage, whatever the machine
check 2 "$HERE/tools" --bugdet 5
err "unknown option --bugdet"
check 2 "$HERE/tools" --budget
err "--budget wants a value"
check 2 "$HERE/tools" --budget 5x
check 2 "$HERE/tools" --device cpu
check 2 "$HERE/tools" --peers nowhere
err "no such folder"
check 2 "$HERE/tools" --only tets
err "no step is called tets; there are: build tests"
check 2 "$HERE/tools" --only train --skip build
check 2 "$HERE/tools" --only peers
check 2 "$HERE/tools" --choices nowhere
check 2 "$HERE/tools" --packages nowhere
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
    *" -l 1"*) echo "1900, 55, 600.5"; exec sleep 60 ;;
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
# CUDA counts what it may see: the number there is another of nvidia-smi's
export CUDA_VISIBLE_DEVICES=3,0
check 1 "$PATH_ALL" --device cuda:0
err "lists no GPU number 0 of CUDA_VISIBLE_DEVICES=3,0"
check 1 "$PATH_ALL" --device cuda:2
err "lists no GPU number 2 of CUDA_VISIBLE_DEVICES=3,0"
check 1 "$PATH_ALL" --device cuda:1
err "cmake was not found: scripts/deps"
unset CUDA_VISIBLE_DEVICES
check 1 "$PATH_ALL" --out "$HERE/result"
err "cmake was not found: scripts/deps"
err "protoc-c was not found: scripts/deps"
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
fake cmake << 'END'
END
touch no-inih
check 1 "$PATH_ALL"
err "the library inih was not found: scripts/deps"
err "cudnn_graph.h was not found: "
err "$HERE/system/include"
err "cublasLt.h was not found: "
grep -q -e nvcc -e protoc err && die "more is missing than is"
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
while [ "$1" != --target ] && [ $# -gt 0 ]; do shift; done
for target in "$@"; do
    case $target in test_*|ops_test_*) cp ../fakes/a-test "build/gpu/$target" ;; esac
done
cp ../fakes/own-engines build/gpu/test_wgmma
cp ../fakes/first-losses build/gpu/test_device_runs
END
fake a-test << 'END'
echo "${0##*/} ${FENWICKS_CONV_ENGINE:-any}" >> "$FW_SOURCE_DIR/../tested"
[ "$FW_TEST_DEVICE" = cuda:0 ] && [ "$FENWICKS_OVERSUBSCRIBE" = 1 ] && [ -e "$FW_SOURCE_DIR/scripts" ] || exit 1
case $0 in
    *test_bn) echo "no such instructions here"; exit 77 ;;
    *test_act) [ ! -e "$FW_SOURCE_DIR/../no-test" ] || { echo "act: wrong"; exit 1; } ;;
esac
END
fake first-losses << 'END'
[ -z "${FW_TEST_RECIPE-}" ] && exit 0 # as one of the tests
[ -e "$FENWICKS_DATA" ] && [ "$FW_TEST_DEVICE" = cuda:0 ] && [ "$FW_TEST_RECIPE" = airbench94-muon ]
END
fake own-engines << 'END'
[ "$FW_TEST_DEVICE" = cuda:0 ] || exit 1
case $PWD in */work/test_wgmma) exit 0 ;; esac # as one of the tests
[ ! -e ../no-own ] || { echo "own engines on a GPU: 0 times"; exit 0; }
[ ! -e ../wrong-own ] || { echo "wrong"; exit 1; }
echo "own engines on a GPU: 12 times"
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
        why=
        [ ! -e ../no-code ] || why="no code for it"
        echo '{"parts": [{"name": "cuda", "present": true}], "gpus": [{"index": 0, "why_not": "'$why'", "libraries": "'$libraries'"}]}'
        ;;
    recipes) [ "$2" != no-such ] || exit 1 ;;
    train)
        n=1 base=0
        while [ $# -gt 0 ]; do
            [ "$1" != --runs ] || n=$2
            [ "$1" != --seed ] || base=$2
            [ "$1" != --log ] || log=$2
            [ "$1" != --out ] || to=$2
            shift
        done
        for i in $(seq 1 "$n"); do # as the command: a folder for each seed, or the one itself
            [ -n "${to-}" ] || break
            folder=$to seed=$((base + i - 1))
            [ "$n" = 1 ] || folder=$to/seed-$seed
            mkdir -p "$folder"
            echo "model of seed $seed" > "$folder/model.safetensors"
            [ ! -e ../no-bits ] || echo "$to" >> "$folder/model.safetensors"
            [ ! -e ../no-order ] || [ $seed = 0 ] || echo "$n" >> "$folder/model.safetensors"
        done
        if [ -e ../no-end ] && [ -n "${log-}" ]; then # two runs, and a line that is cut
            printf '{"seed": 0, "accuracy": 0.95, "t_train": 0.5}\n{"seed": 1, "accuracy": 0.93, "t_train": 0.7}\n{"se' > "$log"
            sleep 30
        fi
        printf '{"accuracy": 0.9, "runs": ['
        for i in $(seq 1 "$n"); do
            [ "$i" = 1 ] || printf ', '
            printf '{"seed": %d, "accuracy": 0.9%d, "accuracy_plain": 0.9%d, "t_train": 0.%d, "t_total": 0.0%d, "t_dawn": 1.%d}' $((i - 1)) $((i + 3)) $((i + 2)) "$i" "$i" "$i"
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
    --version) echo "fenwicks 9.9.9 abc1234" ;;
esac
END
mkdir compute-sanitizer && mv fakes/compute-sanitizer compute-sanitizer/ # beside the toolkit, not in PATH
ln -s "$(command -v seq)" tools/seq
mkdir data
check 0 "$PATH_ALL" --budget 900 --seeds 3 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result"
out "$HERE/result/gpu-check.json"
cp out kept && "$TOOL" json gpu calls steps tests limits training bench doctor sanitizer < result/gpu-check.json > values ||
    die "the result is no JSON object"
n=$(echo $targets | wc -w)
with "\"passed\": $n, \"failed\": 0, \"skipped\": 1" # own engines twice, as the first step and as one of the tests
with '"name": "NVIDIA H999", "compute_capability": "9.0"'
with '"commit": "abc1234"'
with '"runs_asked": 3, "complete": true'
# 0.94, 0.95, 0.96: mean 0.95, deviation 0.01, t = 0.01 / (0.01 / sqrt 3), p = 1/2 - t / (2 sqrt(2 + t^2)); times 0.1, 0.2, 0.3
with '"n": 3, "accuracy_mean": 0.950000, "accuracy_std": 0.010000, "accuracy_min": 0.940000, "accuracy_plain_mean": 0.940000'
with '"share_at_94": 1.0000, "t": 1.732, "p": 0.1127017, "diverged": 0'
with '"passes": false, "t_train_mean": 0.200000, "t_train_std": 0.100000, "t_train_min": 0.100000, "t_train_mean_without_first": 0.250000'
with "\"seed_1\": \"$(echo model of seed 1 | sha256sum | cut -d ' ' -f 1)\""
with '"gpu_during": {"samples": 1, "clock_mhz": {"min": 1900, "mean": 1900.0, "max": 1900}, "temperature_c": {"min": 55,'
with '"what": "accuracy_mean", "at_least": 0.939, "is": 0.950000, "runs": 3, "met": false'
with '"recipe": "sprint-gpu", "what": "start_to_result_seconds", "at_most": 3, "is": null, "met": null'
with '"sanitizer": "nothing found"'
for name in peak step-airbench94-muon tune-airbench94-muon ops conv conv-f32 conv-tf32 conv-f16; do
    with "\"bench-$name\": "
done
with '"conv_choices": {"choices": [7]}'
grep -q '"ended": "left out' result/gpu-check.json && die "something is named as left out"
grep -qxF "$HERE/site/nvidia/cudnn;$HERE/site/nvidia/cublas, $HERE/site/nvidia/cudnn/lib/libcudnn.so.9, $HERE/site/nvidia/cublas/lib/libcublasLt.so.13" found ||
    die "what python3 has was not taken: $(cat found)"
for name in libraries own-engines own-engines-ran test-ops_test_pool test-test_davidnet recorded-airbench94-muon graph-airbench94-muon \
    allocations-airbench94-muon libraries-airbench94-muon losses same-bits-airbench94-muon order-airbench94-muon sanitizer-memcheck-digits \
    sanitizer-initcheck-test_act sanitizer-synccheck-digits; do
    with "\"name\": \"$name\", \"ended\": \"ok\""
done
with '"name": "test-test_bn", "ended": "skipped: no such instructions here"'
with '"temperature_clock_power": "61, 1980, 512.5"'
grep -qE '"start_to_result_seconds": [0-9]+\.[0-9],' result/gpu-check.json || die "no seconds from start to result"
grep -q cudnn engines tested && die "engines of our own left out, though they ran and passed"
grep -q 'bench peak --device cuda:0 --json' calls || die "no ceilings"
grep -q 'bench conv airbench94-muon --precision bf16 --tune --device cuda:0 --json' calls || die "no tuning of the recipe"
[ "$(grep -n -e --tune calls | head -n 1 | cut -d : -f 1)" -lt "$(grep -n 'fenwicks train' calls | head -n 1 | cut -d : -f 1)" ] ||
    die "trained before it was tuned"
grep -q 'FW_CUDA_TARGETS=90a' calls || die "not built for this GPU"
grep -q 'FW_WERROR=OFF' calls || die "a warning would end it"
grep -q -e '--target fenwicks_cli .*ops_test_pool' calls || die "not built: the op test of pools"
grep -q 'train airbench94-muon .*--device cuda:0 --precision bf16 .*--seed 0 --runs 3' calls || die "no training of 3 seeds"
tar -tzf result/gpu-check.tgz > values && grep -q gpu-check.json values && grep -q train-airbench94-muon.out values || die "no archive"
grep -q safetensors values && die "models are in the archive"

# a second call goes on with what the first one found: nothing is lost but what is run again, own engines are remembered
rm -f calls engines
check 0 "$PATH_ALL" --budget 100 --only bench --recipes airbench94-muon --out "$HERE/result" --commit "this one"
"$TOOL" json gpu calls steps tests limits training bench < result/gpu-check.json > values || die "the result is no JSON object"
grep -q -e -DFW -e 'fenwicks train' -e tune calls && die "more was run than asked for"
with '"runs_asked": 3, "complete": true'
with '"name": "same-bits-airbench94-muon", "ended": "ok", "exit_code": 0, "seconds": 0.0, "call": 1'
grep -q '"name": "bench-peak", "ended": "ok", .*"call": 2' result/gpu-check.json || die "what was run again is not of the second call"
[ "$(grep -c '"name": "bench-peak"' result/gpu-check.json)" = 1 ] || die "a step stands there twice"
with '"commit": "this one"'
with '"conv_choices": {"choices": [7]}'
grep -q cudnn engines && die "engines of our own left out, though an earlier call saw them pass"

# a call that is cut has written what it had
rm -rf result && touch no-end
PATH=$PATH_ALL bash tree/scripts/gpu-check --budget 60 --only train --seeds 50 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" > out 2> err &
cut=$!
for i in $(seq 1 300); do
    grep -q order-airbench94-muon result/gpu-check.json 2> /dev/null && break
    sleep 0.1
done
kill $cut
wait $cut && die "a call that was cut ended well"
"$TOOL" json gpu steps < result/gpu-check.json > values || die "the result is no JSON object"
with '"name": "order-airbench94-muon", "ended": "ok"'
[ -s result/gpu-check.tgz ] || die "no archive of a call that was cut"
rm no-end

# engines of our own that never ran on the GPU, or failed, are not measured, and no test meets them
for wrong in no-own wrong-own; do
    rm -rf result engines tested && touch $wrong
    check 1 "$PATH_ALL" --budget 100 --out "$HERE/result" --recipes airbench94-muon --only "tests bench"
    grep -q any engines tested && die "engines of our own are measured, though none ran and passed"
    rm $wrong
    grep -q '"name": "own-engines[-a-z]*", "ended": "failed: ' result/gpu-check.json || die "no own engines, and that is well"
done
with '"name": "own-engines", "ended": "failed: wrong"'

# more seeds than fit: as many as do, and that is said; and a limit that is not met is a failure where asked
rm -rf result calls
check 1 "$PATH_ALL" --budget 12 --seeds 5000 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --only train --judge
with '"complete": false'
with 'of 5000 seeds fitted'
with '"name": "limit-sprint-gpu-t_train_mean", "ended": "failed: '

# a step of trainings that is stopped keeps the runs that were done
rm -rf result && touch no-end
check 1 "$PATH_ALL" --budget 14 --seeds 50 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --only train
with '"ended": "stopped after'
with '"result": {"stopped": true, "runs": [{"seed": 0, "accuracy": 0.95, "t_train": 0.5},{"seed": 1, "accuracy": 0.93, "t_train": 0.7}]}'
with '"against_94": {"n": 2, "accuracy_mean": 0.940000'
rm no-end

# a convolution by our own slow kernel is named
rm -rf result && touch slow-conv
check 1 "$PATH_ALL" --budget 100 --recipes airbench94-muon --out "$HERE/result" --only bench
with 'convolutions or Muon by neither a library nor our own on tensor cores or for few channels: \"conv2d_dx_bf16_nhwc\" '
rm slow-conv

# what fails is named, and what depends on it is left out
rm -rf result calls tree/build && touch no-build
check 1 "$PATH_ALL" --budget 100 --out "$HERE/result" --data "$HERE/data"
with 'failed: x.cu(3): error: no'
"$TOOL" json steps training < result/gpu-check.json > values || die "the result is no JSON object"
rm -rf result no-build && touch no-test no-sanitizer
check 1 "$PATH_ALL" --budget 300 --seeds 2 --out "$HERE/result" --data "$HERE/none" --recipes "airbench94-muon no-such" --only "build tests train sanitizer"
with '"name": "test-test_act", "ended": "failed: act: wrong"'
with '"failed": 1'
with "no data at $HERE/none"
with 'this machine does not allow it: ========= Error: no debugger here'
with '"name": "sanitizer", "ended": "ok"'
rm -rf result no-test no-sanitizer
check 1 "$PATH_ALL" --budget 100 --seeds 2 --out "$HERE/result" --data "$HERE/data" --recipes no-such --only train
with 'this build has no recipe of that name'

# choices of another call; no time left
rm -rf result && echo '{"choices": [8]}' > other.json
check 1 "$PATH_ALL" --budget 1 --out "$HERE/result" --only bench --choices "$HERE/other.json"
with '"conv_choices": {"choices": [8]}'
with '"name": "doctor", "ended": "left out: no time"'
with '"name": "libraries", "ended": "failed: '

# a tree that was carried: its build folder is configured anew, or used as it is, and then nothing that builds is asked for
sed -i 's|INTERNAL=.*|INTERNAL=/where/it/was|' tree/build/gpu/CMakeCache.txt
mkdir gone && mv fakes/cmake fakes/cc fakes/pkg-config fakes/protoc-c fakes/nvcc gone/
rm -rf result calls
check 0 "$PATH_ALL" --budget 500 --out "$HERE/result" --only "tests bench" --recipes airbench94-muon
with '"name": "test-ops_test_pool", "ended": "ok"'
mv gone/* fakes/
touch tree/build/gpu/build.ninja
check 0 "$PATH_ALL" --budget 500 --out "$HERE/result" --only build
err "it is configured anew"
[ ! -e tree/build/gpu/build.ninja ] || die "rules for another folder are kept"

# packages that were brought: their programs, descriptions and libraries are found, in a later call too
mkdir -p brought/usr/bin "brought/usr/lib/$(uname -m)-linux-gnu/pkgconfig" debs
mv fakes/protoc-c brought/usr/bin/
echo 'prefix=/usr' > "brought/usr/lib/$(uname -m)-linux-gnu/pkgconfig/inih.pc"
echo library > "brought/usr/lib/$(uname -m)-linux-gnu/libinih.so.1"
ln -s "/usr/lib/$(uname -m)-linux-gnu/libinih.so.1" brought/usr/lib/libinih.so
(cd brought && tar -czf ../data.tar.gz ./usr) && echo 2.0 > debian-binary && tar -czf control.tar.gz debian-binary
ar q debs/all.deb debian-binary control.tar.gz data.tar.gz 2> values || die "ar: $(cat values)"
rm -rf result
check 1 "$PATH_ALL" --budget 500 --out "$HERE/result" --only build
err "protoc-c was not found: "
check 0 "$PATH_ALL" --budget 500 --out "$HERE/result" --only build --packages "$HERE/debs"
check 0 "$PATH_ALL" --budget 500 --out "$HERE/result" --only build
root=$HERE/tree/build/packages
[ "$(cat "$root/usr/lib/$(uname -m)-linux-gnu/pkgconfig/inih.pc")" = "prefix=$root/usr" ] || die "a description says where it was meant to lie"
[ "$(cat "$root/run/libinih.so.1")" = library ] || die "a library that the system lacks is not found"
[ "$(cat "$root/usr/lib/libinih.so")" = library ] || die "a link says where it was meant to point"
rm -rf tree/build/packages && cp brought/usr/bin/protoc-c fakes/

# what a machine or a build lacks is a failed step each
only=(--seeds 1 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result")
for wrong in no-cudnn:libraries:bench no-code:device:bench no-graph:recorded-airbench94-muon:bench no-graph:graph-airbench94-muon:bench \
    no-bits:same-bits-airbench94-muon:train no-order:order-airbench94-muon:train; do
    rm -rf result
    touch "${wrong%%:*}"
    check 1 "$PATH_ALL" --budget 500 "${only[@]}" --only "${wrong##*:}"
    name=${wrong#*:}
    with "\"name\": \"${name%:*}\", \"ended\": \"failed: "
    rm "${wrong%%:*}"
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
check 1 "$PATH_ALL" --budget 900 --seeds 2 --recipes airbench94-muon --data "$HERE/data" --out "$HERE/result" --only "train peers" --peers "$HERE/peers"
with '"runs": 2, "seconds_mean": 0.4500, "seconds_min": 0.3000, "our_t_train_mean": 0.150000, "ratio": 3.0000}'
with '"runs": 1, "seconds_mean": 0.7500, "seconds_min": 0.7500, "our_t_train_mean": 0.150000, "ratio": 5.0000}'
with '"name": "peer-cifar10_speedrun.py", "ended": "failed: it printed no seconds: nothing"'
"$TOOL" json peers < result/gpu-check.json > values || die "the result is no JSON object"
exit 0
