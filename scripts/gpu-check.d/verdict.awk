# verdict.awk: mean, deviation and Student's t against 94 % over the runs of a training (`fenwicks train --json`), times
# the same way. Behind student.awk.
{
    text = text $0 " "
}
function series(key,   rest, at, v) {
    n = 0; sum = 0; squares = 0; least = 1e30
    rest = runs
    while (match(rest, "\"" key "\": *-?[0-9][0-9.eE+-]*")) {
        at = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        sub(/^"[^"]*": */, "", at)
        v = at + 0
        value[++n] = v
        sum += v
        if (v < least)
            least = v
    }
    mean = n > 0 ? sum / n : 0
    for (i = 1; i <= n; i++)
        squares += (value[i] - mean) ^ 2
    std = n > 1 ? sqrt(squares / (n - 1)) : 0
    if (n == 0)
        least = 0
}
END {
    runs = text
    sub(/.*"runs": *\[/, "", runs)
    sub(/\].*/, "", runs)
    diverged = gsub(/"diverged": *true/, "&", runs) # in no mean, so the others alone pass nothing
    series("accuracy_plain")
    plain = n > 0 ? sprintf("%.6f", mean) : "null"
    series("accuracy")
    over = 0
    for (i = 1; i <= n; i++)
        over += value[i] >= 0.94
    t = std > 0 ? (mean - 0.94) / (std / sqrt(n)) : 0
    over = n == 0 ? 0 : over / n
    printf "{\"n\": %d, \"accuracy_mean\": %.6f, \"accuracy_std\": %.6f, \"accuracy_min\": %.6f", n, mean, std, least
    printf ", \"accuracy_plain_mean\": %s, \"share_at_94\": %.4f, \"t\": %.3f", plain, over, t
    p = std > 0 ? student_p(t, n - 1) : 1
    printf ", \"p\": %.7f, \"diverged\": %d, \"passes\": %s", p, diverged, (n >= 200 && p < 0.05 && diverged == 0) ? "true" : "false"
    split("t_train t_total t_dawn", keys, " ")
    for (k = 1; k <= 3; k++) {
        series(keys[k])
        later = n > 1 ? (sum - value[1]) / (n - 1) : 0
        printf ", \"%s_mean\": %.6f, \"%s_std\": %.6f, \"%s_min\": %.6f", keys[k], mean, keys[k], std, keys[k], least
        printf ", \"%s_mean_without_first\": %.6f", keys[k], later
    }
    printf "}"
}
