# --help and --version; every verb has a help text that names all its options.
. "$2/tests/cli/common"

run 0 --version
grep -qE '^fenwicks [0-9]+\.[0-9]+\.[0-9]+( [0-9a-f]{10,40}(-changed)?)?$' out || die "no version"
[ ! -s err ] || die "standard error is not empty"
version=$(cut -d ' ' -f 2 out)

run 0 --help
[ ! -s err ] || die "standard error is not empty"
out "fenwicks $version"
verbs="convert inspect recipes train ablate eval predict plot bench doctor"
for verb in $verbs; do
    grep -qE "^  $verb  *[^ ]" out || die "no line for $verb"
done
[ "$(grep -cE '^  [a-z]+ ' out)" = "$(echo "$verbs" | wc -w)" ] || die "a verb that this test does not know"
out "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."

for verb in $verbs; do
    run 0 $verb --help
    [ ! -s err ] || die "standard error is not empty"
    [ "$(head -n 1 out | cut -d ' ' -f 1-3)" = "usage: fenwicks $verb" ] || die "usage line"
    out "--json"
    out "--help"
    awk 'length > 132 { print "too wide: " $0; bad = 1 } END { exit bad }' out || die "a line too wide"
done

run 0 help inspect
[ "$(head -n 1 out | cut -d ' ' -f 1-3)" = "usage: fenwicks inspect" ] || die "help of a verb"
for word in version -V; do
    run 0 $word
    out "fenwicks $version"
done

# Every default stands in the help.
run 0 train --help
for text in "default 0)" "default 1)" "default cpu)" "default: the recipe's)" "default 2)" "default none)"; do
    out "$text"
done

# A full disk behind standard output is a failure.
if [ -w /dev/full ]; then
    "$FENWICKS" --help > /dev/full 2> err && die "writing to a full disk reports success"
    err "cannot write to standard output"
fi
# So is a closed one.
"$FENWICKS" recipes >&- 2> err && die "writing to nothing reports success"
err "cannot write to standard output"
exit 0
