#!/usr/bin/env python3
"""The checks of scripts/interop, which builds and installs what they need and then calls this.

    interop.py --fenwicks PROGRAM --records PROGRAM --work DIR

--fenwicks is the command, --records the program of tests/interop/records.c, DIR an empty folder to work in.
Values are compared bit for bit. A check is a function below with @check; its docstring is the line it prints.
"""
import argparse
import glob
import json
import math
import os
import struct
import subprocess
import sys

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

N, H, W, C, CLASSES = 61, 9, 6, 3, 10  # odd sizes; 61 is no multiple of the 5 shards
CHECKS = []


class Failed(Exception):
    pass


def check(name, *args):
    def keep(f):
        CHECKS.append((name, lambda: f(*args)))
        return f
    return keep


def require(condition, reason):
    if not condition:
        raise Failed(reason)


def run(*command, expect=0):
    """Standard output of a command that must end with the given exit code."""
    r = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       timeout=600, check=False)
    if r.returncode != expect:
        last = (r.stderr.strip() or r.stdout.strip()).split("\n")[-1]
        raise Failed(f"{' '.join(os.path.basename(str(c)) for c in command)}: exit {r.returncode}, "
                     f"expected {expect}: {last}")
    return r.stdout


def same(got, want, what):
    require(got.dtype == want.dtype and got.shape == want.shape,
            f"{what}: {got.dtype} {got.shape}, expected {want.dtype} {want.shape}")
    differ = np.flatnonzero(got.reshape(-1).view(np.uint8) != want.reshape(-1).view(np.uint8))
    if differ.size:
        i = int(differ[0]) // want.itemsize
        raise Failed(f"{what}: {differ.size} bytes differ; first at element {i}: {got.reshape(-1)[i]!r}, "
                     f"expected {want.reshape(-1)[i]!r}")


def make_data():
    rng = np.random.default_rng(0)
    x8 = rng.integers(0, 256, (N, H, W, C), np.uint8)
    x8[0, 0, 0] = (0, 255, 128)
    y = rng.integers(0, CLASSES, N).astype(np.int64)
    y[:2] = 0, CLASSES - 1  # zero is protobuf's default: it must not vanish
    xf = rng.standard_normal((N, H, W, C)).astype(np.float32)
    xf.reshape(-1)[:6] = [0.0, -0.0, 1e-45, 3.4028235e38, -1.17549435e-38, 0.1]
    return x8, xf, y


X8, XF, Y = make_data()


def path(*parts):
    return os.path.join(ARGS.work, *parts)


# ---- our files, read by TensorFlow ----

SOURCES = {"u8": ("u8.npz", X8), "float": ("u8.npz", X8.astype(np.float32)), "float32": ("f32.npz", XF)}


def tf_read(files, compression, as_float):
    """Pixels and labels of record files, through tf.data as the walk-through reads them."""
    spec = {"label": tf.io.FixedLenFeature([], tf.int64)}
    if as_float:
        spec["image"] = tf.io.FixedLenFeature([H * W * C], tf.float32)
    else:
        spec["image"] = tf.io.FixedLenFeature([], tf.string)
        spec["shape"] = tf.io.FixedLenFeature([3], tf.int64)
    xs, ys = [], []
    for raw in tf.data.TFRecordDataset(files, compression_type=compression):
        e = tf.io.parse_single_example(raw, spec)
        if as_float:
            x = e["image"].numpy()
        else:
            require(e["shape"].numpy().tolist() == [H, W, C], f"shape is {e['shape'].numpy().tolist()}")
            x = tf.io.decode_raw(e["image"], tf.uint8).numpy()
        require(x.size == H * W * C, f"{x.size} values, expected {H * W * C}")
        xs.append(x.reshape(H, W, C))
        ys.append(int(e["label"]))
    require(xs, "no record")
    return np.stack(xs), np.array(ys, np.int64)


def ours_to_tf(kind, compression, shards):
    source, want = SOURCES[kind]
    out = path(f"ours-{kind}-{compression or 'plain'}-{shards}.tfrec")
    flags = (["--float"] if kind == "float" else []) + (["--shards", shards] if shards > 1 else [])
    flags += ["--compression", compression.lower()] if compression else []
    run(ARGS.fenwicks, "convert", path(source), out, *flags)
    files = [f"{out}-{i:05d}-of-{shards:05d}" for i in range(shards)] if shards > 1 else [out]
    for f in files:
        require(os.path.exists(f), f"{os.path.basename(f)} was not written")
    x, y = tf_read(files, compression, kind != "u8")
    same(x, want, "image")
    same(y, Y, "label")


for _kind in SOURCES:
    for _z, _shards in (("", 1), ("GZIP", 1), ("ZLIB", 1), ("", 5), ("GZIP", 5)):
        check(f"TensorFlow reads ours: {_kind}, {_z or 'plain'}, {_shards} file{'s' * (_shards > 1)}",
              _kind, _z, _shards)(ours_to_tf)


# ---- TensorFlow's files, read by us ----

def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        return tf.train.Feature(float_list=tf.train.FloatList(value=value.reshape(-1)))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value))


FORMS = {
    "float": (XF, lambda i: {"image": XF[i]}),
    "bytes+shape": (X8, lambda i: {"image": X8[i].tobytes(), "shape": [H, W, C]}),
    "bytes": (X8, lambda i: {"image": X8[i].tobytes()}),
    "float+others": (XF, lambda i: {"image": XF[i], "id": [i, -1], "file/name": b"x.png", "weight": XF[i, 0, 0]}),
}


def tf_write(form, compression):
    name = path(f"theirs-{form.replace('/', '-')}-{compression or 'plain'}.tfrec")
    with tf.io.TFRecordWriter(name, options=compression or None) as w:
        for i in range(N):
            features = {**FORMS[form][1](i), "label": [int(Y[i])]}
            w.write(tf.train.Example(features=tf.train.Features(
                feature={k: feature(v) for k, v in features.items()})).SerializeToString())
    return name


def ours_read(*args, dtypes):
    """What the records program wrote: pixels and labels."""
    out = path("read")
    n, h, w, c, kind = run(ARGS.records, args[0], args[1], out, *args[2:]).split()
    require(kind in dtypes, f"type {kind}, expected {' or '.join(dtypes)}")
    x = np.fromfile(out + ".x", {"u8": np.uint8, "f32": np.float32}[kind])
    y = np.fromfile(out + ".y", np.int32)
    return x.reshape(int(n), int(h), int(w), int(c)), y.astype(np.int64)


def inspect(name):
    said = json.loads(run(ARGS.fenwicks, "inspect", "--verify", "--json", name))
    require(said.get("records") == N, f"inspect: records is {said.get('records')!r}, expected {N}")
    require(said.get("valid") is True, f"inspect: valid is {said.get('valid')!r}")
    features = json.dumps(said.get("features"))
    require("image" in features and "label" in features, f"inspect: features is {features}")


def theirs_to_us(form, compression):
    want = FORMS[form][0]
    name = tf_write(form, compression)
    inspect(name)
    x, y = ours_read("batch", name, H, W, C, dtypes=["f32"])
    same(x, want.astype(np.float32), "image, through the pipeline")
    same(y, Y, "label, through the pipeline")
    if form == "bytes+shape":  # says its own size: can be read whole without being told one
        x, y = ours_read("read", name, dtypes=["u8"])
        same(x, want, "image, read whole")
        same(y, Y, "label, read whole")


for _form in FORMS:
    for _z in ("", "GZIP", "ZLIB"):
        check(f"we read TensorFlow's: {_form}, {_z or 'plain'}", _form, _z)(theirs_to_us)


@check("we read back our own whole file and five shards")
def own_round_trip():
    x, y = ours_read("read", path("ours-u8-plain-1.tfrec"), dtypes=["u8"])
    same(x, X8, "image")
    same(y, Y, "label")
    x, y = ours_read("batch", path("ours-u8-plain-5.tfrec@5"), H, W, C, dtypes=["f32"])
    same(x, X8.astype(np.float32), "image of shards")
    same(y, Y, "label of shards")


@check("a flipped bit in TensorFlow's file is found by us, and in ours by TensorFlow")
def flipped_bit():
    for name in (tf_write("bytes+shape", ""), path("ours-u8-plain-1.tfrec")):
        with open(name, "rb") as f:
            data = bytearray(f.read())
        length, = struct.unpack_from("<Q", data)  # of record 0; then 4 bytes of crc, data, 4 bytes of crc
        at = 12 + length + 4 + 12 + 20            # inside the data of record 1
        data[at] ^= 4
        bad = path("flipped.tfrec")
        with open(bad, "wb") as f:
            f.write(data)
        run(ARGS.fenwicks, "inspect", "--verify", bad, expect=1)
        try:
            tf_count = sum(1 for _ in tf.data.TFRecordDataset(bad))
        except tf.errors.DataLossError:
            continue
        raise Failed(f"TensorFlow read {tf_count} records of a damaged file")


# ---- our event files, read by TensorBoard ----

@check("TensorBoard reads our event files")
def events():
    out = path("run")
    run(ARGS.fenwicks, "train", "digits", "--epochs", 1, "--out", out)
    files = sorted(glob.glob(os.path.join(out, "**", "events.out.tfevents.*"), recursive=True))
    require(files, "the run's folder has no events.out.tfevents.* file")
    kept = 0
    for folder in sorted({os.path.dirname(f) for f in files}):
        acc = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
        acc.Reload()
        series = [(t, [(e.step, e.value, e.wall_time) for e in acc.Scalars(t)]) for t in acc.Tags()["scalars"]]
        series += [(t, [(e.step, float(tf.make_ndarray(e.tensor_proto)), e.wall_time) for e in acc.Tensors(t)])
                   for t in acc.Tags()["tensors"]]
        for tag, values in series:
            require(values, f"{tag}: no value")
            require(all(math.isfinite(v) for _, v, _ in values), f"{tag}: a value is not finite")
            steps = [s for s, _, _ in values]
            require(steps == sorted(set(steps)) and steps[0] >= 0, f"{tag}: steps are not increasing: {steps[:5]}")
            require(all(w > 1.5e9 for _, _, w in values), f"{tag}: a time before 2017")
            kept += len(values)
        tags = " ".join(t for t, _ in series)
        require("loss" in tags, f"no series has loss in its name: {tags!r}")
    require(kept > 0, "no value at all")


def main():
    np.savez(path("u8.npz"), x=X8, y=Y)
    np.savez(path("f32.npz"), x=XF, y=Y)
    print(f"interop: TensorFlow {tf.__version__}, {run(ARGS.fenwicks, '--version').strip()}", flush=True)
    failed = 0
    for name, f in CHECKS:
        try:
            f()
            print(f"ok      {name}", flush=True)
        except Exception as e:  # one broken check must not hide the others
            failed += 1
            reason = str(e) if isinstance(e, Failed) else f"{type(e).__name__}: {e}"
            print(f"FAILED  {name}: {reason}", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--fenwicks", "--records", "--work"):
        parser.add_argument(option, required=True)
    ARGS = parser.parse_args()
    sys.exit(main())
