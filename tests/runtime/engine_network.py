"""A small classifier built by hand: image and label clamped, weights moved by the delta rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netdsl.ir import protocol as proto
from netdsl.ir.expr import NOW, Apply, Const, Expr, Index, Reduce, Ref
from netdsl.ir.network import Draw, Network, Place
from tests.networks import Builder

PIXELS, CLASSES = 6, 3
SPLIT = proto.SplitRef("toy", "split", parameter="split")


def ref(path: str, time: str = NOW) -> Ref:
    return Ref(path, "own", time)


def onehot(label: str) -> Expr:
    return Apply("eq", (Index(), ref(label)))


def delta_network(source: str, epochs: int = 3, **train: object) -> Network:
    """`out.r` follows `out.j` over 4 steps; `W.w` learns (target - r) * x at `update`."""
    b = Builder()
    b.population("img", PIXELS, state="v")
    b.population("out", CLASSES, ["r = r + 0.5 * (j - r)"], input="j target", state="r")
    init = Draw("uniform", (Const(-0.1), Const(0.1)), "W.w")
    b.projection("W", "img", "out", "j: w * pre.v", init=init)  # type: ignore[arg-type]
    b.learn(
        "W",
        "delta",
        "rate * (post.target__free - post.r__free) * pre.v__free".replace("rate", "0.2"),
        clock="update",
        reduce="mean",
    )
    network = b.network()
    predicted = Apply("argmax", (ref("out.r", "@free"),))
    correct = Apply("eq", (predicted, ref("sample.label")))
    accuracy = proto.Metric("accuracy", Reduce("mean", "batch", correct))
    size = proto.Metric("size", Reduce("mean", "population", ref("W.w")), every=4)
    body = (
        proto.Reset(),
        proto.Clamp("img.v", ref("sample.image"), "train.c0"),
        proto.Clamp("out.target", onehot("sample.label"), "train.c1"),
        proto.RunPhase("free", Const(4), site="train.free"),
        proto.Update(("W",), "train.update"),
    )
    evaluate = proto.Evaluate("test", (proto.SplitRef("toy", "dev"),), "dev")
    batches = proto.Each("batch", proto.SplitRef("toy", "train"), None, body, "train.b")
    loop = proto.Each(
        "epoch", None, None, (batches, evaluate, proto.Checkpoint("best", "accuracy", "dev")), "t.e"
    )
    test = (
        proto.Reset(),
        proto.Clamp("img.v", ref("sample.image"), "test.c0"),
        proto.RunPhase("free", Const(4), site="test.free"),
    )
    test_loop = proto.Each("batch", SPLIT, None, test, "test.b")
    data = proto.Data(
        "toy",
        source,
        8,
        16,
        shuffle=True,
        splits={"train": ("train", 0, 80), "dev": ("train", 80, 100), "test": ("test", None, None)},
    )
    recorder = proto.Recorder("out.r", on="test", limit=5)
    image = replace(network.variables["sample.image"], place=Place.UNIT, shape=(PIXELS,))
    return replace(
        network,
        name="toy",
        variables={**network.variables, "sample.image": image},
        data={"toy": data},
        protocols={
            "train": proto.Protocol("train", (("epochs", Const(epochs)),), (loop,)),
            "test": proto.Protocol("test", (("split", None),), (test_loop,)),
        },
        metrics={"accuracy": accuracy, "size": size},
        recorders=(recorder,),
    )


def write_toy(path: object, seed: int = 0, nan: bool = False) -> None:
    """Linearly separable images of three classes: 100 for training, 30 for test."""
    draw = np.random.default_rng(seed)
    label = np.arange(130) % CLASSES
    image = draw.random((130, PIXELS), dtype=np.float32) * 0.4
    image[np.arange(130), label] += 1
    arrays = {
        "train_image": image[:100],
        "train_label": label[:100],
        "test_image": image[100:],
        "test_label": label[100:],
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
