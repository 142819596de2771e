#!/usr/bin/env python3
"""Writes tests/golden/muon.json: ten steps of Muon in PyTorch, in float64, on small matrices and filters.

    muon_golden.py [OUT.json]              (needs NumPy and PyTorch; CPU; a second)

torch.optim.Muon iterates in bfloat16 and has another scale, so the update is written out here with PyTorch's
operations, as airbench94_muon.py defines it (Jordan et al. 2024), but in float64:

    buf = mom buf + g;  u = g + mom buf
    p = p sqrt(len(p)) / norm(p)                          where renorm is set
    X = u / (norm(u) + 1e-7), transposed where it is tall; `steps` times: A = X X^T, X = a X + (b A + c A A) X
    p = (p - lr X) (1 - lr wd)

Parameters and gradients are drawn from philox.py, float32 values in double; the gradients do not depend on the
parameters. Filters are drawn and stored as [oc,kh,kw,c] and updated as PyTorch has them, [oc,c,kh,kw]: the order of a
matrix's columns makes no difference to Muon. Each case holds all parameters after steps 1, 2 and 10 and their norm
after every step. The scalar map is that of three steps on a diagonal matrix.
"""
import sys

import numpy as np
import torch

import golden_json
import philox

SEED, STEPS, KEPT = 5, 10, (1, 2, 10)
W_PASS, G_PASS = 299, 300
AIRBENCH, HIVERGE = (3.4445, -4.7750, 2.0315), (3.4576, -4.7391, 2.0843)


def draw(shape, pass_):
    return torch.tensor(philox.centred(int(np.prod(shape)), SEED, pass_).reshape(shape))


def newton_schulz(u, steps, abc):
    a, b, c = abc
    x = u / (u.norm() + 1e-7)
    turned = x.shape[0] > x.shape[1]
    if turned:
        x = x.T
    for _ in range(steps):
        xx = x @ x.T
        x = a * x + (b * xx + c * xx @ xx) @ x
    return x.T if turned else x


def to_torch(t):  # [oc,kh,kw,c] -> [oc,c,kh,kw]
    return t.permute(0, 3, 1, 2) if t.dim() == 4 else t


def from_torch(t):
    return t.permute(0, 2, 3, 1) if t.dim() == 4 else t


def case(name, shape, momentum, lr, steps=3, abc=AIRBENCH, decay=0.0, renorm=True):
    p = to_torch(draw(shape, W_PASS)).contiguous()
    buf = torch.zeros_like(p)
    lrs = [lr * (1 - s / STEPS) for s in range(STEPS)]
    after = []
    for s in range(STEPS):
        g = to_torch(draw(shape, G_PASS + s)).contiguous()
        buf.mul_(momentum).add_(g)
        u = g.add(buf, alpha=momentum)
        if renorm:
            p.mul_(len(p) ** 0.5 / p.norm())
        p.add_(newton_schulz(u.reshape(len(u), -1), steps, abc).view(p.shape), alpha=-lrs[s])
        p.mul_(1 - lrs[s] * decay)
        after.append(from_torch(p).reshape(-1).clone())
    return {
        "name": name,
        "shape": list(shape),
        "momentum": momentum,
        "steps": steps,
        "abc": list(abc),
        "weight_decay": decay,
        "renorm": renorm,
        "rate": lrs,
        "norm": [float(w.norm()) for w in after],
        "after": {str(s): after[s - 1].tolist() for s in KEPT},
    }


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    philox.self_check()
    torch.set_default_dtype(torch.float64)
    x = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0]
    scalar = []
    for v in x:
        f = v
        for _ in range(3):
            a, b, c = AIRBENCH
            f = a * f + b * f**3 + c * f**5
        scalar.append(f)
    golden_json.write(sys.argv[1] if len(sys.argv) > 1 else golden_json.golden_path("muon.json"), {
        "about": {
            "what": "ten steps of Muon on small matrices and filters, float64",
            "command": "python3 scripts/golden/muon_golden.py",
            "torch": torch.__version__,
            "parameters": "f32(2 sqrt(3) (unit(word(i)) - 0.5)), seed 5, TEST, pass 299; filters as [oc,kh,kw,c]",
            "gradients": "the same with pass 300 + s in step s = 0..9, whatever the parameters are",
            "after": "parameters after that many steps; norm: L2 norm after each step",
        },
        "scalar": {"x": x, "f": scalar},
        "cases": [
            case("filters", (4, 3, 3, 2), 0.6, 0.24),
            case("tall_filters", (7, 2, 2, 1), 0.6, 0.24),
            case("matrix_decay", (5, 9), 0.655, 0.205, abc=HIVERGE, decay=0.25, renorm=False),
            case("square_five_steps", (6, 6), 0.95, 0.02, steps=5),
        ],
    })


if __name__ == "__main__":
    main()
