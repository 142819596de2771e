# --json: exactly one JSON object on standard output, of what succeeded and of what failed.
. "$2/tests/cli/common"

run 0 recipes --json
json recipes
run 0 recipes digits --json
json name text params macs
[ "$(head -n 1 values)" = digits ] || die "name"
run 0 doctor --json
json version commit compiler cpu isa isas threads memory_bytes parts

"$TOOL" npy x.npy 12 || die "t_tool"
run 0 convert x.npy x.tfrec --labels x.npy-labels.npy --json
json files
grep -q '"records":12' values || die "12 records"
err "x.tfrec: 12 records of 8 x 8 x 1, 3 classes"
run 0 inspect x.tfrec --json
json kind files records bytes compression features valid verified
[ "$(sed -n 3p values)" = 12 ] || die "12 records"
[ "$(sed -n 7p values)" = true ] || die "valid"

for arguments in "inspect none.tfrec" "convert none x2.tfrec" "train nonesuch" "recipes nonesuch" \
    "eval none.safetensors --data x.tfrec" "predict none.safetensors x.npy" "plot lr nonesuch" \
    "bench step nonesuch"; do
    run 1 $arguments --json
    json error status
    grep -q '^FW_E' values || die "status"
    [ -s err ] || die "nothing on standard error"
done
exit 0
