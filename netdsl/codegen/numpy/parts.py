"""What operations put into a NumPy module: names, functions and the tiles that they go over."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.names import Names
from netdsl.codegen.numpy.registers import RESERVED
from netdsl.codegen.numpy.scalars import bare, scalar
from netdsl.codegen.templates import render
from netdsl.ir.program import Op, Program
from netdsl.ir.rings import View, with_views
from netdsl.ir.windows import Windows

_TEXT = (
    "np special bind r at active value spans blocks scratch propagate propagate_active outer "
    "outer_active row_keys rows step steps first last a b i j pre_index tiles block "
    "draw_bernoulli draw_uniform draw_normal draw_integer draw_poisson draw_exponential "
    "draw_lognormal draw_gamma reduce_groups shift "
    "propagate_edges edge_products at_edges by_neuron post_index"
)
_WORDS = frozenset(_TEXT.split())
_TERMS = frozenset(
    f"{word}{k}" for word in ("p", "pre", "block", "turn", "total") for k in range(99)
)


@dataclass
class Parts:
    """The contents of a module that is being written; see `Module` for the tables."""

    program: Program  # slots of rings are read through views
    names: Names = field(default_factory=lambda: Names(_WORDS | RESERVED | _TERMS))
    streams: dict[str, str] = field(default_factory=dict)
    indices: dict[int, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    tiles: list[str] = field(default_factory=list)
    tile_names: list[str] = field(default_factory=list)
    active: dict[str, str] = field(default_factory=dict)
    edges: dict[str, str] = field(default_factory=dict)
    windows: dict[Windows, str] = field(default_factory=dict)
    views: dict[str, View] = field(init=False)  # of slots of rings
    written: dict[Op, str] = field(default_factory=dict)  # functions of operations with loops
    kind: str = ""  # of the routine being written: how its elementwise functions are called

    def __post_init__(self) -> None:
        self.program, self.views = with_views(self.program)

    def spelt(self, buffer: str) -> str:
        """The text of a buffer: its name, or the slot of a ring that a view shows."""
        view = self.views.get(buffer)
        if view is None:
            return self.names(buffer)
        ago = view.ago
        back = str(ago) if isinstance(ago, int) else bare(scalar(ago, self.spelt, {}))
        return f"{self.names(view.ring)}.ago({back})"

    def add(self, template: str, name: str, context: dict[str, object], title: str) -> None:
        """A function of an operation with loops, and the tiles that it goes over."""
        tiles = self.names.fresh(f"{name}_tiles")
        context = {**context, "name": name, "title": title, "tiles": tiles}
        self.functions.append(render("numpy", f"{template}.py", **context))
        self.tiles.append(render("numpy", f"{template}_tiles.py", **context))
        self.tile_names.append(tiles)

    def stream(self, path: str) -> str:
        """The name of the random stream of a path."""
        if path not in self.streams:
            self.streams[path] = self.names.fresh(f"stream_{path}")
        return self.streams[path]

    def windows_of(self, projection: str) -> str:
        """The name of the products of a shared kernel."""
        layout = self.program.windows[projection]
        if layout not in self.windows:
            self.windows[layout] = self.names.fresh(f"windows_{projection}")
        return self.windows[layout]

    def indices_of(self, size: int) -> str:
        """The name of the array 0, 1, ... of a size."""
        if size not in self.indices:
            self.indices[size] = self.names.fresh(f"indices_{size}")
        return self.indices[size]
