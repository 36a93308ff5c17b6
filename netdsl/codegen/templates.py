"""The Jinja environment of generated code: strict about names; foreign text takes `| comment`."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound

from netdsl.codegen.comments import c_text, python_text
from netdsl.codegen.errors import BackendError
from netdsl.ir.functions import FUNCTIONS
from netdsl.paths import data_path

# What makes text of a specification fit for a comment, by the folder of the language.
_COMMENTS = {"c": c_text, "cuda": c_text, "numpy": python_text}


@cache
def environment(folder: str) -> Environment:
    """Templates of one backend's folder below `templates/`."""
    loader = FileSystemLoader(str(data_path("templates") / folder))
    made = Environment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters["comment"] = _COMMENTS[folder]
    made.globals["functions"] = tuple(FUNCTIONS.values())
    return made


def render(folder: str, template: str, **context: object) -> str:
    """The text of `templates/FOLDER/TEMPLATE.j2`; BackendError E0815 when there is none."""
    try:
        found = environment(folder).get_template(f"{template}.j2")
    except TemplateNotFound:
        raise BackendError(
            "E0815",
            f"the backend lacks the template `{folder}/{template}.j2`",
            "another backend may carry it: see `netdsl show schedule`",
        ) from None
    return found.render(**context)
