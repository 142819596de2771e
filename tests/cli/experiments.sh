# The commands of docs/experiments.md: every recipe is there, every change means something; no run.
. "$2/tests/cli/common"

cd "$SOURCE" || exit 1
work=$OLDPWD
n=0
grep -E '^    fenwicks (ablate|train) ' docs/experiments.md > "$work/commands"
while read -r line; do
    line=$(echo "$line" | sed 's/ --data C / --data none.tfrec /; s/ --log [^ ]*//; s/ --plot [^ ]*//; s/ --out [^ ]*//')
    last=$line
    eval "set -- $line"
    shift
    code=0
    (verb=$1 && shift && "$FENWICKS" "$verb" "$@" --json $([ "$verb" = train ] && echo "--log $work/r.jsonl")) > "$work/out" 2> "$work/err" || code=$?
    [ "$code" = 1 ] || { cat "$work/err"; echo "FAILED: $line: exit code $code"; exit 1; }
    # all is right but the data
    grep -q 'none.tfrec' "$work/err" || { cat "$work/err"; echo "FAILED: $line"; exit 1; }
    n=$((n + 1))
done < "$work/commands"
[ $n -ge 8 ] || { echo "FAILED: $n commands only"; exit 1; }
for f in experiments/*.recipe; do
    grep -q "$f" docs/experiments.md || { echo "FAILED: $f is not in docs/experiments.md"; exit 1; }
    "$FENWICKS" recipes "$f" > "$work/out" || { echo "FAILED: $f"; exit 1; }
done
exit 0
