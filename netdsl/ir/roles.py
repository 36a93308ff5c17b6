"""What the fields of an operation are, said once by their types; all else follows from that.

An operation or statement is a frozen dataclass. A field of type `Read` or `Written` names a buffer,
one of type `Bound` a value for later statements; expressions and other nodes are known by their own
types; anything else is a plain value (a kind, a flag, a size). Effects, renaming, text and
verification ask these roles, so that a new operation is declared in one place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, get_args, get_type_hints

from netdsl.ir.expr import Expr, Load, loads, transform
from netdsl.ir.space import Space


class Role(Enum):
    """What a field holds."""

    PLAIN = "plain"  # a value of its own: a kind, a flag, a label, a size
    READ = "read"  # the name of a buffer whose value is needed
    WRITTEN = "written"  # the name of a buffer that changes
    BOUND = "bound"  # the name of a value that later statements of the operation read
    EXPRESSION = "expression"  # an expression, or a tuple of them
    NESTED = "nested"  # a node, or a tuple of them: statements, sums, products


Value = TypeVar("Value")

Read = Annotated[str, Role.READ]
Written = Annotated[str, Role.WRITTEN]
Bound = Annotated[str, Role.BOUND]


class once(Generic[Value]):
    """A property that is computed when it is first read; nodes never change."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute, self.name, self.__doc__ = compute, compute.__name__, compute.__doc__

    def __get__(self, node: Any, kind: type | None = None) -> Value:
        value = self.compute(node)
        node.__dict__[self.name] = value
        return value


@dataclass(frozen=True)
class Node:
    """Base of operations, statements and their parts.

    `form` is the text of a node: words in braces are fields (`{flag?a|b}` is "a" where the flag is
    set), all else stands as it is. Fields that the form leaves out follow as `field=value` where
    they differ from their default; a schedule shows those of `quiet` not at all. `slot_fields` maps
    fields that name a buffer, which may be a ring, to the fields that say which slot of it.
    """

    form: ClassVar[str] = ""
    ends_loop: ClassVar[bool] = False  # later statements see it of whole rows: none shares its loop
    any_row: ClassVar[bool] = False  # its expressions may read the newest row
    draws: ClassVar[bool] = False  # from a random stream
    quiet: ClassVar[frozenset[str]] = frozenset()
    slot_fields: ClassVar[Mapping[str, str]] = {}

    @property
    def needs_old(self) -> bool:
        """Does what is written depend on its old value?"""
        return False

    def without(self, gone: Callable[[Node], bool]) -> Self:
        """The node without those of its statements that are gone, where they are independent."""
        return self

    @property
    def title(self) -> str:
        """What the node is about, for labels of generated code and of timings."""
        return " ".join(sorted(self.writes))

    @once
    def reads(self) -> frozenset[str]:
        """Buffers whose present value the node needs."""
        found = set(_values(self, Role.READ))
        if self.needs_old:
            found.update(_values(self, Role.WRITTEN))
        for expr in _values(self, Role.EXPRESSION):
            found.update(loads(expr))
        return frozenset(found).union(*(part.reads for part in _values(self, Role.NESTED)))

    def first_access(self, buffer: str, owner: str) -> str | None:
        """What the node does first with a buffer of population or projection `owner`: "reads",
        "overwrites" all of it, or None."""
        if buffer in self.reads:
            return "reads"
        if buffer not in self.writes:
            return None
        return "overwrites" if self.covers(buffer, owner) else "reads"

    def covers(self, buffer: str, owner: str) -> bool:
        """Is all of a written buffer overwritten?"""
        return True

    @once
    def writes(self) -> frozenset[str]:
        """Buffers that the node changes."""
        inner = (part.writes for part in _values(self, Role.NESTED))
        return frozenset(_values(self, Role.WRITTEN)).union(*inner)

    @property
    def binds(self) -> str:
        """The name that a statement binds, or ""."""
        return str(next(_values(self, Role.BOUND), ""))

    @property
    def stores(self) -> str:
        """The buffer that a statement stores, or ""."""
        return str(next(_values(self, Role.WRITTEN), ""))

    def loops(self, space_of: Callable[[str], Space]) -> Space:
        """What its loops run over; `space_of` says what a buffer has a number for each of."""
        return getattr(self, "space", ())

    def held(self, loops: Space) -> Space:
        """The space of what a statement stores in loops over some space."""
        return loops

    @property
    def values(self) -> tuple[Expr, ...]:
        """Its own expressions, those of its parts left out."""
        return tuple(_values(self, Role.EXPRESSION))

    @property
    def sparse(self) -> tuple[str, ...]:
        """Buffers of 0 and 1, mostly 0, that products read: a backend may list where they are 1."""
        return tuple(name for part in _values(self, Role.NESTED) for name in part.sparse)


AnyNode = TypeVar("AnyNode", bound=Node)


_FIELDS: dict[type[Node], tuple[tuple[str, Role], ...]] = {}


def fields(kind: type[Node]) -> tuple[tuple[str, Role], ...]:
    """Names and roles of the fields that count (spans do not)."""
    if kind not in _FIELDS:
        hints, own = get_type_hints(kind, include_extras=True), dataclasses.fields(kind)
        _FIELDS[kind] = tuple((f.name, role_of(hints[f.name])) for f in own if f.compare)
    return _FIELDS[kind]


def role_of(hint: Any) -> Role:
    """The role of a field of some type."""
    if isinstance(hint, type) and issubclass(hint, Expr | Node):
        return Role.EXPRESSION if issubclass(hint, Expr) else Role.NESTED
    if isinstance(hint, Role):
        return hint
    inner = (*getattr(hint, "__metadata__", ()), *get_args(hint))
    found = (role_of(part) for part in inner if part is not str)
    return next((role for role in found if role is not Role.PLAIN), Role.PLAIN)


def _values(node: Node, *roles: Role) -> Iterator[Any]:
    """What the fields of some roles hold, tuples one by one."""
    for name, role in fields(type(node)):
        if role in roles:
            value = getattr(node, name)
            if isinstance(value, tuple):
                yield from value
            elif value is not None:
                yield value


def of_kind(kind: type[AnyNode], nodes: Iterable[Node]) -> Iterator[AnyNode]:
    """The nodes of one kind, in order."""
    return (node for node in nodes if isinstance(node, kind))


def reads_of(nodes: Iterable[Node]) -> frozenset[str]:
    """Buffers whose present value some of the nodes need."""
    return frozenset[str]().union(*(node.reads for node in nodes))


def named(node: Node) -> tuple[str, ...]:
    """Buffers that a node itself reads, its expressions and parts aside."""
    return tuple(_values(node, Role.READ))


def parts(node: Node) -> Iterator[Node]:
    """A node and all that it holds, in order."""
    yield node
    for child in _values(node, Role.NESTED):
        yield from parts(child)


def written_by(node: Node) -> tuple[str, ...]:
    """Buffers that a node changes, in the order of its parts."""
    found = (name for part in parts(node) for name in _values(part, Role.WRITTEN))
    return tuple(dict.fromkeys(found))


def expressions(node: Node) -> tuple[Expr, ...]:
    """Every expression of a node, those of its parts included."""
    return tuple(expr for part in parts(node) for expr in _values(part, Role.EXPRESSION))


def mapped(node: AnyNode, visit: Callable[[Expr], Expr]) -> AnyNode:
    """The node with `visit` applied to each of its expressions."""
    return _rebuilt(node, lambda role, old: visit(old) if role is Role.EXPRESSION else old)


def renamed(node: AnyNode, names: Callable[[str], str]) -> AnyNode:
    """The node over other buffers: `names` says what each is called."""

    def load(expr: Expr) -> Expr | None:
        if isinstance(expr, Load) and names(expr.buffer) != expr.buffer:
            return dataclasses.replace(expr, buffer=names(expr.buffer))
        return None

    def visit(role: Role, old: Any) -> Any:
        if role is Role.EXPRESSION:
            return transform(old, load)
        return names(old) if role in (Role.READ, Role.WRITTEN) else old

    return _rebuilt(node, visit)


def _rebuilt(node: AnyNode, visit: Callable[[Role, Any], Any]) -> AnyNode:
    """The node, its parts included, with other values in its fields; itself where none differs."""
    changed: dict[str, Any] = {}
    kind: type[Node] = type(node)
    for name, role in fields(kind):
        old = getattr(node, name)
        if old is None or role is Role.PLAIN:
            continue
        each = old if isinstance(old, tuple) else (old,)
        if role is Role.NESTED:
            new = tuple(_rebuilt(part, visit) for part in each)
        else:
            new = tuple(visit(role, part) for part in each)
        if any(one is not other for one, other in zip(new, each, strict=True)):
            changed[name] = new if isinstance(old, tuple) else new[0]
    return dataclasses.replace(node, **changed) if changed else node
