"""netdsl: a compiler for a language of biologically plausible learning rules."""

__version__ = "0.1.0"
