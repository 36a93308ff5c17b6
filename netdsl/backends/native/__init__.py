"""The native CPU backend: a step program as one C file, compiled by the user's own compiler."""

from netdsl.backends.native.compiler import available
from netdsl.backends.native.executor import NativeExecutor

__all__ = ["NativeExecutor", "available"]
