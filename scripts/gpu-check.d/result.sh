# result.sh: what scripts/gpu-check finds, kept in FOLDER so that neither a cut nor a later call loses it. Sourced by
# scripts/gpu-check.
#
# FOLDER/state has a file for each list of the JSON, with a line for each of its members: name, tab, value. A member that comes
# again takes the place of the one before. gpu-check.json is made of them after each step.

# ---- JSON, as far as a shell needs it ----
text() { # a string
    local s=${1//[$'\n\t']/ }
    s=${s//[[:cntrl:]]/}
    s=${s//\\/\\\\}
    printf '"%s"' "${s//\"/\\\"}"
}
keep() { # LIST NAME VALUE
    local file=$state/$1
    {
        [ ! -e "$file" ] || awk -F'\t' -v name="$2" '$1 != name' "$file"
        printf '%s\t%s\n' "$2" "${3//[$'\n\t']/ }"
    } > "$file.new" && mv "$file.new" "$file"
}
forget() { # LIST REGEX: members of that name, which are about to be found anew
    local file=$state/$1
    [ -e "$file" ] || return 0
    awk -F'\t' -v name="^($2)$" '$1 !~ name' "$file" > "$file.new" && mv "$file.new" "$file"
}
of_state() { # LIST NAME OTHERWISE: one member's value
    { [ -e "$state/$1" ] && awk -F'\t' -v name="$2" '$1 == name { sub(/^[^\t]*\t/, ""); print; found = 1 } END { exit !found }' "$state/$1"; } ||
        echo "$3"
}
numbers() { # key file: the values of a number in JSON, one per line
    grep -o "\"$1\": *-\{0,1\}[0-9][0-9.eE+-]*" "$2" | sed 's/.*: *//'
}
first() { numbers "$1" "$2" | head -n 1; }

# ---- time ----
start=$EPOCHSECONDS
began=$(date -u +%Y-%m-%dT%H:%M:%SZ)
left() { echo $((budget - EPOCHSECONDS + start)); }
share() { # PERCENT [STEP...]: of the time that is left; all of it where none of those steps comes behind
    local percent=$1
    shift
    wanted "$@" || percent=100
    echo $(($(left) * percent / 100))
}
tenths() { echo $((${EPOCHREALTIME//[.,]/} / 100000)); }
decimal() { echo "$(($1 / 10)).$(($1 % 10))"; }

# ---- steps ----
failed=0
gpu_state=""
gpu_now() { gpu temperature.gpu,clocks.sm,power.draw; }
record() { # name, how it ended, exit code, tenths of seconds
    [ "$4" = 0 ] || gpu_state=$(gpu_now)
    keep steps "$1" "{\"name\": $(text "$1"), \"ended\": $(text "$2"), \"exit_code\": $3, \"seconds\": $(decimal "$4"), \
\"call\": $call, \"temperature_clock_power\": $(text "$gpu_state")}"
    echo "gpu-check: $1: $2 ($(decimal "$4") s, $(left) s left)" >&2
    case $2 in
        ok | skipped*) ;;
        *) failed=1 ;;
    esac
    write_result
}
shows() { # name, what is wrong if the command that follows is false
    local name=$1 wrong=$2
    shift 2
    if "$@"; then record "$name" ok 0 0; else record "$name" "failed: $wrong" 1 0; fi
}
last_line() { cat "$@" 2> /dev/null | grep -v '^ *$' | tail -n 1; }
ending() { # exit code, limit, file...: how a step with this output ended
    local code=$1 limit=$2
    shift 2
    case $code in
        0) echo ok ;;
        77) echo "skipped: $(last_line "$@")" ;;
        124 | 137) echo "stopped after $limit s" ;;
        *) echo "failed: $(last_line "$@")" ;;
    esac
}

# step NAME LIMIT COMMAND...: runs it with at most LIMIT seconds; standard output in OUT/NAME.out, standard error in
# OUT/NAME.log; its exit code comes back, and in `took` the tenths of seconds that it took.
took=0
step() {
    local name=$1 limit=$2 t0 code=0
    shift 2
    took=0
    [ "$limit" -gt "$(left)" ] && limit=$(left)
    if [ "$limit" -lt 2 ]; then
        record "$name" "left out: no time" 124 0
        return 124
    fi
    t0=$(tenths)
    timeout -k 10 "$limit" "$@" > "$out/$name.out" 2> "$out/$name.log" < /dev/null &
    wait $! || code=$? # and not in the foreground, so that a signal ends this script at once
    took=$(($(tenths) - t0))
    record "$name" "$(ending "$code" "$limit" "$out/$name.out" "$out/$name.log")" "$code" "$took"
    return "$code"
}

# ---- the folder, and everything in one file ----
open_result() {
    out=${out:-runs/gpu-check-$(date +%Y%m%d-%H%M%S)}
    mkdir -p "$out/state" || die "cannot make $out"
    out=$(cd "$out" && pwd)
    state=$out/state
    build=$PWD/build/gpu
    fenwicks=$build/fenwicks
    rm -f "$state"/*.new
    call=$(($(cat "$state/calls" 2> /dev/null | wc -l) + 1))
    gpu_state=$(gpu_now)
    keep facts gpu "{\"name\": $(text "$name"), \"compute_capability\": $(text "$(gpu compute_cap)"),
        \"memory_mib\": $(text "$(gpu memory.total)"), \"driver\": $(text "$(gpu driver_version)"),
        \"power_limit_w\": $(text "$(gpu power.limit)"), \"clock_max_mhz\": $(text "$(gpu clocks.max.sm)")}"
    keep facts toolkit "$(text "$nvcc_says")"
    keep facts host "$(text "$(uname -sr), $(nproc) CPUs")"
    keep facts device "$(text "$device")"
    keep facts precision "$(text "$precision")"
    keep facts seeds "$seeds"
    export FENWICKS_CONV_CHOICES=$out/conv-choices.json
    find_limits
    [ -z "$choices" ] || cp "$choices" "$FENWICKS_CONV_CHOICES" || die "cannot copy $choices"
}
name_build() { # what is being checked: known as soon as it is built
    local version says=$commit
    version=$("$fenwicks" --version 2> /dev/null | head -n 1)
    # of this tree, not of one that it lies in
    [ -n "$says" ] || [ "$(git rev-parse --show-toplevel 2> /dev/null)" != "$PWD" ] || says=$(git rev-parse --short HEAD)
    [ -n "$says" ] || says=$(echo "$version" | awk '{ print $3 }')
    keep facts fenwicks "$(text "$version")"
    keep facts commit "$(text "$says")"
}
write_result() {
    keep calls "$call" "{\"call\": $call, \"date\": \"$began\", \"options\": $(text "$asked"), \"budget_seconds\": $budget, \"seconds\": $((EPOCHSECONDS - start))}"
    awk -v choices="$FENWICKS_CONV_CHOICES" -f "$parts/result.awk" "$state"/* > "$out/gpu-check.json.new" &&
        mv "$out/gpu-check.json.new" "$out/gpu-check.json"
}
close_result() { # at the end, also of a call that is told to end
    # shellcheck disable=SC2046 # a number each
    kill $(jobs -rp) 2> /dev/null
    write_result
    # it says 1 where a file changes under its hands, as the folder does
    tar -C "$out" -czf "$out/gpu-check.tgz.new" --exclude='*.safetensors' --exclude='*-empty-cache' --exclude=./work --exclude='gpu-check.tgz*' . 2> /dev/null
    [ $? -gt 1 ] || mv "$out/gpu-check.tgz.new" "$out/gpu-check.tgz"
    echo "$out/gpu-check.json"
}
