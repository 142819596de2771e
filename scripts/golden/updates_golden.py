#!/usr/bin/env python3
"""Writes tests/golden/updates.json: ten steps of published updates that PyTorch has no optimiser for, in float64.

    updates_golden.py [OUT.json]           (needs NumPy; CPU; a moment)

The formulas, with lr_s the rate of step s = 0..9 and k = s + 1:

    lars       per filter f of [oc,kh,kw,c]: r = lr |w_f| / (|g_f| + 1e-2); d = -r (g + wd w); v = mom v + d; w += d + mom v
               (David Page's cifar10-fast, torch_backend.py)
    hiverge    Muon of cifar10_speedrun.py: buf = mom buf + g; u = g + mom buf; X = u t / (|u| + 1e-5), t going linearly
               from .5012 to .0786 in k/T; X = X / (|X| + 1e-5); 3 times A = X X^T, X = a X + (b A + c A A) X; where
               k - last >= 2 + int(15 k / T): w = w sqrt(oc) / (|w| + 1e-7); w = (w - lr X) (1 - lr wd)
    page_ema   SGD of PyTorch's form, and after batches 0, 5, ... of each epoch of 7: avg = r avg + (1-r) w, r = .99^5
    airbench94 the same SGD; every 3 steps d = .95^5 (k/10)^3, avg = d avg + (1-d) w, w = avg; after step 10 w = avg
    e1         the same SGD; avg = w after step 4, then every 2 steps avg = .7 avg + .3 w, w = avg

avg starts as w. Parameters and gradients are drawn from philox.py, float32 values in double, times `scale` for the
gradients, which do not depend on the parameters. Each case holds w (and avg) after steps 1, 2 and 10, and the norm of w
after each step.
"""
import sys

import numpy as np

import golden_json
import philox

SEED, STEPS, KEPT = 9, 10, (1, 2, 10)
W_PASS, G_PASS = 399, 400
SHAPE = (4, 3, 3, 2)
HIVERGE = (3.4576, -4.7391, 2.0843)


def draw(pass_):
    return philox.centred(int(np.prod(SHAPE)), SEED, pass_).reshape(SHAPE)


def rates(lr):
    return [lr * (1 - s / STEPS) for s in range(STEPS)]


def per_filter_norm(x):
    return np.sqrt((x.reshape(len(x), -1) ** 2).sum(axis=1))[:, None, None, None]


class Lars:
    def __init__(self, momentum, decay):
        self.momentum, self.decay, self.v = momentum, decay, np.zeros(SHAPE)

    def step(self, w, g, lr, k):
        rate = lr * per_filter_norm(w) / (per_filter_norm(g) + 1e-2)
        d = -rate * (g + self.decay * w)
        self.v = self.momentum * self.v + d
        return w + d + self.momentum * self.v


class Hiverge:
    def __init__(self, momentum, decay, total):
        self.momentum, self.decay, self.total = momentum, decay, total
        self.buf, self.last, self.renorms = np.zeros(SHAPE), 0, []

    def step(self, w, g, lr, k):
        a, b, c = HIVERGE
        self.buf = self.momentum * self.buf + g
        x = (g + self.momentum * self.buf).reshape(len(g), -1)
        share = min(1.0, k / self.total)
        t = 0.5012 * (1 - share) + 0.0786 * share
        x = x * (t / (np.linalg.norm(x) + 1e-5))
        x = x / (np.linalg.norm(x) + 1e-5)
        for _ in range(3):
            xx = x @ x.T
            x = a * x + (b * xx + c * xx @ xx) @ x
        if k - self.last >= 2 + int(15 * k / self.total):
            w = w * (np.sqrt(len(w)) / (np.linalg.norm(w) + 1e-7))
            self.last = k
            self.renorms.append(k)
        return (w - lr * x.reshape(SHAPE)) * (1 - lr * self.decay)


class Sgd:
    def __init__(self, momentum, decay):
        self.momentum, self.decay, self.v = momentum, decay, np.zeros(SHAPE)

    def step(self, w, g, lr, k):
        d = g + self.decay * w
        self.v = self.momentum * self.v + d
        return w - lr * (d + self.momentum * self.v)


def page_ema(w, avg, k):
    if (k - 1) % 7 % 5 == 0:
        r = 0.99**5
        avg = r * avg + (1 - r) * w
    return w, avg


def airbench94(w, avg, k):
    if k % 3 == 0:
        d = 0.95**5 * (k / STEPS) ** 3
        avg = d * avg + (1 - d) * w
        w = avg
    return (avg if k == STEPS else w), avg


def e1(w, avg, k):
    if k == 4:
        avg = w
    elif k > 4 and k % 2 == 0:
        avg = 0.7 * avg + 0.3 * w
        w = avg
    return w, avg


def case(name, update, lr, settings, average=None, scale=1.0):
    w = draw(W_PASS)
    avg, lrs, ws, avgs = w, rates(lr), [], []
    for s in range(STEPS):
        w = update.step(w, scale * draw(G_PASS + s), lrs[s], s + 1)
        if average is not None:
            w, avg = average(w, avg, s + 1)
        ws.append(w.reshape(-1))
        avgs.append(avg.reshape(-1))
    out = {
        "name": name,
        **settings,
        "momentum": update.momentum,
        "weight_decay": update.decay,
        "scale": scale,
        "rate": lrs,
        "norm": [float(np.linalg.norm(x)) for x in ws],
        "after": {str(k): ws[k - 1].tolist() for k in KEPT},
    }
    if average is not None:
        out["average"] = {str(k): avgs[k - 1].tolist() for k in KEPT}
    if isinstance(update, Hiverge):
        assert update.renorms == [2, 5, 10], update.renorms
    return out


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    philox.self_check()
    muon = {"optimizer": "muon", "total_steps": 40}
    sgd = {"optimizer": "sgd"}
    golden_json.write(sys.argv[1] if len(sys.argv) > 1 else golden_json.golden_path("updates.json"), {
        "about": {
            "what": "ten steps of LARS, of hiverge's Muon, and of averages of weights on filters [4,3,3,2], float64",
            "command": "python3 scripts/golden/updates_golden.py",
            "parameters": "f32(2 sqrt(3) (unit(word(i)) - 0.5)), seed 9, TEST, pass 399",
            "gradients": "scale times the same with pass 400 + s in step s = 0..9, whatever the parameters are",
            "after": "parameters after that many steps; norm: L2 norm after each step; average: the averages",
        },
        "shape": list(SHAPE),
        "cases": [
            case("lars", Lars(0.9, 0.0), 0.1, {"optimizer": "lars"}),
            case("lars_decay_small", Lars(0.9, 0.05), 0.01, {"optimizer": "lars"}, scale=2.0**-8),
            case("hiverge", Hiverge(0.655, 0.25, 40), 0.205, muon),
            case("hiverge_tiny", Hiverge(0.655, 0.0, 40), 0.205, muon, scale=2.0**-20),
            case("page_ema", Sgd(0.9, 0.05), 0.1, sgd, page_ema),
            case("airbench94", Sgd(0.85, 0.05), 0.1, sgd, airbench94),
            case("e1", Sgd(0.825, 0.0), 0.1, sgd, e1),
        ],
    })


if __name__ == "__main__":
    main()
