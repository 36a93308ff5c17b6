"""Intermediate forms of a spec as text: `netdsl show`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Span
from netdsl.runtime.errors import RunFault

if TYPE_CHECKING:
    from netdsl.ir.network import Network
    from netdsl.ir.program import Buffer, Program, Routine
    from netdsl.passes.pipeline import Record
    from netdsl.runtime.model import Model

_WIDTH = 100


def show_text(kind: str, spec: str | Path, name: str | None = None) -> str:
    """Tokens or tree of a spec's text. Raises DiagnosticError when it cannot be read."""
    from netdsl.frontend import load_text
    from netdsl.syntax.parser import parse_or_raise

    source, text, _ = load_text(spec)
    if kind == "tokens":
        from netdsl.syntax.lexer import lex

        tokens = lex(text, source).tokens
        return "\n".join(f"{t.line}:{t.column}\t{t.type}\t{t.value!r}" for t in tokens)
    tree = parse_or_raise(text, source)
    if name is None:
        return dump(tree)
    parts = [item for item in tree.items if getattr(item, "name", None) == name]
    if not parts:
        names = [n for n in (getattr(item, "name", "") for item in tree.items) if n]
        raise _unknown("declaration", name, names)
    return "\n".join(dump(part) for part in parts)


def show_model(model: Model, kind: str, name: str | None = None, after: str | None = None) -> str:
    """`network`, `ir`, `passes`, `schedule`, `memory`, `graph` or `kernel` of a compiled spec.

    Raises RunFault E0747 for an unknown kind, name or pass.
    """
    if kind == "ir":
        return _ir(model, name, after)
    makers = {
        "network": _network,
        "passes": _passes,
        "schedule": _schedule,
        "memory": _memory,
        "graph": _graph,
        "kernel": _kernel,
    }
    if kind not in makers:
        raise _unknown("kind", kind, ["ir", *makers])
    return makers[kind](model, name)


def _unknown(what: str, name: str, known: list[str]) -> RunFault:
    from netdsl.diagnostics import did_you_mean

    have = ", ".join(known[:30])
    help = did_you_mean(name, known) or f"there are: {have}"
    return RunFault("E0747", f"there is no {what} `{name}`", help)


# ------------------------------------------------------------------ trees


def dump(value: Any) -> str:
    """A tree of dataclasses as indented text; what fits on a line stays on one. No spans."""
    return "\n".join(_lines(value, 0))


def _lines(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    flat = _flat(value)
    if len(pad) + len(flat) <= _WIDTH:
        yield pad + flat
        return
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield f"{pad}{type(value).__name__}"
        for key, part in _fields(value):
            yield from _entry(f"{key}: ", part, depth + 1)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _entry(f"{key}: ", part, depth)
    elif isinstance(value, tuple | list | frozenset):
        for part in value:
            yield from _lines(part, depth)
    else:
        yield pad + flat


def _entry(key: str, part: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    flat = _flat(part)
    if len(pad) + len(key) + len(flat) <= _WIDTH:
        yield pad + key + flat
    else:
        yield pad + key.rstrip()
        yield from _lines(part, depth + 1)


def _fields(value: Any) -> list[tuple[str, Any]]:
    found = []
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        default = field.default
        if isinstance(part, Span) or field.name.endswith("span") or field.name.endswith("spans"):
            continue
        if default is not dataclasses.MISSING and part == default:
            continue
        found.append((field.name, part))
    return found


def _flat(value: Any) -> str:
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inside = ", ".join(f"{key}={_flat(part)}" for key, part in _fields(value))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flat(part)}" for key, part in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_flat(part) for part in value) + "]"
    return repr(value) if isinstance(value, str) else str(value)


# ------------------------------------------------------------------ compiled forms


def _ir(model: Model, name: str | None, after: str | None) -> str:
    """The step program, behind all passes or one of them, or the network behind one of its own
    passes; `name` picks a part."""
    from netdsl.ir.text import node_lines, program_text

    record = _recorded(model, after) if after is not None else None
    if record is not None and after in record.networks:
        return _network_text(record.networks[after], name)
    program = model.program if record is None else record.programs[str(after)]
    if name is None:
        return program_text(program).rstrip("\n")
    if name in program.buffers:
        return "\n".join(node_lines(program.buffers[name], exact=True))
    routines = [r for r in program.routines.values() if name in (r.name, r.phase)]
    if not routines:
        return _network(model, name)
    return "\n\n".join("\n".join(node_lines(r, exact=True)) for r in routines)


def _recorded(model: Model, after: str) -> Record:
    from netdsl.frontend import lower_network
    from netdsl.passes.pipeline import Record

    record = Record(keep=True)
    lower_network(model.network, record=record)
    if after not in record.milliseconds:
        raise _unknown("pass", after, list(record.milliseconds))
    return record


def _passes(model: Model, name: str | None) -> str:
    """The pipeline with the time that each pass takes on this spec."""
    from netdsl.frontend import lower_network
    from netdsl.passes.pipeline import ABOUT, Record

    record = Record()
    lower_network(model.network, record=record)
    if name is not None and name not in ABOUT:
        raise _unknown("pass", name, list(ABOUT))
    return "\n".join(
        f"{record.milliseconds[key]:9.2f} ms  {key:<9} {about}"
        for key, about in ABOUT.items()
        if name in (None, key)
    )


def _network(model: Model, name: str | None) -> str:
    return _network_text(model.network, name)


def _network_text(network: Network, name: str | None) -> str:
    from netdsl.ir.text import network_text

    if name is None:
        return network_text(network)
    parts: dict[str, Any] = {
        **network.populations,
        **network.projections,
        **network.protocols,
        **network.readouts,
        **network.metrics,
        **network.data,
        **network.pairs,
    }
    if name not in parts:
        raise _unknown("part of the network", name, list(parts))
    return dump(parts[name])


def _schedule(model: Model, name: str | None) -> str:
    from netdsl.ir.text import routine_text

    described = [routine_text(routine) for routine in _routines(model.program, name)]
    if name is None:
        described += _layouts(model)
    if model.backend != "numpy" and name is None:
        described += _choices(model)
    if model.backend == "native" and name is None:
        described += _kept_as_lists(model)
    return "\n\n".join(described)


def _layouts(model: Model) -> list[str]:
    """How projections that are not full are stored."""
    from netdsl.passes.lower.layout import layout_notes

    lines = list(layout_notes(model.network, model.program.layouts))
    return ["\n".join(lines)] if lines else []


def _choices(model: Model) -> list[str]:
    """Products of spike vectors: the form that the backend takes is decided while it runs."""
    from netdsl.ir.program import Propagate
    from netdsl.ir.roles import of_kind

    found = {
        op.projection: None
        for routine in model.program.routines.values()
        for op in of_kind(Propagate, routine.ops)
        if op.binary
    }
    shared = model.program.windows
    if model.backend == "cupy":
        found = {name: None for name in found if name not in shared}
    if not found:
        return []
    edges = set(model.program.layouts) - set(shared)
    # On a device every receiver adds up all its synapses.
    listed = [name for name in found if name in edges and model.backend != "cupy"]
    whole = [name for name in found if name not in edges]
    end = "from the density measured while running; `netdsl bench` prints what was taken"
    return [
        f"{', '.join(names)}: {forms}, {end}"
        for names, forms in (
            (whole, "dense or gathered by spikes"),
            (listed, "all synapses or those of the spikes"),
        )
        if names
    ]


def _kept_as_lists(model: Model) -> list[str]:
    """Buffers that C holds as lists of their nonzeros while the steps of a phase run."""
    from netdsl.codegen.c.program import generate

    plans = generate(model.program, model.dtype).plans
    names = dict.fromkeys(window.buffer for plan in plans for window in plan.light)
    if not names:
        return []
    return [f"{', '.join(names)}: only listed while steps run, where less than a quarter is not 0"]


def _routines(program: Program, name: str | None) -> list[Routine]:
    found = [r for r in program.routines.values() if name in (None, r.name, r.phase)]
    if not found:
        raise _unknown("routine", str(name), list(program.routines))
    return found


def _memory(model: Model, name: str | None) -> str:
    from netdsl.backends.base import given_by_host
    from netdsl.runtime.memory import buffer_bytes, edge_bytes, readable
    from netdsl.streams.connectivity import connections_of

    drawn = connections_of(model.program, model.seed)
    edges = {projection: found.count for projection, found in drawn.items()}
    sizes = buffer_bytes(model.program, model.rows, model.dtype, edges)
    ends = edge_bytes(model.program, edges)
    buffers = model.program.buffers
    if name is not None:
        sizes = {k: size for k, size in sizes.items() if _about(buffers[k]).startswith(name)}
        ends = {k: size for k, size in ends.items() if k in {buffers[b].owner for b in sizes}}
        if not sizes:
            raise _unknown("buffer", name, list(buffers))
    lines = [_memory_line(buffers[key], readable(size)) for key, size in sizes.items()]
    for key, size in ends.items():
        lines.append(f"{readable(size):>10}  {key:<28} ends of its {edges[key]} existing synapses")
    if name is None:
        lines += [routine.kept for routine in model.program.routines.values() if routine.kept]
    ensemble, shared = model.network.ensemble, given_by_host(model.program)
    times = 1 if ensemble is None else ensemble.count
    own = sum(size for key, size in sizes.items() if key not in shared)
    total = readable(sum(sizes.values()) + (times - 1) * own + sum(ends.values()))
    members = "" if ensemble is None else f", {times} members (samples are stored once)"
    lines.append(
        f"{total:>10}  in all, for {model.rows} samples at a time in {model.dtype}{members}"
    )
    return "\n".join(lines)


def _about(buffer: Buffer) -> str:
    return buffer.of or buffer.name


def _memory_line(buffer: Buffer, size: str) -> str:
    owner = f" of {buffer.owner}" if buffer.owner else ""
    return f"{size:>10}  {buffer.name:<28} {buffer.place.value}{owner}; {buffer.role}: {buffer.why}"


def source_of(model: Model) -> str:
    """The generated code of a model's backend; needs neither a compiler nor a device."""
    from netdsl.codegen.source import generated_source
    from netdsl.runtime.backend import choose

    return generated_source(model.program, choose(model.backend)[0], model.dtype)


def _graph(model: Model, name: str | None) -> str:
    """The network in the DOT language."""
    from netdsl.tools.dot import dot

    return dot(model.network)


def _kernel(model: Model, name: str | None) -> str:
    source = source_of(model)
    if name is None:
        return source
    spelled = {re.escape(name), re.sub(r"\W", "_", name)}  # as written, and in an identifier
    word = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(sorted(spelled))})(?![A-Za-z0-9])")
    functions = re.split(r"\n\n+(?=\S)", source)
    blocks = [text for text in functions if word.search("\n".join(text.split("\n")[:3]))]
    if not blocks:
        raise _unknown("kernel", name, list(model.program.routines))
    return "\n\n".join(blocks)
