"""`netdsl check`."""

from __future__ import annotations

import json
from typing import Any

import click

from netdsl.cli.options import set_option


@click.command("check", help="Check specs and print their locality certificates.")
@click.argument("specs", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--perturb", is_flag=True, help="Also test the certificate by changing what it says "
              "is not read.")  # fmt: skip
@set_option
def command(specs: tuple[str, ...], form: str, perturb: bool, sets: tuple[str, ...]) -> int:
    """Exit code 0 when clean, 1 with errors or failed claims."""
    from netdsl.cli.output import pairs_of, show_diagnostics
    from netdsl.frontend import check

    overrides = pairs_of(sets, "--set")
    clean = True
    for spec in specs:
        checked = check(spec, overrides)
        clean = clean and checked.ok
        if form == "json":
            click.echo(json.dumps(_json(checked), indent=2))
            continue
        show_diagnostics(checked.diagnostics, checked.sources)
        if checked.certificate is not None:
            click.echo(checked.certificate.render())
        click.echo(f"{spec}: {_verdict(checked)}")
        if perturb and checked.ok:
            clean = _perturb(spec, overrides) and clean
    return 0 if clean else 1


def _json(checked: Any) -> dict[str, Any]:
    if checked.certificate is not None:
        found: dict[str, Any] = checked.certificate.json(checked.diagnostics)
        return found
    listed = [diagnostic.to_json() for diagnostic in checked.diagnostics]
    return {"schema": 1, "spec": checked.name, "diagnostics": listed, "rules": []}


def _verdict(checked: Any) -> str:
    counts = [
        (sum(d.severity == severity for d in checked.diagnostics), severity)
        for severity in ("error", "warning", "lint")
    ]
    said = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count]
    return ", ".join(said) if said else "no errors"


def _perturb(spec: str, overrides: dict[str, str]) -> bool:
    import netdsl
    from netdsl.tools.perturb import perturb_model

    report = perturb_model(netdsl.compile(spec, "numpy", set=overrides, dtype="float64"))
    click.echo(report.render())
    return bool(report.ok)
