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

# The same sentences from whoever takes a device.
run 0 train digits --out m --epochs 1 --threads 1
cp m/model.safetensors .
printf '\223NUMPY\1\0' > broken.npy
for device in gpu cuda:99; do
    run 1 train digits --out r --device $device
    tail -n 1 err | sed 's/^[a-z ]*: //' > said
    grep -q "^device $device: " said || die "no sentence"
    for call in "eval model.safetensors --recipe digits" "predict model.safetensors broken.npy" "bench step digits --runs 1"; do
        run 1 $call --device $device
        tail -n 1 err | sed 's/^[a-z ]*: //' | cmp -s - said || die "another sentence than train's: $(cat said)"
    done
done
run 0 eval model.safetensors --recipe digits --device cpu
run 2 bench data digits --device cpu
err "--device says nothing of data"

# Precisions that only GPUs have, before anything is read.
for call in "train digits --out r" "bench step digits --runs 1"; do
    run 1 $call --precision f16
    err "precision f16 is for GPUs: device cpu"
    run 1 $call --precision fp16
    err "precision f16 is for GPUs: device cpu"
    run 1 $call --precision tf32
    err "precision tf32 is a GPU's"
    run 2 $call --precision f8
    err "is none of f32, tf32, bf16, f16, f64"
done
[ -e r/model.safetensors ] && die "a model was written"
exit 0
