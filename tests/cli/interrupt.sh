# Ctrl-C finishes the step, writes a checkpoint and exits with 130; --resume ends with the same model as a
# run that nobody disturbed.
. "$2/tests/cli/common"

# Runs the command until the condition, a command too, holds; then interrupts it, or sends $signal. Its exit code is in code.
signal=INT
interrupted_when() {
    condition=$1
    shift
    last="fenwicks $* (interrupted)"
    : > err # or the lines of the run before would be seen
    "$FENWICKS" "$@" > out 2> err &
    pid=$!
    while kill -0 $pid 2> /dev/null && ! eval "$condition"; do sleep 0.02; done
    kill -$signal $pid 2> /dev/null
    code=0
    wait $pid || code=$?
}
interrupted() { interrupted_when "grep -q '^epoch ' err" "$@"; } # when the first epoch is over

for epochs in 3 12 48; do
    rm -rf run
    interrupted train digits --epochs $epochs --out run
    [ $code != 0 ] && break # it had ended before the signal came: a longer run
done
[ $code = 130 ] || die "exit code $code, expected 130"
err "to go on: "
err "--out run --resume"
ls run | grep -q '^checkpoint-.*\.safetensors$' || die "no checkpoint"
[ ! -e run/model.safetensors ] || die "a model file of an unfinished run"
step=$("$FENWICKS" inspect run --json | "$TOOL" json checkpoint_step) || die "inspect"
is "$step > 0 && $step < $epochs * 22"
cp -r run stopped

run 0 train digits --epochs $epochs --out run --resume
out "accuracy "
out "run/model.safetensors"
run 0 train digits --epochs $epochs --out whole --threads 1
cmp run/model.safetensors whole/model.safetensors || die "the resumed run ends with another model"

# By other kernels a run goes on too, and says that its bits will be others.
cp -r stopped elsewhere
(
    FENWICKS_ISA=portable
    export FENWICKS_ISA
    run 0 train digits --epochs $epochs --out elsewhere --resume
) || exit 1
if grep -q 'cpu (portable' run/config.json; then # the only kernels that this machine has
    grep -q 'same bits' err && die "the same kernels"
else
    err "elsewhere: the run was last on cpu ("
    err "not with the same bits"
fi

# A terminal that goes is a stop like another, unless the program was told to outlive it.
signal=HUP
case $(sed -n 's/^SigIgn://p' /proc/self/status 2> /dev/null) in
    *[13579bdf]) ;; # this test itself was told so
    *)
        interrupted train digits --epochs 48 --out hung
        [ $code = 130 ] || die "exit code $code, expected 130"
        ls hung | grep -q '^checkpoint-' || die "no checkpoint"
        ;;
esac
(
    trap '' HUP
    interrupted train digits --epochs 12 --out deaf
    [ $code = 0 ] || die "exit code $code, expected 0"
) || exit 1
signal=INT

# A conversion takes away what it has begun, and so does a measurement that makes its own records.
"$TOOL" npy big.npy 60000 || die "t_tool"
interrupted_when "ls | grep -q '^big.tfrec.*\.tmp-'" convert big.npy big.tfrec --float --compression gzip --level 9 --shards 3
[ $code = 130 ] || die "exit code $code, expected 130"
err "big.tfrec: stopped on request"
ls | grep -q '^big.tfrec' && die "something is left"
mkdir tmp
export TMPDIR="$PWD/tmp"
interrupted_when '[ -n "$(ls tmp)" ]' bench data digits --runs 1000
unset TMPDIR
[ $code = 130 ] || die "exit code $code, expected 130"
rmdir tmp || die "something is left"

# --json says so too.
interrupted train digits --epochs 48 --out json --json
[ $code = 130 ] || die "exit code $code, expected 130"
json error status
grep -q '^FW_ESTOPPED' values || die "status"

# With another seed it is another run.
run 1 train digits --epochs $epochs --out stopped --resume --seed 5
err "seed"
# A run that was stopped while its proxy was trained is a run too.
interrupted_when '[ -s two/proxy/log.jsonl ]' train digits --epochs 300 --out two --quiet \
    --set "network proxy.layer=conv_bn 4, global_max_pool, classifier 10, network proxy.keep=32"
[ $code = 130 ] || die "exit code $code, expected 130"
[ ! -e two/config.json ] || die "the proxy was done already"
run 0 inspect two
out "phase: proxy"
out "checkpoint_step: "
run 0 inspect two --json
json kind phase config checkpoint checkpoint_step

exit 0
