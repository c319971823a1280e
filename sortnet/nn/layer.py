"""What every layer of this package says about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.certificate.operations import Affine, Operation, Shape, SpecError
from sortnet.certificate.rounding import Array


class LayerError(TypeError):
    """A layer that nobody here can vouch for: the message names it and says why."""


class Layer(nn.Module, ABC):
    """A layer that says what it computes in evaluation mode.

    Certificates, the exported file, the attack and the theory read what is declared here; nothing
    else in the toolkit knows a layer by name. A class counts as a layer of this package only if it
    is listed in `.known`: a subclass may compute something else.
    """

    input_range: tuple[float, float] | None = None
    """Least and largest input for which `operations` are what `forward` computes; None: any."""

    @abstractmethod
    def operations(self, shape: Shape) -> Iterator[Operation]:
        """What the layer computes in evaluation mode, as operations over numpy arrays.

        Args:
            shape: of one sample as it enters the layer, without the batch.

        Raises:
            LayerError: the layer has no counterpart among the operations, or is in a state that
                evaluation does not have.
        """

    @abstractmethod
    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output for all x in [lower, upper], elementwise."""

    @property
    @abstractmethod
    def lipschitz(self) -> float:
        """Lipschitz constant in l-inf of the evaluation over the real numbers, rounded up."""

    def check(self) -> None:
        """Make sure that the layer is in a state that evaluation has.

        Raises:
            LayerError: it is not.
        """

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample as it leaves the layer."""
        return shape


def array(tensor: Tensor) -> Array:
    """A float32 copy for an operation.

    Raises:
        LayerError: float32 cannot hold the values.
    """
    values = tensor.detach().cpu()
    single = values.float()
    if not torch.equal(single.to(values.dtype).nan_to_num(), values.nan_to_num()):
        raise LayerError(
            f"weights in {values.dtype} that float32 cannot hold: call model.float() first"
        )
    return cast(Array, single.numpy().copy())


def check_features(name: str, shape: Shape, features: int | None = None) -> None:
    """Make sure that samples of `shape` are vectors, of `features` entries where given.

    Raises:
        SpecError: they are not. (In torch many layers would act on the last dimension of others.)
    """
    if len(shape) != 1:
        raise SpecError(f"{name} needs a Flatten before it, got samples of shape {shape}")
    if features is not None and shape[0] != features:
        raise SpecError(f"{name} expects {features} inputs, got {shape[0]}")


def affine(weight: Tensor, bias: Tensor | None) -> Affine:
    """x -> weight x + bias as an operation."""
    return Affine(array(weight), np.zeros(len(weight), np.float32) if bias is None else array(bias))
