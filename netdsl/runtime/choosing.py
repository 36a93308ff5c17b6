"""Which protocol, splits and sizes a run or an evaluation means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.ir.protocol import Each, Evaluate, Protocol, RunProtocol, SplitRef, reached
from netdsl.runtime.errors import RunFault
from netdsl.runtime.steps import all_steps

if TYPE_CHECKING:
    from netdsl.runtime.model import Model


def default_splits(model: Model, protocol: Protocol, split: str) -> tuple[SplitRef, ...]:
    """The data arguments of a protocol: `split` ("dev" or "digits.dev") for each of them."""
    found = split_of(model, split)
    return tuple(found for _, default in protocol.parameters if default is None)


def split_of(model: Model, split: str) -> SplitRef:
    """The split that a name such as "dev" or "digits.dev" means. Raises RunFault E0701."""
    source, _, last = split.rpartition(".")
    if not source:
        source = _evaluated_source(model) or next(iter(model.network.data), "")
    if source not in model.network.data and source not in model.network.pairs:
        have = ", ".join(model.network.data) or "none"
        raise RunFault("E0701", f"the spec declares no data `{source}`", f"it declares: {have}")
    return SplitRef(source, last)


def label_of(model: Model, protocol: str, split: str) -> str:
    """The label under which a run reports a split: that of its own `evaluate` statement, if any."""
    wanted = split_of(model, split)
    if split != "test":
        for step in all_steps(model.network):
            if isinstance(step, Evaluate) and step.protocol == protocol and wanted in step.args:
                return step.label
    return wanted.split


def _evaluated_source(model: Model) -> str | None:
    """The data that the spec's own `evaluate` statements use."""
    for step in all_steps(model.network):
        if isinstance(step, Evaluate) and step.args and step.args[0].parameter is None:
            return step.args[0].source
    return None


def split_refs(model: Model, protocol: Protocol) -> tuple[SplitRef, ...]:
    """Every split that a protocol draws from or evaluates on, and the final test's."""
    found: dict[SplitRef, None] = {}
    for step in reached(protocol, model.network.protocols):
        refs: tuple[SplitRef | None, ...] = (getattr(step, "of", None),)
        if isinstance(step, Evaluate | RunProtocol):
            refs = step.args
        found.update({ref: None for ref in refs if ref is not None and ref.parameter is None})
    test = model.network.protocols.get("test")
    if test is not None and test is not protocol:
        found.update(dict.fromkeys(default_splits(model, test, "test")))
    return tuple(found)


def runnable(model: Model, name: str) -> Protocol:
    """A protocol that can be run by itself: it takes no split. Raises RunFault E0743."""
    protocol = protocol_of(model, name)
    data = [parameter for parameter, default in protocol.parameters if default is None]
    if data:
        raise RunFault(
            "E0743",
            f"protocol `{name}` takes a split (`{data[0]}`), so it cannot be run by itself",
            f"`netdsl eval RUN --protocol {name} --split dev` gives it one; or name it in an"
            " `evaluate` statement of the protocol that is run",
        )
    return protocol


def protocol_of(model: Model, name: str) -> Protocol:
    protocol = model.network.protocols.get(name)
    if protocol is None:
        have = ", ".join(model.network.protocols) or "none"
        raise RunFault("E0743", f"the spec has no protocol `{name}`", f"its protocols: {have}")
    return protocol


def epochs_of(protocol: Protocol, evaluate: Any) -> int:
    for name, default in protocol.parameters:
        if name == "epochs" and default is not None:
            return int(evaluate(default))
    return 1


def batch_rows(model: Model, protocol: Protocol) -> int:
    """Samples in a training batch, for the rate shown."""
    for step in reached(protocol, model.network.protocols):
        if isinstance(step, Each) and step.of is not None and step.of.parameter is None:
            opened = model.datasets.open(step.of)
            return 1 if step.kind == "sample" else opened.data.batch
    return 1
