#!/usr/bin/env python3
"""PyTorch as a process that times what it is told to: one JSON request per line on standard input, one JSON answer per
line on standard output. bench_peers.py starts it, so that what was compiled or warmed up stays so while fenwicks is
measured in between; it waits without spinning.

    {"do": "hello"}                          -> {"torch": "2.9.0", "threads": 2}
    {"do": "conv", "key": K, "shape": {n h w c oc k stride pad}, "pass": "fwd|dx|dw", "precision": "fp32|bf16",
     "compile": false}                       prepares K and runs it once
    {"do": "step", "key": K, "net": "davidnet", "batch": 512, "precision": "fp32|bf16-autocast|bf16-weights",
     "compile": false}                       the same, three steps
    {"do": "run", "key": K, "runs": 1}       -> {"seconds": [...]}
    {"do": "drop", "key": K}

Operands are channels_last; those of a convolution rotate through more memory than the caches hold.
"""
import json
import os
import sys
import time

out = os.fdopen(os.dup(1), "w")  # answers only: whatever else prints goes to standard error
os.dup2(2, 1)

import torch
import torch.nn.functional as F

from torch_nets import NETS

COLD = 64 << 20
if os.environ.get("PEERS_THREADS"):
    torch.set_num_threads(int(os.environ["PEERS_THREADS"]))


def last_level_cache():
    try:
        return os.sysconf("SC_LEVEL3_CACHE_SIZE") or COLD
    except (ValueError, OSError):
        return COLD


def conv(q):
    s, dtype = q["shape"], torch.bfloat16 if q["precision"] == "bf16" else torch.float32
    oh, ow = ((s[d] + 2 * s["pad"] - s["k"]) // s["stride"] + 1 for d in "hw")
    size = torch.finfo(dtype).bits // 8
    bytes_per_set = s["n"] * (s["h"] * s["w"] * s["c"] + oh * ow * s["oc"]) * size
    sets = min(64, -(-2 * last_level_cache() // bytes_per_set))

    def make(*shape):
        return torch.randn(*shape).to(dtype).to(memory_format=torch.channels_last)

    operands = [(make(s["n"], s["c"], s["h"], s["w"]), make(s["oc"], s["c"], s["k"], s["k"]),
                 make(s["n"], s["oc"], oh, ow)) for _ in range(sets)]
    stride, pad = [s["stride"]] * 2, [s["pad"]] * 2

    def fwd(x, w, dy):
        return F.conv2d(x, w, stride=stride, padding=pad)

    def back(mask):
        return lambda x, w, dy: torch.ops.aten.convolution_backward(dy, x, w, None, stride, pad, [1, 1], False, [0, 0], 1,
                                                                    mask)
    f = {"fwd": fwd, "dx": back([True, False, False]), "dw": back([False, True, False])}[q["pass"]]
    f = torch.compile(f) if q["compile"] else f
    at = [0]

    def run():
        x, w, dy = operands[at[0] % sets]
        at[0] += 1
        with torch.no_grad():
            f(x, w, dy)
    return run


def step(q):
    torch.manual_seed(0)
    net, optimizer, smoothing = NETS[q["net"]]()
    weights = torch.bfloat16 if q["precision"] == "bf16-weights" else torch.float32
    net = net.to(weights).to(memory_format=torch.channels_last)
    net.train()
    opt = optimizer(net)
    forward = torch.compile(net) if q["compile"] else net
    x = torch.randn(q["batch"], 3, 32, 32).to(weights).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (q["batch"],))

    def run():
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=q["precision"] == "bf16-autocast"):
            logits = forward(x)
        F.cross_entropy(logits.float(), y, label_smoothing=smoothing).backward()
        opt.step()
    return run


def main():
    prepared = {}
    for line in sys.stdin:
        q = json.loads(line)
        answer = {}
        try:
            if q["do"] == "hello":
                answer = {"torch": torch.__version__, "threads": torch.get_num_threads()}
            elif q["do"] in ("conv", "step"):
                run = {"conv": conv, "step": step}[q["do"]](q)
                for _ in range(1 if q["do"] == "conv" else 3):
                    run()
                prepared[q["key"]] = run
            elif q["do"] == "run":
                seconds = []
                for _ in range(q["runs"]):
                    start = time.perf_counter()
                    prepared[q["key"]]()
                    seconds.append(time.perf_counter() - start)
                answer = {"seconds": seconds}
            elif q["do"] == "drop":
                prepared.pop(q["key"], None)
        except Exception as e:  # one configuration that PyTorch cannot do is no reason to end
            answer = {"error": f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"}
        print(json.dumps(answer), file=out, flush=True)


main()
