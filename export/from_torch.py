"""The network of a trained model: the only file of this folder that imports torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from sortnet.base.files import atomic_write
from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps
from sortnet.certificate.analysis import Analysis, analyse
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Shape

from .writer import build_model

if TYPE_CHECKING:
    from torch import nn


class ExportError(ValueError):
    """A layer that has no counterpart in the exported format."""


def network_from_torch(model: nn.Module, input_shape: Shape | InputSpec | None = None) -> Network:
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
    input_shape: Shape | InputSpec | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
) -> Analysis:
    """Write a model as an ONNX file that certifies: its ``radius``, or the bounds of its value.

    Args:
        model: a ``CertifiedNet`` or an ``nn.Sequential`` of known layers, in any mode; exported as
            in evaluation.
        path: the file; written whole or not at all.
        eps: the radius, in input units, that the file certifies by interval bounds. None: the file
            certifies the margin radius, whatever it is. A network with an MLP head needs an eps,
            for its Lipschitz constant is too large for margins, and so does a regression. Pixels:
            in (0, 1]; else in multiples of the unit of each feature.
        preset: recorded in the metadata.
        input_shape: of one sample, for an ``nn.Sequential``: (C, H, W) for images in [0, 1], or
            an `InputSpec`.
        class_names, feature_names: recorded in the metadata, for people.

    Returns:
        The constants of the certificate.

    Raises:
        ExportError: a layer of an unknown kind, an MLP head or a regression without eps, or another
            number of names than of classes or features.
        SpecError: weights are not finite. BoundError: values may overflow. ValueError: a bad eps,
            or more than 2 GiB of weights. OSError: the file cannot be written.
    """
    network = network_from_torch(model, input_shape)
    if eps is None and network.has_head:
        raise ExportError("a network with an MLP head certifies one radius: give its eps")
    if eps is None and network.regression:
        raise ExportError("a regression gives bounds of its value for one radius: give its eps")
    metadata = {}
    for what, names, count in (
        ("class_names", class_names, network.classes),
        ("feature_names", feature_names, math.prod(network.input_shape)),
    ):
        if names is not None:
            if len(names) != count:
                raise ExportError(f"{len(names)} {what} do not fit {count}")
            metadata[f"sortnet.{what}"] = json.dumps(list(map(str, names)))
    most = 1 if network.input.images else MAX_UNITS_OF_RADIUS
    analysis = analyse(network)
    exact = None if eps is None else parse_eps(eps, most)
    proto = build_model(network, exact, preset, analysis, metadata)
    with atomic_write(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return analysis
