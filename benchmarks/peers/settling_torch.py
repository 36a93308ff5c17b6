"""CorInfoMax, equilibrium propagation and predictive coding in PyTorch, one hidden layer.

Rows are samples; every batch of outer products is one matrix product. The equations are those of
specs/corinfomax.net, specs/ep.net and specs/pc.net.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Sizes = tuple[int, int, int]


def _uniform(shape: tuple[int, int], rng: np.random.Generator) -> Any:
    import torch

    limit = float(np.sqrt(6 / sum(shape)))
    return torch.from_numpy(rng.uniform(-limit, limit, shape).astype(np.float32))


class CorInfoMax:
    """`train(x, y)` settles freely and nudged, and updates; x (N, n0), y (N, n2)."""

    def __init__(self, sizes: Sizes) -> None:
        rng = np.random.default_rng(0)
        n0, n1, n2 = sizes
        self.f1, self.f2, self.b2 = (_uniform(s, rng) for s in ((n0, n1), (n1, n2), (n2, n1)))
        a1, a2 = _uniform((n1, n1), rng), _uniform((n2, n2), rng)
        self.l1, self.l2 = a1 @ a1.T, a2 @ a2.T
        self.forget, self.eps, self.g = 0.99999, 0.15, 0.5
        self.gamma = (1 - self.forget) / self.forget

    def settle(self, x: Any, y: Any, r1: Any, r2: Any, steps: int, beta: float) -> Any:
        """Rates after `steps` steps, each layer seeing what the layer below has just done."""
        eps, g, gamma = self.eps, self.g, self.gamma
        u1, u2 = r1.clone(), r2.clone()
        ff1 = x @ self.f1
        for t in range(steps):
            eta = max(0.05 / (1 + 0.01 * t), 0.001)
            drive = (ff1 + r2 @ self.b2 - 2 * u1) / eps
            u1 = u1 + eta * (drive + 2 * gamma * (r1 @ self.l1) + g * (r1 - u1))
            r1 = u1.clamp(0, 1)
            drive = (r1 @ self.f2 - u2) / eps - u2 - beta * (r2 - y)
            u2 = u2 + eta * (drive + gamma * (r2 @ self.l2) + g * (r2 - u2))
            r2 = u2.clamp(0, 1)
        return r1, r2

    def train(self, x: Any, y: Any) -> None:
        """One batch."""
        import torch

        n = x.shape[0]
        r1, r2 = torch.zeros(n, self.f1.shape[1]), torch.zeros(n, self.f2.shape[1])
        free: tuple[Any, Any] = self.settle(x, y, r1, r2, 30, 0.0)
        nudged = self.settle(x, y, free[0], free[1], 10, 1.0)
        change = [0.0, 0.0, 0.0]
        for sign, (r1, r2) in ((-1.0, free), (1.0, nudged)):
            change[0] = change[0] + sign * (x.T @ (r1 - x @ self.f1))
            change[1] = change[1] + sign * (r1.T @ (r2 - r1 @ self.f2))
            change[2] = change[2] + sign * (r2.T @ (r1 - r2 @ self.b2))
        self.f1 += 1.0 / n * change[0]
        self.f2 += 0.7 / n * change[1]
        self.b2 += 0.15 / n * change[2]
        for lateral, r in ((self.l1, nudged[0]), (self.l2, nudged[1])):
            z = r @ lateral
            lateral.sub_(self.gamma / n * (z.T @ z)).div_(self.forget)


class EquilibriumPropagation:
    """`train(x, y)` settles freely and nudged, and updates."""

    def __init__(self, sizes: Sizes) -> None:
        import torch

        rng = np.random.default_rng(0)
        n0, n1, n2 = sizes
        self.w1, self.w2 = _uniform((n0, n1), rng), _uniform((n1, n2), rng)
        self.b1, self.b2 = torch.zeros(n1), torch.zeros(n2)

    def settle(self, x: Any, y: Any, s1: Any, s2: Any, steps: int, beta: float) -> Any:
        """States after `steps` steps, all units moving at once."""
        below = x @ self.w1 + self.b1
        for _ in range(steps):
            g1 = s1 - below - s2 @ self.w2.T
            g2 = s2 - s1 @ self.w2 - self.b2 + 2 * beta * (s2 - y)
            s1, s2 = (s1 - 0.5 * g1).clamp(0, 1), (s2 - 0.5 * g2).clamp(0, 1)
        return s1, s2

    def train(self, x: Any, y: Any) -> None:
        """One batch."""
        import torch

        n = x.shape[0]
        s1, s2 = torch.zeros(n, self.w1.shape[1]), torch.zeros(n, self.w2.shape[1])
        f1, f2 = self.settle(x, y, s1, s2, 20, 0.0)
        n1, n2 = self.settle(x, y, f1, f2, 4, 1.0)
        self.w1 += 0.1 / n * (x.T @ (n1 - f1))
        self.w2 += 0.05 / n * (n1.T @ n2 - f1.T @ f2)
        self.b1 += 0.1 * (n1 - f1).mean(0)
        self.b2 += 0.05 * (n2 - f2).mean(0)


class PredictiveCoding:
    """`train(x, y)` relaxes with both ends held, then takes one Adam step."""

    def __init__(self, sizes: Sizes) -> None:
        import torch

        rng = np.random.default_rng(0)
        n0, n1, n2 = sizes
        self.p = [_uniform((n0, n1), rng), torch.zeros(n1), _uniform((n1, n2), rng),
                  torch.zeros(n2)]  # fmt: skip
        self.m = [torch.zeros_like(p) for p in self.p]
        self.v = [torch.zeros_like(p) for p in self.p]
        self.n = 0

    def train(self, x: Any, y: Any) -> None:
        """One batch."""
        w1, b1, w2, b2 = self.p
        n = x.shape[0]
        mu1 = x @ w1 + b1
        x1, x2 = mu1.clone(), 0.03 + 0.94 * y
        for _ in range(50):
            f = x1.sigmoid()
            back = (x2 - f @ w2 - b2) @ w2.T
            x1 = x1 + 0.1 * (mu1 - x1 + f * (1 - f) * back)
        f = x1.sigmoid()
        e1, e2 = x1 - mu1, x2 - f @ w2 - b2
        self.n += 1
        scale = 0.001 * np.sqrt(1 - 0.999**self.n) / (1 - 0.9**self.n)
        changes = (x.T @ e1 / n, e1.mean(0), f.T @ e2 / n, e2.mean(0))
        for p, m, v, d in zip(self.p, self.m, self.v, changes, strict=True):
            m.mul_(0.9).add_(d, alpha=0.1)
            v.mul_(0.999).addcmul_(d, d, value=0.001)
            p.addcdiv_(m, v.sqrt().add_(1e-8), value=float(scale))
