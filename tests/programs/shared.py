"""Shared kernels of small odd shapes: every product, forwards, backwards and summed."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Const, Load
from netdsl.ir.network import Place, Type
from netdsl.ir.program import Buffer, GroupReduce, Op, Program, Propagate, Routine, WindowSum
from netdsl.ir.windows import Windows, places
from tests.programs.parts import buffer, program


def windows(
    height: int,
    width: int,
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    kernels: int,
    *,
    depthwise: bool = False,
) -> Windows:
    """Windows with as many positions as fit."""
    rows, columns = (
        places(size, *rest)
        for size, *rest in zip((height, width), kernel, stride, pad, strict=True)
    )
    return Windows(height, width, channels, kernel, stride, pad, rows, columns, kernels, depthwise)


SHAPES: dict[str, Windows] = {
    "plain": windows(5, 5, 3, (3, 3), (1, 1), (0, 0), 4),
    "padded": windows(4, 7, 2, (3, 5), (1, 1), (1, 2), 3),
    "strided": windows(7, 6, 1, (3, 2), (2, 3), (1, 0), 5),
    "beyond": windows(3, 2, 2, (3, 3), (2, 2), (3, 3), 2),  # some windows see nothing at all
    "gaps": windows(7, 5, 2, (1, 2), (3, 2), (0, 0), 1),  # some neurons are seen by no window
    "wide": windows(3, 3, 9, (2, 2), (1, 1), (1, 1), 35),
    "pool": windows(6, 4, 5, (2, 2), (2, 2), (0, 0), 5, depthwise=True),
    "overlap": windows(5, 5, 1, (3, 3), (2, 2), (1, 1), 1, depthwise=True),
    "bias": Windows(1, 1, 1, (1, 1), (0, 0), (0, 0), 12, 1, 3),
    "shared": Windows(1, 1, 4, (1, 1), (0, 0), (0, 0), 5, 1, 3),
}


# Over the channels, the columns and the rows of 3 x 3 places with 9 channels.
GROUPS = (("sum", 9, 1), ("mean", 3, 9), ("max", 3, 27), ("min", 9, 1), ("any", 3, 9))


def shared_kernels() -> Program:
    """Each shape between populations of its own; `all` runs every product, `again` adds to them."""
    buffers: list[Buffer] = [buffer("gain", Place.GLOBAL, "", "control")]
    sizes: dict[str, int] = {}
    first: list[Op] = []
    again: list[Op] = []
    for name, w in SHAPES.items():
        sizes |= {f"{name}_a": w.pre_size, f"{name}_b": w.post_size}
        for end in ("a", "b"):
            for variable in ("x", "y"):
                buffers.append(buffer(f"{name}_{end}.{variable}", Place.UNIT, f"{name}_{end}"))
        buffers.append(buffer(f"{name}.w", Place.SYNAPSE, name, "weight"))
        buffers.append(buffer(f"{name}.g", Place.SYNAPSE, name, "scratch"))
        buffers.append(buffer(f"{name}.h", Place.SYNAPSE, name, "scratch"))
        buffers.append(buffer(f"{name}_a.s", Place.UNIT, f"{name}_a", type=Type.BOOL))
        buffers.append(buffer(f"{name}_b.z", Place.UNIT, f"{name}_b"))
        forth = Propagate(
            name, f"{name}.w", f"{name}_a.x", f"{name}_b.y", Load("gain"), accumulate=False
        )
        back = Propagate(
            name, f"{name}.w", f"{name}_b.x", f"{name}_a.y", accumulate=False, transposed=True
        )
        first += [forth, back, WindowSum(name, f"{name}_a.x", f"{name}_b.x", f"{name}.g")]
        spikes = replace(forth, source=f"{name}_a.s", target=f"{name}_b.z", binary=True)
        first += [spikes, WindowSum(name, f"{name}_a.s", f"{name}_b.x", f"{name}.h", True)]
        again += [
            replace(spikes, accumulate=True),
            replace(forth, accumulate=True, scale=None),
            replace(back, accumulate=True, scale=Const(-0.5)),
            WindowSum(name, f"{name}_a.x", f"{name}_b.y", f"{name}.g"),
        ]
        if not w.depthwise:
            ends = (f"{name}_a.x", f"{name}_b.y")
            again.append(WindowSum(name, *ends, f"{name}.h", newest=True))
    for kind, length, inner in GROUPS:
        target = buffer(f"wide_a.{kind}", Place.UNIT, "wide_a")
        buffers.append(target)
        first.append(GroupReduce(target.name, "wide_a.x", kind, length, inner))
    shapes = {name: w.shape for name, w in SHAPES.items()}
    routines = [Routine("all", "update", tuple(first)), Routine("again", "update", tuple(again))]
    made = program("shared_kernels", sizes, shapes, buffers, routines)
    return replace(made, layouts=dict(SHAPES))
