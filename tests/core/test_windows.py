"""Windows of morphology beyond squares, minima of windows, and the nets that see both."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from sortnet import nn as snn
from sortnet.certificate.operations import SpecError
from sortnet.export import CertifiedSession, export_model, verify
from sortnet.models import ModelConfig, build_model, estimate_means
from sortnet.nn import functional as F

SIDES = st.sampled_from([1, 3, 5, 9])
WINDOWS = st.tuples(SIDES, SIDES).filter(lambda window: max(window) > 1)


@given(st.data(), st.sampled_from([torch.float32, torch.float64]))
def test_running_maxima_of_every_window(data: st.DataObject, dtype: torch.dtype) -> None:
    size = [data.draw(st.integers(1, 7)) for _ in range(data.draw(st.integers(0, 3)))]
    lengths = tuple(data.draw(st.integers(1, side)) for side in size)
    torch.manual_seed(data.draw(st.integers(0, 99)))
    x = torch.randn(2, *size, dtype=dtype)
    y = F.running_max(x, lengths)
    assert y.shape == (2, *(side - k + 1 for side, k in zip(size, lengths, strict=True)))
    for place in itertools.product(*map(range, y.shape[1:])):
        window = tuple(slice(at, at + k) for at, k in zip(place, lengths, strict=True))
        assert torch.equal(
            y[(slice(None), *place)], x[(slice(None), *window)].reshape(2, -1).amax(1)
        )


@pytest.mark.parametrize("lengths", [(0,), (4,), (1, 1, 1)])
def test_running_maxima_refuse_windows_that_do_not_fit(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        F.running_max(torch.zeros(2, 3), lengths)


@given(st.integers(1, 2), st.lists(WINDOWS, min_size=1, max_size=3), st.integers(0, 99))
def test_rectangles_are_extremes_and_a_distance_layer(
    channels: int, windows: list[tuple[int, int]], seed: int
) -> None:
    torch.manual_seed(seed)
    layer = snn.Morphology2d(channels, windows, -1, 2)
    x = (torch.rand(2, channels, 6, 5) * 3 - 1).round(decimals=1)
    y = layer(x)
    patches, grid = F.unfold_patches(x, *layer._patching)
    assert torch.equal(y, F.fold_outputs(F.lp_distance(patches, layer.weights()), grid))
    maps = y.split(channels, 1)[1:]
    for index, (rows, columns) in enumerate(windows):
        up, left = rows // 2, columns // 2
        padded = torch.nn.functional.pad(x, (left, left, up, up))
        for i, j in itertools.product(range(6), range(5)):
            seen = padded[:, :, i : i + rows, j : j + columns].flatten(2)
            assert torch.equal(maps[2 * index][:, :, i, j], seen.amax(2) - layer.low)
            assert torch.equal(maps[2 * index + 1][:, :, i, j], layer.high - seen.amin(2))


@given(
    st.integers(1, 2),
    st.lists(st.sampled_from([3, 5, (3, 5), (9, 3)]), min_size=1, max_size=3),
    st.integers(1, 2),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.integers(0, 99),
)
def test_strides_leave_out_windows_and_no_pixel(
    channels: int, windows: list[object], stride: int, size: tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    layer = snn.Morphology2d(channels, windows, -1, 2, stride)  # type: ignore[arg-type]
    x = (torch.rand(2, channels, *size) * 3 - 1).round(decimals=1)
    y = layer(x)
    assert y.shape[1:] == layer.output_shape((channels, *size))
    patches, grid = F.unfold_patches(x, *layer._patching)
    assert torch.equal(y, F.fold_outputs(F.lp_distance(patches, layer.weights()), grid))
    everything = snn.Morphology2d(channels, windows, -1, 2)(x)  # type: ignore[arg-type]
    assert torch.equal(
        y[:, stride * stride * channels :], everything[:, channels:, ::stride, ::stride]
    )
    for row, column in itertools.product(range(size[0]), range(size[1])):
        place = (row % stride * stride + column % stride) * channels
        seen = y[:, place : place + channels, row // stride, column // stride]
        assert torch.equal(seen, everything[:, :channels, row, column])
    value = x.double().numpy()
    for op in layer.operations((channels, *size)):
        value = op.value(value)
    np.testing.assert_allclose(value.reshape(y.shape), y.double().numpy(), atol=1e-6)


@pytest.mark.parametrize("stride", [0, 3, 1.5])
def test_strides_beyond_the_windows_are_refused(stride: int) -> None:
    with pytest.raises(ValueError, match="stride"):
        snn.Morphology2d(1, [3], 0, 1, stride)
    with pytest.raises(ValueError, match="stride"):
        snn.Morphology1d(1, [3], 0, 1, stride)


def test_a_square_has_one_form() -> None:
    assert snn.Morphology2d(1, [(3, 3), (1, 5)], 0, 1).windows == (3, (1, 5))


@pytest.mark.parametrize("window", [(1, 1), (2, 3), (3,), (3, 3, 3), (3, -1), "39", (3, 1.0)])
def test_what_is_no_window_is_refused(window: object) -> None:
    with pytest.raises(ValueError, match="pairs of odd ones"):
        snn.Morphology2d(1, [window], 0, 1)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="odd integers"):
        snn.Morphology1d(1, [window], 0, 1)  # type: ignore[list-item]


def minima(x: Tensor, channel: int, side: int, stride: int) -> Tensor:
    """Window by window."""
    reach, (height, width) = side // 2, x.shape[2:]
    return torch.stack(
        [
            x[
                :,
                channel,
                max(0, i - reach) : i + reach + 1,
                max(0, j - reach) : j + reach + 1,
            ]
            .flatten(1)
            .amin(1)
            for i in range(0, height, stride)
            for j in range(0, width, stride)
        ],
        1,
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([1, 3, 5, 9]), st.integers(1, 3)),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_minima_of_every_window(
    maps: list[tuple[int, int, int]], height: int, width: int, dtype: torch.dtype
) -> None:
    layer = snn.WindowMinima2d(3, maps)
    x = torch.randn(2, 3, height, width, dtype=dtype).round(decimals=1)
    y = layer(x)
    assert torch.equal(y, torch.cat([minima(x, *each) for each in maps], 1))
    assert y.shape[1:] == layer.output_shape((3, height, width))
    value = x.double().numpy()
    for op in layer.operations((3, height, width)):
        value = op.value(value)
    np.testing.assert_array_equal(value, y.double().numpy())


@pytest.mark.parametrize(
    "bad",
    [(2, 1, 1), (-1, 1, 1), (0, 2, 1), (0, 0, 1), (0, 1, 0), (0, 1.5, 1)],
)
def test_what_is_no_map_is_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a map is a channel below 2"):
        snn.WindowMinima2d(2, [bad])


def test_minima_refuse_no_map_and_other_inputs() -> None:
    for bad in ([], 5, [5], [(0, 1, 1, 1)], [()]):
        with pytest.raises(ValueError, match=r"at least one map|a map is"):
            snn.WindowMinima2d(1, bad)  # type: ignore[arg-type]
    layer = snn.WindowMinima2d(2, [snn.MinimumMap(1)])
    for shape in ((1, 1, 3, 3), (1, 2, 3), (1, 2, 0, 3)):
        with pytest.raises(ValueError, match="expected images"):
            layer(torch.zeros(shape))
    with pytest.raises(SpecError, match="WindowMinima2d expects"):
        list(layer.operations((3, 4, 4)))


def rich(**more: object) -> ModelConfig:
    common = {
        **{"family": "sortnet", "input_shape": (2, 7, 6), "classes": 3, "depth": 3, "width": 12},
        **{"morphology": (3, 5, (1, 5)), "morphology_stride": 2, "keep": 0.9},
    }
    return ModelConfig(**{**common, **more})


def test_a_net_sees_the_whole_image_and_every_second_window() -> None:
    net = build_model(rich()).eval()
    x = torch.rand(4, 2, 7, 6)
    seen = net.layers[1](net.layers[0](x))
    assert seen.shape == (4, 2 * (4 + 2 * 3), 4, 3)
    below, above = net.layers[1].low, net.layers[1].high
    padded = torch.nn.functional.pad(x, (0, 0, 0, 1)) - below  # a row of zeros makes it even
    blocks = seen[:, :8].reshape(4, 2, 2, 2, 4, 3).permute(0, 3, 4, 1, 5, 2)
    assert torch.equal(blocks.reshape(4, 2, 8, 6), padded)
    plain = snn.Morphology2d(2, [3, 5, (1, 5)], 0, 1)(x)
    assert torch.equal(seen[:, 8:], plain[:, 2:, ::2, ::2])
    assert (below, above) == (net.layers[1].low, plain.new_tensor(above).item())


def test_openings_and_closings_of_windows_of_minima() -> None:
    x = torch.rand(4, 2, 7, 6)
    layer = snn.Morphology2d(2, [3], 0, 1)
    maps = [(channel, 3, 1) for channel in range(2, 6)]
    seen = snn.WindowMinima2d(layer.out_channels, maps)(layer(x))

    def extreme(image: Tensor, side: int, sign: int) -> Tensor:
        return sign * torch.nn.functional.max_pool2d(sign * image, side, 1, side // 2)

    # Away from the border, where padding and cut windows differ.
    inner = (slice(None), slice(None), slice(2, 5), slice(2, 4))
    closing = seen[:, : 2 * 42].reshape(4, 2, 7, 6)[inner]
    opening = seen[:, 2 * 42 :].reshape(4, 2, 7, 6)[inner]
    assert torch.allclose(closing, (extreme(extreme(x, 3, 1), 3, -1) - layer.low)[inner])
    assert torch.allclose(opening, (layer.high - extreme(extreme(x, 3, -1), 3, 1))[inner])


def test_the_exported_net_is_proved_and_equal(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build_model(rich(first_std=0.3))
    x = torch.rand(20, 2, 7, 6)
    estimate_means(net, [x])
    path = tmp_path / "net.onnx"
    export_model(net, path)
    assert verify(path).proved
    session = CertifiedSession(path)
    logits = session.predict(x.numpy()).logits
    np.testing.assert_allclose(logits, net(x).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"morphology": ((1, 1),)},
        {"morphology": ((2, 3),)},
        {"morphology": ((3, -1),)},
        {"morphology_stride": 0},
        {"morphology_stride": 4},
        {"morphology": ((1, 9),), "morphology_stride": 2},
        {"morphology": ()},
        {"first_std": 0.0},
    ],
)
def test_config_refuses_windows(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rich(**change)


def test_first_weights_are_scaled() -> None:
    for more in ({}, {"morphology": (), "morphology_stride": 1}):
        torch.manual_seed(0)
        wide = build_model(rich(width=300, **more))
        torch.manual_seed(0)
        narrow = build_model(rich(width=300, first_std=0.25, **more))
        first, *rest = [name for name, _ in wide.named_parameters() if name.endswith("weight")]
        a, b = dict(wide.named_parameters()), dict(narrow.named_parameters())
        assert torch.equal(b[first], a[first] * 0.25)
        assert all(torch.equal(a[name], b[name]) for name in rest)
