# build.sh: configures and builds what is checked, and asks it for its libraries. Sourced by scripts/gpu-check.

# Tests that use a GPU, by their targets; the quickest first. Those of tests/ops, and others.
op_tests="test_layout test_optim_golden test_updates_golden test_resize test_elementwise test_dropout test_xent test_layers
    test_nets test_matmul test_act test_optim test_bias test_bn ops_test_pool test_fused_nets test_muon test_experiments
    test_wgmma test_fused test_conv2d test_airbench_golden test_davidnet"
other_tests="test_device_runs"

build_all() {
    local made_at options=""
    forget steps "configure|build|doctor|device|libraries|own-engines.*"
    forget notes "own-engines|doctor"
    made_at=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt" 2> /dev/null)
    if [ -n "$made_at" ] && [ "$made_at" != "$PWD" ]; then
        echo "gpu-check: $build was made for $made_at: it is configured anew" >&2
        rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles" "$build/build.ninja" "$build/Makefile"
    fi
    has ninja && options="-G Ninja"
    if has ccache; then
        options="$options -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache"
        export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    fi
    # Warnings are errors where the compiler is one that was tried; what is wanted here is that it runs.
    # shellcheck disable=SC2086 # a word each
    step configure 120 cmake -S . -B "$build" $options -DCMAKE_BUILD_TYPE=Release -DFW_WERROR=OFF -DFW_CUDA=ON \
        "-DFW_CUDA_TARGETS=$arch" -DFW_TESTS=ON &&
        step build "$(share 60 tests bench tune losses train speeds sanitizer peers)" cmake --build "$build" -j "$(nproc)" \
            --target fenwicks_cli $op_tests $other_tests || ok=1
}

ask_doctor() {
    if [ ! -x "$fenwicks" ]; then
        record build "failed: there is no $fenwicks" 1 0
        ok=1
        return
    fi
    name_build
    forget steps "doctor|device|libraries"
    if ! step doctor 90 "$fenwicks" doctor --json; then
        record libraries "failed: doctor did not end well" 1 0
        return
    fi
    keep notes doctor "$(cat "$out/doctor.out")"
    if ! grep -q '"name": "cuda", "present": true' "$out/doctor.out"; then
        record device "failed: this build cannot use the GPU, see doctor.out" 1 0
        ok=1
        return
    fi
    local why
    why=$(grep -o "\"index\": $index,[^}]*" "$out/doctor.out" | sed -n 's/.*"why_not": "\([^"]*\)".*/\1/p')
    if [ -n "$why" ]; then
        record device "failed: $why" 1 0
        ok=1
        return
    fi
    shows libraries "cuDNN or cuBLASLt cannot be opened: $(grep -o '"libraries": "[^"]*"' "$out/doctor.out" | head -n 1)" \
        grep -q '"libraries": "cuDNN [0-9.]*; cuBLASLt [0-9.]*"' "$out/doctor.out"
}
