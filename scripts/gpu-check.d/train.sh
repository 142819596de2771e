# train.sh: trainings, by the rules for a fair comparison that docs/recipes.md has under "What is counted": one run by itself
# first, which says how many more fit, its seed and the next once more for their bits, then seeds in a row in one process.
# Sourced by scripts/gpu-check.

train_run() { # STEP SECONDS RECIPE OPTION...
    local name=$1 limit=$2 recipe=$3
    shift 3
    step "$name" "$limit" "$fenwicks" train "$recipe" --data "$data" --device "$device" --precision "$precision" --quiet --json "$@"
}

# The state of the GPU, every second until `unwatch`.
watch() { # FILE
    nvidia-smi -i "$(smi_id)" --query-gpu=clocks.sm,temperature.gpu,power.draw --format=csv,noheader,nounits -l 1 > "$1" 2> /dev/null &
    watcher=$!
}
unwatch() {
    kill "$watcher" 2> /dev/null
    wait "$watcher" 2> /dev/null
    watcher=""
}
watched() { # FILE: least, mean and largest of each, as JSON
    awk -F', *' '
        NF == 3 && $1 ~ /^[0-9]/ {
            n++
            for (i = 1; i <= 3; i++) {
                sum[i] += $i
                if (n == 1 || $i + 0 < least[i]) least[i] = $i + 0
                if (n == 1 || $i + 0 > most[i]) most[i] = $i + 0
            }
        }
        END {
            split("clock_mhz temperature_c power_w", name, " ")
            printf "{\"samples\": %d", n
            for (i = 1; n > 0 && i <= 3; i++)
                printf ", \"%s\": {\"min\": %g, \"mean\": %.1f, \"max\": %g}", name[i], least[i], sum[i] / n, most[i]
            print "}"
        }' "$1"
}
hash_of() { text "$(sha256sum "$1/model.safetensors" 2> /dev/null | cut -d ' ' -f 1)"; } # of a run's model

# Seed 0 in two processes; seed 1 behind it, and by itself.
check_bits() { # recipe, name, the second at which its time ends
    local recipe=$1 name=$2 until=$3 of=$out/$2
    train_run "train-$name-again" $((until - EPOCHSECONDS)) "$recipe" --seed 0 --runs 2 --out "$of-again" || return
    shows "same-bits-$name" "seed 0 gave two different models" cmp -s "$of-first/model.safetensors" "$of-again/seed-0/model.safetensors"
    train_run "train-$name-alone" $((until - EPOCHSECONDS)) "$recipe" --seed 1 --runs 1 --out "$of-alone" || return
    shows "order-$name" "seed 1 gave another model behind seed 0 than by itself" \
        cmp -s "$of-alone/model.safetensors" "$of-again/seed-1/model.safetensors"
}

train() { # recipe, seconds for it
    local recipe=$1 limit=$2 name until per more ran to_result rest complete=true
    name=$(basename "$recipe")
    until=$((EPOCHSECONDS + limit))
    forget steps "(train|same-bits|order)-$name(-first|-again|-alone|-seeds)?"
    forget training "$name"
    rm -rf "$out/$name-empty-cache" "$out/$name-first" "$out/$name-again" "$out/$name-alone"
    CUDA_CACHE_PATH=$out/$name-empty-cache train_run "train-$name-first" "$limit" "$recipe" --seed 0 --runs 1 --out "$out/$name-first" || return
    to_result=$(decimal "$took")
    check_bits "$recipe" "$name" "$until"
    rest=$((until - EPOCHSECONDS))
    per=$(first t_total "$out/train-$name-first.out")
    # a process's start and what it builds are paid once, as much as one whole process took; then each run costs a
    # tenth more than its clock shows, and its line in the log
    more=$(awk -v s="$rest" -v p="${per:-$to_result}" -v once="$to_result" -v n="$seeds" \
        'BEGIN { m = int((0.95 * s - once) / (1.1 * p + 0.05)); print (m > n) ? n : m }')
    if [ "$more" -lt 1 ]; then
        record "train-$name" "left out: no time for a second run" 124 0
        return
    fi
    # Each run is a line of a log as soon as it is done: those of a step that was stopped are not lost.
    rm -f "$out/$name.jsonl"
    ran=$more
    watch "$out/train-$name.gpu"
    if ! train_run "train-$name" "$rest" "$recipe" --seed 0 --runs "$more" --log "$out/$name.jsonl" && [ -s "$out/$name.jsonl" ]; then
        echo "{\"stopped\": true, \"runs\": [$(awk '/}$/ { printf "%s%s", n++ ? "," : "", $0 }' "$out/$name.jsonl")]}" > "$out/train-$name.out"
        complete=false
        ran=$(grep -c '}$' "$out/$name.jsonl")
    fi
    unwatch
    [ -s "$out/train-$name.out" ] || return
    [ "$more" = "$seeds" ] || complete=false
    keep training "$name" "{\"recipe\": $(text "$recipe"), \"runs_asked\": $more, \"complete\": $complete,
        \"start_to_result_seconds\": $to_result, \"gpu_during\": $(watched "$out/train-$name.gpu"),
        \"models\": {\"seed_0\": $(hash_of "$out/$name-first"), \"seed_1\": $(hash_of "$out/$name-alone")},
        \"against_94\": $(awk -f "$parts/student.awk" -f "$parts/verdict.awk" "$out/train-$name.out"),
        \"first_run\": $(cat "$out/train-$name-first.out"), \"result\": $(cat "$out/train-$name.out")}"
    find_limits
    write_result
    [ $complete = true ] || record "train-$name-seeds" "only $ran of $seeds seeds fitted" 1 0
}
train_all() {
    local recipe n
    if ! have_data; then
        record train "failed: no data at $data: give --data, or FENWICKS_DATA" 1 0
        return
    fi
    forget steps train
    n=$(echo "$recipes" | wc -w)
    for recipe in $recipes; do
        if known "$recipe"; then
            train "$recipe" $(($(share 75 speeds sanitizer peers) / n))
        else
            record "train-$recipe" "failed: this build has no recipe of that name" 1 0
        fi
        n=$((n > 1 ? n - 1 : 1))
    done
}

compare_losses() {
    if ! have_data; then
        record losses "failed: no data at $data: give --data, or FENWICKS_DATA" 1 0
    elif [ ! -x "$build/test_device_runs" ]; then
        record losses "failed: test_device_runs was not built" 127 0
    else
        forget steps losses
        step losses 120 env -C "$out" FW_TEST_DEVICE="$device" FW_TEST_RECIPE=airbench94-muon FENWICKS_DATA="$(readlink -m "$data")" \
            LC_ALL=C.UTF-8 "$build/test_device_runs"
    fi
}

# ---- what is asked for of the recipes, and whether it is met ----
# recipe, number, least or most, bound, what it is called. Means want 200 runs, none of them diverged.
find_limits() {
    local recipe key way bound member
    while read -r recipe key way bound; do
        member=$(of_state training "$recipe" "")
        keep limits "$recipe-$key" "{\"recipe\": \"$recipe\", \"what\": \"$key\", \"$way\": $bound, $(echo "$member" |
            awk -v key="$key" -v way="$way" -v bound="$bound" -f "$parts/limit.awk")}"
    done << 'END'
airbench94-muon accuracy_mean at_least 0.939
airbench94-muon t_train_mean at_most 1.0
sprint-gpu accuracy_mean at_least 0.94017
sprint-gpu t_train_mean at_most 0.8
sprint-gpu start_to_result_seconds at_most 3
END
}
judge_limits() {
    local key member
    [ "$judge" = yes ] || return 0
    while IFS=$(printf '\t') read -r key member; do
        shows "limit-$key" "$member" test "${member#*\"met\": true}" != "$member"
    done < "$state/limits"
}
