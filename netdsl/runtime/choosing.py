"""Which protocol, splits and sizes a run or an evaluation means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.ir.protocol import (
    Each,
    Evaluate,
    Protocol,
    RunProtocol,
    SplitRef,
    at,
    reached,
    simulates,
    steps_of,
)
from netdsl.runtime.errors import RunFault
from netdsl.runtime.steps import all_steps

if TYPE_CHECKING:
    from netdsl.ir.network import Network
    from netdsl.runtime.engine import Place
    from netdsl.runtime.model import Model

MAIN, TEST = "train", "test"


def main_protocol(network: Network) -> Protocol:
    """The protocol of a run that names none: `train`, or else the only one that no other uses and
    that takes no split. Raises RunFault E0743."""
    held = network.protocols
    if MAIN in held:
        return held[MAIN]
    used = {
        step.protocol for step in all_steps(network) if isinstance(step, Evaluate | RunProtocol)
    }
    own = [p for p in held.values() if p.name not in used and not data_arguments(p)]
    if len(own) != 1:
        have = ", ".join(held) or "none"
        help = f"say which to run, `--protocol {own[0].name}`; there are: {have}" if own else ""
        raise RunFault(
            "E0743", f"the spec has no protocol `{MAIN}`", help or f"its protocols: {have}"
        )
    return own[0]


def tested_protocol(model: Model, name: str | None) -> Protocol:
    """The protocol that is evaluated where none is named: `test`, or that of a run."""
    if name is None and TEST not in model.network.protocols:
        return main_protocol(model.network)
    return protocol_of(model, name or TEST)


def data_arguments(protocol: Protocol) -> list[str]:
    """The splits that a protocol is given, by name."""
    return [name for name, default in protocol.parameters if default is None]


def default_splits(model: Model, protocol: Protocol, split: str) -> tuple[SplitRef, ...]:
    """The data arguments of a protocol: `split` ("dev" or "digits.dev") for each of them."""
    return tuple(split_of(model, split) for _ in data_arguments(protocol))


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
    """The label under which a run reports a split: that of its own `evaluate` statement, if any;
    of a protocol without data its name."""
    held = protocol_of(model, protocol)
    if simulates(held, model.network.protocols):
        return held.name
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
    test = final_test(model.network, protocol)
    if test is not None:
        found.update(dict.fromkeys(default_splits(model, test, "test")))
    return tuple(found)


def final_test(network: Network, protocol: Protocol) -> Protocol | None:
    """The protocol that follows a run of `protocol`: `test`, but for one with data behind one that
    has none."""
    test = network.protocols.get(TEST)
    if test is None or test is protocol:
        return None
    alone = simulates(protocol, network.protocols) and not _named_data(network, protocol)
    return None if alone and not simulates(test, network.protocols) else test


def _named_data(network: Network, protocol: Protocol) -> bool:
    steps = reached(protocol, network.protocols)
    return any(step.args for step in steps if isinstance(step, Evaluate))


def runnable(model: Model, name: str) -> Protocol:
    """A protocol that can be run by itself: it takes no split. Raises RunFault E0743."""
    protocol = protocol_of(model, name)
    data = data_arguments(protocol)
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
    """Samples in a training batch, for the rate shown; 0 without data."""
    if simulates(protocol, model.network.protocols):
        return 0
    for step in reached(protocol, model.network.protocols):
        if isinstance(step, Each) and step.of is not None and step.of.parameter is None:
            opened = model.datasets.open(step.of)
            return 1 if step.kind == "sample" else opened.data.batch
    return 1


def require_own_rounds(protocol: Protocol, epochs: int | None) -> None:
    """`--epochs` is of the protocol itself, not of those that it runs. Raises RunFault E0743."""
    steps = list(steps_of(protocol.body))
    others = [step.protocol for step in steps if isinstance(step, RunProtocol)]
    own = any(isinstance(s, Each) and s.kind in ("epoch", "iteration") for s in steps)
    if epochs is not None and others and not own:
        raise RunFault(
            "E0743",
            f"protocol `{protocol.name}` has no epochs of its own, only those of the protocols that"
            " it runs",
            f"say how many these have: `--set {others[0]}.epochs={epochs}`",
        )


def require_epochs(model: Model, protocol: Protocol, place: Place, epochs: int | None) -> None:
    """A run that goes on has not done more epochs than are asked for. Raises RunFault E0761."""
    if at(place.position, protocol.body, model.network.protocols):
        return  # what it is in the midst of has a number of its own
    host = model.session.host
    counter = "iteration" if host.get("iteration") else "epoch"
    begun = int(host[counter]) + 1
    if epochs is not None and place.batches and begun > epochs:
        raise RunFault(
            "E0761",
            f"the run is in {counter} {begun} already, and {epochs} are asked for",
            f"give `--{counter}s {begun}` or more, or begin a new run",
        )
