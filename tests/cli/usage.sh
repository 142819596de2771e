# Wrong usage: exit code 2, one sentence and how it is right on standard error, nothing on standard output.
. "$2/tests/cli/common"

wrong() {
    text=$1
    shift
    run 2 "$@"
    out_is ""
    err "$text"
}

wrong "usage: fenwicks COMMAND"
wrong 'no command "trian"; the nearest is train' trian
wrong "needs a recipe's name or file" train
wrong 'unexpected argument "more"' train digits more
wrong "unknown option --epoch; the nearest is --epochs" train digits --epoch 3
wrong "unknown option --ouput; the nearest is --out" train digits --ouput=x
wrong "unknown option --hlep; the nearest is --help" doctor --hlep
wrong "--epochs needs a value" train digits --epochs
wrong '--seed: "x", expected a whole number, 0 or more' train digits --seed x
wrong '--seed: "-1", expected a whole number, 0 or more' train digits --seed -1
wrong '--seed: 3 from 18446744073709551614 on pass 18446744073709551615' train digits --seed 18446744073709551614 --runs 3
wrong '--seed: 5 from 18446744073709551615 on pass 9223372036854775807' ablate digits --without all --seed 18446744073709551615
wrong '--threads: "2.5", expected a whole number from 0 to 4096' train digits --threads=2.5
wrong '--threads: "4294967297", expected' predict model.safetensors x.npy --threads 4294967297
wrong '--set: "lr", expected KEY=VALUE' train digits --set lr
wrong '--runs: "0", expected a whole number, 1 or more' train digits --runs 0
wrong '--take: "0", expected' convert a b.tfrec --take 0
wrong '--keep: "0", expected' train digits --keep 0
wrong '--batch: "0", expected' eval m.safetensors --data d --batch 0
wrong '--at: "-1", expected a whole number, 0 or more' bench step digits --at -1
wrong '--memory-limit: "0", expected a number of bytes above 0' train digits --memory-limit 0
wrong '--memory-limit: "5Q", expected a number of bytes above 0' train digits --memory-limit 5Q
wrong "--quiet takes no value" train digits --quiet=yes
wrong "--resume needs --out" train digits --resume
wrong "does not go with --runs" train digits --runs 2 --until-accuracy 0.9
wrong "is no fraction" train digits --until-accuracy 94
wrong '--precision: "f8"' train digits --precision f8
wrong '--precision: ""' ablate digits --without lr --precision ''
wrong '--precision: "f8"' ablate digits --without lr --precision f8
wrong "needs a source and a destination" convert only-one
wrong '--compression: "xz" is none of none, gzip, zlib' convert a b.tfrec --compression xz
wrong "is not in 1..9" convert a b.tfrec --level 10
wrong "--level: is of --compression gzip or zlib" convert a b.tfrec --level 5
wrong '--top: "0", expected' predict m.safetensors x.npy --top 0
wrong "needs a file" inspect
wrong "needs a model file" eval
wrong "needs --data" eval model.safetensors
wrong "needs a model and at least one file" predict model.safetensors
wrong "--csv does not go with --json" predict m.safetensors x.npy --csv --json
wrong "--top is of lines for people" predict m.safetensors x.npy --csv --top 2
wrong "needs a kind (lr) and a recipe" plot
wrong '"loss" is none of the kinds: lr' plot loss fenwicks
wrong '--records: "0", expected' plot lr fenwicks --records 0
wrong "needs what to measure" bench
wrong "is none of step, conv, ops, data, peak" bench all
wrong "the nearest is data" bench dtaa
wrong "step takes one recipe" bench step digits mnist
wrong "--with says nothing of step" bench step --with lr=1
wrong 'no command "albate"; the nearest is ablate' albate
wrong "--label needs --log" train digits --label x
wrong 'unexpected argument "now"' doctor now
for verb in convert inspect recipes train ablate eval predict plot bench doctor; do
    wrong "usage: fenwicks $verb" $verb --no-such-option
    err "fenwicks $verb --help"
done
exit 0
