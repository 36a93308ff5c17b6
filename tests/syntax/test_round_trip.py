"""Random trees survive printing and parsing; random texts never break the parser."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.syntax import ast
from netdsl.syntax.fmt import format_source, format_spec, show
from netdsl.syntax.parser import parse
from tests.amounts import up_to

patient = settings(
    deadline=None, max_examples=up_to(60), suppress_health_check=[HealthCheck.too_slow]
)

names = st.sampled_from(["x", "v", "w", "tau", "rule", "input", "step", "reset", "s", "last", "on"])
units = st.sampled_from([None, "ms", "mV", "step", "1/ms", "mV/ms", "batch"])
refs = st.builds(ast.Ref, st.lists(names, min_size=1, max_size=3).map(".".join))
numbers = st.builds(
    ast.Number,
    st.integers(0, 10**12) | st.floats(0, 1e12, allow_nan=False),
    units,
)
overs = st.builds(ast.Over, st.just("over"), st.tuples(refs)) | st.builds(
    ast.Over, st.sampled_from(["over"]), st.tuples(refs), names
)
binary_ops = st.sampled_from("+ - * / // % ^ and or == != < <= > >=".split())  # noqa: SIM905


def _compound(inner: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Expr]:
    positional = st.builds(ast.Arg, inner)
    named = st.builds(ast.Arg, inner, names)
    args = st.tuples(st.lists(positional, max_size=2), st.lists(named, max_size=2)).map(
        lambda pair: (*pair[0], *pair[1])
    )
    return st.one_of(
        st.builds(ast.Binary, binary_ops, inner, inner),
        st.builds(ast.Unary, st.sampled_from(["-", "+", "not"]), inner),
        st.builds(ast.Conditional, inner, inner, inner),
        st.builds(ast.Attribute, inner, names),
        st.builds(ast.At, inner, names),
        st.builds(ast.Index, inner, st.lists(inner, min_size=1, max_size=2).map(tuple)),
        st.builds(ast.Call, refs, args),
        st.builds(ast.Call, refs, st.tuples(positional), overs),
        st.builds(ast.ListExpr, st.lists(inner, max_size=3).map(tuple)),
    )


atoms = numbers | st.builds(ast.Name, names) | st.builds(ast.Bool, st.booleans())
exprs: st.SearchStrategy[ast.Expr] = st.recursive(
    atoms | st.builds(ast.String, st.text("abc #{}/\\;", max_size=5)), _compound, max_leaves=12
)
opt_exprs = st.none() | exprs
quantities = exprs | st.builds(ast.Measured, exprs, st.sampled_from(["step", "batch", "sample"]))
targets = st.builds(ast.Name, names) | st.builds(
    ast.Index, st.builds(ast.Name, names), st.tuples(exprs)
)
types = st.none() | st.sampled_from(
    [
        ast.TypeRef("name", "count"),
        ast.TypeRef("unit", "mV/ms"),
        ast.TypeRef("enum", "", ("a", "b")),
    ]
)
some_refs = st.lists(refs, min_size=1, max_size=2).map(tuple)
params = st.builds(
    ast.Param, names, st.none() | names, types, exprs, st.booleans(), st.none(), st.just("a doc")
)
simple = st.one_of(
    params,
    st.builds(ast.Let, names, exprs),
    st.builds(ast.State, names, exprs, st.booleans(), st.just("population"), opt_exprs, types),
    st.builds(ast.State, names, exprs, keep=st.booleans(), per=st.none() | st.just("pre")),
    st.builds(ast.Assign, targets, exprs),
    st.builds(ast.Ode, st.builds(ast.Name, names), exprs),
    st.builds(ast.Draw, st.builds(ast.Name, names), exprs),
    st.builds(ast.Def, names, exprs, st.none(), opt_exprs),
)
neuron_only = st.one_of(
    st.builds(ast.Input, names, opt_exprs, types),
    st.builds(ast.Refractory, quantities, st.just(()) | some_refs),
    st.builds(ast.Surrogate, exprs),
    st.builds(ast.Expose, some_refs),
)
_bodies = st.recursive(
    st.lists(simple | neuron_only, max_size=3).map(tuple),
    lambda inner: st.lists(
        st.builds(ast.Spike, names, exprs, inner)
        | st.builds(ast.OnEvent, names, inner)
        | st.builds(ast.WhenBody, exprs, inner, inner),
        min_size=1,
        max_size=2,
    ).map(tuple),
    max_leaves=4,
)
steps = st.one_of(
    st.builds(ast.Reset, st.just(()) | some_refs),
    st.builds(ast.Clamp, refs, exprs),
    st.builds(ast.Set, refs, exprs),
    st.builds(ast.GlobalAssign, refs, exprs),
    st.builds(ast.Phase, names, quantities),
    st.builds(
        ast.Evaluate, refs, st.just(()), st.none() | names, st.booleans(), st.none() | quantities
    ),
)
_flows = st.recursive(
    st.lists(steps, max_size=3).map(tuple),
    lambda inner: st.lists(
        st.builds(ast.Each, names, inner, st.none() | refs, st.none() | quantities)
        | st.builds(ast.WhenStep, exprs, inner, inner)
        | st.builds(ast.Repeat, inner, exprs, st.none() | quantities),
        min_size=1,
        max_size=2,
    ).map(tuple),
    max_leaves=4,
)
items = st.one_of(
    st.builds(ast.NeuronDecl, names, _bodies),
    st.builds(ast.ProtocolDecl, names, _flows),
    st.builds(ast.Function, names, st.just((ast.Param("a"),)), exprs),
    st.builds(ast.Record, exprs, st.none() | quantities, st.none() | refs, st.none() | quantities),
    st.builds(ast.Metric, names, exprs, st.none() | names, st.none() | quantities),
    st.builds(
        ast.ProjectionDecl,
        names,
        refs,
        refs,
        st.just((ast.Connectivity("sparse", (ast.Arg(ast.Number(0.5), "p"),)),)),
        st.sampled_from([None, "+", "-", "pre"]),
        st.none() | quantities,
    ),
)
specs = st.builds(ast.Spec, st.lists(items, max_size=3).map(tuple))


@patient
@given(exprs)
def test_expressions(expr: ast.Expr) -> None:
    result = parse(f"let a = {show(expr)}\n")
    assert result.ok, result.diagnostics
    assert result.spec == ast.Spec((ast.Let("a", expr),))


@patient
@given(specs)
def test_specs(spec: ast.Spec) -> None:
    text = format_spec(spec)
    result = parse(text)
    assert result.ok, (text, result.diagnostics)
    assert result.spec == spec
    printed = format_source(text)
    assert parse(printed).spec == spec
    assert format_source(printed) == printed


_PIECES = """neuron population a h1 : -> { } ( ) [ ] = := ~ + - * ^ . , ; # state v 0 3 ms when if
    else rule dw pre.s spike phase steps reset each protocol over d v/dt \\ " é @ != 1e9 over"""
_pieces = st.sampled_from([*_PIECES.split(), "\n"])


@patient
@given(st.lists(_pieces, max_size=40))
def test_no_text_breaks_the_parser(parts: list[str]) -> None:
    result = parse(" ".join(parts), "random.net")
    for found in result.diagnostics:
        assert found.primary.line >= 1 and found.primary.column >= 1


@patient
@given(st.text(max_size=60))
def test_no_characters_break_the_parser(text: str) -> None:
    result = parse(text)
    if result.ok:
        printed = format_source(text)
        assert parse(printed).spec == result.spec
        assert format_source(printed) == printed
