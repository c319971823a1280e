"""Invalid arguments are refused and nothing is written."""

import ctypes

import numpy as np
import pytest
from abi import Kernels

from sortnet.backend import native

X = np.zeros((4, 6), np.float32)
W = np.zeros((5, 6), np.float32)
INVALID = 1


def _lp(kernels: Kernels, **change: object) -> tuple[int, np.ndarray]:
    y = np.full((4, 5), 7.0, np.float32)
    a: dict = {"w": W.ctypes.data, "ws": 6, "b": 4, "i": 6, "o": 5, "p": 2.0}
    a |= {"x": X.ctypes.data, "xs": 6, "y": y.ctypes.data, "ys": 5, "group": 0} | change
    layer = native.Layer(a["w"], a["ws"], None, a["b"], a["i"], a["o"])
    masks = ctypes.byref(native.Masks(None, None, a["group"])) if "group" in change else None
    status = kernels.lib.sn_lp_forward(
        ctypes.byref(layer), masks, a["p"], a["x"], a["xs"], a["y"], a["ys"], None
    )
    return status, y


@pytest.mark.parametrize(
    "change",
    [
        {"w": None}, {"x": None}, {"y": None}, {"ws": 5}, {"xs": 5}, {"ys": 4}, {"b": -1},
        {"i": -1}, {"o": -1}, {"p": 0.5}, {"p": float("nan")}, {"p": -1.0}, {"group": 0},
    ],
    ids=str,
)  # fmt: skip
def test_lp_forward_refuses(kernels: Kernels, change: dict) -> None:
    status, y = _lp(kernels, **change)
    assert status == INVALID and (y == 7).all()


def test_sizes_of_zero_need_no_memory(kernels: Kernels) -> None:
    assert _lp(kernels, b=0, x=None, y=None)[0] == 0
    assert _lp(kernels, o=0, w=None, y=None)[0] == 0
    status, y = _lp(kernels, i=0, x=None, w=None)
    assert status == 0 and (y == 0).all()


def test_more_order_statistics_than_inputs(kernels: Kernels) -> None:
    y = np.full((4, 5), 7.0, np.float32)
    coef = np.ones(7, np.float32)
    status = kernels.lib.sn_sort_forward(
        ctypes.byref(kernels.layer(X, W)), ctypes.byref(kernels.coefficients(coef)),
        X.ctypes.data, 6, y.ctypes.data, 5, None,
    )  # fmt: skip
    assert status == INVALID and (y == 7).all()


@pytest.mark.parametrize(("rho", "count"), [(1.0, 3), (-0.1, 3), (float("nan"), 3), (0.5, 0)])
def test_geometric_coefficients_refuse(kernels: Kernels, rho: float, count: int) -> None:
    coef = np.full(3, 7.0, np.float32)
    status = kernels.lib.sn_geometric_coefficients(rho, count, coef.ctypes.data)
    assert status == INVALID and (coef == 7).all()


def test_messages(kernels: Kernels) -> None:
    assert kernels.lib.sn_status_message(0) == b"ok"
    assert all(kernels.lib.sn_status_message(s) for s in (1, 2, 3, 99))
