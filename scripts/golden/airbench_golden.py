#!/usr/bin/env python3
"""Writes tests/golden/airbench.json: what PyTorch computes for the net and the optimisers of airbench94-muon.

    airbench_golden.py [OUT.json]          (needs NumPy and PyTorch; CPU; about a minute)

Nets, 32 x 32 x 3 in, batch norm in training mode (eps 1e-12, scale 1):
    airbench   conv 2x2 (3 -> 24, no padding, filter fixed, bias), GELU; three groups (64, 256, 256) of conv 3x3,
               max pool 2, batch norm, GELU, conv 3x3, batch norm, GELU; global max; dense 10; / 256
    smooth     the same with average pools and the global average
Weights are drawn from the formulas of docs/numerics.md ("Initial weights"), the whitening filter as if it had
init=pytorch: what it is made of is another test's business.

Gradients are of the loss of the first batch, as norms and inner products (davidnet_golden.py says how). Then STEPS
steps of a run of RUN steps, 2 to the epoch, with the optimisers of the recipe, in float64: SGD with Nesterov momentum
for head, shifts and whitening bias (3 epochs, then it stays), Muon as muon_golden.py has it for the filters. The
parameters after them are stored as norms and inner products too.
"""
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

import golden_json
import philox
from muon_golden import AIRBENCH, newton_schulz

SEED, SIGN_SEED, N, CLASSES, VECTORS = 1, 2, 16, 10, 8
STEPS, RUN, EPOCH, SMOOTHING = 8, 16, 2, 0.2
DECAY = 2e-6 * N
WIDTHS = [(24, 64), (64, 256), (256, 256)]
WHITEN, HEAD = "0.whiten.weight", "6.dense.weight"


def filters(name, oc, ic, k):
    flat = philox.uniform_parameter(name, oc * k * k * ic, 1 / math.sqrt(k * k * ic), SEED)
    return flat.reshape(oc, k, k, ic)


def make_parameters(dtype):
    """Name -> tensor in PyTorch's layout, in our parameter order."""
    def leaf(a):
        a = np.ascontiguousarray(a.transpose(0, 3, 1, 2) if a.ndim == 4 else a)
        return torch.tensor(a, dtype=dtype, requires_grad=True)

    p = {WHITEN: leaf(filters(WHITEN, 24, 3, 2))}
    p[WHITEN].requires_grad_(False)
    p["0.whiten.bias"] = leaf(philox.uniform_parameter("0.whiten.bias", 24, 1 / math.sqrt(12), SEED))
    for i, (ic, oc) in enumerate(WIDTHS):
        for k, c in (0, ic), (1, oc):
            name = f"{i + 2}.{k}"
            w = filters(name + ".conv.weight", oc, c, 3)
            for o in range(min(oc, c)):
                w[o] = 0
                w[o, 1, 1, o] = 1
            p[name + ".conv.weight"] = leaf(w)
            p[name + ".bn.beta"] = torch.zeros(oc, dtype=dtype, requires_grad=True)
    head = philox.uniform_parameter(HEAD, CLASSES * 256, 1 / math.sqrt(256), SEED)
    head = (head / np.std(head, ddof=1)).astype(np.float32).astype(np.float64)
    p[HEAD] = leaf(head.reshape(CLASSES, 256))
    return p


def make_batch(x_pass, y_pass, dtype):
    x = philox.centred(N * 32 * 32 * 3, SEED, x_pass).reshape(N, 32, 32, 3).transpose(0, 3, 1, 2)
    y = philox.below(philox.words(N, SEED, philox.TEST, y_pass), CLASSES)
    return torch.tensor(np.ascontiguousarray(x), dtype=dtype), torch.tensor(y)


def forward(p, x, smooth):
    def bn_act(name, h):
        h = F.batch_norm(h, None, None, None, p[name + ".bn.beta"], training=True, eps=1e-12)
        return F.gelu(h, approximate="none")

    pool = F.avg_pool2d if smooth else F.max_pool2d
    h = F.gelu(F.conv2d(x, p[WHITEN], p["0.whiten.bias"]), approximate="none")
    for i in range(3):
        h = bn_act(f"{i + 2}.0", pool(F.conv2d(h, p[f"{i + 2}.0.conv.weight"], padding=1), 2))
        h = bn_act(f"{i + 2}.1", F.conv2d(h, p[f"{i + 2}.1.conv.weight"], padding=1))
    return F.linear(pool(h, 3).flatten(1), p[HEAD]) / 256


def loss_of(p, x, y, smooth):
    return F.cross_entropy(forward(p, x, smooth), y, label_smoothing=SMOOTHING, reduction="sum")


def summary(name, t):
    a = t.detach().double().numpy()
    a = (a.transpose(0, 2, 3, 1) if a.ndim == 4 else a).reshape(-1)
    dots = [float(np.dot(philox.signs(a.size, SIGN_SEED, 100 + k), a)) for k in range(VECTORS)]
    return {"name": name, "norm": float(np.sqrt(np.dot(a, a))), "dots": dots}


def value_and_gradients(smooth, dtype):
    p = make_parameters(dtype)
    x, y = make_batch(1, 2, dtype)
    loss = loss_of(p, x, y, smooth)
    loss.backward()
    return loss.item(), [summary(n, w.grad) for n, w in p.items() if w.requires_grad]


def steps(smooth, dtype):
    p = make_parameters(dtype)
    convs = [w for n, w in p.items() if n.endswith("conv.weight")]
    shifts = [w for n, w in p.items() if n.endswith("bn.beta")]
    sgd = torch.optim.SGD([{"params": [p[HEAD]], "base": 0.67, "steps": RUN},
                           {"params": shifts, "base": 0.053, "steps": RUN},
                           {"params": [p["0.whiten.bias"]], "base": 0.053, "steps": 3 * EPOCH}],
                          lr=0.0, momentum=0.85, nesterov=True)
    momenta = [torch.zeros_like(w) for w in convs]
    losses = []
    for s in range(STEPS):
        x, y = make_batch(10 + s, 30 + s, dtype)
        for group in sgd.param_groups:
            group["weight_decay"] = DECAY / group["base"]
            group["lr"] = group["base"] * (1 - s / group["steps"])
        sgd.zero_grad()
        for w in convs:
            w.grad = None
        loss = loss_of(p, x, y, smooth)
        loss.backward()
        losses.append(loss.item())
        if s >= 3 * EPOCH:
            p["0.whiten.bias"].grad = None
        sgd.step()
        with torch.no_grad():
            for w, buf in zip(convs, momenta):
                buf.mul_(0.6).add_(w.grad)
                u = w.grad + 0.6 * buf
                w.mul_(math.sqrt(len(w)) / w.norm())
                w.sub_(0.24 * (1 - s / RUN) * newton_schulz(u.reshape(len(u), -1), 3, AIRBENCH).view_as(w))
    return losses, [summary(n, w) for n, w in p.items() if w.requires_grad]


def net_golden(smooth):
    loss, grads = value_and_gradients(smooth, torch.float64)
    loss32, grads32 = value_and_gradients(smooth, torch.float32)
    losses, after = steps(smooth, torch.float64)
    losses32, _ = steps(smooth, torch.float32)
    worst = max(math.sqrt(sum((a - b) ** 2 for a, b in zip(g["dots"], h["dots"])) / VECTORS) / g["norm"]
                for g, h in zip(grads, grads32))
    return {"loss": loss, "gradients": grads, "step_loss": losses, "after": after,
            "f32_error": {"loss": abs(loss32 - loss) / loss, "worst_gradient": worst,
                          "worst_step_loss": max(abs(a - b) / b for a, b in zip(losses32, losses))}}


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    out = sys.argv[1] if len(sys.argv) > 1 else golden_json.golden_path("airbench.json")
    philox.self_check()
    torch.use_deterministic_algorithms(True)
    golden = {
        "about": {"what": "airbench94-muon in PyTorch: gradients, and steps with its optimisers",
                  "command": "python3 scripts/golden/airbench_golden.py", "torch": torch.__version__},
        "batch": N, "run": RUN, "epoch": EPOCH,
        "nets": {"airbench": net_golden(False), "smooth": net_golden(True)},
    }
    golden_json.write(out, golden)
    for name, net in golden["nets"].items():
        print(name, net["f32_error"], net["step_loss"])


if __name__ == "__main__":
    main()
