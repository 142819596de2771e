#!/usr/bin/env python3
"""The walk-through recipe in PyTorch, on the CPU, in fp32: the peer that fenwicks' accuracy is compared with.

    walkthrough_torch.py --data DIR --seed 0 [--epochs 4] [--threads 2]

DIR holds cifar-10-batches-bin/. Prints one JSON line at the end; progress on standard error.

DavidNet; batch 512; 97 steps per schedule epoch; triangular rate, peak 0.4 on the mean loss at 5/24 of the run,
step counter from 0; Nesterov momentum 0.9, weight decay 5e-4 on every parameter; train-set mean and population
standard deviation; pad-crop 4 (reflect), flip, cutout 8x8 fully inside, zero; a fresh permutation per pass and
batches that straddle the ends of passes; BN eps 1e-5, momentum 0.1 (PyTorch's sense).
"""
import argparse
import json
import os
import sys
import time

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True, help="folder that holds cifar-10-batches-bin/")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--threads", type=int, default=0)
parser.add_argument("--max-steps", type=int, default=0, help="stop early: for timing only")
args = parser.parse_args()

import torch
import torch.nn as nn
import torch.nn.functional as F

if args.threads:
    torch.set_num_threads(args.threads)
torch.set_float32_matmul_precision("highest")

BATCH, PEAK, MOMENTUM, DECAY = 512, 0.4, 0.9, 5e-4
PAD, HOLE = 4, 8


def load(names):
    raw = np.concatenate([np.fromfile(os.path.join(args.data, "cifar-10-batches-bin", n + ".bin"), np.uint8)
                          for n in names]).reshape(-1, 3073)
    return raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), raw[:, 0].astype(np.int64)


class ConvBN(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        bound = 1.0 / np.sqrt(cin * 9)
        nn.init.uniform_(self.conv.weight, -bound, bound)
        self.bn = nn.BatchNorm2d(cout, eps=1e-5, momentum=0.1)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class ConvBlk(nn.Module):
    def __init__(self, cin, cout, res_convs=0):
        super().__init__()
        self.conv = ConvBN(cin, cout)
        self.res = nn.Sequential(*[ConvBN(cout, cout) for _ in range(res_convs)]) if res_convs else None

    def forward(self, x):
        h = F.max_pool2d(self.conv(x), 2)
        return h if self.res is None else h + self.res(h)


class DavidNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(ConvBN(3, 64), ConvBlk(64, 128, 2), ConvBlk(128, 256), ConvBlk(256, 512, 2))
        self.dense = nn.Linear(512, 10, bias=False)
        bound = 1.0 / np.sqrt(512)
        nn.init.uniform_(self.dense.weight, -bound, bound)

    def forward(self, x):
        return 0.125 * self.dense(self.body(x).amax(dim=(2, 3)))


def augment(padded, rows, rng):
    """padded: [n, 40, 40, 3] float32, standardised and reflected at the edges; rows: which records."""
    n = len(rows)
    dy, dx = rng.integers(0, 2 * PAD + 1, n), rng.integers(0, 2 * PAD + 1, n)
    flip = rng.random(n) < 0.5
    cy, cx = rng.integers(0, 32 - HOLE + 1, n), rng.integers(0, 32 - HOLE + 1, n)
    out = np.empty((n, 32, 32, 3), np.float32)
    for i, r in enumerate(rows):
        crop = padded[r, dy[i]:dy[i] + 32, dx[i]:dx[i] + 32]
        out[i] = crop[:, ::-1] if flip[i] else crop
        out[i, cy[i]:cy[i] + HOLE, cx[i]:cx[i] + HOLE] = 0.0
    return out


def main():
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    x_train, y_train = load([f"data_batch_{i}" for i in range(1, 6)])
    x_test, y_test = load(["test_batch"])
    mean = x_train.mean(axis=(0, 1, 2), dtype=np.float64)
    std = x_train.astype(np.float32).std(axis=(0, 1, 2), dtype=np.float64)
    x_train = ((x_train - mean) / std).astype(np.float32)
    x_test = ((x_test - mean) / std).astype(np.float32)
    padded = np.pad(x_train, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")
    del x_train
    n = len(y_train)

    spe = n // BATCH
    total = spe * args.epochs
    warmup = round(total * 5 / 24)
    net = DavidNet().to(memory_format=torch.channels_last)
    opt = torch.optim.SGD(net.parameters(), lr=0.0, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)

    net.train()
    start = time.time()
    perms = {}
    running = 0.0
    for step in range(total):
        rows = np.empty(BATCH, np.int64)
        for k in range(BATCH):
            pss, place = divmod(step * BATCH + k, n)
            if pss not in perms:
                perms = {p: v for p, v in perms.items() if p >= pss - 1}
                perms[pss] = rng.permutation(n)
            rows[k] = perms[pss][place]
        x = torch.from_numpy(augment(padded, rows, rng)).permute(0, 3, 1, 2)  # NHWC memory: channels_last
        y = torch.from_numpy(y_train[rows])
        lr = PEAK * step / warmup if step <= warmup else PEAK * (total - step) / (total - warmup)
        for g in opt.param_groups:
            g["lr"] = lr
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        running = loss.item()
        if (step + 1) % 10 == 0 or step + 1 == total:
            t = time.time() - start
            print(f"seed {args.seed} step {step + 1}/{total} loss {running:.4f} lr {lr:.4f} "
                  f"{(step + 1) * BATCH / t:.0f} img/s eta {t / (step + 1) * (total - step - 1):.0f}s",
                  file=sys.stderr, flush=True)
        if args.max_steps and step + 1 >= args.max_steps:
            return
    seconds = time.time() - start

    net.eval()
    right, loss_sum = 0, 0.0
    with torch.no_grad():
        for at in range(0, len(y_test), 500):
            logits = net(torch.from_numpy(x_test[at:at + 500]).permute(0, 3, 1, 2))
            y = torch.from_numpy(y_test[at:at + 500])
            right += int((logits.argmax(1) == y).sum())
            loss_sum += float(F.cross_entropy(logits, y, reduction="sum"))
    print(json.dumps({"seed": args.seed, "epochs": args.epochs, "accuracy": right / len(y_test),
                      "loss": loss_sum / len(y_test), "seconds": round(seconds, 1), "train_loss_last": running,
                      "steps": total, "threads": torch.get_num_threads(), "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
