# inspect: records, damaged in every place; a run's folder and model files are in train.sh.
. "$2/tests/cli/common"

"$TOOL" npy x.npy 10 || die "t_tool"
"$FENWICKS" convert x.npy x.tfrec --labels x.npy-labels.npy > out || die "convert"
run 0 inspect x.tfrec
out "records      10"
out "files        1"
out "compression  none"
out "features     image bytes, label int64, shape int64[3]"
out "--verify"
run 0 inspect x.tfrec --verify
out "every checksum is right"

size=$(($(wc -c < x.tfrec) / 10)) # ten equal records: 12 bytes of head, the data, 4 bytes of checksum

# One bit in the data of record 7.
cp x.tfrec d.tfrec
"$TOOL" flip d.tfrec $((7 * size + 50)) || die "t_tool"
run 1 inspect d.tfrec --verify
out_is ""
err "d.tfrec: record 7 at byte $((7 * size)): data crc"
run 1 inspect d.tfrec --verify --json
json error status
grep -q "^FW_EFORMAT" values || die "status"

# One bit in a length, found without --verify.
cp x.tfrec l.tfrec
"$TOOL" flip l.tfrec $((4 * size + 2)) || die "t_tool"
run 1 inspect l.tfrec
err "l.tfrec: record 4 at byte $((4 * size)): length crc"

# A file that was cut.
head -c $((9 * size + 20)) x.tfrec > t.tfrec
run 1 inspect t.tfrec
err "t.tfrec: record 9 at byte $((9 * size))"
run 1 inspect t.tfrec --verify
err "t.tfrec: record 9 at byte $((9 * size))"

# Of several files, the damaged one is named.
"$FENWICKS" convert x.npy s.tfrec --labels x.npy-labels.npy --shards 5 > out || die "convert"
"$TOOL" flip s.tfrec-00003-of-00005 $((size + 30)) || die "t_tool"
run 1 inspect s.tfrec@5 --verify
err "s.tfrec-00003-of-00005: record 1 at byte $size"

run 1 inspect missing.tfrec
err "missing.tfrec"
mkdir folder
run 1 inspect folder
err "folder"
: > empty.tfrec
run 0 inspect empty.tfrec --verify
out "records      0"
printf 'this is not a record file at all' > text.tfrec
run 1 inspect text.tfrec
err "text.tfrec: is no TFRecord file but text: record 0 at byte 0: length crc is"

# A terminal is given no control character of a file: names of tensors, keys, values.
header='{"__metadata__":{"note":"a\u001b]0;owned\u0007\u009bb\nc"},"t\u001b[2J":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
{
    printf "\\$(printf %o ${#header})\\0\\0\\0\\0\\0\\0\\0%s\\0\\0\\0\\0" "$header"
} > m.safetensors
run 0 inspect m.safetensors
out "t?[2J"
out "a?]0;owned??b"
[ "$(grep -c '^c$' out)" = 1 ] || die "lines of a text"
no_controls() { LC_ALL=C grep -q "$(printf '[\001-\011\013-\037]')" out && die "control characters"; }
no_controls

# Nor is there a line of output that a name made up.
cp "$SOURCE/fuzz/corpus/model/names" n.safetensors
echo 1,2,3,4,5,6,0 > six.csv
run 0 predict n.safetensors six.csv --top 3
no_controls
[ "$(wc -l < out)" = 1 ] || die "one line"
out "a?[31m "
out "b?c 99 % "
run 1 predict n.safetensors six.csv --top 99
err "--top 99: the model has "
run 0 predict n.safetensors six.csv --csv
no_controls
[ "$(wc -l < out)" = 2 ] || die "two lines"
[ "$(head -n 1 out)" = 'file,index,class,a?[31m,b?c 99 %,"d??, ""e"""' ] || die "names in CSV"
run 0 inspect n.safetensors
no_controls

# A run that diverged says so; one that begins at step 0 again, too.
run 1 train digits --set lr=1e6,schedule=constant --epochs 1 --out div --quiet
run 0 inspect div
out "diverged: "
run 0 train digits --epochs 0.2 --out div --resume
err "no checkpoint in div: it begins at step 0"
run 0 inspect div --json
grep -q '"diverged"' out && die "a later start did not diverge"
# Damaged checkpoints do not keep the rest from being told.
for file in div/checkpoint-*; do head -c 100 "$file" > cut && mv cut "$file"; done
run 0 inspect div
out "checkpoint_damaged: div: none of its"
out "last_epoch: "
run 1 inspect div --verify
err "none of its"

# A name that is no UTF-8 costs no row of JSON.
odd=$(printf '\377.csv')
cp six.csv "$odd"
run 0 predict n.safetensors "$odd" --json
json predictions
grep -q '"file": "?.csv"' out || die "the row of an odd name"

# With the standard streams closed no file takes their place.
"$FENWICKS" train digits --epochs 0.05 --out closed > /dev/null 2>&- || die "train without standard error"
run 0 inspect closed --verify
exit 0
