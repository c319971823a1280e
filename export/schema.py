"""What data must be for a file's network, as the file says."""

from __future__ import annotations

from sortnet.certificate.network import InputSpec
from sortnet.data.box import Box
from sortnet.data.schema import Schema

from .session import CertifiedSession


def schema_of(session: CertifiedSession, levels: int = 1) -> Schema:
    """The schema of a session's data. Its box is proved, its names are for people.

    Args:
        levels: the integer that means 1, of pixels; 1 where they say their own. Other inputs take
            no integers for fractions.
    """
    network = session.network
    pixels = _is_pixels(network.input)
    return Schema(
        tuple(network.input_shape),
        0 if network.regression else network.classes,
        levels if pixels else 1,
        session.class_names,
        session.feature_names if len(network.input_shape) == 1 else None,
        None if pixels else Box(network.input.low, network.input.high),
    )


def _is_pixels(spec: InputSpec) -> bool:
    """Whether integers mean pixels: images, whatever their unit, in [0, 1]."""
    return len(spec.shape) == 3 and bool((spec.low == 0).all() and (spec.high == 1).all())
