"""The network: an ordered chain of layers that export, certificates and theory read one by one."""

from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sortnet.nn import MeanShift, SortLinear
from sortnet.nn.distance import Distance
from sortnet.nn.known import layer_bounds

from .build import build_layers
from .config import ModelConfig


class CertifiedNet(nn.Module):
    """A chain of layers from images in [0, 1] to logits.

    Shape:
        Input [N, C, H, W] float32, output [N, classes].

    Attributes:
        config: what it was built from.
        layers: the chain, an nn.Sequential.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(*build_layers(config))

    def draw_masks(
        self, batch: int, generator: torch.Generator | None = None
    ) -> dict[int, Tensor | None]:
        """Random input subsets of a training step: position in `layers` of each SortLinear -> mask.

        Args:
            batch: number of samples.
            generator: source of randomness; None is torch's default.
        """
        return {
            position: layer.draw_mask(batch, generator)
            for position, layer in enumerate(self.layers)
            if isinstance(layer, SortLinear)
        }

    def forward(self, x: Tensor, masks: dict[int, Tensor | None] | None = None) -> Tensor:
        """Logits. Training draws masks where none are given; evaluation uses none."""
        logits: Tensor = self.head(self.body(x, masks))
        return logits

    @property
    def head(self) -> nn.Sequential:
        """The layers from the MLP head on; empty in networks without one."""
        return self.layers[self._body_length() :]

    def body(self, x: Tensor, masks: dict[int, Tensor | None] | None = None) -> Tensor:
        """What enters `head`: [N, width] with an MLP head (1-Lipschitz), else the logits."""
        if x.shape[1:] != self.config.input_shape:
            what = "images" if len(self.config.input_shape) == 3 else "inputs"
            raise ValueError(
                f"expected {what} [N, {', '.join(map(str, self.config.input_shape))}], "
                f"got {list(x.shape)}"
            )
        if not self.training:
            masks = {}
        elif masks is None:
            masks = self.draw_masks(x.shape[0])
        wanted = self._wanted_outputs(masks)
        for position, layer in enumerate(self.layers[: self._body_length()]):
            if isinstance(layer, SortLinear):
                x = layer(x, masks.get(position), wanted.get(position))
            elif isinstance(layer, MeanShift) and position - 1 in wanted:
                x = layer(x, wanted[position - 1], self.layers[position - 1].group)
            else:
                x = layer(x)
        return x

    def _body_length(self) -> int:
        return len(self.layers) - (0 if self.config.hidden is None else 3)

    def _wanted_outputs(self, masks: dict[int, Tensor | None]) -> dict[int, Tensor]:
        """Outputs of each SortLinear that the next one reads: the others need not be computed."""
        wanted = {}
        for position, mask in masks.items():
            if mask is None or position < 2:
                continue
            reader, shift, source = (self.layers[position - back] for back in range(3))
            shared = isinstance(shift, MeanShift) and isinstance(source, SortLinear)
            if shared and source.group == reader.group:
                wanted[position - 2] = mask
        return wanted

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Interval bounds of the logits for inputs in [lower, upper], each [N, classes]."""
        for layer in self.layers:
            lower, upper = layer_bounds(layer, lower, upper)
        return lower, upper


def build_model(config: ModelConfig) -> CertifiedNet:
    """A freshly initialised network (torch's default generator).

    Raises:
        ValueError: the stem does not fit into the image.
    """
    return CertifiedNet(config)


def set_p(model: nn.Module, p: float) -> None:
    """Set the exponent of the training relaxation of every distance layer, p in [1, inf]."""
    if not p >= 1:
        raise ValueError(f"p must be in [1, inf], got {p}")
    for layer in _distance_layers(model):
        layer.p = p


def set_dropping(model: nn.Module, share: float) -> None:
    """Set how much of the dropping of inputs takes place in training, share in [0, 1].

    A layer keeps an input with probability 1 - share (1 - keep).
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")
    for layer in _distance_layers(model):
        layer.dropping = share


def _distance_layers(model: nn.Module) -> Iterator[Distance]:
    for module in model.modules():
        if isinstance(module, Distance):
            yield module


@torch.no_grad()
def estimate_means(model: CertifiedNet, batches: Iterable[Tensor]) -> None:
    """Set the running mean of every MeanShift to its mean over `batches`, with sorted sums.

    The model is left in evaluation mode.

    Args:
        model: any chain; without MeanShift nothing happens.
        batches: images [N, C, H, W], each with N >= 1; larger batches estimate better, and a
            single image joins the batch before or after it.

    Raises:
        ValueError: one image in all.
        FloatingPointError: a mean is NaN or infinite; names the first such layer. All running means
            are as they were.
    """
    model.eval()
    shifts = {n: layer for n, layer in model.named_modules() if isinstance(layer, MeanShift)}
    if not shifts:
        return
    before = [shift.running_mean.clone() for shift in shifts.values()]
    for shift in shifts.values():
        shift.start_estimate()
    try:
        for batch in _without_singles(batches):
            model(batch)
        for name, shift in shifts.items():
            try:
                shift.finish_estimate()
            except FloatingPointError as error:
                raise FloatingPointError(f"layer {name} (MeanShift): {error}") from None
    except BaseException:
        for shift, mean in zip(shifts.values(), before, strict=True):
            shift.stop_estimate()
            shift.running_mean.copy_(mean)
        raise


def _without_singles(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same samples, in batches of at least two; of several processes each its own batches."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        yield from batches  # all pass the same number of batches, whose means they share
        return
    held: Tensor | None = None
    for batch in batches:
        if held is not None and 1 in (len(held), len(batch)):
            held = torch.cat((held, batch))
            continue
        if held is not None:
            yield held
        held = batch
    if held is not None:
        yield held
