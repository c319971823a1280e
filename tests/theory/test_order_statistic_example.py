"""examples/order_statistic.py: a trained SortNet below the bound of theorem 3.6, a rival above."""

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "order_statistic.py"


def test_a_trained_sortnet_is_below_what_no_standard_network_beats(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("order_statistic_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    figures = example.main(tmp_path, d=4, k=2, steps=200)
    assert figures["bound"] == 0.5 - 1 / 8
    # All 16 corners were tried; the 8 cyclic points, in exact arithmetic, are among them.
    assert figures["sortnet"] < figures["bound"]
    assert figures["sortnet, cyclic points"] <= figures["sortnet"] + 1e-5
    assert figures["standard, cyclic points"] >= figures["bound"]
    assert figures["standard"] >= figures["standard, cyclic points"] - 1e-5
    # f is 1-Lipschitz: the value moves by at most EPS to either side, and rounding adds little.
    assert 0 < figures["widest interval"] < 2 * float(example.EPS) + 1e-4
