"""Pairs: a batch of positive samples joined by as many negative ones.

A kind of pair is one function from a batch to the fields that differ in its negative rows; to add
one, write it and enter it in ``PAIR_KINDS``. Draws are keyed by (seed, declaration path, call,
epoch, sample, repetition), so they depend on the batch only where the algorithm itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import DataError
from netdsl.streams.draws import PhiloxStream, row_key

Array = NDArray[Any]
NEGATIVE = 1  # the ``member`` of row keys of negative rows


@dataclass(frozen=True)
class PairContext:
    """What a draw of pairs is keyed by, and what it must know of the data.

    ``samples`` (B,) are indices into the whole source, ``path`` the declaration's path,
    ``batch_index`` the number of the batch in its epoch, ``classes`` the number of classes.
    """

    seed: int
    path: str
    samples: NDArray[np.int64]
    classes: int | None = None
    epoch: int = 0
    batch_index: int = 0
    call: int = 0
    repetition: int = 0

    def stream(self) -> PhiloxStream:
        """The declaration's random stream."""
        return PhiloxStream(self.seed, self.path)

    def sample_keys(self) -> NDArray[np.uint64]:
        """Row keys (B,) of the negative rows."""
        return row_key(self.call, self.epoch, self.samples, NEGATIVE, self.repetition)

    def batch_key(self) -> NDArray[np.uint64]:
        """Row key (1,) of the batch as a whole, for draws that all its rows share."""
        key = row_key(self.call, self.epoch, self.batch_index, NEGATIVE, self.repetition)
        return np.atleast_1d(key)


@dataclass(frozen=True)
class Streams:
    """A doubled batch: rows 0 to B-1 positive, rows B to 2B-1 negative.

    ``fields`` has every field of the batch with 2B rows, and ``shown_label`` (int64, where there
    are labels) and ``positive`` (float32, 1 or 0). ``samples`` and ``members`` (2B,) int64 go into
    row keys.
    """

    fields: dict[str, Array]
    samples: NDArray[np.int64]
    members: NDArray[np.int64]


PairFunction = Callable[[Mapping[str, Array], PairContext, Mapping[str, Any]], dict[str, Array]]


def make_pairs(
    kind: str,
    batch: Mapping[str, Array],
    context: PairContext,
    settings: Mapping[str, Any] | None = None,
) -> Streams:
    """Double ``batch`` (field -> (B, ...)) by negatives of ``kind``.

    Raises DataError E0713 if the kind is unknown or cannot be made from this data.
    """
    if kind not in PAIR_KINDS:
        raise DataError("E0713", f"unknown pairs `{kind}`", f"known are {', '.join(PAIR_KINDS)}")
    function, allowed = PAIR_KINDS[kind]
    chosen = {**allowed, **(settings or {})}
    if extra := sorted(set(chosen) - set(allowed)):
        takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        raise DataError("E0713", f"pairs `{kind}` have no setting `{extra[0]}`", takes)
    shown = {**batch, "shown_label": batch["label"]} if "label" in batch else dict(batch)
    negative = {**shown, **function(shown, context, chosen)}
    fields = {key: np.concatenate([array, negative[key]]) for key, array in shown.items()}
    return _with_members(fields, context.samples)


def positive_only(batch: Mapping[str, Array], samples: NDArray[np.int64]) -> Streams:
    """A batch without negatives, with the fields that pairs would define."""
    fields = dict(batch)
    if "label" in batch:
        fields["shown_label"] = batch["label"]
    fields["positive"] = np.ones(len(samples), np.float32)
    return Streams(fields, samples, np.zeros(len(samples), np.int64))


def _with_members(fields: dict[str, Array], samples: NDArray[np.int64]) -> Streams:
    members = np.repeat(np.arange(2), len(samples))
    fields["positive"] = (1 - members).astype(np.float32)
    return Streams(fields, np.tile(samples, 2), members)


def wrong_label(
    batch: Mapping[str, Array], context: PairContext, settings: Mapping[str, Any]
) -> dict[str, Array]:
    """The same image shown with a label drawn uniformly from the other classes."""
    classes = context.classes
    if "label" not in batch or classes is None or classes < 2:
        raise DataError(
            "E0713",
            "pairs `wrong_label` need labels of at least two classes",
            "use data with labels, or `mixed_image`",
        )
    shift = 1 + context.stream().randint(classes - 1, context.sample_keys(), 0, 1)[:, 0]
    return {"shown_label": (batch["label"] + shift) % classes}


def mixed_image(
    batch: Mapping[str, Array], context: PairContext, settings: Mapping[str, Any]
) -> dict[str, Array]:
    """share * x + (1 - share) * x of a partner, shown with the partner's label.

    The partner is another sample of the same batch, after one draw for the whole batch (sheet
    csdp.md section 6), so these negatives depend on the batch's composition.
    """
    rows = len(context.samples)
    if "image" not in batch or rows < 2:
        raise DataError(
            "E0713",
            f"pairs `mixed_image` need images and at least two samples in a batch, not {rows}",
            "use a larger batch, or `partial = drop` if the last one is left with a single sample",
        )
    share = float(settings["share"])
    if not 0 <= share <= 1:
        raise DataError(
            "E0713",
            f"pairs `mixed_image` have a share of {share:g}",
            "a share lies between 0 and 1",
        )
    position = int(context.stream().randint(rows - 1, context.batch_key(), 0, 1)[0, 0])
    partner = two_partners(rows, position)
    negative = {"image": mix(batch["image"], partner, share)}
    if "label" in batch:
        negative["shown_label"] = batch["label"][partner]
    return negative


def two_partners(rows: int, position: int) -> NDArray[np.int64]:
    """Partner of each of ``rows`` samples: rows after ``position`` get it, the others the next.

    It is what remains of "any other sample" when all samples use one draw: position r in the list
    without the sample itself. 0 <= position < rows - 1.
    """
    index = np.arange(rows)
    return np.where(index > position, position, position + 1)


def mix(image: Array, partner: NDArray[np.int64], share: float) -> Array:
    """share * image + (1 - share) * image[partner], in the images' own type."""
    kind = image.dtype.type
    return np.asarray(kind(share) * image + kind(1 - share) * image[partner])


PAIR_KINDS: dict[str, tuple[PairFunction, dict[str, Any]]] = {
    "wrong_label": (wrong_label, {}),
    "mixed_image": (mixed_image, {"share": 0.5}),
}
