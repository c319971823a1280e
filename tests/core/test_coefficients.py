import ctypes
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortnet.backend import native
from sortnet.certificate.coefficients import geometric_coefficients, to_float32

rhos = st.floats(0, to_float32(0.9999999), width=32)


@given(rhos, st.integers(1, 200))
def test_exact_sum_is_at_most_one_and_close_to_it(rho: float, k: int) -> None:
    values = geometric_coefficients(rho, k)
    total = sum(map(Fraction, values))
    assert len(values) == k
    assert 1 - Fraction(k + 1, 2**22) <= total <= 1
    assert all(a >= b >= 0 for a, b in pairwise(values))


@given(rhos, st.integers(1, 12))
def test_close_to_the_exact_series(rho: float, k: int) -> None:
    terms = [Fraction(rho) ** j for j in range(k)]
    for value, term in zip(geometric_coefficients(rho, k), terms, strict=True):
        exact = term / sum(terms)
        assert value <= exact
        assert exact - Fraction(value) <= exact / 2**22 + Fraction(1, 2**148)


@given(rhos, st.integers(1, 64))
def test_native_twin_is_bit_equal(rho: float, k: int) -> None:
    buffer = (ctypes.c_float * k)()
    native.call("sn_geometric_coefficients", rho, k, buffer)
    assert list(buffer) == geometric_coefficients(rho, k)


def test_no_dropout_means_the_maximum() -> None:
    assert geometric_coefficients(0.0, 4) == [1.0, 0.0, 0.0, 0.0]
    assert geometric_coefficients(0.4, 1) == [1.0]


@pytest.mark.parametrize(
    ("rho", "k"), [(1.0, 3), (-0.1, 3), (float("nan"), 3), (0.5, 0), (0.5, True), (1 - 1e-12, 2)]
)
def test_refuses_what_is_out_of_range(rho: float, k: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        geometric_coefficients(rho, k)
