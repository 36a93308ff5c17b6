"""Whatever a specification's author writes, generated code is the same outside of comments.

Every template is rendered for programs whose sources are hostile on every line. What comments are
is decided here by a reader of C of our own, with trigraphs and without, by Python's parser, and by
the preprocessor of a C compiler.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.codegen import comments, templates
from netdsl.codegen.names import _C_WORDS
from netdsl.codegen.source import SUFFIXES, generated_source
from netdsl.diagnostics.span import Span
from netdsl.frontend import check, lower_network
from netdsl.ir.network import Place
from netdsl.ir.program import Copy, Fill, Program, Routine
from netdsl.paths import data_path
from tests.amounts import sweep, up_to
from tests.backends import cuda_everything
from tests.cli.command import SPEC, Command
from tests.programs import buffer
from tests.programs import program as make
from tests.programs.remembered import remembered

CODE = 'int system(char*);char c[]="touch P";'
LANGUAGES = {"numpy": "python", "native": "c", "cupy": "c"}
HOSTILE = [
    f"*\\{CODE}/*",
    f"*/{CODE}/*",
    f"**\\/{CODE}/\\*",
    f"*??/{CODE}/*",
    f"*??/??/{CODE}//",
    f"*\\u002f{CODE}",
    f"*\x00/{CODE}/*",
    f"*\u200b/{CODE}/*",
    f"*\u2028/{CODE}/*",
    f"*\\\r/{CODE}/*",
    f"/*/{CODE}/*/",
    f"*?/{CODE}/*",
    f"\uff0a\uff0f{CODE}",
    f"// {CODE} \\",
    "x ??/",
    "x \\",
    "x *",
    "/ x",
    "a" * 68 + f"*/{CODE}",
    "a" * 71 + "*/",
    "\rimport os; os.system('touch P')",
    "\x0bimport os",
    "\x0cimport os",
    "\x1cimport os",
    "\x85import os",
    "\u2028import os",
    "x\r    import os",
    '"""',
    "'''",
    '"""\rimport os\r"""',
    "-*- coding: utf-7 -*-",
    "{{ 7 * 7 }} {% raw %} {0} {x!r} %s %(x)s",
    '_Pragma("GCC error") %:error ??=error',
    "\x1b[2J\x07 \u202e\u2066 \ufeff é ü µ 漢 \U0001f600",
    "NUL \x00 NUL",
]
# Outside of comments nothing may depend on these either.
MADE_BY_HAND = {"name": "a*\\", "why": f"*\\{CODE}", "note": "\rimport os"}


# A comment, a line's comment, two kinds of literals, what is none of these; else a lone beginning.
PIECE = re.compile(
    r"""(/\*.*?\*/)|(//[^\n]*)|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^/"']+|/(?!\*)""", re.S
)


def without_comments(text: str, trigraphs: bool) -> str:
    """C as the compiler sees it: lines joined, comments a space, runs of spaces one space."""
    if trigraphs:
        text = text.replace("??/", "\\")
    text = re.sub(r"\\[ \t\r\v\f]*\n", "", text)
    out, at = [], 0
    while at < len(text):
        piece = PIECE.match(text, at)
        assert piece, "a comment or a literal does not end"
        block, line = piece.groups()
        out.append(" " if block else "" if line else piece[0])
        at = piece.end()
    return re.sub(r"[ \t]+", " ", "".join(out))


def meaning(text: str, language: str) -> tuple[str, ...]:
    """What is left of generated code without its comments."""
    assert text.isascii()
    if language == "python":
        lines = {text.replace("\r", "\n"), text}
        return tuple(sorted({ast.dump(ast.parse(one)) for one in lines}))
    return (without_comments(text, False), without_comments(text, True))


class Everywhere(dict[str, str]):
    """The same text in every file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def get(self, key: str, default: object = None) -> str:  # type: ignore[override]
        return self.text


def placed(ops: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operations and their statements, all with a place in a file."""
    out = []
    for number, op in enumerate(ops):
        own = {"statements": placed(op.statements)} if hasattr(op, "statements") else {}
        if hasattr(op, "span") and op.span is None:
            own["span"] = Span("a.net", 3 + number, 1, 3 + number, 2)  # type: ignore[assignment]
        out.append(replace(op, **own))
    return tuple(out)


def with_text(program: Program, line: Callable[[int], str], made: dict[str, str]) -> Program:
    """The program as if its sources had these lines; name, reasons and notes are given."""
    sources = Everywhere("\n".join(map(line, range(600))))
    buffers = {name: replace(b, why=made["why"]) for name, b in program.buffers.items()}
    routines = {
        name: replace(
            routine,
            notes=(made["note"],),
            once=placed(routine.once),
            step=placed(routine.step),
            after=placed(routine.after),
        )
        for name, routine in program.routines.items()
    }
    return replace(program, sources=sources, buffers=buffers, routines=routines, name=made["name"])


def require_same(
    program: Program, backends: tuple[str, ...] = tuple(SUFFIXES), first: int = 0
) -> None:
    """Hostile text changes nothing but comments, and is there. `first`: whose turn it is first."""
    harmless = with_text(program, lambda _: "plain", dict.fromkeys(MADE_BY_HAND, "plain"))
    for backend in backends:
        language = LANGUAGES[backend]
        expected = meaning(generated_source(harmless, backend, "float32"), language)
        hostile = with_text(program, lambda k: HOSTILE[(k + first) % len(HOSTILE)], MADE_BY_HAND)
        assert meaning(generated_source(hostile, backend, "float32"), language) == expected


@pytest.fixture(scope="module")
def everything() -> dict[str, Program]:
    span = Span("a.net", 3, 1, 3, 2)
    once = (Fill("x", 1.0, span=span), Copy("y", "x", span=span))
    counters = [buffer(name, Place.GLOBAL) for name in ("t", "phase.step", "x", "y")]
    numbers = make("numbers", {}, {}, counters, [Routine("go", "update", once=once)])
    specs = {path.stem: path for path in cuda_everything.SPECS}
    chosen = {name: cuda_everything.small_program(specs[name]) for name in ("csdp", "convolution")}
    made_by_hand = {name: build() for name, build in cuda_everything.MADE.items()}
    return {**made_by_hand, **chosen, "numbers": numbers, "remembered": remembered()}


@pytest.mark.parametrize("first", sweep(range(0, len(HOSTILE), 12), lambda first: not first))
def test_every_template_with_hostile_sources(
    everything: dict[str, Program], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: dict[str, set[str]] = {}
    quoting: dict[str, set[str]] = {}
    plain = templates.render

    def recording(folder: str, template: str, **context: object) -> str:
        text = plain(folder, template, **context)
        rendered.setdefault(folder, set()).add(template)
        if re.search(r"\.net:\d+  \S", text):
            quoting.setdefault(folder, set()).add(template)
        return text

    for module in list(sys.modules.values()):
        if module.__name__.startswith("netdsl.codegen.") and vars(module).get("render") is plain:
            monkeypatch.setattr(module, "render", recording)
    for program in everything.values():
        require_same(program, first=first)
    for folder, suffix in (("c", ".c"), ("cuda", ".cu"), ("numpy", ".py")):
        files = (data_path("templates") / folder).glob("*.j2")
        assert rendered[folder] == {file.name.removesuffix(".j2") for file in files}
        labelled = {
            file.name.removesuffix(".j2")
            for file in (data_path("templates") / folder).glob(f"*{suffix}.j2")
            if "{{ label | comment" in file.read_text()
        }
        assert labelled - quoting.get(folder, set()) <= DERIVED


# Made by the code generator for its own use, from no line of the specification.
DERIVED = {
    "make_list.c", "make_sum.c", "exchange.c", "gather.c", "group_reduce.c", "list_columns.cu",
    "list_rows.cu", "count.cu", "make_sum.cu", "turn.cu", "group_reduce.cu", "scale.cu", "push.c",
    "aim.c", "push.cu", "aim.cu", "stage.cu",
}  # fmt: skip


@cache
def fa() -> Program:
    network = check(str(data_path("specs") / "fa.net"), lower=False).require()
    return lower_network(network)


@cache
def meaning_of_fa(backend: str) -> tuple[str, ...]:
    harmless = with_text(fa(), lambda _: "plain", dict.fromkeys(MADE_BY_HAND, "plain"))
    return meaning(generated_source(harmless, backend, "float32"), LANGUAGES[backend])


@pytest.fixture
def small() -> Program:
    return fa()


@pytest.mark.slow
@settings(max_examples=up_to(40), deadline=None)
@given(st.text(st.sampled_from("*/\\?#\"'\r\n\t\x0b\x0c\x85\u2028 aé{}%"), max_size=30))
def test_any_text(text: str) -> None:
    shown = dict.fromkeys(MADE_BY_HAND, text)
    hostile = with_text(fa(), lambda _: text.replace("\n", " "), shown)
    for backend, language in LANGUAGES.items():
        made = meaning(generated_source(hostile, backend, "float32"), language)
        assert made == meaning_of_fa(backend)


def broken(text: str) -> str:
    """Escaping as it once was: the backslash is replaced after what it may help to spell."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown.replace("*/", "* /").replace("\\", "/")


@pytest.mark.parametrize(
    "backend,escape",
    [
        ("native", broken), ("cupy", broken), ("native", str), ("cupy", str), ("numpy", str),
        ("numpy", lambda text: text.replace("\n", " ")),
        ("native", lambda text: text.replace("/", "|")),
    ],
)  # fmt: skip
def test_a_broken_escape_is_noticed(
    small: Program, backend: str, escape: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comments, "c_text", escape)
    monkeypatch.setattr(comments, "python_text", escape)
    for folder in ("c", "cuda", "numpy"):
        monkeypatch.setitem(templates.environment(folder).filters, "comment", escape)
    with pytest.raises((AssertionError, SyntaxError, ValueError, IndexError)):
        for first in range(0, len(HOSTILE), 12):
            require_same(small, (backend,), first)


@pytest.mark.parametrize(
    "name", ["a*\\.net", "a*\\int x;.net", "b\r\nimport os.net", 'c"""??.net', "d -o x.net"]
)
def test_file_names(netdsl: Command, name: str) -> None:
    texts = []
    for file in ("plain.net", name):
        program = lower_network(check(netdsl.spec(SPEC, file), lower=False).require())
        texts.append([
            meaning(generated_source(program, backend, "float32"), language)
            for backend, language in LANGUAGES.items()
        ])  # fmt: skip
    assert texts[0] == texts[1]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.parametrize("options", [(), ("-trigraphs",)])
def test_the_preprocessor_agrees(small: Program, options: tuple[str, ...], tmp_path: Path) -> None:
    texts = []
    for number, lines in enumerate((HOSTILE, ["plain"])):
        made = with_text(
            small, lambda k, of=lines: of[k % len(of)], dict.fromkeys(MADE_BY_HAND, lines[0])
        )
        file = tmp_path / f"{number}.c"
        file.write_text(generated_source(made, "native", "float32"))
        command = ["gcc", "-std=gnu11", *options, "-E", "-P", str(file)]
        texts.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert texts[0] == texts[1]


ATTACK = r"""edition 1
neuron pixel { state v = 0 }
neuron unit {
  input j
  state r = 0
  state q = 0
  param a=.5"*\char c[]={116,111,117,99,104,32,80,0};/*";r:=r+a*(j-r)
  param b=.5"*\int system(char*);system(c);/*";q:=q+b*r
}
population img : pixel[row: 8, col: 8]
population out : unit[10]
projection W : img -> out dense delay 0 { weight w ~ uniform(-0.1, 0.1); deliver j += w * pre.v }
data digits { source = "digits"; batch = 20 }
protocol train { each batch of digits.train { reset; clamp img.v = sample.image; phase free 2 steps } }
readout level = sum(out.q@free)
metric m = mean(level)
"""  # noqa: E501


@pytest.mark.skipif(not available()[0], reason="no C compiler")
def test_a_specification_cannot_run_code(netdsl: Command) -> None:
    spec = netdsl.spec(ATTACK)
    for backend in ("numpy", "native"):
        result = netdsl("run", spec, "--backend", backend, "--limit", "20", "--quiet")
        assert result.code == 0, result.err
    assert not Path("P").exists()


KEYWORDS = " ".join(w for w in _C_WORDS.split() if w not in ("true", "false", "not", "and", "or"))


@pytest.mark.skipif(not available()[0], reason="no C compiler")
def test_names_that_mean_something_to_a_compiler(netdsl: Command) -> None:
    """Controls with the names of keywords, and fields spelt like macros of C's headers."""
    words = {w: check(SPEC + f"control {w} = 1\n", lower=False).ok for w in KEYWORDS.split()}
    usable = [word for word, ok in words.items() if ok]
    assert len(usable) > 40
    text = SPEC + "".join(f"control {word} = 1\n" for word in usable)
    text = text.replace("clamp img.v = sample.image", "clamp img.v = sample.image * M.PI", 1)
    total = " + ".join(usable)
    text = text.replace("0.5 * (j - r)", f"0.5 * (j - r) + 0 * ({total})")
    text += "neuron cell { state PI = 1; state E = 2; PI := 1 }\npopulation M : cell[1]\n"
    program = lower_network(check(text.replace(" * M.PI", ""), lower=False).require())
    for backend in ("native", "cupy"):
        source = generated_source(program, backend, "float32")
        file = netdsl.folder / f"x{SUFFIXES[backend]}"
        file.write_text(source)
        if backend == "native":
            command = ["cc", "-std=gnu11", "-fsyntax-only", "-w", str(file)]
        elif shim.compiler() is not None:
            header = data_path("templates") / "cuda" / "host_shim.h"
            command = [
                "g++", "-x", "c++", "-std=c++17", "-fsyntax-only", "-w", "-DHOST_SHIM",
                "-include", str(header), str(file),
            ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:2000]
