"""What `conv`, `pool` and `shared_over` mean between the axes of two populations."""

from __future__ import annotations

import pytest

from netdsl.frontend import Checked, check
from netdsl.ir.windows import Windows

SPEC = """\
edition 1
neuron source {{ state s = 0 }}
neuron unit {{ input i; state v = 0; v := i }}
population a : source[{pre}]
population b : unit[{post}]
projection W : a -> b {edge} delay 0 {{ weight w ~ uniform(-1, 1); deliver i += w * pre.s }}
data digits {{ source = "digits"; batch = 5; split train = train }}
protocol train {{ each batch of digits.train {{ reset; phase run 1 step }} }}
"""
MAP = "row: 7, col: 9, ch: 2"


def checked(pre: str, post: str, edge: str) -> Checked:
    return check(SPEC.format(pre=pre, post=post, edge=edge), lower=False)


def geometry(pre: str, post: str, edge: str) -> Windows:
    found = checked(pre, post, edge).require().projections["W"].connectivity.windows
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("edge", "rows", "columns", "kernel", "stride", "pad"),
    [
        ("conv(3)", 5, 7, (3, 3), (1, 1), (0, 0)),
        ("conv(kernel = 3, pad = valid)", 5, 7, (3, 3), (1, 1), (0, 0)),
        ("conv(kernel = 3, pad = same)", 7, 9, (3, 3), (1, 1), (1, 1)),
        ("conv(kernel = [3, 5], pad = same, stride = 2)", 4, 5, (3, 5), (2, 2), (1, 2)),
        ("conv([2, 3], stride = [1, 2], pad = [1, 0])", 8, 4, (2, 3), (1, 2), (1, 0)),
        ("conv(3, stride = 3, pad = 1, channels = 4)", 3, 3, (3, 3), (3, 3), (1, 1)),
    ],
)
def test_conv(edge: str, rows: int, columns: int, kernel, stride, pad) -> None:
    found = geometry(MAP, f"row: {rows}, col: {columns}, ch: 4", edge)
    assert found == Windows(7, 9, 2, kernel, stride, pad, rows, columns, 4)
    assert found.shape == (kernel[0] * kernel[1] * 2, 4)


@pytest.mark.parametrize(
    ("edge", "rows", "columns", "kernel", "stride"),
    [
        ("pool(2)", 3, 4, (2, 2), (2, 2)),
        ("pool([1, 3])", 7, 3, (1, 3), (1, 3)),
        ("pool(kernel = 3, stride = 2, pad = 1)", 4, 5, (3, 3), (2, 2)),
    ],
)
def test_pool_keeps_channels_apart(edge: str, rows: int, columns: int, kernel, stride) -> None:
    found = geometry(MAP, f"row: {rows}, col: {columns}, ch: 2", edge)
    assert (found.rows, found.columns, found.kernel, found.stride) == (
        *(rows, columns),
        *(kernel, stride),
    )
    assert found.depthwise and found.shape == (kernel[0] * kernel[1], 2)


def test_two_axes_are_one_channel() -> None:
    assert geometry("8, 8", "6, 6", "conv(3)").shape == (9, 1)
    assert geometry("row: 8, col: 8", "row: 4, col: 4", "pool(2)").channels == 1


@pytest.mark.parametrize("edge", ["shared_over(row, col)", "dense shared_over(col, row)"])
def test_a_bias_for_each_channel(edge: str) -> None:
    found = geometry("1", MAP, edge)
    assert found.still and found.shape == (1, 2) and found.positions == 63


def test_shared_over_some_axes() -> None:
    found = geometry("5", MAP, "shared_over(row)")
    assert found.shape == (5, 18) and found.positions == 7


@pytest.mark.parametrize(
    ("code", "edge"),
    [
        ("E0110", "conv()"),
        ("E0110", "conv([2, 3], [1, 2])"),
        ("E0110", "conv(3, dilation = 2)"),
        ("E0110", "conv([1, 2, 3])"),
        ("E0110", "one_to_one shared_over(row)"),
        ("E0204", "conv(0)"),
        ("E0204", "conv(3, stride = 0)"),
        ("E0204", "conv(3, pad = -1)"),
        ("E0207", "conv(2.5)"),
        ("E0641", "conv(3, pad = same)"),
        ("E0641", "conv(8)"),
        ("E0643", "shared_over(col)"),
        ("E0643", "shared_over()"),
        ("E0101", "shared_over(depth)"),
        ("E0644", "conv(3) sign by pre"),
    ],
)
def test_mistakes(code: str, edge: str) -> None:
    typed = "row: 7, col: 9, ch: 2] types { E: 100; I: 26 "
    text = SPEC.format(pre=MAP, post="row: 5, col: 7, ch: 2", edge=edge)
    if "sign" in edge:
        text = text.replace(f"source[{MAP}]", f"source[{typed}}}")
        text += "celltype E sign +\ncelltype I sign -\n"
    errors = [d for d in check(text, lower=False).diagnostics if d.severity == "error"]
    assert [d.code for d in errors] == [code]


def test_parts_share_no_kernel() -> None:
    text = SPEC.format(pre=MAP, post="row: 5, col: 7, ch: 2", edge="conv(3)")
    text = text.replace("unit[row: 5, col: 7, ch: 2]", "unit[row: 5, col: 7, ch: 2] types {E: 70}")
    found = check(text.replace("a -> b conv", "a -> b.E conv"), lower=False)
    assert [d.code for d in found.diagnostics if d.severity == "error"] == ["E0831"]


def test_two_sizes_without_brackets():
    (found,) = checked(MAP, MAP, "conv(3, 3)").diagnostics
    assert found.code == "E0110" and found.help == "two sizes stand in brackets: `[rows, columns]`"
