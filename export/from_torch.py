"""The network of a trained model: the only file of this folder that imports torch."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING

from sortnet.base.files import atomic_write
from sortnet.base.units import parse_eps
from sortnet.certificate.analysis import Analysis, analyse
from sortnet.certificate.network import Network

from .graph import build_model

if TYPE_CHECKING:
    from sortnet.models.net import CertifiedNet


class ExportError(ValueError):
    """A layer that has no counterpart in the exported format."""


def network_from_torch(model: CertifiedNet) -> Network:
    """What ``model`` computes in evaluation mode.

    Raises:
        ExportError: a layer of an unknown kind, by name.
        SpecError: weights are not finite, or shapes do not fit together.
    """
    from sortnet.models.network import network_of
    from sortnet.nn.layer import LayerError

    try:
        return network_of(model)
    except LayerError as error:
        raise ExportError(str(error)) from None


def export_model(
    model: CertifiedNet,
    path: str | os.PathLike[str],
    eps: str | float | Fraction | None = None,
    preset: str = "",
) -> Analysis:
    """Write a model as an ONNX file whose ``radius`` output certifies.

    Args:
        model: in any mode; exported as in evaluation.
        path: the file; written whole or not at all.
        eps: the radius, in input units, that the file certifies by interval bounds. None: the file
            certifies the margin radius, whatever it is. A network with an MLP head needs an eps,
            for its Lipschitz constant is too large for margins.
        preset: recorded in the metadata.

    Returns:
        The constants of the certificate.

    Raises:
        ExportError: a layer of an unknown kind, or an MLP head without eps.
        SpecError: weights are not finite. BoundError: values may overflow. ValueError: a bad eps,
        or more than 2 GiB of weights. OSError: the file cannot be written.
    """
    network = network_from_torch(model)
    if eps is None and network.has_head:
        raise ExportError("a network with an MLP head certifies one radius: give its eps")
    analysis = analyse(network)
    exact = None if eps is None else parse_eps(eps)
    proto = build_model(network, exact, preset, analysis)
    with atomic_write(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return analysis
