# A full disk, in the form of a small tmpfs: a message, exit code 1, nothing half-written.
. "$2/tests/cli/common"

mkdir small
if ! mount -t tmpfs -o size=512k none small 2> mount.log; then
    if [ -z "${FW_UNSHARED-}" ] && unshare -rm true 2>> mount.log; then
        cd .. && FW_UNSHARED=1 exec unshare -rm bash "$0" "$@"
    fi
    skip "no tmpfs can be mounted here: $(tail -n 1 mount.log)"
fi
trap 'umount small' EXIT

# Records: 90 images of 3 KiB fit 512 KiB, 600 do not.
mkdir c && "$TOOL" cifar10 c 100 || die "t_tool"
run 1 convert c small/c.tfrec
err "small/c-train.tfrec"
err "No space left on device"
[ -z "$(ls -A small)" ] || die "something stayed: $(ls -A small)"

# A run: the folder keeps what was whole; no model, no half checkpoint.
run 1 train digits --epochs 0.1 --out small/run
err "small/run"
err "No space left on device"
[ ! -e small/run/model.safetensors ] || die "a model file on a full disk"
for file in small/run/checkpoint-*.safetensors; do
    [ ! -e "$file" ] || "$FENWICKS" inspect "$file" --verify > /dev/null || die "$file is damaged"
done
ls -a small/run | grep -E 'tmp|part' && die "a temporary file stayed"
exit 0
