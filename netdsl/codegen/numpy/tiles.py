"""Which views a loop over tiles unpacks, and how `bind` makes them: contexts of the templates.

A view is a pair: the name inside the loop, and the expression that makes it in `bind`.
"""

from __future__ import annotations

import textwrap

from netdsl.codegen.numpy.cells import CellsCode
from netdsl.codegen.numpy.registers import Register
from netdsl.codegen.numpy.synapses import SynapsesCode, Term
from netdsl.ir.network import Place

View = tuple[str, str]
_WIDTH = 92


def columns(part: tuple[int, int] | None) -> str:
    """A subscript that selects neurons of a (rows, n) array."""
    return f"[:, {part[0]}:{part[1]}]" if part else ""


def unpack(views: list[View], indent: int) -> str:
    """The target of a `for` over tuples of views, on as many lines as it takes."""
    names = [name for name, _ in views]
    if not names:
        return "_"
    if len(names) == 1:
        return f"({names[0]},)"
    line = ", ".join(names)
    if len(line) + indent < _WIDTH - 24:
        return line
    pad = " " * (indent + 4)
    body = textwrap.fill(
        f"{line},",
        _WIDTH,
        initial_indent=pad,
        subsequent_indent=pad,
        break_long_words=False,
    )
    return f"(\n{body}\n{' ' * indent})"


def items(views: list[View], indent: int) -> str:
    """The tuple of views, one view a line."""
    pad = " " * indent
    return "".join(f"{pad}{expression},\n" for _, expression in views)


def edges_context(code: SynapsesCode, edges: str) -> dict[str, object]:
    """What the synapse update templates read for a projection with the synapses `edges`."""
    views: list[View] = [("a", "a"), ("b", "b")] if code.terms or code.slots else []
    views += [(name, f"{name}[a:b]") for name in code.views]
    for index in filter(None, (code.pre_index, code.post_index)):
        views.append((index, f"{edges}.{index}[a:b]"))
    formed = [term for term in code.terms if term.kind not in ("count", "one")]
    views += [(term.name, f'scratch("{term.name}", b - a)') for term in formed]
    views += [(r.name, f'scratch("{r.name}", b - a)') for r in code.registers]
    turned: dict[str, str] = {}
    products = [_edge_term(term, code, edges, turned) for term in formed]
    totals = [line for term in code.terms if term not in formed for line in _total(term, code)]
    return {
        "prelude": code.prelude,
        "body": [*products, *_cut(code), *code.body] or ["pass"],
        "totals": [*totals, *turned.values()],
        "products": [],
        "unpack": unpack(views, 4),
        "items": items(views, 12),
        "m": f"{edges}.count",
        "n": 1,
    }


def _edge_term(term: Term, code: SynapsesCode, edges: str, turned: dict[str, str]) -> str:
    """The line that forms a term at a tile's synapses; `turned` are lines that come before."""
    m, n = code.shape
    pre = term.pre + columns(code.pre_slice)
    post = term.post + columns(code.post_slice)
    if term.kind == "outer":
        names = [_turned(source, size, turned) for source, size in ((pre, m), (post, n))]
        return f"edge_products({edges}, a, b, {names[0]}, {names[1]}, out={term.name})"
    side, source, size = ("post", post, n) if term.kind == "columns" else ("pre", pre, m)
    total = f"total{term.name[1:]}"
    turned[total] = f'{total} = np.add.reduce({source}, axis=0, out=scratch("{total}", {size}))'
    return f"at_edges({edges}.{side}[a:b], {total}, out={term.name})"


def _turned(source: str, size: int, turned: dict[str, str]) -> str:
    key = f"turn {source}"
    name = f"turn{list(turned).index(key) if key in turned else len(turned)}"
    turned[key] = f'{name} = by_neuron({source}, scratch("{name}", {size}, rows))'
    return name


def _scratch(register: Register, size: int) -> View:
    shape = {
        Place.ROW: "b - a, 1",
        Place.NEURON: f"{size}",
        Place.UNIT: f"b - a, {size}",
        Place.SYNAPSE: f"b - a, {size}",
    }[register.place]
    return register.name, f'scratch("{register.name}", {shape})'


def cells_context(code: CellsCode) -> dict[str, object]:
    """What the elementwise templates read."""
    views: list[View] = [("a", "a"), ("b", "b")] if code.slots else []
    views += [(name, f"{name}[a:b]") for name in code.views]
    views += [_scratch(register, code.size) for register in code.registers]
    return {
        "prelude": code.prelude,
        "body": [*_cut(code), *code.body] or ["pass"],
        "unpack": unpack(views, 4),
        "items": items(views, 12),
        "spans": f"spans(0, rows, {code.size})" if code.tiled else "[(0, rows)]",
    }


def synapses_context(code: SynapsesCode, active: dict[str, str]) -> dict[str, object]:
    """What the synapse update templates read."""
    m, n = code.shape
    outer = [term for term in code.terms if term.kind == "outer"]
    start = code.pre_slice[0] if code.pre_slice else 0
    outer_views: list[View] = [
        ("i", f"{start} + i" if start else "i"),
        ("j", f"{start} + j" if start else "j"),
    ]
    for term in outer:
        rows = f"{start} + i:{start} + j" if start else "i:j"
        if not term.moves:
            outer_views.append((f"pre{term.name[1:]}", f"{term.pre}[:, {rows}].T"))
        outer_views.append((f"block{term.name[1:]}", f'scratch("{term.name}", j - i, {n})'))
    views: list[View] = [("a", "a"), ("b", "b")] if code.slots else []
    views += [(name, f"{name}[a:b]") for name in code.views]
    if code.pre_index:
        views.append((code.pre_index, "np.arange(a, b, dtype=scratch.dtype)[:, None]"))
    views += [view for term in code.terms for view in _term_view(term, m, n)]
    views += [_scratch(register, n) for register in code.registers]
    return {
        "prelude": code.prelude,
        "body": [*_cut(code), *code.body] or ["pass"],
        "totals": [line for term in code.terms for line in _total(term, code)],
        "products": [line for term in outer for line in _product(term, code, active)],
        "outer_unpack": unpack(outer_views, 4),
        "outer_items": items(outer_views, 16),
        "unpack": unpack(views, 8 if outer else 4),
        "items": items(views, 20 if outer else 12),
        "m": m,
        "n": n,
    }


def _term_view(term: Term, m: int, n: int) -> list[View]:
    if term.kind == "outer":
        return [(term.name, f'scratch("{term.name}", j - i, {n})[a - i:b - i]')]
    if term.kind == "columns":
        return [(term.name, f'scratch("{term.name}", {n})')]
    if term.kind == "rows":
        return [(term.name, f'scratch("{term.name}", {m})[a:b, None]')]
    return []


def _total(term: Term, code: SynapsesCode) -> list[str]:
    """Sums over rows that do not depend on the tile."""
    m, n = code.shape
    if term.kind == "columns":
        source = term.post + columns(code.post_slice)
        return [f'np.add.reduce({source}, axis=0, out=scratch("{term.name}", {n}))']
    if term.kind == "rows":
        source = term.pre + columns(code.pre_slice)
        return [f'np.add.reduce({source}, axis=0, out=scratch("{term.name}", {m}))']
    counts = {"count": "float(rows)", "one": "1.0"}
    return [f"{term.name} = {counts[term.kind]}"] if term.kind in counts else []


def _cut(code: CellsCode | SynapsesCode) -> list[str]:
    """Slots of rings move from call to call, so their tiles are cut in the loop."""
    return [f"{name} = {whole}[a:b]" for name, whole in code.slots]


def _product(term: Term, code: SynapsesCode, active: dict[str, str]) -> list[str]:
    number = term.name[1:]
    cut = [f"pre{number} = {term.pre}[:, i:j].T"] if term.moves else []
    post = term.post + columns(code.post_slice)
    if term.binary:
        spikes = active[term.pre_buffer]
        form = f"outer_active({spikes}, i, j, {post}, out=block{number}, part=pre{number})"
        return [*cut, form]
    return [*cut, f"outer(pre{number}, {post}, out=block{number})"]
