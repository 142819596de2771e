# bench.sh: what `fenwicks bench` measures: ceilings, engines, steps kernel by kernel, and the parts by themselves; and whether a
# step is what it should be. Sourced by scripts/gpu-check.

bench() { # name, one|rows, seconds at most, arguments of bench...: rows are a line each, and come to stand in a list
    local name=bench-$1 kind=$2 limit=$3
    shift 3
    step "$name" "$limit" "$fenwicks" bench "$@" --device "$device" --json || return
    if [ "$kind" = rows ]; then
        keep bench "$name" "[$(sed '$!s/$/,/' "$out/$name.out")]"
    else
        keep bench "$name" "$(cat "$out/$name.out")"
    fi
}
known() { "$fenwicks" recipes "$1" > /dev/null 2>&1 || [ -f "$1" ]; } # built in, or a file
have_data() {
    [ -e "$data" ] && return 0
    set -- "$data"*train*.tfrec*
    [ -e "$1" ]
}

read_ceilings() { bench peak one 60 peak; }
tune() {
    local recipe
    for recipe in $recipes; do
        known "$recipe" && bench "tune-$(basename "$recipe")" rows 90 conv "$recipe" --precision "$precision" --tune
    done
}

# ---- a step of each recipe, kernel by kernel, and whether it is what it should be ----
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a + 0 <= b + 0) }'; }
over() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a + 0 > b + 0) }'; }
# Kernels of convolutions that neither cuDNN nor one of our fast ones computes, and of Muon's products without cuBLASLt.
slow_kernels() {
    grep -oE '"kernel": "(conv2d|muon)[a-z0-9_]*"' "$1" | sort -u | grep -vE 'conv2d[a-z0-9_]*_(cudnn|wgmma|narrow)|muon[a-z0-9_]*_cublaslt' |
        sed 's/"kernel": //' | tr '\n' ' '
}
bench_step() { # recipe, name
    local of=$out/bench-step-$2.out slow
    forget steps "(bench-step|recorded|graph|allocations|libraries)-$2"
    bench "step-$2" one 90 step "$1" --precision "$precision" || return
    shows "recorded-$2" "the step was not recorded as a CUDA graph, see bench-step-$2.out" over "$(first graph_seconds "$of")" 0
    shows "graph-$2" "the recorded step takes $(first graph_to_kernels "$of") times its kernels' times, 1.05 is asked for" \
        at_most "$(first graph_to_kernels "$of")" 1.05
    shows "allocations-$2" "blocks of memory are allocated after the first step" at_most "$(first allocations "$of")" 0
    slow=$(slow_kernels "$of")
    shows "libraries-$2" "convolutions or Muon by neither a library nor our own on tensor cores or for few channels: $slow" test -z "$slow"
}
time_steps() {
    local recipe
    for recipe in $recipes; do
        known "$recipe" && bench_step "$recipe" "$(basename "$recipe")"
    done
}

# ---- speeds of the parts ----
time_parts() {
    local other ops_precision=$precision
    [ "$precision" = tf32 ] && ops_precision=f32 # sweeps do not round
    bench ops rows 120 ops --precision "$ops_precision"
    bench conv rows 120 conv --precision "$precision"
    for other in f32 tf32 bf16 f16; do
        [ "$other" = "$precision" ] || bench "conv-$other" rows 60 conv --shape airbench94 --precision "$other"
    done
}
