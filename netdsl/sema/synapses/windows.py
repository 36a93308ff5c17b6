"""Windows of `conv`, `pool` and `shared_over`: their arguments against the populations' axes."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.windows import Windows, places
from netdsl.sema.cells.populations import PopulationScope, size_of
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.syntax import ast

KINDS = ("conv", "pool", "shared_over")
Axes = tuple[tuple[str, int], ...]
_NAMES = {"conv": ("kernel", "stride", "pad", "channels"), "pool": ("kernel", "stride", "pad")}


def windows_of(
    clause: ast.Connectivity, pre: PopulationScope, post: PopulationScope, context: Context
) -> Windows | None:
    """The windows of a projection between two whole populations; None after a report."""
    if clause.name == "shared_over":
        return _shared(clause, pre, post, context)
    return _Geometry(clause, pre, post, context).windows()


class _Geometry:
    """`conv(…)` or `pool(…)` between the axes of two populations."""

    def __init__(
        self,
        clause: ast.Connectivity,
        pre: PopulationScope,
        post: PopulationScope,
        context: Context,
    ) -> None:
        self.clause, self.pre, self.post, self.context = clause, pre, post, context
        self.pool = clause.name == "pool"

    def windows(self) -> Windows | None:
        args = self._arguments()
        if args is None:
            return None
        kernel = self._pair(args.get("kernel"), "a kernel", 1, None)
        stride = self._pair(args.get("stride"), "a stride", 1, kernel if self.pool else (1, 1))
        if kernel is None or stride is None:
            return None
        pad = self._pad(args.get("pad"), kernel)
        source = self._axes(self.pre)
        target = self._axes(self.post)
        if pad is None or source is None or target is None:
            return None
        height, width, channels = source
        found = Windows(
            *(height, width, channels, kernel, stride, pad),
            places(height, kernel[0], stride[0], pad[0]),
            places(width, kernel[1], stride[1], pad[1]),
            channels if self.pool else self._channels(args.get("channels"), target[2]),
            depthwise=self.pool,
        )
        return found if self._fits(found, target) else None

    # ------------------------------------------------------------ arguments

    def _arguments(self) -> dict[str, ast.Arg] | None:
        """By name; None after a report."""
        known = _NAMES[self.clause.name]
        args: dict[str, ast.Arg] = {}
        broken = False
        for arg in self.clause.args:
            name = arg.name or "kernel"
            if name not in known:
                self.context.bag.error(
                    "E0110",
                    f"`{self.clause.name}` has no `{name}`",
                    arg.span,
                    help=f"it takes {', '.join(f'`{k}`' for k in known)}",
                )
            elif name in args:
                self.context.bag.error(
                    "E0110",
                    f"`{name}` is given twice",
                    arg.span,
                    help=None if arg.name else "two sizes stand in brackets: `[rows, columns]`",
                )
            broken = broken or name not in known or name in args
            args.setdefault(name, arg)
        if "kernel" not in args:
            broken = True
            self.context.bag.error(
                "E0110",
                f"`{self.clause.name}` needs the size of its window",
                self.clause.span,
                help=f"as in `{self.clause.name}({'2' if self.pool else 'kernel = 3'})`",
            )
        return None if broken else args

    def _pair(
        self, arg: ast.Arg | None, what: str, least: int, default: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        """A number for both axes, or `[rows, columns]`."""
        if arg is None:
            return default
        parts = arg.value.items if isinstance(arg.value, ast.ListExpr) else (arg.value,) * 2
        if len(parts) != 2:
            self.context.bag.error(
                "E0110", f"{what} is one number or two: `[rows, columns]`", arg.value.span
            )
            return None
        same = parts[0] is parts[1]
        first = expressions.whole(parts[0], self.context.scope, what, least=least)
        second = (
            first if same else expressions.whole(parts[1], self.context.scope, what, least=least)
        )
        return None if first is None or second is None else (first, second)

    def _pad(self, arg: ast.Arg | None, kernel: tuple[int, int]) -> tuple[int, int] | None:
        word = arg.value.id if arg is not None and isinstance(arg.value, ast.Name) else ""
        if word == "valid":
            return (0, 0)
        if word != "same" or arg is None:
            return self._pair(arg, "a pad", 0, (0, 0))
        if kernel[0] % 2 and kernel[1] % 2:
            return (kernel[0] // 2, kernel[1] // 2)
        self.context.bag.error(
            "E0641",
            f"`pad = same` needs an odd kernel, this one is {kernel[0]} x {kernel[1]}",
            arg.span,
            help="say how many rows and columns of zeros, as in `pad = 1`",
        )
        return None

    def _channels(self, arg: ast.Arg | None, present: int) -> int:
        if arg is None:
            return present
        return expressions.whole(arg.value, self.context.scope, "channels", least=1) or present

    # ------------------------------------------------------------ shapes

    def _axes(self, scope: PopulationScope) -> tuple[int, int, int] | None:
        lengths = [length for _, length in scope.axes]
        if len(lengths) in (2, 3):
            height, width, *rest = lengths
            return height, width, rest[0] if rest else 1
        self.context.bag.error(
            "E0642",
            f"`{self.clause.name}` needs rows and columns, and `{scope.name}` has "
            f"{'one axis' if len(lengths) == 1 else f'{len(lengths)} axes'}",
            self.clause.span,
            help=f"as in `population {scope.name} : {scope.cell}[row: 8, col: 8, ch: 4]`",
        )
        return None

    def _fits(self, found: Windows, target: tuple[int, int, int]) -> bool:
        size = f"{found.kernel[0]} x {found.kernel[1]}"
        if found.rows < 1 or found.columns < 1:
            self.context.bag.error(
                "E0641",
                f"a window of {size} does not fit into `{self.pre.name}`, which has "
                f"{found.height} rows and {found.width} columns",
                self.clause.span,
                help="make the kernel smaller, or pad",
            )
            return False
        wanted = (found.rows, found.columns, found.kernels)
        if wanted == target:
            return True
        shape = self._shape(wanted)
        self.context.bag.error(
            "E0641",
            f"these windows over `{self.pre.name}{_written(self.pre.axes)}` give {shape}, "
            f"and `{self.post.name}` is {_written(self.post.axes)}",
            self.clause.span,
            help=f"write `population {self.post.name} : {self.post.cell}{shape}`",
        )
        return False

    def _shape(self, lengths: tuple[int, int, int]) -> str:
        """Axes of these lengths, named as in the postsynaptic population."""
        count = max(len(self.post.axes), 3 if lengths[2] > 1 else 2)
        own = [name for name, _ in self.post.axes]
        names = [own[k] if k < len(own) else ("row", "col", "ch")[k] for k in range(count)]
        return _written(tuple(zip(names, lengths, strict=False)))


def _written(axes: Axes) -> str:
    """Axes as a population declares them."""
    return "[" + ", ".join(f"{name}: {n}" if name else str(n) for name, n in axes) + "]"


def _shared(
    clause: ast.Connectivity, pre: PopulationScope, post: PopulationScope, context: Context
) -> Windows | None:
    """A full projection whose weight is the same along the first axes of post."""
    known = [name for name, _ in post.axes]
    named = [(a.value.id if isinstance(a.value, ast.Name) else "", a) for a in clause.args]
    for name, arg in named:
        if name not in known or arg.name is not None:
            axes = [axis for axis in known if axis]
            context.unknown("axis", name or "?", arg.span, axes, f"`{post.name}`")
            return None
    count = len(named)
    if count == 0 or {name for name, _ in named} != set(known[:count]) or "" in known[:count]:
        _not_first(clause.span, post, context)
        return None
    shared = size_of(post.axes[:count])
    size = size_of(pre.axes)
    kernels = size_of(post.axes[count:])
    return Windows(1, 1, size, (1, 1), (0, 0), (0, 0), shared, 1, kernels)


def _not_first(span: Span, post: PopulationScope, context: Context) -> None:
    names = [name or "?" for name, _ in post.axes]
    context.bag.error(
        "E0643",
        f"a weight is shared over the first axes of `{post.name}`, which are {', '.join(names)}",
        span,
        help=f"as in `shared_over({', '.join(names[: max(1, len(names) - 1)])})`, "
        "or put the shared axes first",
    )
