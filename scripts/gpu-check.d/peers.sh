# peers.sh: the user's own checkouts of other speed records, timed beside ours. Sourced by scripts/gpu-check.
peer() { # script, our seconds or nothing
    local script=$1 ours=$2 name runs t0 limit
    t0=$(tenths)
    name=peer-$(echo "${script#"$peers"/}" | tr -c 'A-Za-z0-9._\n' '-')
    case $script in
        *.sh) set -- bash "$script" ;;
        *) set -- python3 "$script" ;;
    esac
    limit=$(($(left) * 40 / 100))
    if [ "$limit" -lt 2 ]; then
        record "$name" "left out: no time" 124 0
        return
    fi
    # one that is stopped has printed runs as well
    (cd "$(dirname "$script")" && PYTHONUNBUFFERED=1 exec timeout -k 10 "$limit" "$@") > "$out/$name.out" 2> "$out/$name.log" < /dev/null &
    wait $! || : # a signal ends this script at once
    runs=$(awk '
        function last(   n, v) {
            n = $0
            v = ""
            while (match(n, /[0-9]+(\.[0-9]+)?/)) {
                v = substr(n, RSTART, RLENGTH)
                n = substr(n, RSTART + RLENGTH)
            }
            return v
        }
        tolower($0) ~ /warm/ { next }
        /eval/ && last() != "" { eval[++n_eval] = last(); next }
        tolower($0) ~ /time|seconds/ && last() != "" { other[++n_other] = last() }
        END {
            for (i = 1; i <= n_eval; i++) print eval[i]
            for (i = 1; n_eval == 0 && i <= n_other; i++) print other[i]
        }' "$out/$name.out")
    if [ -z "$runs" ]; then
        record "$name" "failed: it printed no seconds: $(last_line "$out/$name.log")" 1 $(($(tenths) - t0))
        return
    fi
    keep peers "$name" "{\"script\": $(text "$script"), $(echo "$runs" | awk -v ours="$ours" '
        { n++; sum += $1; if (n == 1 || $1 < least) least = $1 }
        END {
            ratio = ours + 0 > 0 ? sprintf("%.4f", sum / n / ours) : "null"
            printf "\"runs\": %d, \"seconds_mean\": %.4f, \"seconds_min\": %.4f, \"our_t_train_mean\": %s, \"ratio\": %s", n, sum / n, least,
                (ours == "" ? "null" : ours), ratio
        }')}"
    record "$name" ok 0 $(($(tenths) - t0))
}
run_peers() {
    local script found ours
    peers=$(cd "$peers" && pwd)
    forget steps "peers|peer-.*"
    forget peers ".*"
    # ours: of airbench94-muon, which two of them descend from, else of the first recipe that was trained
    ours=$(of_state training airbench94-muon "$(head -n 1 "$state/training" 2> /dev/null)" | grep -o '"t_train_mean": [0-9.]*' | head -n 1 | sed 's/.*: //')
    found=$(find "$peers" -maxdepth 3 -type f \( -name airbench94_muon.py -o -name cifar10_speedrun.py -o -name 'e1*.py' \) | sort
        find "$peers" -maxdepth 1 -type f -name '*.sh' | sort)
    if [ -z "$found" ]; then
        record peers "failed: no script of a peer in $peers" 1 0
    fi
    while read -r script; do
        [ -z "$script" ] || peer "$script" "$ours"
    done <<< "$found"
}
