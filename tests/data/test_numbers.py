"""Messages that name a sample, a row or a feature by its number say where counting begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sortnet.certificate.inputs import check_box
from sortnet.data import Box, Split, encode_labels
from sortnet.data.convert import as_labels
from sortnet.data.tables import read_table

ONES = np.ones((5, 3), np.float32)


def spoiled(value: float) -> np.ndarray:
    x = ONES / 2
    x[2, 1] = value
    return x


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "NaN": (lambda: Split(spoiled(np.nan), [0] * 5), "sample 2, feature 1: NaN"),
    "outside": (lambda: Split(spoiled(7), [0] * 5), "sample 2, feature 1: 7"),
    "box": (
        lambda: Split(spoiled(7), [0] * 5, box=Box(ONES[0] * 0, ONES[0])),
        "sample 2, feature 1: 7 lies outside",
    ),
    "range": (lambda: Box.around(spoiled(np.inf)), "sample 2, feature 1: infinity"),
    "pixels": (lambda: Split(spoiled(0).astype(int) * 0 - 1, [0] * 5), "sample 0: integer pixels"),
    "missing label": (lambda: as_labels([0, None, 1]), "missing value in row 1"),
    "label": (lambda: as_labels([0.0, 1.0, np.nan]), "nan in row 2"),
    "empty label": (lambda: encode_labels(["a", "b", ""]), "empty text in row 2"),
    "class": (lambda: Split(ONES, [0, 1, 5, 1, 0]).check((3,), 2), "5 of sample 2"),
    "network's box": (
        lambda: Split(ONES, [0] * 5).check((3,), 2, 0.0, 0.5),
        "sample 0 has 1 in feature 0",
    ),
    "input": (lambda: check_box(spoiled(2)), r"sample 2 has a value outside \[0, 1\]"),
    "input of a feature": (
        lambda: check_box(spoiled(2), names=["a", "b", "c"]),
        r"sample 2 has .*: 2 in 'b', which has \[0, 1\]",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_messages_say_that_numbers_count_from_0(fault: str) -> None:
    call, words = FAULTS[fault]
    with pytest.raises(ValueError, match=words + r".* \(numbers count from 0\)$"):
        call()


def test_rows_of_tables_count_without_the_header(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,u\n2,v\n,u\n")
    said = r"'a': missing value in row 2 \(rows count from 0, without a header\)$"
    with pytest.raises(ValueError, match=said):
        read_table(path, "y")
