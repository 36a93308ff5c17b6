"""Waivers and claims: levels that a specification excuses, and labels that it promises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from netdsl.diagnostics import Diagnostic, Label, did_you_mean
from netdsl.diagnostics.span import NO_SPAN
from netdsl.ir.network import Claim, Network, Waiver
from netdsl.locality.labels import ERRORS, LATTICES, SCOPES, VERDICTS
from netdsl.locality.reads import Violation
from netdsl.locality.rules import RuleFinding

PROPERTIES = tuple(
    dict.fromkeys(
        (*VERDICTS, "causal", *(level for lattice in LATTICES for level in lattice.levels))
    )
)


def level_name(written: str) -> str:
    """A level as reports spell it: `weight_transport` is `weight-transport`."""
    return written.strip().replace("_", "-")


def waives(waiver: Waiver, violation: Violation) -> bool:
    """Whether a waiver excuses a violation: same level, and a name on its way."""
    same = level_name(waiver.level) == violation.level
    return same and violation.waivable and waiver.target in violation.names


def waivers_of(network: Network, finding: RuleFinding) -> tuple[Waiver, ...]:
    """The waivers that excuse something of a rule, in order of writing."""
    return tuple(w for w in network.waivers if any(waives(w, v) for v in finding.violations))


def unwaived(network: Network, findings: Sequence[RuleFinding]) -> Iterator[Diagnostic]:
    """One error per origin of an unwaived level, with the rules it reaches as labels."""
    groups: dict[tuple[str, str, object], list[tuple[RuleFinding, Violation]]] = {}
    for finding in findings:
        for violation in finding.violations:
            if not any(waives(waiver, violation) for waiver in network.waivers):
                key = (violation.code, violation.message, violation.span)
                groups.setdefault(key, []).append((finding, violation))
    for members in groups.values():
        yield _error(members)


def _error(members: list[tuple[RuleFinding, Violation]]) -> Diagnostic:
    finding, violation = members[0]
    reached: dict[str, Label] = {}
    for member, _ in members:
        at = member.rule.learn_span if violation.waivable else member.projection.span
        text = _reached(member, violation)
        if at is not None and at != violation.span:
            reached.setdefault(text, Label(at, text))
    message = violation.message
    if violation.waivable and violation.level not in message:
        message = f"{message}: {violation.level}"
    return Diagnostic(
        violation.code,
        message,
        violation.span or finding.rule.span or NO_SPAN,
        tuple(reached.values()),
        violation.help or _way_out(violation),
        note=violation.note,
    )


def _reached(finding: RuleFinding, violation: Violation) -> str:
    projection = finding.projection
    if violation.waivable:
        return f"reaches rule `{finding.rule.name}` on `{projection.name}`"
    return f"this synapse can see `{projection.pre}` (pre) and `{projection.post}` (post)"


def _way_out(violation: Violation) -> str:
    level = violation.level.replace("-", "_")
    return f'if the model is defined so, write `allow {level} on {violation.names[0]} because "…"`'


def waiver_errors(network: Network, findings: Sequence[RuleFinding]) -> Iterator[Diagnostic]:
    """Waivers of no level, without a reason, or that excuse nothing."""
    for waiver in network.waivers:
        level = level_name(waiver.level)
        at = waiver.span or NO_SPAN
        if level not in ERRORS:
            known = ", ".join(ERRORS)
            help = did_you_mean(level, ERRORS) or f"levels that need a waiver: {known}"
            yield Diagnostic(
                "E0321", f"`{level}` is not a level that needs a waiver", at, help=help
            )
        elif not waiver.reason.strip():
            message = f"the waiver of {level} on `{waiver.target}` gives no reason"
            yield Diagnostic("E0322", message, at, help='write why: `because "…"`')
        elif not any(waives(waiver, v) for f in findings for v in f.violations):
            message = f"no rule is {level} because of `{waiver.target}`: the waiver excuses nothing"
            yield Diagnostic("E0320", message, at, help="remove it, or name what it was meant for")


def claim_errors(network: Network, findings: Sequence[RuleFinding]) -> Iterator[Diagnostic]:
    """Claims on rules that do not exist, of unknown properties, and false ones."""
    known = {f.rule.name for f in findings} | {f.projection.name for f in findings}
    for claim in network.claims:
        at = claim.span or NO_SPAN
        if claim.rule not in known:
            message = f"no rule `{claim.rule}` learns anywhere"
            yield Diagnostic("E0331", message, at, help=did_you_mean(claim.rule, known))
            continue
        for written in claim.properties:
            yield from _claim(claim, level_name(written), findings)


def _claim(claim: Claim, written: str, findings: Sequence[RuleFinding]) -> Iterator[Diagnostic]:
    at = claim.span or NO_SPAN
    name, argument = split_property(written)
    if name not in PROPERTIES or (name == "three-factor" and argument not in (None, *SCOPES)):
        help = did_you_mean(name, PROPERTIES) or f"known: {', '.join(PROPERTIES)}"
        yield Diagnostic("E0331", f"`{written}` is nothing a rule can be", at, help=help)
        return
    for finding in findings:
        mine = claim.rule in (finding.rule.name, finding.projection.name)
        if mine and not holds(name, argument, finding):
            span = finding.rule.learn_span or finding.projection.span
            labels = (Label(span, "for this projection"),) if span is not None else ()
            message = (
                f"rule `{finding.rule.name}` on `{finding.projection.name}` is not `{written}`: "
                f"it is {description(finding)}"
            )
            yield Diagnostic("E0330", message, at, labels, note="false claim")
            return


def split_property(written: str) -> tuple[str, str | None]:
    """`three-factor(population)` -> name and argument."""
    found = re.fullmatch(r"([^(]+?)\s*(?:\(\s*([^)]*?)\s*\))?", written)
    if found is None:
        return written, None
    return found.group(1), found.group(2)


def holds(name: str, argument: str | None, finding: RuleFinding) -> bool:
    """Whether a rule has a property; `three-factor(S)` means a scope of S or broader."""
    if name == "causal":
        return finding.label.time.name != "non-causal"
    if name == "three-factor" and argument is not None:
        broad = SCOPES.index(finding.scope) <= SCOPES.index(argument)
        return finding.verdict == name and broad
    if name in VERDICTS and finding.verdict == name:
        return True
    return any(
        level.name == name and argument in (None, str(level.number or ""))
        for level in finding.label.levels()
    )


def description(finding: RuleFinding) -> str:
    """Verdict and levels in one line."""
    scope = f"({finding.scope})" if finding.verdict == "three-factor" else ""
    levels = ", ".join(str(level) for level in finding.label.levels())
    return f"{finding.verdict}{scope} ({levels})"
