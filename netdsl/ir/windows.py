"""Windows: synapses of one kernel that moves over the positions of a population."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Windows:
    """A kernel that moves over the first two axes of both populations, shared by all positions.

    pre is (height, width, channels), post (rows, columns, kernels), row-major. Position (y, x) of
    post sees pre rows `y * stride - pad` to `+ kernel`, columns likewise; outside there is nothing.
    The kernel is not flipped. SYNAPSE buffers are (kernel * kernel * channels, kernels), the first
    by row, column, channel of the window; with `depthwise` (as many kernels as channels, each sees
    its own channel) they are (kernel * kernel, kernels). With stride 0 every position sees the same
    window: a weight shared by positions, without a place of its own.
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    rows: int
    columns: int
    kernels: int
    depthwise: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of SYNAPSE buffers."""
        taps = self.kernel[0] * self.kernel[1]
        return (taps if self.depthwise else taps * self.channels, self.kernels)

    @property
    def positions(self) -> int:
        """Postsynaptic positions that share the kernel."""
        return self.rows * self.columns

    @property
    def pre_size(self) -> int:
        """Neurons of the presynaptic population."""
        return self.height * self.width * self.channels

    @property
    def post_size(self) -> int:
        """Neurons of the postsynaptic population."""
        return self.positions * self.kernels

    @property
    def still(self) -> bool:
        """Does every position see the same window, which is all of pre?"""
        return self.stride == (0, 0)

    @property
    def form(self) -> str:
        """How products with the kernel are done.

        `patches`: what the windows see is copied side by side, then multiplied as matrices;
        `channels`: each channel by its own kernel; `still`: one product for all positions.
        """
        if self.still:
            return "still"
        return "channels" if self.depthwise else "patches"

    @property
    def fans(self) -> tuple[int, int]:
        """Synapses into a neuron, and out of one where windows overlap at every place."""
        taps = self.kernel[0] * self.kernel[1]
        if self.depthwise:
            return taps, taps
        return taps * self.channels, taps * self.kernels

    @property
    def connections(self) -> int:
        """Synapses that the kernel stands for, windows that reach over the border left whole."""
        return self.positions * self.shape[0] * self.kernels


def places(size: int, kernel: int, stride: int, pad: int) -> int:
    """Positions of a window along an axis; 0 where it does not fit."""
    return max(0, (size + 2 * pad - kernel) // stride + 1)
