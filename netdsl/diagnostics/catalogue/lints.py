"""Codes L…: lints."""

from __future__ import annotations

from netdsl.diagnostics.catalogue.entry import Entry

ENTRIES: list[Entry] = []
