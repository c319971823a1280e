"""`sortnet reproduce`: every preset and row, what is not mixed, and what the table says."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from tiny import one_line_error

from sortnet.cli import reproduce as command
from sortnet.data.sets import DataSet, Split
from sortnet.models.net import build_model
from sortnet.training import (
    PRESETS,
    ROWS,
    Trainer,
    comparison_row,
    presets,
    reproduction,
    runs,
    settings_at,
)
from sortnet.training.objective import Objective


def toy(preset, side: int, channels: int, train: int = 96) -> DataSet:
    """Noise in the shape of the preset's images."""
    generator = np.random.default_rng(0)

    def split(n: int) -> Split:
        images = generator.integers(0, 256, (n, channels, side, side)).astype(np.uint8)
        return Split(images, np.arange(n) % 10)

    return DataSet(preset.data, split(train), split(20), 10)


SIDES = {"mnist": (28, 1), "fashion-mnist": (28, 1), "digits": (8, 1), "cifar10": (32, 3)}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_a_step_as_every_row(tmp_path, name):
    """At tiny width: network, objective and recipe of each row fit together, forward and back."""
    full = PRESETS[name]
    model = {**full.model, "width": 7}
    if "hidden" in model:
        model["hidden"] = 6
    if "stem" in model:
        model["stem"] = {**model["stem"], "channels": 6}
    small = dataclasses.replace(full, model=model)
    small = small.override(["recipe.batch_size=32"])
    data = toy(small, *SIDES.get(full.data, (64, 3)))
    for row in ROWS:
        chosen = comparison_row(small, row)
        config = runs.new_config(chosen, data)
        if config.model.stem is not None:  # as wide as the image: as in the paper, slow
            Objective(build_model(config.model), chosen.recipe)
            continue
        trainer = Trainer(config, data, tmp_path / row)
        x, y = trainer.batches[0]
        for epoch in (0.0, chosen.recipe.epochs / 2, chosen.recipe.epochs):
            loss, _ = trainer.train_step(x, y, settings_at(chosen.recipe, epoch))
            assert np.isfinite(loss), row


def test_affine_rows_of_a_net_with_a_head_keep_its_radius():
    headed, plain = PRESETS["cifar10-8/255-mlp"], PRESETS["cifar10-8/255"]
    for row in ("groupsort", "maxmin", "standard-relu", "standard-pwl"):
        recipe = comparison_row(headed, row).recipe
        assert (recipe.objective, recipe.eps_ramp, recipe.eps_train) == ("margin", 0, "88/2550")
        assert comparison_row(plain, row).recipe.eps_train == "4/85"  # half of 24/255
    assert comparison_row(headed, "ibp-relu").recipe.objective == "ibp"
    assert comparison_row(headed, "linf-dist").recipe.objective == "worst-case"


def test_a_row_that_cannot_be_built_is_refused_before_the_first_training(run_cli, monkeypatch):
    wide = tiny.preset()
    monkeypatch.setitem(presets.PRESETS, "tiny", dataclasses.replace(wide, name="tiny"))
    real = reproduction.runs.model_config

    def broken(preset, data):
        if preset.name.endswith("standard-pwl"):  # the last of the rows that are asked for
            raise ValueError("does not fit")
        return real(preset, data)

    monkeypatch.setattr(runs, "model_config", broken)
    monkeypatch.setattr(Trainer, "run", lambda *_: pytest.fail("trained before all was built"))
    rows = ("--row", "sortnet", "--row", "standard-pwl")
    one_line_error(run_cli("reproduce", "tiny", "--budget", "1s", *rows), "standard-pwl", "not fit")


def test_reproduce_writes_the_table_and_goes_on_where_it_stopped(run_cli, tmp_path):
    arguments = ["reproduce", "tiny", "--budget", "1s", "--seeds", "2", "--pgd-samples", "40"]
    arguments += ["--row", "sortnet", "--row", "groupsort", "--out", "all", "--json", "r.json"]
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    table = json.loads((tmp_path / "r.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["sortnet", "groupsort"]
    for row in table["rows"]:
        assert [run["seed"] for run in row["runs"]] == [0, 1]
        for eps in ("0.05", "0.1"):
            assert 0 <= row["certified"][eps]["mean"] <= row["clean"]["mean"]
            assert 0 <= row["pgd"][eps]["mean"] <= 1
    assert table["eps"] == ["0.05", "0.1"] and table["total_seconds"] >= 4 * 0.5
    assert (tmp_path / "all" / "table.md").read_text().count("±") >= 6
    assert (tmp_path / "all" / "table.png").stat().st_size > 0
    weights = (tmp_path / "all" / "sortnet-seed0" / runs.WEIGHTS).stat().st_mtime_ns
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    assert (tmp_path / "all" / "sortnet-seed0" / runs.WEIGHTS).stat().st_mtime_ns == weights
    metrics = tmp_path / "all" / "sortnet-seed0" / runs.METRICS
    rows = runs.read_metrics(metrics.parent)
    runs.write_metrics(metrics.parent, [*rows[:-1], {"evaluation": {}}])
    one_line_error(run_cli(*arguments), "metrics.jsonl: damaged")
    metrics.write_text(metrics.read_text()[:-5])  # cut by a crash: evaluated again
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    assert (
        runs.read_metrics(metrics.parent)[-1]["evaluation"]["clean"]
        == rows[-1]["evaluation"]["clean"]
    )


def test_a_busy_moment_does_not_shorten_a_run(monkeypatch):
    """One step in six takes a hundred times as long; the speed is that of the others."""
    clock, steps = [0.0], [0]

    def step(*_: object) -> None:
        steps[0] += 1
        clock[0] += 10.0 if steps[0] % 6 == 0 else 0.1

    monkeypatch.setattr(reproduction, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Trainer, "train_step", step)
    epochs, _ = reproduction.measure(tiny.config(), tiny.dataset(), budget=40.0)
    assert epochs == pytest.approx(0.9 * 40.0 / (4 * 0.1))  # 4 steps an epoch


def test_reproduce_mixes_neither_budgets_nor_recipes(run_cli, monkeypatch):
    arguments = ["reproduce", "tiny", "--seeds", "1", "--pgd-samples", "1", "--row", "maxmin"]
    arguments += ["--out", "a folder", "--budget"]
    code, _, err = run_cli(*arguments, "1s")
    assert code == 0, err
    one_line_error(run_cli(*arguments, "2s"), "a folder", "1 s", "--out")
    changed = dataclasses.replace(tiny.preset(betas=(0.9, 0.98)), name="tiny")
    monkeypatch.setitem(presets.PRESETS, "tiny", changed)
    one_line_error(run_cli(*arguments, "1s"), "maxmin-seed0", "another recipe", "--out")


def test_reproduce_mixes_no_numbers_of_attacked_images(run_cli, tmp_path):
    arguments = ["reproduce", "tiny", "--seeds", "1", "--row", "maxmin", "--budget", "1s"]
    code, _, err = run_cli(*arguments, "--pgd-samples", "9")
    assert code == 0, err
    for other in ("8", "40"):
        result = run_cli(*arguments, "--pgd-samples", other)
        one_line_error(result, "--pgd-samples 9", f"not {other}", "--out")
    folder = tmp_path / "runs" / "reproduce-tiny"
    text = (folder / "table.md").read_text()
    assert "±" not in text and "seed 0" in text  # one seed has no deviation
    assert "PGD 0.05 | certified 0.05 | PGD 0.1 | certified 0.1" in text
    assert "s of training and evaluation in all" in text
    (folder / "table.json").unlink()  # and by the runs alone
    metrics = runs.read_metrics(folder / "maxmin-seed0")
    metrics[-1]["evaluation"]["pgd_samples"] = 5
    code, _, err = run_cli(*arguments, "--row", "sortnet", "--pgd-samples", "9")
    assert code == 0, err
    runs.write_metrics(folder / "maxmin-seed0", metrics)
    one_line_error(run_cli(*arguments, "--row", "sortnet", "--pgd-samples", "9"), "5 and 9 images")


def work(tmp_path, **more):
    base = tiny.preset()
    row = comparison_row(base, "sortnet")
    fields = {"seeds": 1, "budget": 100.0, "pgd_samples": 30, **more}
    return reproduction.Reproduction(base, (row,), folder=tmp_path, **fields)


def test_the_attack_takes_at_most_half_of_the_budget(tmp_path, monkeypatch):
    for seconds, images in ((0.001, 30), (2.5, 20), (50.0, 1), (1000.0, 1)):
        monkeypatch.setattr(reproduction, "measure", lambda *_, s=seconds: (3.0, s))
        plan = work(tmp_path).plan(tiny.dataset(), lambda *_: None)
        assert (plan.attacked, plan.epochs) == (images, {"sortnet:sortnet": 3.0})


def test_the_attack_is_timed(monkeypatch):
    """Four of a hundred steps, all test images, both radii."""
    clock = [0.0]

    def attack(net, x, y, eps, steps):
        assert (len(x), steps, net.training) == (40, 4, False)
        clock[0] += 0.8

    monkeypatch.setattr(reproduction, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(reproduction, "pgd", attack)
    monkeypatch.setattr(Trainer, "train_step", lambda *_: clock.__setitem__(0, clock[0] + 0.1))
    _, seconds = reproduction.measure(tiny.config(), tiny.dataset(), 10.0)
    assert seconds == pytest.approx(0.8 / 40 * 25 * 2)


def test_a_comparison_of_networks_with_windows_goes_on(tmp_path):
    """Sides of windows are a tuple in the preset and a list in the file: the same recipe."""
    base = tiny.preset("sortnet-morphology")
    plan = work(tmp_path)
    plan = dataclasses.replace(plan, base=base, rows=(comparison_row(base, "sortnet"),))
    (_, row, place) = next(iter(plan.runs()))
    place.mkdir()
    runs.write_config(place, runs.new_config(row.scaled(2.0), tiny.dataset()))
    plan.check()


def test_a_row_that_never_learned_says_so(tmp_path):
    data = tiny.dataset()
    blind = np.bincount(data.test.labels).max() / len(data.test)
    result = {
        "epochs": 1.0, "training_seconds": 3000.0, "evaluation_seconds": 1200.0, "pgd_samples": 2,
        "pgd": {"0.05": 0.1, "0.1": 0.1}, "certified": {"0.05": 0.1, "0.1": 0.0}, "samples": 40,
    }  # fmt: skip
    for clean, learned in ((blind, False), (blind + 0.01, False), (0.99, True)):
        runs_done = {"sortnet:sortnet": [{"seed": 0, **result, "clean": clean}]}
        document = work(tmp_path).document(data, runs_done)
        assert document["rows"][0]["runs"][0]["learned"] is learned
        text = command._markdown(document)
        assert ("Never learned: sortnet (seed 0)" in text) is not learned
        assert "1.17 h of training and evaluation" in text


def test_finished_runs_are_read_by_their_keys(tmp_path):
    assert reproduction.finished_run(tmp_path) is None
    runs.write_metrics(tmp_path, [{"epoch": 1, "seconds": 2.0}, {"evaluation": {"clean": 1}}])
    with pytest.raises(runs.RunError, match="damaged"):
        reproduction.finished_run(tmp_path)
