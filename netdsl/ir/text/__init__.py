"""Networks and programs as text: for `netdsl show`, and for tests of passes."""

from netdsl.ir.text.expressions import expression
from netdsl.ir.text.lines import TextError
from netdsl.ir.text.network import network_text
from netdsl.ir.text.parsing import parse_node, parse_program
from netdsl.ir.text.printing import node_lines, program_text
from netdsl.ir.text.schedule import routine_text

__all__ = [
    "TextError",
    "expression",
    "network_text",
    "node_lines",
    "parse_node",
    "parse_program",
    "program_text",
    "routine_text",
]
