"""Data: sources of every format as splits, batches, and pairs of positive and negative samples."""

from netdsl.runtime.data.augment import Augmenter, Presentation
from netdsl.runtime.data.batches import Batches, sample_order
from netdsl.runtime.data.fetch import data_cache, fetch_openml_npz
from netdsl.runtime.data.generator import Generator
from netdsl.runtime.data.pairs import PAIR_KINDS, PairContext, Streams, make_pairs, positive_only
from netdsl.runtime.data.source import BUILTIN, load_source
from netdsl.runtime.data.split import Split, choose_split

__all__ = [
    "BUILTIN",
    "PAIR_KINDS",
    "Augmenter",
    "Batches",
    "Generator",
    "PairContext",
    "Presentation",
    "Split",
    "Streams",
    "choose_split",
    "data_cache",
    "fetch_openml_npz",
    "load_source",
    "make_pairs",
    "positive_only",
    "sample_order",
]
