"""A training that learned nothing says so, and what to do."""

import dataclasses

import numpy as np
import pytest
import tiny

from sortnet.cli.results import warn_idle
from sortnet.evaluation import Evaluation
from sortnet.training.reproduction import best_guess, majority


def found(clean: float, certified: dict[str, float]) -> Evaluation:
    nothing = np.zeros(40)
    return Evaluation(clean, {}, certified, 40, 0, 0.0, nothing, nothing > 0, {})


def test_one_step_learns_nothing(run_cli):
    short = ("train", "tiny", "--epochs", "0.25", "--set", "recipe.lr=1e-9", "--out", "short")
    code, _, err = run_cli(*short)
    assert code == 0
    said = " ".join(err.split())
    assert "warning: nothing was learned: clean accuracy" in said and "always naming one" in said
    assert "(--epochs; this run took 0.25 epochs, 1 steps)" in said
    assert "(--set recipe.eps_train=; this run: 0.15)" in said


@pytest.mark.parametrize("own", [True, False])
def test_certificates_no_better_than_those_of_a_constant(own, capsys):
    data = tiny.dataset()
    share, guess = majority(data.test), best_guess(data)
    assert 1 / 3 <= share < guess < 1
    preset = dataclasses.replace(tiny.preset(), name="own" if own else "tiny")
    config = tiny.config(preset)

    def said(clean: float, certified: dict[str, float]) -> str:
        warn_idle(found(clean, certified), config, data)
        return " ".join(capsys.readouterr().err.split())

    some = said(1.0, {"0.05": share + 0.01, "0.1": share, "0.2": 0.0})
    assert "no certificates worth having at eps 0.1, 0.2: always naming one class" in some
    assert ("(--eps; this run: 0.15)" in some) == own
    assert said(1.0, {"0.05": share + 0.01}) == ""
    assert "nothing was learned" in said(guess, {"0.05": 0.0})
    assert said(guess + 0.01, {}) == ""
