# examples/in_memory.c, and that the README shows this very program.
. "$2/tests/cli/common"

last=in_memory
"$FW_BUILD_DIR/examples/in_memory" "$SOURCE/recipes/digits.csv" > out 2> err || die "exit code $?"
grep -qE '^accuracy [0-9]{2}\.[0-9]{2} % of 359 digits$' out || die "no accuracy"
is "$(cut -d ' ' -f 2 out) > 90"
"$FW_BUILD_DIR/examples/in_memory" missing.csv > out 2> err && die "success without data"
err "missing.csv"

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$SOURCE/README.md" > shown.c
[ -s shown.c ] || die "the README shows no program"
awk '/^static fw_layer/ { on = 1 } on' "$SOURCE/examples/in_memory.c" > program.c
cmp shown.c program.c || die "the README shows another program than examples/in_memory.c"
exit 0
