"""What speaks about networks refuses a function, a model or a list by one clear error."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import sortnet.theory.theorems
from sortnet.theory.objects.lattice import on_cube
from sortnet.theory.theorems.boolean_impossibility import (
    certified_radius,
    check_bound,
    threshold_example,
)


def takers() -> list[Callable[..., Any]]:
    """Public functions of the theorems that take a network."""
    found = [on_cube]
    for module in pkgutil.iter_modules(sortnet.theory.theorems.__path__):
        home = import_module(f"{sortnet.theory.theorems.__name__}.{module.name}")
        for name, function in inspect.getmembers(home, inspect.isfunction):
            mine = function.__module__ == home.__name__ and not name.startswith("_")
            if mine and "network" in inspect.signature(function).parameters:
                found.append(function)
    return found


@pytest.mark.parametrize("function", takers(), ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_a_function_is_no_network(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    given: dict[str, Any] = {
        p.name: None for p in parameters if p.default is p.empty and p.name != "network"
    }
    for other in (max, lambda x: (x[0], -x[0]), [1, 2]):
        with pytest.raises(TypeError, match=r"expected a network of .*exact_network\(model\)"):
            function(network=other, **given)


def test_a_torch_model_is_told_the_way() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"exact_network\(model\) of torch layers, got Sequential"):
        check_bound(torch.nn.Sequential(torch.nn.Linear(2, 2)), k=1)


def test_a_function_without_a_table_is_told_the_way() -> None:
    with pytest.raises(TypeError, match=r"BooleanFunction.from_callable\(4, g\), got function"):
        certified_radius(threshold_example(4, 1), lambda x: x[0])  # type: ignore[arg-type]


def test_there_are_many() -> None:
    assert len(takers()) > 25
