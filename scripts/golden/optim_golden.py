#!/usr/bin/env python3
"""Writes tests/golden/optim.json: ten steps of PyTorch's optimisers on a vector of 37, in float64.

    optim_golden.py [OUT.json]             (needs NumPy and PyTorch; CPU; a second)

37 = two registers of 16 floats and a tail of 5. Parameters and gradients are drawn from philox.py, float32 values in
double, so that an fp32 kernel starts from the very same numbers; the gradients do not depend on the parameters.
In half of the cases the rate changes from step to step: only then do PyTorch's form of momentum (the rate stays
outside the velocity) and Page's (it goes in) differ. PyTorch has no optimiser of Page's form; its case
is computed here by its formula: d = -lr (g + wd w); v = m v + d; w += d + m v. Adam's decay is decoupled (AdamW).

Each case holds all parameters after steps 1, 2 and 10, and their L2 norm after every step.
"""
import sys

import numpy as np
import torch

import golden_json
import philox

SEED, N, STEPS, KEPT = 3, 37, 10, (1, 2, 10)
W_PASS, G_PASS = 199, 200

START = philox.centred(N, SEED, W_PASS)
GRADS = [philox.centred(N, SEED, G_PASS + s) for s in range(STEPS)]


def rates(lr, varying):
    return [lr * (s + 1) / STEPS if varying else lr for s in range(STEPS)]


def run_torch(make, lrs):
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    opt = make([w])
    for lr, g in zip(lrs, GRADS):
        opt.param_groups[0]["lr"] = lr
        w.grad = torch.tensor(g, dtype=torch.float64)
        opt.step()
        yield w.detach().numpy().copy()


def run_page(momentum, decay, lrs):
    w, v = START.copy(), np.zeros(N)
    for lr, g in zip(lrs, GRADS):
        d = -lr * (g + decay * w)
        v = momentum * v + d
        w = w + d + momentum * v
        yield w.copy()


def case(name, settings, lrs, run):
    after = list(run)
    return {
        "name": name,
        **settings,
        "rate": lrs,
        "norm": [float(np.sqrt(np.dot(w, w))) for w in after],
        "after": {str(s): after[s - 1].tolist() for s in KEPT},
    }


def sgd(form, decay, varying):
    """form: pytorch (Nesterov), page (Nesterov), plain (Polyak's momentum, as PyTorch has it)."""
    lrs = rates(0.1, varying)
    if form == "page":
        run = run_page(0.9, decay, lrs)
    else:
        run = run_torch(lambda p: torch.optim.SGD(p, lr=0.0, momentum=0.9, nesterov=form == "pytorch",
                                                  weight_decay=decay), lrs)
    name = "_".join(["sgd", form] + ["decay"] * bool(decay) + ["varying"] * varying)
    return case(name, {"optimizer": "sgd", "form": form, "momentum": 0.9, "weight_decay": decay}, lrs, run)


def adam(decay, varying):
    lrs = rates(0.01, varying)
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    run = run_torch(lambda p: kind(p, lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay), lrs)
    name = "_".join(["adam"] + ["decay"] * bool(decay) + ["varying"] * varying)
    return case(name, {"optimizer": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
                       "weight_decay": decay}, lrs, run)


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    philox.self_check()
    golden_json.write(sys.argv[1] if len(sys.argv) > 1 else golden_json.golden_path("optim.json"), {
        "about": {
            "what": "ten optimiser steps on a vector of 37, float64",
            "command": "python3 scripts/golden/optim_golden.py",
            "torch": torch.__version__,
            "parameters": "f32(2 sqrt(3) (unit(word(i)) - 0.5)), seed 3, TEST, pass 199",
            "gradients": "the same with pass 200 + s in step s = 0..9, whatever the parameters are",
            "draw": "word(i) = word i%4 of Philox4x32-10 at (seed, TEST = 7, pass, index i/4, block 0), src/core/rng.h",
            "after": "parameters after that many steps; norm: L2 norm after each step",
            "weight_decay": "sgd: g += wd w before all else; adam: w *= 1 - lr wd before the step (AdamW)",
        },
        "n": N,
        "start_first": START[:4].tolist(),
        "cases": [
            sgd("pytorch", 0.0, False),
            sgd("pytorch", 0.05, True),
            sgd("page", 0.05, True),
            sgd("plain", 0.05, True),
            adam(0.0, False),
            adam(0.05, True),
        ],
    })


if __name__ == "__main__":
    main()
