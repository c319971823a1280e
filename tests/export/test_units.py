import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortnet.base.files import atomic_write
from sortnet.base.units import eps_to_float, float32_down, float32_up, parse_eps


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8/255", Fraction(8, 255)),
        ("2.2/255", Fraction(22, 2550)),
        ("0.1", Fraction(1, 10)),
        (0.1, Fraction(1, 10)),
        ("1", 1),
        (np.float32(0.1), Fraction(1, 10)),
        (np.float64(0.3), Fraction(3, 10)),
        (np.float16(0.25), Fraction(1, 4)),
        (np.float32(1e-7), Fraction(1, 10**7)),
        (np.int64(1), 1),
        (Decimal("0.05"), Fraction(1, 20)),
    ],
)
def test_eps_is_exact(text: str | float, value: Fraction) -> None:
    assert parse_eps(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-1/255", "2", "nan", "inf", "8/0", "1/2/3", "x", "", float("nan"), None),
        *(True, False, np.True_, [0.1], np.array([0.1])),
        *(np.float32("nan"), np.float32("inf"), np.float32(-0.1), np.int64(2)),
    ],
)
def test_bad_eps(text: object) -> None:
    with pytest.raises(ValueError, match="a radius"):
        parse_eps(text)  # type: ignore[arg-type]


@given(st.fractions() | st.floats(allow_nan=False, allow_infinity=False))
def test_one_sided_roundings(value: Fraction | float) -> None:
    up, down = float32_up(value), float32_down(value)
    assert np.float32(up) == up and np.float32(down) == down
    assert down <= value <= up
    if math.isfinite(up) and math.isfinite(down):
        assert up == down or np.nextafter(np.float32(down), np.float32(np.inf)) == np.float32(up)


def test_eps_is_rounded_up() -> None:
    assert Fraction(eps_to_float("8/255")) >= Fraction(8, 255)
    assert eps_to_float("1/4") == 0.25


def test_atomic_write_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("one")
    with pytest.raises(KeyboardInterrupt), atomic_write(target) as temporary:
        temporary.write_text("tw")
        raise KeyboardInterrupt
    assert target.read_text() == "one" and list(tmp_path.iterdir()) == [target]
