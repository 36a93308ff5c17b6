"""The `netdsl` command: finds the subcommand, and turns every fault into a message."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from netdsl import __version__

# Command -> (module, one line of help). The line stands here so that `--help` imports nothing.
COMMANDS = {
    "align": ("align", "Compare the updates of a spec's rules with the true gradient."),
    "bench": ("bench", "Time the kernels of a spec."),
    "cache": ("cache", "List or clear compiled kernels and grammars."),
    "check": ("check", "Check a spec and print its locality certificate."),
    "compare": ("compare", "Run a spec on two backends and find where they differ."),
    "compare-runs": ("compare_runs", "Draw the curves of several runs in one picture."),
    "compile": ("compile", "Compile a spec and write the generated code."),
    "eval": ("eval", "Test the weights of a run."),
    "examples": ("examples", "List the specs that come with netdsl, or copy one."),
    "explain": ("explain", "Explain a diagnostic code."),
    "fetch": ("fetch", "Fetch a data set from OpenML."),
    "fmt": ("fmt", "Format specs."),
    "new": ("new", "Write a small spec to start from."),
    "plot": ("plot", "Draw the pictures of a run."),
    "replay": ("replay", "Replay a trace and compare."),
    "run": ("run", "Train, test and save."),
    "show": ("show", "Print an intermediate form of a spec."),
    "sweep": ("sweep", "Run a spec for values of its parameters."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"netdsl.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from netdsl.diagnostics import suggest

            near = suggest(name, COMMANDS)
            hint = f"; did you mean `{near}`?" if near else ""
            ctx.fail(f"there is no command `{name}`{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items())])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netdsl")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
def cli(debug: bool) -> None:
    """A language and compiler for biologically plausible learning rules.

    Start with `netdsl examples` and `netdsl run specs/csdp.net`.
    """


def entry() -> None:
    """The installed command."""
    sys.exit(main(sys.argv[1:]))


def main(args: list[str]) -> int:
    """Run a command line; returns the exit code: 0 done, 1 errors found, 2 usage."""
    debug = "--debug" in args or bool(os.environ.get("NETDSL_DEBUG"))
    rest = [arg for arg in args if arg != "--debug"]
    try:
        result = cli.main(args=rest, prog_name="netdsl", standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`head`) has what it wanted; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as fault:  # the last guard: no traceback reaches a user
        return _report(fault, debug)
    return result if isinstance(result, int) else 0


def _report(fault: Exception, debug: bool) -> int:
    from netdsl.cli.output import show_fault

    if show_fault(fault):
        return 1
    if debug:
        raise fault
    place = _innermost(fault)
    print(
        f"error[E0899]: internal error: {type(fault).__name__}: {fault}{place}\n"
        "  help: this is a fault of netdsl, not of your spec; run again with --debug to see where,"
        " and report it",
        file=sys.stderr,
    )
    return 1


def _innermost(fault: Exception) -> str:
    trace: Any = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f" (in {code.co_name}, {file}:{trace.tb_lineno})"


if __name__ == "__main__":
    entry()
