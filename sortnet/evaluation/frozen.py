"""A model as it is now, in evaluation: what both kinds of torch certificates run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sortnet.certificate.network import Network
from sortnet.models import chain_of, layer_bounds
from sortnet.nn.functional import linear_bounds
from sortnet.nn.layer import LayerError
from sortnet.nn.twins import TorchNetwork

from .intervals import affine_margins, affine_parameters


class FrozenChain:
    """A private copy of a model's layers in evaluation mode.

    The model itself is read and never changed, whatever its mode and however many threads ask.
    Affine layers run in float64 and are cast back: closer to the exact ones than float32 sums in
    any order, and the same under every precision setting of torch. Autocast is off.

    Args:
        model: a `CertifiedNet`, or an `nn.Sequential` of known layers.
        declared: let layers of the user's own pass that declare `lipschitz` and `bounds`.

    Attributes:
        model: the copy. layers: its chain.

    Raises:
        LayerError: a layer that cannot be vouched for, by name.
    """

    def __init__(self, model: nn.Module, *, declared: bool = False) -> None:
        chain_of(model, declared=declared)  # strangers are refused by name before they are copied
        tensors = [*model.named_parameters(), *model.named_buffers()]
        meta = next((name for name, tensor in tensors if tensor.is_meta), None)
        if meta is not None:
            raise LayerError(f"{meta} is on the meta device and has no values: load them first")
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._run(chain_of(self.model, declared=declared))

    @classmethod
    def of_network(cls, network: Network) -> FrozenChain:
        """The chain of a network that was read from a file."""
        chain = cls.__new__(cls)
        chain.model = TorchNetwork(network)
        chain._run(list(chain.model.layers))
        return chain

    def _run(self, layers: list[nn.Module]) -> None:
        self.layers = layers
        self._affine = [_affine(layer) for layer in layers]

    def logits(self, x: Tensor) -> Tensor:
        """[N, ...] -> [N, K]."""
        with torch.autocast(x.device.type, enabled=False):
            for layer, affine in zip(self.layers, self._affine, strict=True):
                x = layer(x) if affine is None else affine(x)
        return x

    def worst_margin(
        self, low: Tensor, high: Tensor, label: Tensor, widens: Sequence[float] = ()
    ) -> Tensor:
        """Lower bound of logit[label] - max of the others for inputs in [low, high].

        Args:
            low, high: [N, ...]. label: int64 [N].
            widens: how far bounds move outward before each affine layer, in order; () is 0.

        Returns:
            float64 [N].
        """
        outward = iter(widens or [0.0] * len(self.layers))
        with torch.autocast(low.device.type, enabled=False):
            low, high = self._through(self.layers[:-1], low, high, outward)
            last = self._affine[-1]
            if last is not None:
                widen = next(outward)
                return last.worst_margin(low.double() - widen, high.double() + widen, label)
            low, high = layer_bounds(self.layers[-1], low, high)
        others = high.scatter(1, label[:, None], -torch.inf).amax(1)
        return low.gather(1, label[:, None])[:, 0].double() - others.double()

    def bounds(
        self, low: Tensor, high: Tensor, widens: Sequence[float] = ()
    ) -> tuple[Tensor, Tensor]:
        """Interval bounds of the output for inputs in [low, high]: [N, K] each."""
        outward = iter(widens or [0.0] * len(self.layers))
        with torch.autocast(low.device.type, enabled=False):
            return self._through(self.layers, low, high, outward)

    def _through(
        self, layers: Sequence[nn.Module], low: Tensor, high: Tensor, outward: Iterator[float]
    ) -> tuple[Tensor, Tensor]:
        for layer, affine in zip(layers, self._affine, strict=False):
            if affine is None:
                low, high = layer_bounds(layer, low, high)
                continue
            widen, dtype = next(outward), low.dtype
            below, above = affine.bounds(low.double() - widen, high.double() + widen)
            low, high = below.to(dtype), above.to(dtype)
        return low, high


class _Affine:
    """An affine layer in float64."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.double()
        self.bias = self.weight.new_zeros(len(weight)) if bias is None else bias.double()

    def __call__(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.double(), self.weight, self.bias).to(x.dtype)

    def bounds(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return linear_bounds(low, high, self.weight, self.bias)

    def worst_margin(self, low: Tensor, high: Tensor, label: Tensor) -> Tensor:
        """On differences of rows, which is tighter than two logits apart: [N]."""
        worst = affine_margins(self.weight, self.bias, low, high, label)
        return worst.scatter(1, label[:, None], torch.inf).amin(1)


def _affine(layer: nn.Module) -> _Affine | None:
    parameters = affine_parameters(layer)
    return None if parameters is None else _Affine(*parameters)
