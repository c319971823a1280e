"""The network of a trained model: the only file of this folder that imports torch."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING

from sortnet.base.files import atomic_write
from sortnet.base.units import parse_eps
from sortnet.certificate.analysis import Analysis, analyse
from sortnet.certificate.network import Network, Shape

from .writer import build_model

if TYPE_CHECKING:
    from torch import nn


class ExportError(ValueError):
    """A layer that has no counterpart in the exported format."""


def network_from_torch(model: nn.Module, input_shape: Shape | None = None) -> Network:
    """What ``model`` computes in evaluation mode; see `sortnet.models.network_of`.

    Raises:
        ExportError: a layer that is not known or has no exported form, by name.
        SpecError: weights are not finite, or shapes do not fit together.
        ValueError: no input shape, or another one than that of a ``CertifiedNet``.
    """
    from sortnet.models import network_of
    from sortnet.nn import LayerError

    try:
        return network_of(model, input_shape)
    except LayerError as error:
        raise ExportError(str(error)) from None


def export_model(
    model: nn.Module,
    path: str | os.PathLike[str],
    eps: str | float | Fraction | None = None,
    preset: str = "",
    *,
    input_shape: Shape | None = None,
) -> Analysis:
    """Write a model as an ONNX file whose ``radius`` output certifies.

    Args:
        model: a ``CertifiedNet`` or an ``nn.Sequential`` of known layers, in any mode; exported as
            in evaluation.
        path: the file; written whole or not at all.
        eps: the radius, in input units, that the file certifies by interval bounds. None: the file
            certifies the margin radius, whatever it is. A network with an MLP head needs an eps,
            for its Lipschitz constant is too large for margins.
        preset: recorded in the metadata.
        input_shape: of one sample, for an ``nn.Sequential``: (C, H, W).

    Returns:
        The constants of the certificate.

    Raises:
        ExportError: a layer of an unknown kind, or an MLP head without eps.
        SpecError: weights are not finite. BoundError: values may overflow. ValueError: a bad eps,
        or more than 2 GiB of weights. OSError: the file cannot be written.
    """
    network = network_from_torch(model, input_shape)
    if eps is None and network.has_head:
        raise ExportError("a network with an MLP head certifies one radius: give its eps")
    analysis = analyse(network)
    exact = None if eps is None else parse_eps(eps)
    proto = build_model(network, exact, preset, analysis)
    with atomic_write(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return analysis
