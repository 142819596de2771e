# sanitizer.sh: compute-sanitizer on the tests that use a GPU and on two steps of a training, where the machine lets it.
# Sourced by scripts/gpu-check.
sanitizer_says() { # TEXT: for the JSON
    keep notes sanitizer "$(text "$1")"
}
sanitize() { # tool, name, command...
    local tool=$1 name=$2
    shift 2
    if [ ! -x "$1" ]; then
        record "sanitizer-$tool-$name" "failed: it was not built" 127 0
        return
    fi
    step "sanitizer-$tool-$name" 90 env -C "$out/work" FW_TEST_DEVICE="$device" FW_SOURCE_DIR="$PWD" LC_ALL=C.UTF-8 \
        "$sanitizer" --tool "$tool" --error-exitcode 99 "$@" || sanitizer_says "see the steps"
}
sanitize_all() {
    local code=0 tool test tests
    forget steps "sanitizer.*"
    # shellcheck disable=SC2086
    sanitizer=$(command -v compute-sanitizer) || sanitizer=$(look compute-sanitizer ${toolkit:+"$toolkit/bin" "$toolkit/compute-sanitizer"}) || {
        sanitizer_says "compute-sanitizer was not found"
        record sanitizer ok 0 0
        return
    }
    mkdir -p "$out/work"
    rm -rf "$out"/work/sanitizer-* # a former call's: no training goes into a folder that holds one
    timeout 60 "$sanitizer" --error-exitcode 99 "$fenwicks" doctor > "$out/sanitizer-try.log" 2>&1 &
    wait $! || code=$?
    case $code in
        0) sanitizer_says "nothing found" ;;
        99 | 124)
            sanitizer_says "see the steps"
            record sanitizer-doctor "failed: $(last_line "$out/sanitizer-try.log")" "$code" 0
            ;;
        *)
            sanitizer_says "this machine does not allow it: $(last_line "$out/sanitizer-try.log")"
            record sanitizer ok 0 0
            return
            ;;
    esac
    for tool in memcheck racecheck initcheck synccheck; do
        # the quickest first: what is not reached is said
        tests="test_layout test_resize test_elementwise test_xent test_matmul test_act test_optim test_bias test_bn
            ops_test_pool test_muon test_wgmma test_fused test_conv2d"
        case $tool in
            racecheck) tests=${tests/ test_wgmma/} ;; # its shared memory is touched by copies and products alone
            initcheck) tests="test_act test_conv2d" ;;
            synccheck) tests="test_matmul test_bn test_fused" ;;
        esac
        # two steps of a training, recorded as in any
        sanitize $tool digits "$fenwicks" train digits --epochs 0.1 --device "$device" --precision bf16 --quiet --out "$out/work/sanitizer-$tool-digits"
        for test in $tests; do
            sanitize $tool "$test" "$build/$test"
        done
    done
}
