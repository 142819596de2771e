# limit.awk: whether a number of a training (a line of JSON as train.sh keeps it) is within its bound.
# With -v key, way (at_least, at_most), bound. Prints members of a JSON object; met is null where nothing was measured.
function number(name,   v) {
    if (!match(text, "\"" name "\": *-?[0-9][0-9.eE+-]*"))
        return ""
    v = substr(text, RSTART, RLENGTH)
    sub(/^"[^"]*": */, "", v)
    return v
}
{
    text = text $0
}
END {
    sub(/"first_run":.*/, "", text)
    is = number(key)
    if (is == "") {
        printf "\"is\": null, \"met\": null"
        exit
    }
    met = way == "at_least" ? is + 0 >= bound + 0 : is + 0 <= bound + 0
    if (key ~ /_mean$/) # by 200 runs, none dropped
        met = met && number("n") + 0 >= 200 && number("diverged") + 0 == 0
    if (key == "accuracy_mean" && bound + 0 > 0.94) # and significantly
        met = met && text ~ /"passes": true/
    printf "\"is\": %s, \"runs\": %d, \"met\": %s", is, number("n"), met ? "true" : "false"
}
