"""The generated code of a program for a backend, as text: nothing is compiled or allocated."""

from __future__ import annotations

from netdsl.ir.program import Program

SUFFIXES = {"numpy": ".py", "native": ".c", "cupy": ".cu"}


def generated_source(program: Program, backend: str, dtype: str) -> str:
    """Source text for one of SUFFIXES; needs neither a compiler nor a device.

    Raises BackendError for an operation that the backend cannot say.
    """
    if backend == "numpy":
        from netdsl.codegen.numpy.module import ModuleWriter

        return ModuleWriter(program).module().text
    if backend == "native":
        from netdsl.codegen.c import program as c_program

        return c_program.generate(program, dtype).source
    from netdsl.codegen.cuda import program as cuda_program

    return cuda_program.generate(program, dtype).source
