"""Codes E00xx: files and syntax."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry

ENTRIES: list[Entry] = [
    Entry(
        "E0001",
        "something stands where it cannot",
        "The text up to this place makes sense, this piece does not continue it. The message"
        " names what could stand here when that is a short list. The statement is skipped and"
        " reading goes on with the next one.",
        "neuron cell {\n  state v = 0\n  v := v + \n}\n",
        "neuron cell {\n  state v = 0\n  v := v + 1\n}\n",
    ),
    Entry(
        "E0002",
        "a bracket is never closed",
        "Every `{`, `(` and `[` needs its partner. The place reported is the opening bracket;"
        " where the missing one was expected is judged by the layout of the lines.",
        "neuron cell {\n  state v = 0\n\npopulation p : cell[3]\n",
        "neuron cell {\n  state v = 0\n}\n\npopulation p : cell[3]\n",
    ),
    Entry(
        "E0003",
        "a bracket closes nothing",
        "A closing bracket has no opening one before it, or one of another kind.",
        "let a = 1 + 2)\n",
        "let a = (1 + 2)\n",
    ),
    Entry(
        "E0004",
        "no declaration or statement begins with this word",
        "Each declaration and most statements begin with a keyword; which ones are possible"
        " depends on the block. Assignments to a state are written `x := e`.",
        "popluation p : cell[3]\n",
        "population p : cell[3]\n",
    ),
    Entry(
        "E0005",
        "a text is not closed",
        "A text stands between two straight double quotes on one line.",
        'data digits { source = "digits }\n',
        'data digits { source = "digits" }\n',
    ),
    Entry(
        "E0006",
        "a character that the language does not use",
        "Names consist of ASCII letters, digits and `_`. Pasted text often brings curly quotes"
        " or long dashes along.",
        "let a = 1 – 2\n",
        "let a = 1 - 2\n",
    ),
    Entry(
        "E0007",
        "the file cannot be read",
        "There is no such file, it is a folder, or the system refuses to open it.",
    ),
    Entry(
        "E0008",
        "the file is not UTF-8 text",
        "Specs are UTF-8. The message gives the first byte that is not, and its offset.",
    ),
    Entry(
        "E0009",
        "a piece of syntax is used in a way it does not allow",
        "Each piece is well formed, but not in this combination: a clause given twice, a call of"
        " something that is no function, an unnamed argument after a named one.",
        "let a = (1 + 2)(3)\n",
        "let a = (1 + 2) * (3)\n",
    ),
    Entry(
        "E0010",
        "nested too deeply",
        "Brackets and expressions may be nested to a fixed depth, far beyond what a reader can"
        " follow. Name parts of a long expression with `let`.",
        f"let a = {'(' * 70}1{')' * 70}\n",
        "let a = ((1))\n",
    ),
    Entry(
        "E0011",
        "a statement does not belong in this kind of body",
        "Cells, synapses, rules, modulators and optimisers each know their own statements: a"
        " weight belongs to a projection or synapse, an input to a cell or modulator.",
        "neuron cell {\n  weight w = 0\n}\n",
        "synapse plain {\n  weight w = 0\n}\n",
    ),
    Entry(
        "E0012",
        "a number is out of range",
        "Numbers are those of IEEE double precision.",
        "let a = 1e999\n",
        "let a = 1e99\n",
    ),
    Entry(
        "E0013",
        "an edition that this program does not read",
        "A spec names the edition of the language it is written in, so that its meaning never"
        " changes under it. This program reads edition 1.",
        "edition 7\n",
        "edition 1\n",
    ),
    Entry(
        "E0014",
        "a specification is too long",
        "A file has at most a million bytes and 60 000 words and signs, a hundred times what a"
        " large experiment takes. Files of generated text are better said with sizes and axes.",
    ),
    Entry(
        "E0015",
        "a name is too long",
        "Names have at most 200 characters.",
        f"let {'long' * 60} = 1\n",
        "let long = 1\n",
    ),
    Entry(
        "E0016",
        "a block without braces",
        "What belongs to a declaration or a statement stands in braces, `{ … }`. Colons and"
        " indentation mean nothing to the language; the lines that are indented under this one are"
        " not looked at.",
        "neuron cell:\n  input j\n  state v = 0\n  v := relu(j)\n",
        "neuron cell {\n  input j\n  state v = 0\n  v := relu(j)\n}\n",
    ),
    Entry(
        "E0017",
        "a derivative in another spelling",
        "An equation is written `d v/dt = …`, with a space after the first `d`. No unit follows it:"
        " the unit of `v` is known from its start value or its declaration, and the units of both"
        " sides are checked.",
        "neuron cell {\n  state v = 0\n  dv/dt = -v : volt\n  integrate v with exact\n}\n",
        "neuron cell {\n  state v = 0\n  d v/dt = -v\n  integrate v with exact\n}\n",
    ),
    Entry(
        "E0018",
        "the wrong sign between a name and its value",
        "`=` declares a value or a setting, `:=` changes a state, `~` draws, `+=` adds to an input"
        " in `deliver`, and a rule says the change of a weight with `dw = …`. There are no other"
        " ways to assign.",
        "neuron cell {\n  state v = 0\n  v += 1\n}\n",
        "neuron cell {\n  state v = 0\n  v := v + 1\n}\n",
    ),
    Entry(
        "E0019",
        "a comment in another spelling",
        "A comment begins with `#` and ends with its line. `//` divides and rounds down.",
        "// a neuron\nneuron cell { state v = 0 }\n",
        "# a neuron\nneuron cell { state v = 0 }\n",
    ),
    Entry(
        "E0020",
        "a unit in another spelling",
        "Units are `s V A S Hz Ohm F C m M mol J W min h` and what is counted, as `step`. The"
        " prefixes `m u n p k M` stand right before them, and large and small letters differ:"
        " `mV`, `MOhm`, `kHz`.",
        "param tau = 20 msec\n",
        "param tau = 20 ms\n",
    ),
    Entry(
        "E0021",
        "a word of another language",
        "A specification declares what there is. It has no loops over neurons, no calls that create"
        " things and no imports of packages: statements hold for every neuron or synapse, and"
        " `when` chooses between blocks.",
        "neuron cell {\n  state v = 0\n  if v > 1 { v := 0 }\n}\n",
        "neuron cell {\n  state v = 0\n  v := 0 if v > 1 else v\n}\n",
    ),
    Entry(
        "E0022",
        "an operator of another language",
        "Operators are `+ - * / // % ^`, the comparisons `== != < <= > >=`, and `and`, `or`, `not`."
        " All of them work on the values of one neuron or synapse.",
        "let a = 2 ** 3\n",
        "let a = 2^3\n",
    ),
]
