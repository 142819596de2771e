"""The nets of the recipes `fenwicks` and `airbench94-muon` in PyTorch, for timing: the same operations and the same
optimizers as there. Weights are PyTorch's own initial ones; nothing here is trained to an end (walkthrough_torch.py
does that)."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvBN(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class DavidNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.prep = ConvBN(3, 64)
        self.layer1, self.res1 = ConvBN(64, 128), nn.Sequential(ConvBN(128, 128), ConvBN(128, 128))
        self.layer2 = ConvBN(128, 256)
        self.layer3, self.res3 = ConvBN(256, 512), nn.Sequential(ConvBN(512, 512), ConvBN(512, 512))
        self.dense = nn.Linear(512, 10, bias=False)

    def forward(self, x):
        h = F.max_pool2d(self.layer1(self.prep(x)), 2)
        h = h + self.res1(h)
        h = F.max_pool2d(self.layer2(h), 2)
        h = F.max_pool2d(self.layer3(h), 2)
        h = h + self.res3(h)
        return 0.125 * self.dense(h.amax(dim=(2, 3)))


class Group(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.bn1, self.bn2 = (nn.BatchNorm2d(cout, eps=1e-12, momentum=0.4) for _ in range(2))
        for bn in (self.bn1, self.bn2):
            bn.weight.requires_grad = False

    def forward(self, x):
        h = F.gelu(self.bn1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.bn2(self.conv2(h)))


class Airbench94(nn.Module):
    def __init__(self):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.groups = nn.Sequential(Group(24, 64), Group(64, 256), Group(256, 256))
        self.head = nn.Linear(256, 10, bias=False)

    def forward(self, x):
        h = self.groups(F.gelu(self.whiten(x)))
        return self.head(h.amax(dim=(2, 3))) / 256


class Muon(torch.optim.Optimizer):
    """Keller Jordan's Muon as in airbench94_muon: momentum, then the quintic Newton-Schulz iteration on the matrix
    [oc, rest], weights brought to norm sqrt(oc) first."""

    def __init__(self, params, lr, momentum):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "v" not in state:
                    state["v"] = torch.zeros_like(p)
                v = state["v"].mul_(group["momentum"]).add_(p.grad)
                g = p.grad.add(v, alpha=group["momentum"])
                p.mul_(len(p) ** 0.5 / p.norm())
                p.add_(orthogonal(g.reshape(len(g), -1)).view(g.shape), alpha=-group["lr"])


def orthogonal(g, steps=3):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    for _ in range(steps):
        m = x @ x.T
        x = a * x + (b * m + c * m @ m) @ x
    return x.T if tall else x


class Pair:
    """Several optimizers as one."""

    def __init__(self, *opts):
        self.opts = opts

    def zero_grad(self, set_to_none):
        for o in self.opts:
            o.zero_grad(set_to_none=set_to_none)

    def step(self):
        for o in self.opts:
            o.step()


def davidnet():
    net = DavidNet()
    return net, lambda n: torch.optim.SGD(n.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-4), 0.0


def airbench94():
    def optimizers(net):
        filters = [p for p in net.groups.parameters() if p.ndim == 4]
        rest = [p for p in net.parameters() if p.requires_grad and not any(p is f for f in filters)]
        return Pair(Muon(filters, lr=1e-3, momentum=0.6),
                    torch.optim.SGD(rest, lr=1e-4, momentum=0.85, nesterov=True, weight_decay=1e-6))
    return Airbench94(), optimizers, 0.2


NETS = {"davidnet": davidnet, "airbench94": airbench94}
