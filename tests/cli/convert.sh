# convert: NumPy arrays, rows of text and a CIFAR-10 folder to records; what exists is not lost.
. "$2/tests/cli/common"

# NumPy: bytes with labels, shards, compression, split.
"$TOOL" npy x.npy 20 || die "t_tool"
run 0 convert x.npy x.tfrec --labels x.npy-labels.npy
out_is "x.tfrec: 20 records of 8 x 8 x 1, 3 classes"
[ -f x.tfrec.json ] || die "no sidecar"
run 0 inspect x.tfrec
out "image bytes, label int64, shape int64[3]"
run 0 convert x.npy xf.tfrec --float
run 0 inspect xf.tfrec
out "image float[64]"
"$TOOL" json < x.tfrec.json || die "the sidecar is no JSON object"
run 0 convert x.npy s.tfrec --labels x.npy-labels.npy --split-every 5 --shards 2
out "s-train.tfrec: 16 records"
out "s-test.tfrec: 4 records"
run 0 convert x.npy t.tfrec --labels x.npy-labels.npy --split-every 5 --take 6
out "t-train.tfrec: 6 records of 8 x 8 x 1, 3 classes"
out "t-test.tfrec: 4 records"
run 1 convert x.npy t2.tfrec --take 21
err "x.npy: holds 20 records to train on, the first 21 were asked for (take)"
[ -e t2.tfrec ] && die "a file was made"
for file in s-train.tfrec-00000-of-00002 s-train.tfrec-00001-of-00002 s-test.tfrec-00001-of-00002; do
    [ -f $file ] || die "no $file"
done
run 0 inspect s-train.tfrec@2 --verify
out "records      16"
run 0 convert x.npy z.tfrec --compression gzip --level 9
gzip -t < z.tfrec || die "no gzip file"
run 0 inspect z.tfrec --verify
out "records      20"
out "compression  gzip"

# Floats come as floats.
"$TOOL" npy-float f.npy 7 || die "t_tool"
run 0 convert f.npy f.tfrec
out "f.tfrec: 7 records of 4 x 4 x 3"
run 0 inspect f.tfrec
out "image float"

# Text: the bundled digits.
run 0 convert "$SOURCE/recipes/digits.csv" d.tfrec --split-every 5
out "d-train.tfrec: 1438 records of 8 x 8 x 1, 10 classes"
out "d-test.tfrec: 359 records"

# A CIFAR-10 folder.
mkdir cifar && "$TOOL" cifar10 cifar 4 || die "t_tool"
run 0 convert cifar c.tfrec
out "c-train.tfrec: 20 records of 32 x 32 x 3, 10 classes"
out "c-test.tfrec: 4 records"
run 0 inspect c-train.tfrec
out "image bytes, label int64, shape int64[3]"

# Again is nothing to do; other data is refused, and allowed with --overwrite.
cp c-train.tfrec before
run 0 convert cifar c.tfrec
run 1 convert x.npy c-train.tfrec --labels x.npy-labels.npy
err "c-train.tfrec"
cmp -s before c-train.tfrec || die "an existing file was changed"
run 0 convert x.npy c-train.tfrec --labels x.npy-labels.npy --overwrite
out "20 records of 8 x 8 x 1"

# The source is not overwritten, and a set in other shards is not mixed with what is there.
cp x.npy keep.npy
run 2 convert x.npy ./x.npy --overwrite
err "x.npy: names of records end in .tfrec"
cmp -s x.npy keep.npy || die "the source was changed"
printf '\357\273\277zero\none\ntwo\n' > lost-train.tfrec
cp lost-train.tfrec lost.keep
run 2 convert x.npy lost.tfrec --split-every 4 --class-names lost-train.tfrec --overwrite
err "lost-train.tfrec: is read, and would be written over"
cmp -s lost-train.tfrec lost.keep || die "the names were changed"
run 1 convert x.npy s-train.tfrec --shards 3
err "s-train.tfrec.json: speaks of 2 files that exist, 3 are to be written; not overwritten"
run 0 convert x.npy s-train.tfrec --shards 3 --overwrite
[ "$(ls | grep -c '^s-train.tfrec-')" = 3 ] || die "shards of the former set stayed"

# One file and a pair of the same name would be two data sets; what is there stays, asked to replace or not.
run 1 convert x.npy d.tfrec --labels x.npy-labels.npy
err "d-train.tfrec: exists, and d.tfrec is to be written as one part"
run 1 convert x.npy d.tfrec --labels x.npy-labels.npy --overwrite
err "remove what is there, or take another name"
[ -e d.tfrec ] && die "a file beside the pair"
run 1 convert "$SOURCE/recipes/digits.csv" x.tfrec --split-every 5 --json
err "x.tfrec: exists, and x.tfrec is to be written as a pair"
[ -e x-train.tfrec ] && die "a pair beside the file"
json error status
run 0 inspect x.tfrec # is what it is, whatever lies beside it
cp d-test.tfrec x-test.tfrec
run 0 inspect x.tfrec
out "records      20"
run 1 train digits --data x.tfrec
err "x.tfrec: is there beside x-test.tfrec"
rm x-test.tfrec
run 1 convert x.npy x-train.tfrec --labels x.npy-labels.npy
err "x.tfrec: exists, and x-train.tfrec is to be written as a part of a pair"
run 1 train digits --data x
err "x: are records in one part, and a data set here is a pair"
err "--split-every 5"

# Bad input: the file and the reason, and nothing half-written.
run 1 convert missing.npy y.tfrec
err "missing.npy"
printf 'not an array' > bad.npy
run 1 convert bad.npy y.tfrec
err "bad.npy"
head -c 500 x.npy > short.npy
run 1 convert short.npy y.tfrec
err "short.npy"
seq 10 > cifar/batches.meta.txt
run 1 convert cifar y.tfrec --class-names cifar/batches.meta.txt
err "cifar: has names for its classes"
rm cifar/batches.meta.txt
printf '\013' | dd of=cifar/data_batch_3.bin bs=1 seek=3073 conv=notrunc 2> /dev/null
run 1 convert cifar y.tfrec
err "data_batch_3.bin"
err "record 1"
err "label"
run 1 convert x.npy y.tfrec --labels x.npy
err "x.npy"
run 1 convert x.npy x.npy/y.tfrec
err "x.npy/y.tfrec"
ls | grep '^y' && die "something half-written"
ls -a | grep -E 'tmp|part' && die "a temporary file stayed"
# Marks in front of text, sizes that are half said, what there are no labels of.
printf '\357\273\2771,2,3,4,0\n5,6,7,8,1\n' > bom.csv
run 0 convert bom.csv bom.tfrec --shards 2 --json
json files
grep -q '"labelled":true' values || die "labelled"
err "bom.tfrec: 2 records of 2 x 2 x 1, 2 classes, in 2 files"
run 1 convert bom.csv half.tfrec --height 2
err "bom.csv: of the images' size there is only the height"
run 0 convert bom.csv plain.tfrec --no-labels
out_is "plain.tfrec: 2 records of 2 x 2 x 1, no labels"
run 2 convert bom.csv ''
# names for the classes, more than there are labels; inspect tells what a recipe has to know
printf 'cat\nred dog\r\n\ncow\n' > names
run 0 convert bom.csv named.tfrec --class-names names
out_is "named.tfrec: 2 records of 2 x 2 x 1, 3 classes"
run 0 inspect named.tfrec
out "images       2 x 2 x 1, uint8"
out "classes      3: cat, red dog, cow"
run 0 inspect named.tfrec --json
json shape type classes class_names
[ "$(tr '\n' ' ' < values)" = '[2,2,1] uint8 3 ["cat","red dog","cow"] ' ] || die "what the sidecar says: $(cat values)"
run 0 inspect plain.tfrec
out "labels       none"
printf 'cat\n' > one
run 1 convert bom.csv one.tfrec --class-names one
err "one: 1 names, and the labels of bom.csv are of 2 classes"
printf 'a\r\nb x\r\n' > crlf
run 0 convert bom.csv crlf.tfrec --class-names crlf
run 0 inspect crlf.tfrec
out "classes      2: a, b x"
# a sidecar that is damaged is told, and with --verify an error
printf '{' > named.tfrec.json
run 0 inspect named.tfrec
err "named.tfrec.json: line 1"
run 1 inspect named.tfrec --verify
err "named.tfrec.json: line 1"
# A limit on the size of files is an error like others: both parts of the former pair stay, whichever would not fit.
run 0 convert "$SOURCE/recipes/digits.csv" limit.tfrec --split-every 5
cp limit-train.tfrec train.keep && cp limit-test.tfrec test.keep
(ulimit -f 64 && exec "$FENWICKS" convert "$SOURCE/recipes/digits.csv" limit.tfrec --split-every 2 --take 40 --overwrite) > out 2> err
[ $? = 1 ] || die "exit code of a limit"
err "limit-test.tfrec"
err "File too large"
cmp -s limit-train.tfrec train.keep && cmp -s limit-test.tfrec test.keep || die "one part of the former pair is gone"
ls -A | grep -qF limit-test.tfrec.tmp && die "half a file"
run 0 convert "$SOURCE/recipes/digits.csv" limit.tfrec --split-every 2 --take 40 --overwrite
out "limit-train.tfrec: 40 records"
out "limit-test.tfrec: 898 records"
exit 0
