# tests.sh: our own engines for convolutions first, then the tests that use a GPU, several at once. Sourced by
# scripts/gpu-check. Programs are started as ctest would (cmake/tests.cmake), by themselves, so that a build that was
# carried from elsewhere can be tested without being configured.
test_in() { # FOLDER COMMAND...: what a test is started with, in place of this (sub)shell
    local folder=$1
    shift
    exec env -C "$folder" FW_TEST_DEVICE="$device" FW_SOURCE_DIR="$PWD" FW_BUILD_DIR="$build" LC_ALL=C.UTF-8 FENWICKS_OVERSUBSCRIBE=1 "$@"
}

# Engines of our own are measured, and so may be chosen, only where they ran on this GPU and passed their test. What was
# found is kept, for later calls with the same build.
try_own_engines() {
    local verdict ran why
    verdict=$(of_state notes own-engines "")
    if [ -z "$verdict" ]; then
        forget steps "own-engines.*"
        verdict=no
        if [ ! -x "$build/test_wgmma" ]; then
            record own-engines "failed: own engines did not run: test_wgmma was not built" 127 0
        else
            # not by `test_in`, which `timeout` cannot start
            if step own-engines 60 env -u FENWICKS_CONV_ENGINE -C "$out" FW_TEST_DEVICE="$device" LC_ALL=C.UTF-8 "$build/test_wgmma"; then
                ran=$(sed -n 's/^own engines on a GPU: \([0-9]*\) times$/\1/p' "$out/own-engines.out" | tail -n 1)
                [ "${ran:-0}" = 0 ] || verdict=yes
                why="the driver gave no tensor maps, or the device was not opened, see own-engines.out"
                [ -n "$ran" ] || why="the test did not say that it ran any"
                [ "$cap" != 90 ] || shows own-engines-ran "own engines did not run: $why" test "$verdict" = yes
            fi
            [ "$took" = 0 ] || keep notes own-engines "$verdict"
        fi
    fi
    # other GPUs than Hopper's cannot run those anyway, and have own:narrow to measure
    [ "$verdict" = yes ] || [ "$cap" != 90 ] || export FENWICKS_CONV_ENGINE=cudnn
}

one_test() { # NAME SECONDS: leaves its exit code and tenths of seconds in OUT/work/NAME.ended
    local name=$1 limit=$2 code=0 t0 running
    mkdir -p "$out/work/$name"
    t0=$(tenths)
    (test_in "$out/work/$name" timeout -k 10 "$limit" "$build/$name") > "$out/test-$name.out" 2>&1 < /dev/null &
    running=$!
    trap 'kill "$running" 2> /dev/null' TERM # a call that is cut leaves no test on the GPU
    wait "$running" || code=$?
    echo "$code $limit $(($(tenths) - t0))" > "$out/work/$name.new"
    mv "$out/work/$name.new" "$out/work/$name.ended"
}
collect() {
    local file code limit took name
    for file in "$out"/work/*.ended; do
        [ -e "$file" ] || continue
        read -r code limit took < "$file"
        name=$(basename "$file" .ended)
        rm -rf "$file" "$out/work/$name"
        record "test-$name" "$(ending "$code" "$limit" "$out/test-$name.out")" "$code" "$took"
    done
}
run_tests() {
    local until name rest at_work=0 most=180
    local at_once=$((($(nproc) + 1) / 2)) # each has threads of its own
    until=$((EPOCHSECONDS + $(share 35 bench tune losses train speeds sanitizer peers)))
    forget steps "test-.*"
    rm -rf "$out/work"
    mkdir -p "$out/work"
    for name in $op_tests $other_tests; do
        if [ ! -x "$build/$name" ]; then
            record "test-$name" "failed: it was not built" 127 0
            continue
        fi
        while [ "$at_work" -ge "$at_once" ]; do
            wait -n
            at_work=$((at_work - 1))
            collect
        done
        rest=$((until - EPOCHSECONDS))
        if [ "$rest" -lt 2 ]; then
            record "test-$name" "left out: no time" 124 0
            continue
        fi
        one_test "$name" $((rest < most ? rest : most)) &
        at_work=$((at_work + 1))
    done
    wait
    collect
}
