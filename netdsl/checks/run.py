"""Runs every check over a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from netdsl.checks import (
    e0182_pairs,
    e0183_which_slot,
    e0202_draws,
    e0206_copied_weights,
    e0206_widths,
    e0415_clamped,
    e0421_stability,
    e0440_not_binary,
    e0501_zero_delay_cycle,
    e0522_phase_not_run,
    e0523_learning_in_evaluate,
    e0525_clamped_input,
    e0540_record,
    e0551_not_full,
    e0552_no_slots,
    e0621_one_to_one,
    e0622_transpose,
    e0623_self_connections,
    e0624_fixed_number,
    e0625_bound_order,
    e0644_shared_kernel,
    e0790_ensemble,
    e0823_long_delays,
    l0501_never_learns,
    l0510_forgotten_clamp,
    l0601_unused_parts,
    l0701_no_reset,
)
from netdsl.diagnostics import Diagnostic, DiagnosticBag
from netdsl.ir.network import Network

Check = Callable[[Network], Iterable[Diagnostic]]

CHECKS: tuple[Check, ...] = (
    e0183_which_slot.check,
    e0202_draws.check,
    e0182_pairs.check,
    e0206_copied_weights.check,
    e0206_widths.check,
    e0415_clamped.check,
    e0421_stability.check,
    e0440_not_binary.check,
    e0501_zero_delay_cycle.check,
    e0522_phase_not_run.check,
    e0523_learning_in_evaluate.check,
    e0525_clamped_input.check,
    e0540_record.check,
    e0551_not_full.check,
    e0552_no_slots.check,
    e0621_one_to_one.check,
    e0622_transpose.check,
    e0623_self_connections.check,
    e0624_fixed_number.check,
    e0625_bound_order.check,
    e0644_shared_kernel.check,
    e0790_ensemble.check,
    e0823_long_delays.check,
    l0501_never_learns.check,
    l0510_forgotten_clamp.check,
    l0601_unused_parts.check,
    l0701_no_reset.check,
)


def run(network: Network) -> tuple[Diagnostic, ...]:
    """All findings of all checks, in the order of their places; each is reported once."""
    bag = DiagnosticBag()
    for check in CHECKS:
        bag.extend(check(network))
    return bag.sorted()
