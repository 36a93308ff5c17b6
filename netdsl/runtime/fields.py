"""Do the data fit the network: widths of fields, numbers of classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Label, Span
from netdsl.ir.expr import Apply, Expr, Index, Ref, walk
from netdsl.ir.network import Network, Place
from netdsl.ir.program import Buffer
from netdsl.ir.protocol import Clamp, SetState, SplitRef
from netdsl.passes.lower.series import series_steps
from netdsl.runtime.datasets import Opened
from netdsl.runtime.steps import all_steps

if TYPE_CHECKING:
    from netdsl.runtime.model import Model

Array = NDArray[Any]

_LABELS = ("sample.label", "sample.shown_label")
_MADE = frozenset({"positive", "shown_label", "newest"})


def check_fields(model: Model, refs: tuple[SplitRef, ...]) -> None:
    """Open every split and compare it with the network.

    Raises DiagnosticError: E0711 for a field the data lack, E0745 for a width, E0746 for more
    classes than the units that stand for them, and what opening raises.
    """
    for ref in refs:
        opened = model.datasets.open(ref)
        _check_widths(model, opened)
        _check_classes(model.network, opened)


def _check_widths(model: Model, opened: Opened) -> None:
    for buffer in model.program.buffers.values():
        if buffer.role != "sample" or buffer.tag:
            continue
        field = model.network.table[buffer.of].name
        if field in _MADE:
            continue
        array = opened.split.fields.get(field)
        if array is None:
            have = ", ".join(sorted(opened.split.fields))
            help = f"its fields are: {have}"
            raise _error(opened, "E0711", f"the data have no field `{field}`", help, buffer.span)
        if buffer.slots > 1:
            _check_series(model, opened, buffer, array)
            continue
        width = array[0].size
        size = model.program.sizes[buffer.owner] if buffer.place is Place.UNIT else 1
        if width != size:
            shape = " x ".join(str(n) for n in opened.split.shapes.get(field, (width,)))
            message = (
                f"`sample.{field}` has {width} values ({shape}), "
                f"but `{buffer.owner}` has {size} unit{'s' if size != 1 else ''}"
            )
            if buffer.place is not Place.UNIT:
                message = f"`sample.{field}` has {width} values ({shape}), one is expected"
            help = "change the population's size (--set), or give other data (--data)"
            raise _error(opened, "E0745", message, help, buffer.span)
        if buffer.place is Place.UNIT:
            _check_axes(model.network, opened, buffer)


def _check_axes(network: Network, opened: Opened, buffer: Buffer) -> None:
    """A map is read by rows, columns and channels: the same axes in another order mix them up."""
    field, owner = network.table[buffer.of].name, network.populations.get(buffer.owner)
    stored = opened.split.shapes.get(field, ())
    axes = tuple(length for _, length in owner.axes) if owner is not None else ()
    if len(stored) == len(axes) == 3 and stored != axes and sorted(stored) == sorted(axes):
        shown, wanted = (" x ".join(map(str, shape)) for shape in (stored, axes))
        message = f"`sample.{field}` is {shown}, and `{buffer.owner}` is {wanted}"
        help = "store images as (samples, rows, columns, channels), or change the population's axes"
        raise _error(opened, "E0745", message, help, buffer.span)


def _check_series(model: Model, opened: Opened, buffer: Buffer, array: Array) -> None:
    """A field that is read `@step` has a value for each step and unit, and steps enough."""
    field, size = model.network.table[buffer.of].name, model.program.sizes[buffer.owner]
    if field == "image" and opened.augment is not None:
        message = "`sample.image@step` is one line of the image at each step, not an image"
        help = f"leave `augment {opened.name}` out, or clamp `sample.image`"
        raise _error(opened, "E0718", message, help, buffer.span)
    shape = opened.split.shapes.get(field, array.shape[1:])
    steps, units = (*shape, 1)[:2] if len(shape) < 3 else (shape[0], math.prod(shape[1:]))
    needed = series_steps(model.network, model.network.table[buffer.of])
    shown = " x ".join(str(n) for n in array.shape[:1] + tuple(shape))
    if units != size:
        message = f"`sample.{field}` is {shown}, and `{buffer.owner}` has {size} units"
        help = "a field that is read `@step` is (samples, steps, units), or (samples, steps)"
        raise _error(opened, "E0745", message, help, buffer.span)
    if steps < needed:
        message = f"`sample.{field}` has {steps} steps, and a trial of {needed} reads it"
        help = "shorten the phases (--set), or give longer data (--data)"
        raise _error(opened, "E0786", message, help, buffer.span)


def _check_classes(network: Network, opened: Opened) -> None:
    classes = opened.split.classes
    if classes is None:
        return
    for step, owner in _onehots(network):
        size = network.populations[owner].size
        if classes > size:
            message = (
                f"the data have {classes} classes, but `{owner}`, which stands for the label,"
                f" has {size} units"
            )
            help = f"make `{owner}` a population of {classes}"
            raise _error(opened, "E0746", message, help, step.span)


def _onehots(network: Network) -> Iterator[tuple[Clamp | SetState, str]]:
    """Assignments of `onehot(sample.label)`, and the population assigned."""
    for step in all_steps(network):
        if isinstance(step, Clamp | SetState) and any(map(_is_onehot, walk(step.value))):
            owner = step.target.rpartition(".")[0]
            if owner in network.populations:
                yield step, owner


def _is_onehot(node: Expr) -> bool:
    if not (isinstance(node, Apply) and node.function == "eq"):
        return False
    paths = [arg.path for arg in node.args if isinstance(arg, Ref)]
    return any(isinstance(arg, Index) for arg in node.args) and any(p in _LABELS for p in paths)


def _error(
    opened: Opened, code: str, message: str, help: str, span: Span | None
) -> DiagnosticError:
    data = opened.data.span or NO_SPAN
    labels = (Label(data, f"these data, split `{opened.name}`"),)
    primary = span or data
    shown = labels if primary is not data and data is not NO_SPAN else ()
    return DiagnosticError(Diagnostic(code, message, primary, shown, help=help))
