# --device cuda where there is no GPU, or not so many: what is missing is said, and doctor says the same.
. "$2/tests/cli/common"

run 0 doctor
if grep -qE '^yes +cuda ' out; then
    run 1 train digits --out r --device cuda:99
    err "device cuda:99: there "
    err "number 99 was asked for"
else
    grep -qE '^no +cuda +training on NVIDIA GPUs; .*(driver|GPU|CUDA backend)' out || die "no reason"
    for device in cuda cuda:0 cuda:99; do
        run 1 train digits --out r --device $device
        err "device $device: "
        err "use the device cpu"
    done
fi
[ -e r ] && die "a folder was made"
run 1 train digits --out r --device gpu
err "device gpu: unknown; known are cpu, cuda and cuda:NUMBER"
exit 0
