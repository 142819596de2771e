# examples/walkthrough.c on a small slice in CIFAR-10's layout: from the .bin files to predictions, and again.
. "$2/tests/cli/common"

walkthrough=$FW_BUILD_DIR/examples/walkthrough
mkdir bin && "$TOOL" cifar10 bin 8 || die "t_tool" # 40 training images, 8 test images

try() {
    want=$1
    shift
    last="walkthrough $*"
    code=0
    "$walkthrough" "$@" > out 2> err || code=$?
    [ "$code" = "$want" ] || die "exit code $code, expected $want"
}

try 0 here bin 2 16
grep -qE '^accuracy [0-9.]+ %, loss [0-9.]+, model here/work/cifar10/model\.safetensors$' out || die "no accuracy"
[ "$(grep -c '^test image [0-4]: class [0-9] with [0-9.]* %, is [0-9]$' out)" = 5 ] || die "five predictions"
[ "$(grep -c '^epoch ' err)" = 2 ] || die "a line for each of 2 epochs"
run 0 inspect here/data/cifar10/train.tfrec --verify
out "records      40"
run 0 inspect here/work/cifar10/model.safetensors --verify
out "6577600 elements" # 6,573,120 parameters and the running statistics
run 0 eval here/work/cifar10/model.safetensors --data here/data/cifar10/test.tfrec --batch 8
out "8 records"

# Started again it has nothing left to do, and says the same.
cp out before_eval
try 0 here bin 2 16
[ "$(grep -c '^epoch ' err)" = 0 ] || die "trained twice"
out "accuracy"

try 1 here bin 2 64
err "are no step"
try 1 there missing 2 16
err "missing"
: > file
try 1 file/below bin
err "file/below"
exit 0
