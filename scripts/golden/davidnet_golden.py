#!/usr/bin/env python3
"""Writes tests/golden/davidnet.json: what PyTorch computes for DavidNet and for its smooth twin.

    davidnet_golden.py [OUT.json]          (needs NumPy and PyTorch; CPU; about a minute)

The C tests hold the whole engine to these numbers (docs/architecture.md, "Numbers"). Weights and inputs are
drawn from the formula in philox.py on both sides, so the file holds results only and stays under 64 KiB.

Nets, 32 x 32 x 3 in, batch norm in training mode (eps 1e-5):
    davidnet   conv_bn 64, conv_res_blk 128 (2), conv_blk 256, conv_res_blk 512 (2), global max, dense 10, x 0.125
               conv_bn is conv 3x3 (pad 1, no bias), batch norm, ReLU; a block pools 2x2 after it; the residual
               branch starts at the pooled h and is added to it, with no activation after the sum.
    smooth     the same net with exact GELU, 2x2 average pools and the global average. It has no kinks: gradients of
               a net with ReLU and max-pool jump wherever rounding flips a tie, those of the twin do not.
Parameters: conv [oc][kh][kw][ic] and dense [out][in] uniform in +-1/sqrt(fan_in), gamma 1, beta 0; names below.
All are float32 values, in the float64 nets as well.

Per gradient the file holds its L2 norm and its inner products with eight +-1 vectors u_k, in our storage order.
For a difference d of two gradients E[(u_k . d)^2] = |d|^2, so

    relative error = sqrt(mean over k of (dot_k - dot_ref_k)^2) / norm_ref

estimates |d| / |g| from nine numbers (its own relative standard deviation is at most 1/2 with k = 8).

Also: the losses of ten SGD-Nesterov steps at the start of the walk-through's warm-up, a new batch for each step.
"f32_error" is how far PyTorch's own fp32 lies from its fp64, for orientation: no tolerance may be below it.
"autocast_error", of davidnet, is how far its mixed precision does (torch.autocast on the CPU, in bf16 and in f16: convolutions and
the dense layer in 16 bits, what lies between them too, parameters and sums in fp32): logits by norm, the loss, and of the
gradients the worst as the C tests measure it, by inner products and by norm. Left out where PyTorch cannot.
"""
import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

import golden_json
import philox

SEED, SIGN_SEED, N, CLASSES, VECTORS = 1, 2, 32, 10, 8
STEPS, PEAK, WARMUP, MOMENTUM, DECAY = 10, 0.4 / N, 485, 0.9, 5e-4 * N
COMMAND = "python3 scripts/golden/davidnet_golden.py"

# name, input channels, output channels, in parameter order
CONVS = [("0", 3, 64), ("1.0", 64, 128), ("1.res.0", 128, 128), ("1.res.1", 128, 128), ("2.0", 128, 256),
         ("3.0", 256, 512), ("3.res.0", 512, 512), ("3.res.1", 512, 512)]
DENSE = "5.dense.weight"


def make_parameters(dtype):
    """Name -> leaf tensor in PyTorch's layout, in our parameter order."""
    p = {}
    for name, ic, oc in CONVS:
        flat = philox.uniform_parameter(name + ".conv.weight", oc * 9 * ic, 1.0 / math.sqrt(9 * ic), SEED)
        w = np.ascontiguousarray(flat.reshape(oc, 3, 3, ic).transpose(0, 3, 1, 2))
        p[name + ".conv.weight"] = torch.tensor(w, dtype=dtype, requires_grad=True)
        p[name + ".bn.gamma"] = torch.ones(oc, dtype=dtype, requires_grad=True)
        p[name + ".bn.beta"] = torch.zeros(oc, dtype=dtype, requires_grad=True)
    flat = philox.uniform_parameter(DENSE, CLASSES * 512, 1.0 / math.sqrt(512), SEED)
    p[DENSE] = torch.tensor(flat.reshape(CLASSES, 512), dtype=dtype, requires_grad=True)
    return p


def make_batch(x_pass, y_pass, dtype):
    x = philox.centred(N * 32 * 32 * 3, SEED, x_pass).reshape(N, 32, 32, 3).transpose(0, 3, 1, 2)
    y = philox.below(philox.words(N, SEED, philox.TEST, y_pass), CLASSES)
    return torch.tensor(np.ascontiguousarray(x), dtype=dtype), torch.tensor(y)


def forward(p, x, smooth):
    def conv_bn(name, h):
        h = F.conv2d(h, p[name + ".conv.weight"], padding=1)
        h = F.batch_norm(h, None, None, p[name + ".bn.gamma"], p[name + ".bn.beta"], training=True, eps=1e-5)
        return F.gelu(h, approximate="none") if smooth else F.relu(h)

    def pool(h, size):
        return F.avg_pool2d(h, size) if smooth else F.max_pool2d(h, size)

    h = conv_bn("0", x)
    h = pool(conv_bn("1.0", h), 2)
    h = h + conv_bn("1.res.1", conv_bn("1.res.0", h))
    h = pool(conv_bn("2.0", h), 2)
    h = pool(conv_bn("3.0", h), 2)
    h = h + conv_bn("3.res.1", conv_bn("3.res.0", h))
    return 0.125 * F.linear(pool(h, 4).flatten(1), p[DENSE])


def in_our_order(t):
    a = t.detach().double().numpy()
    return (a.transpose(0, 2, 3, 1) if a.ndim == 4 else a).reshape(-1)


def value_and_gradients(smooth, dtype, narrow=None):
    """narrow: the type of mixed precision, over dtype; None: none."""
    p = make_parameters(dtype)
    x, y = make_batch(1, 2, dtype)
    with torch.autocast("cpu", dtype=narrow or torch.bfloat16, enabled=narrow is not None):
        logits = forward(p, x, smooth)
    logits = logits.to(dtype)
    loss = F.cross_entropy(logits, y, reduction="sum")
    loss.backward()
    grads = {}
    for name, w in p.items():
        g = in_our_order(w.grad)
        dots = [float(np.dot(philox.signs(g.size, SIGN_SEED, 100 + k), g)) for k in range(VECTORS)]
        grads[name] = (float(np.sqrt(np.dot(g, g))), dots)
    return logits.detach().double().numpy(), loss.item(), grads


def rate(step):
    return PEAK * step / WARMUP


def ten_steps(smooth, dtype):
    p = make_parameters(dtype)
    opt = torch.optim.SGD(p.values(), lr=0.0, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        x, y = make_batch(10 + step, 30 + step, dtype)
        opt.param_groups[0]["lr"] = rate(step)
        opt.zero_grad()
        loss = F.cross_entropy(forward(p, x, smooth), y, reduction="sum")
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def relative_error(got, want):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(got[1], want[1])) / VECTORS) / want[0]


def autocast_errors(smooth, logits, loss, grads):
    out = {}
    for name, narrow in (("bf16", torch.bfloat16), ("f16", torch.float16)):
        try:
            got_logits, got_loss, got = value_and_gradients(smooth, torch.float32, narrow)
        except RuntimeError as e:
            print("autocast %s: %s" % (name, e), file=sys.stderr)
            continue
        errors = [max(relative_error(got[n], grads[n]), abs(got[n][0] - grads[n][0]) / grads[n][0]) for n in grads]
        out[name] = {
            "logits": float(np.linalg.norm(got_logits - logits) / np.linalg.norm(logits)),
            "loss": abs(got_loss - loss) / loss,
            "worst_gradient": max(errors),
        }
    return out


def net_golden(smooth):
    logits, loss, grads = value_and_gradients(smooth, torch.float64)
    logits32, loss32, grads32 = value_and_gradients(smooth, torch.float32)
    steps64, steps32 = ten_steps(smooth, torch.float64), ten_steps(smooth, torch.float32)
    errors = {name: relative_error(grads32[name], grads[name]) for name in grads}
    worst = max(errors, key=errors.get)
    return {
        "loss": loss,
        "logits": [list(row) for row in logits],
        "gradients": [{"name": n, "norm": g[0], "dots": g[1]} for n, g in grads.items()],
        "step_loss_f64": steps64,
        "step_loss_f32": steps32,
        "f32_error": {
            "logits": float(np.linalg.norm(logits32 - logits) / np.linalg.norm(logits)),
            "loss": abs(loss32 - loss) / loss,
            "worst_gradient": errors[worst],
            "worst_gradient_name": worst,
            "worst_step_loss": max(abs(a - b) / b for a, b in zip(steps32, steps64)),
        },
        # the twin has no kinks: its bounds are fixed ones
        **({} if smooth else {"autocast_error": autocast_errors(smooth, logits, loss, grads)}),
    }


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    out = sys.argv[1] if len(sys.argv) > 1 else golden_json.golden_path("davidnet.json")
    philox.self_check()
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("highest")
    golden = {
        "about": {
            "what": "DavidNet and its smooth twin in PyTorch: forward, gradients, ten steps of training",
            "command": COMMAND,
            "torch": torch.__version__,
            "draw": "word(i) = word i%4 of Philox4x32-10 at (seed, purpose, pass, index i/4, block 0), src/core/rng.h; "
                    "TEST = 7, INIT = 2",
            "x": "NHWC, element i = f32(2 sqrt(3) (unit(word(i)) - 0.5)), seed 1, TEST, pass 1; in step s pass 10 + s",
            "labels": "below(word(n), 10), seed 1, TEST, pass 2; in step s pass 30 + s",
            "weights": "element i = f32(-b + 2 b unit(word(i))), seed 1, INIT, pass fnv1a(name), b = 1/sqrt(fan_in); "
                       "conv [oc][kh][kw][ic], dense [out][in]; gamma 1, beta 0",
            "dots": "k = 0..7: sum over i of g[i] * (word(i) even ? 1 : -1), seed 2, TEST, pass 100 + k",
            "gradient_error": "sqrt(mean over k of (dot - dot_ref)^2) / norm_ref",
            "loss": "softmax cross-entropy, summed over the batch",
            "steps": "loss of step s before its update; g += wd w; v = m v + g; w -= lr (g + m v); every parameter decays",
        },
        "batch": N,
        "momentum": MOMENTUM,
        "weight_decay": DECAY,
        "step_rate": [rate(s) for s in range(STEPS)],
        "labels": philox.below(philox.words(N, SEED, philox.TEST, 2), CLASSES).tolist(),
        "x_first": philox.centred(8, SEED, 1).tolist(),
        "weight_first": philox.uniform_parameter("0.conv.weight", 8, 1.0 / math.sqrt(27), SEED).tolist(),
        "nets": {"davidnet": net_golden(False), "smooth": net_golden(True)},
    }
    golden_json.write(out, golden)
    print("fp32 errors: " + json.dumps({k: v["f32_error"] for k, v in golden["nets"].items()}, indent=1))
    print("autocast errors: " + json.dumps(golden["nets"]["davidnet"]["autocast_error"], indent=1))


if __name__ == "__main__":
    main()
