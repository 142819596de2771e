# doctor: version, compiler, machine, each optional part with yes or no.
. "$2/tests/cli/common"

run 0 doctor
grep -qE '^fenwicks [0-9.]+( [0-9a-f]+(-changed)?)?, built with .' out || die "first line"
grep -qE '^cpu +[^ ]' out || die "cpu"
grep -qE '^kernels +[a-z0-9_]+ \(this machine can run: .*portable.*\)$' out || die "kernels"
grep -qE '^threads +[1-9]' out || die "threads"
grep -qE '^memory +[0-9.]+ GiB$' out || die "memory"
if command -v gnuplot > /dev/null; then
    grep -qE '^yes gnuplot ' out || die "gnuplot is there"
fi
PATH=/nonexistent run 0 doctor
grep -qE '^no +gnuplot .*\(package gnuplot-nox\)$' out || die "gnuplot is missing, and its package is not named"
run 0 doctor --ops
out "conv2d"
exit 0
