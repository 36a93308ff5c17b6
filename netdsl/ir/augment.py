"""What is done anew to an image whenever it is presented in training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crop:
    """`crop(pad = 4)`: a margin of `pad` pixels around the image, then a part of the old size at a
    random place: one for each image, or `shared` by all that are presented together.

    `fill`: the margin's value, one number or one per channel, as the network would read it.
    """

    pad: int
    shared: bool = False
    fill: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class Flip:
    """`flip`: columns in reverse order, for each image with probability 1/2."""


Operation = Crop | Flip
NAMES = {"crop": Crop, "flip": Flip}
