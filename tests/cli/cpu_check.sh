# scripts/cpu-check over a made-up command: which steps run, what is kept, stopped and failed ones.
# (ctest: once)
. "$2/tests/cli/common"

mkdir -p tree/scripts
cp "$SOURCE/scripts/cpu-check" tree/scripts/
for peer in ab bench-peers; do
    printf '#!/bin/bash\necho "%s $*" >> calls\n' $peer > tree/scripts/$peer
    chmod +x tree/scripts/$peer
done
cat > tree/fenwicks << 'END'
#!/bin/bash
echo "$*" >> calls
case "$*" in
    *peak*) [ ! -e fail ] || { echo "no peak" >&2; exit 1; } ;;
    "train airbench94-muon"*) [ ! -e slow ] || sleep 20 ;;
esac
echo "result of $2"
END
chmod +x tree/fenwicks
check() { # CODE ARGUMENT...
    want=$1
    shift
    last="cpu-check $*"
    code=0
    bash tree/scripts/cpu-check "$@" > out 2> err || code=$?
    [ "$code" = "$want" ] || die "exit code $code, expected $want"
}

check 2 --budgit 3
err "unknown option --budgit"
check 2 --data
err "--data wants a value"
check 2 --data x --budget 1h
check 2
err "needs --data"
check 2 --data x --steps "peak no-such"
err "no step no-such"
check 1 --data x --fenwicks ./none
err "./none: no such command"
check 0 --help
out "--budget SECONDS"
check 0 --list
steps=$(wc -l < out)
[ "$steps" -gt 10 ] || die "few steps"

# every step of the list runs something, with paths as the caller's folder has them; the second call finds all done
check 0 --data d --fenwicks tree/fenwicks
[ "$(ls tree/runs/cpu-check/*.out | wc -l)" = "$steps" ] || die "a step left no output"
grep -q "^result of step" tree/runs/cpu-check/step-airbench94-bf16.out || die "no output"
for net in airbench94 airbench94_24 airbench94_28 davidnet resnet18 airbench96 vgg224 other; do # every shape of both precisions, each once
    grep -qx "bench conv --precision bf16 --shape $net --results bench/results" tree/calls || die "conv-bf16-$net"
    grep -qx "bench conv --precision f32 --shape $net --results bench/results" tree/calls || die "conv-f32-$net"
done
[ "$(awk '!/^#/ && NF { print $1 }' "$SOURCE/bench/shapes.txt" | sort -u | wc -l)" = 8 ] || die "a net without a step"
grep -qx "bench-peers --fenwicks $PWD/tree/fenwicks --what step --precision bf16" tree/calls || die "peers"
grep -qx "ab --data $PWD/d --epochs 4 --runs 20 --fenwicks $PWD/tree/fenwicks" tree/calls || die "ab"
grep -qx "train sprint --runs 20 --same-commit --log docs/results/sprint-proof.jsonl --data $PWD/d" tree/calls || die "sprint"
for recipe in airbench94 hiverge e1 hlb; do
    grep -qx "train $recipe --precision bf16 --runs 5 --log docs/results/full-length.jsonl --data $PWD/d" tree/calls || die "$recipe"
done
grep -q "^ablate sprint --without all --epochs 4.625 .*--data $PWD/d$" tree/calls || die "ablate"
if grep -qw avx512_bf16 /proc/cpuinfo; then # choices: each with both instruction sets
    [ "$(grep -cx "bench step sprint --precision bf16 --at 600 --set conv=winograd3" tree/calls)" = 2 ] || die "choices"
fi
grep -q "^train page-4 .*--epochs 5 .*--data $PWD/d$" tree/calls || die "page-4"
rm tree/calls
check 0 --data d --fenwicks tree/fenwicks
[ ! -e tree/calls ] || die "a step ran again"

# a step that does not end in time comes again; one that fails is named, and the others run
touch tree/slow
check 3 --data d --fenwicks tree/fenwicks --out tree/new --steps "peak train-airbench94-muon loaders" --budget 6
err "train-airbench94-muon: stopped after"
[ -e tree/new/peak.out ] && [ ! -e tree/new/train-airbench94-muon.out ] && [ ! -e tree/new/loaders.out ] || die "the budget"
[ -e tree/new/train-airbench94-muon.failed ] || die "what a stopped step said"
rm tree/slow
check 0 --data d --fenwicks tree/fenwicks --out tree/new --steps "peak train-airbench94-muon loaders"
[ ! -e tree/new/train-airbench94-muon.failed ] || die "a step that is done has failed before"
touch tree/fail
check 1 --data d --fenwicks tree/fenwicks --out tree/third --steps "peak loaders"
err "peak: failed with 1: no peak"
[ -e tree/third/loaders.out ] && [ ! -e tree/third/peak.out ] || die "after a failure"

# what failed comes behind what has not been tried
rm tree/fail
check 0 --data d --fenwicks tree/fenwicks --out tree/third --steps "peak loaders step-sprint-24"
[ "$(grep 's left' err | cut -d ' ' -f 2 | tr '\n' ' ')" = "step-sprint-24 peak " ] || die "the order: $(cat err)"
exit 0
