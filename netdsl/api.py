"""The Python API: compile a spec, run it, step through it, read and write its state.

import netdsl
model = netdsl.compile("specs/csdp.net", set={"n1": 100})
result = model.run(epochs=2)
model.state["W1.w"]          # (pre, post)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Diagnostic, DiagnosticError
from netdsl.frontend import Override, check, lower_network
from netdsl.runtime import model as runtime
from netdsl.runtime.errors import RunFault
from netdsl.runtime.model import State

if TYPE_CHECKING:
    from netdsl.runtime.evaluation import Evaluation
    from netdsl.runtime.training import RunResult
    from netdsl.tools.alignment import Alignment

__all__ = ["Model", "State", "compile"]

DTYPES = ("float32", "float64")
IDLE_RECORD = "E0542"


def compile(
    spec: str | Path,
    backend: str = "auto",
    *,
    set: Mapping[str, Override] | None = None,
    seed: int = 0,
    dtype: str = "float32",
    data: Mapping[str, str | Path] | None = None,
    rows: int | None = None,
    observe: tuple[str, ...] | list[str] = (),
    feed: tuple[str, ...] | list[str] = (),
    arrays: Mapping[str, Mapping[str, Any]] | None = None,
    form: str = "auto",
    keep: str = "auto",
    **options: Any,
) -> Model:
    """Compile a spec, given as a path or as text, for a backend.

    `set`: parameters by path, as `--set`. `data`: files by data declaration. `rows`: the largest
    number of samples at a time (default: what the spec's batches need). `observe`: variables to
    keep although nothing reads them; `feed`: draws that the caller will supply. `arrays`: by array
    declaration, in place of its file. `form`: "online", "reverse" or "auto", how rules that keep
    states at synapses and learn at `update` are run; the same change either way, and online where
    a sweep cannot give it. `keep`: "store" what a sweep reads of each step of a phase, "recompute"
    it in chunks of steps, or "auto", by memory. `options` go to the backend (`fast_math=True`).
    Raises DiagnosticError for a mistake in the spec, RunFault else.

    A `record` that no evaluation reaches (E0542) stands in the way of `run` only: what it names can
    be read here after steps of the caller's own.
    """
    if dtype not in DTYPES:
        raise RunFault("E0822", f"there is no number type `{dtype}`", "use float32 or float64")
    from netdsl.passes.lower.form import FORMS
    from netdsl.passes.reverse.chunks import KEEPS

    if form not in FORMS:
        raise RunFault("E0749", f"there is no form `{form}`", f"take one of {', '.join(FORMS)}")
    if keep not in KEEPS:
        raise RunFault(
            "E0749", f"nothing can be kept by `{keep}`", f"take one of {', '.join(KEEPS)}"
        )
    checked = check(spec, set, lower=False)
    network = checked.require(but=(IDLE_RECORD,))
    wanted = tuple(dict.fromkeys([*observe, *(r.variable for r in network.recorders)]))
    program = lower_network(network, wanted, tuple(feed), form=form, keep=keep)
    base = Path() if checked.name == "<text>" else Path(spec).parent
    paths = {name: str(path) for name, path in (data or {}).items()}
    model = Model(network, program, backend, seed, dtype, rows, paths, base, options, arrays)
    model.sources, model.form = checked.sources, form
    model.overrides = dict(set or {})
    model._certificate = checked.certificate
    model._idle = tuple(d for d in checked.diagnostics if d.code == IDLE_RECORD)
    return model


class Model(runtime.Model):
    """A compiled spec: what can be done with it in one call.

    Attributes: `network` and `program` (the two intermediate representations), `backend`, `dtype`,
    `seed`, `form` (that its rules were asked to run in), `options` (of the backend), `state`.
    """

    _idle: tuple[Diagnostic, ...] = ()  # why a run would not keep what it was told to

    def run(
        self,
        protocol: str | None = None,
        *,
        epochs: int | None = None,
        limit: int | None = None,
        out: str | Path | None = None,
        resume: str | Path | None = None,
        quiet: bool = True,
        test: bool = True,
        checkpoint_every: float | None = None,
    ) -> RunResult:
        """Run a protocol (`train`, or the spec's only one), then `test` on the test split.

        `epochs` replaces the protocol's own, `limit` is the number of training samples in an epoch.
        `out`: a folder in which a run directory is made; `resume`: a run directory to continue,
        with its protocol, epochs and limit where none are given. `checkpoint_every`: seconds
        between checkpoints within an epoch (default 600). Raises DiagnosticError (data, NaN) and
        RunFault.
        """
        from netdsl.runtime.training import CHECKPOINT_EVERY, Settings, Training

        if self._idle:
            raise DiagnosticError(*self._idle)
        settings = Settings(
            protocol=protocol,
            epochs=epochs,
            limit=limit,
            out=None if out is None else Path(out),
            resume=None if resume is None else Path(resume),
            quiet=quiet,
            test=test,
            checkpoint_every=CHECKPOINT_EVERY if checkpoint_every is None else checkpoint_every,
        )
        return Training(self, settings).run()

    def evaluate(
        self,
        protocol: str = "test",
        split: str | None = None,
        label: str | None = None,
        limit: int | None = None,
    ) -> Evaluation:
        """Run an evaluation protocol on a split (`"dev"`, `"digits.test"`; default: test), or one
        that takes no data. `label`: that of metrics and records (default: `test`, or the name of a
        protocol without data).

        Training state is left untouched. The result has `metrics`, `samples` and `recordings`.
        """
        from netdsl.runtime.judging import evaluate_model

        return evaluate_model(self, protocol, split, label, limit)

    def align(
        self,
        loss: str | None = None,
        *,
        batches: int = 4,
        every: int = 0,
        points: int = 10,
        protocol: str = "train",
    ) -> Alignment:
        """Compare what each projection would change with the gradient of a loss, on batches of a
        protocol in which the model trains by its own rules.

        `loss`: a name or an expression (default: the only loss). `batches` are compared at the
        start and, with `every`, at `points` points so many batches apart. The result has
        `points(projection)`, `mean(projection, "cosine")`, `warnings`, `render()`, `json()`.
        Raises DiagnosticError, RunFault.
        """
        from netdsl.tools.align import align_model

        return align_model(self, loss, batches, every, points, protocol)

    def show(self, kind: str, name: str | None = None, *, after: str | None = None) -> str:
        """`network`, `ir`, `passes`, `schedule`, `memory`, `graph` or `kernel` as text.

        `name` picks one part; `after` the pass behind which to show the `ir`.
        """
        from netdsl.tools.show import show_model

        return show_model(self, kind, name, after)
