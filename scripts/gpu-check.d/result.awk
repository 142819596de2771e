# result.awk: gpu-check.json out of the lists that result.sh keeps, which are the files to read: lines of name, tab, value. With -v choices: the file of
# measured engines, which may be missing.
function every(list, names,   i, all) { # its values, with their names where those are wanted
    all = ""
    for (i = 1; i <= n[list]; i++)
        all = all (i > 1 ? ",\n    " : "\n    ") (names ? "\"" name[list, i] "\": " : "") value[list, i]
    return all
}
function note(wanted, otherwise,   i) {
    for (i = 1; i <= n["notes"]; i++)
        if (name["notes", i] == wanted)
            return value["notes", i]
    return otherwise
}
{
    list = FILENAME
    sub(/.*\//, "", list)
    at = index($0, "\t")
    name[list, ++n[list]] = substr($0, 1, at - 1)
    value[list, n[list]] = substr($0, at + 1)
    if (list == "steps" && name[list, n[list]] ~ /^(test-.*|own-engines)$/) {
        if ($0 ~ /"ended": "ok"/)
            passed++
        else if ($0 ~ /"ended": "skipped/)
            skipped++
        else
            failed++
    }
}
END {
    print "{" every("facts", 1) ","
    print " \"calls\": [" every("calls") "],"
    print " \"steps\": [" every("steps") "],"
    print " \"tests\": {\"passed\": " passed + 0 ", \"failed\": " failed + 0 ", \"skipped\": " skipped + 0 "},"
    print " \"sanitizer\": " note("sanitizer", "\"not run\"") ","
    print " \"limits\": [" every("limits") "],"
    print " \"training\": [" every("training") "],"
    print " \"peers\": [" every("peers") "],"
    print " \"bench\": {" every("bench", 1) "},"
    measured = ""
    while ((getline line < choices) > 0)
        measured = measured line "\n"
    print " \"conv_choices\": " (measured == "" ? "null\n" : measured) ","
    print " \"doctor\": " note("doctor", "{}")
    print "}"
}
