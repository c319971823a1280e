import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from windows_rules import windows_rules

from sortnet.data.batches import TrainingBatches
from sortnet.data.images import ImageFiles
from sortnet.data.split import Split
from sortnet.training import losses, runs, schedule
from sortnet.training.objective import Objective
from sortnet.training.schedule import settings_at
from sortnet.training.trainer import (
    InterruptedTrainingError,
    Trainer,
    TrainingDivergedError,
)


def trainer(folder: Path, family: str = "sortnet", seed: int = 0, **recipe: object) -> Trainer:
    config = tiny.config(tiny.preset(family, **recipe), seed)
    return Trainer(config, tiny.dataset(), folder)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return runs.read_tensors(folder / runs.WEIGHTS)[0]


# Losses after 1, 15 and 30 steps, float32 on CPU. A refactoring must not change them.
TRACES = json.loads((Path(__file__).parent / "loss_traces.json").read_text())


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_loss_trace_of_30_steps_is_unchanged(tmp_path, family):
    run = trainer(tmp_path, family, epochs=8.0, p_ramp=(1.0, 6.0))
    seen = []
    for step in range(30):
        x, y = run.batches[step]
        loss, _ = run.train_step(x, y, settings_at(run.recipe, step / 4))
        run.step += 1
        seen.append(loss)
    # Compilers, instruction sets and older torch round differently; a changed recipe differs more.
    rel = 1e-2 if "SORTNET_LOWEST" in os.environ else 2e-3
    assert [seen[i] for i in (0, 14, 29)] == pytest.approx(TRACES[family], rel=rel)


def test_training_separates_the_bars_and_leaves_a_loadable_run(tmp_path):
    run = trainer(tmp_path, epochs=40.0, p_ramp=(2.0, 36.0), lr=0.05)
    model = run.run()
    loaded, config = runs.load_run(tmp_path)
    x, y = torch.from_numpy(run.data.test.floats()), torch.from_numpy(run.data.test.labels)
    assert torch.equal(loaded(x), model(x))
    assert (loaded(x).argmax(1) == y).float().mean() > 0.9
    assert config == run.config
    rows = runs.read_metrics(tmp_path)
    assert rows[-1]["step"] == run.batches.steps and 0 <= rows[-1]["certified"] <= 1
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("family", ["sortnet", "sortnet-conv", "sortnet-morphology", "ibp-relu"])
def test_resumed_run_is_bit_identical(tmp_path, family):
    recipe = {"ema": 0.9, "keep_ramp": (0.75, 4.0)}  # stops before and in the ramp
    trainer(tmp_path / "whole", family, **recipe).run()
    trainer(tmp_path / "parts", family, **recipe).run(until=2)
    for until in (11, None):
        part = trainer(tmp_path / "parts", family, **recipe)
        with windows_rules():  # the checkpoint that it resumed from is replaced
            part.resume()
            part.run(until=until)
    assert {layer.dropping for layer in part.net.modules() if hasattr(layer, "p")} <= {1.0}
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    steps = [row["step"] for row in runs.read_metrics(tmp_path / "parts")]
    assert steps == [row["step"] for row in runs.read_metrics(tmp_path / "whole")]


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
import tiny
from pathlib import Path
from sortnet.training import Trainer
run = Trainer(tiny.config(), tiny.dataset(), Path(sys.argv[2]), checkpoint_seconds=0)
run.resume()
run.run(lambda state: print(state.step, flush=True))
"""


def test_run_killed_with_sigkill_resumes_bit_identically(tmp_path):
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path / "killed")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 7:
            child.send_signal(signal.SIGKILL)
            break
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    again = trainer(tmp_path / "killed")
    again.resume()
    assert 5 <= again.step <= 8
    again.run()
    trainer(tmp_path / "whole").run()
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_interrupt_finishes_the_step_and_writes_a_checkpoint(tmp_path):
    run = trainer(tmp_path)

    def interrupt(state) -> None:
        if state.step == 6:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedTrainingError):
        run.run(interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    again = trainer(tmp_path)
    again.resume()
    assert again.step == 6
    assert not (tmp_path / runs.WEIGHTS).exists()


def test_nan_stops_with_step_and_layer(tmp_path):
    run = trainer(tmp_path)

    def poison(state) -> None:
        if state.step == 3:
            with torch.no_grad():
                run.net.layers[4].weight[0, 0] = math.nan

    with pytest.raises(TrainingDivergedError, match=r"step 3: parameter layers\.4\.weight"):
        run.run(poison)
    run = trainer(tmp_path / "other")
    run.net.layers[3].register_forward_hook(lambda layer, args, out: out * math.inf)
    with pytest.raises(TrainingDivergedError, match=r"step 0: the output of layer layers\.3 \(Me"):
        run.run()


def test_two_processes_train_as_one(tmp_path):
    script = Path(__file__).parent / "two_processes.py"
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node=2",
            "--master-port=0",
            "--rdzv-backend=c10d",
            "--rdzv-endpoint=localhost:0",
            str(script),
            str(tmp_path / "two"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    one = trainer(tmp_path / "one")
    one.log_steps = 1
    one.run()
    rows = [runs.read_metrics(tmp_path / name) for name in ("one", "two")]
    assert len(rows[0]) == len(rows[1]) == one.batches.steps
    for a, b in zip(*rows, strict=True):
        # Sums over the batch are taken in another order, nothing else differs.
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-3)


def test_compiled_step_trains_as_the_plain_one(tmp_path):
    with pytest.raises(ValueError, match="p_cheap"):
        Trainer(tiny.config(), tiny.dataset(), tmp_path, compile=True)
    plain = trainer(tmp_path / "a", p_cheap=True)
    compiled = Trainer(plain.config, plain.data, tmp_path / "b")
    # The backend without code generation: what is tested is that the step can be traced.
    compiled._run_step = torch.compile(compiled.objective, backend="aot_eager")
    for step in range(4):
        x, y = plain.batches[step]
        a, _ = plain.train_step(x, y, settings_at(plain.recipe, step / 4))
        b, _ = compiled.train_step(x, y, settings_at(plain.recipe, step / 4))
        plain.step = compiled.step = step + 1
        assert b == pytest.approx(a, rel=1e-5)


def test_bfloat16_leaves_distances_and_evaluation_in_float32(tmp_path):
    config = tiny.config(tiny.preset("sortnet-mlp"), precision="bfloat16")
    model = Trainer(config, tiny.dataset(), tmp_path).run()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    loaded, _ = runs.load_run(tmp_path)
    x = torch.from_numpy(tiny.dataset().test.floats())
    assert loaded(x).dtype == torch.float32


def test_batches_depend_on_seed_and_step_only():
    split = tiny.dataset().train
    recipe = dataclasses.replace(tiny.preset().recipe, crop=1, flip=True, batch_size=32)
    one = TrainingBatches(split, recipe, seed=3)
    x, y = one[9]
    again = TrainingBatches(split, recipe, seed=3)
    assert torch.equal(again[9][0], x)
    assert not torch.equal(TrainingBatches(split, recipe, seed=4)[9][0], x)
    halves = [TrainingBatches(split, recipe, 3, rank, 2)[9] for rank in (0, 1)]
    assert torch.equal(torch.cat([h[0] for h in halves]), x)
    assert torch.equal(torch.cat([h[1] for h in halves]), y)
    assert sorted(x for step in range(8) for x in one[step][1].tolist()) == sorted(
        split.labels.tolist()
    )
    with pytest.raises(ValueError, match="divisible"):
        TrainingBatches(split, recipe, 3, 0, 5)
    with pytest.raises(ValueError, match="empty"):
        TrainingBatches(split.take(np.arange(0)), recipe, 3)


def test_files_are_read_ahead_by_workers_with_the_same_result(tmp_path):
    from PIL import Image

    split = tiny.dataset(train=64).train
    for i, image in enumerate(split.images):
        Image.fromarray(image[0]).save(tmp_path / f"{i}.png")
    files = ImageFiles([tmp_path / f"{i}.png" for i in range(64)], (1, 6, 6))
    recipe = dataclasses.replace(tiny.preset().recipe, batch_size=32, epochs=1, p_ramp=(0, 1))
    held = TrainingBatches(split, recipe, 0)
    lazy = TrainingBatches(Split(files, split.labels), recipe, 0)
    for step, (x, y) in enumerate(lazy.loader(0, torch.device("cpu"))):
        assert torch.equal(x, held[step][0]) and torch.equal(y, held[step][1])
    assert step == 1


def test_schedules_meet_their_ends():
    recipe = tiny.preset(epochs=10.0, p_ramp=(1.0, 8.0), ce_weight=(0.1, 0.001)).recipe
    start, middle, late = (settings_at(recipe, e) for e in (0, 4.5, 9))
    assert (start.p, start.ce_weight, start.lr) == (8, 0.1, recipe.lr)
    assert middle.p == pytest.approx(math.sqrt(8 * 1000))
    assert late.p == math.inf and late.ce_weight == 0.001
    assert late.dropping == start.dropping == 1
    recipe = dataclasses.replace(recipe, keep_ramp=(2.0, 6.0))
    assert [settings_at(recipe, e).dropping for e in (0, 2, 3, 6, 9)] == [0, 0, 0.25, 1, 1]
    assert recipe.scaled(5).keep_ramp == (1.0, 3.0)
    step = dataclasses.replace(recipe, keep_ramp=(4.0, 4.0))
    assert [settings_at(step, e).dropping for e in (0, 3.9, 4, 9)] == [0, 0, 1, 1]
    assert schedule.cosine(10, 10) == 0 and schedule.cosine(0.5, 10, warmup=1) == 0.5
    assert schedule.smooth_ramp(0, 5) == 0 and schedule.smooth_ramp(5, 5) == 1
    step = 1e-6
    for t in (0.4, 0.9):  # continuous with its slope, also at the bend
        left = (schedule.smooth_ramp(t, 1) - schedule.smooth_ramp(t - step, 1)) / step
        right = (schedule.smooth_ramp(t + step, 1) - schedule.smooth_ramp(t, 1)) / step
        assert left == pytest.approx(right, rel=1e-3)
    assert [schedule.cheap_power(p) for p in (1, 2.9, 3, 8, 11.9, 12, 1000)] == [
        1,
        2,
        3,
        8,
        8,
        12,
        768,
    ]


def test_losses_on_hand_made_logits():
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.5, 0.25], [1.0, 0.0, 2.0]])
    labels = torch.tensor([0, 1, 0])
    assert losses.margins(logits, labels).tolist() == [2.0, 0.25, -1.0]
    # certified, half-way (1 - 0.25/1), hopeless
    assert float(losses.clipped_hinge(logits, labels, 0.5)) == pytest.approx((0 + 0.75 + 1) / 3)
    worst = torch.tensor([[0.0, 0.5, 2.0], [0.1, 0.0, -0.5], [0.0, -1.0, -3.0]])
    expected = (0.5 + 1.5 + 0) / 3  # the misclassified sample does not pull
    assert float(losses.worst_case_hinge(logits, worst, labels)) == pytest.approx(expected)
    plain = torch.nn.functional.cross_entropy(logits, labels)
    assert losses.interval_cross_entropy(logits, worst, labels, 0.0) == plain


def test_objective_refuses_a_loss_that_does_not_fit():
    config = tiny.config(tiny.preset("sortnet"))
    from sortnet.models import build_model

    recipe = dataclasses.replace(config.preset.recipe, objective="ibp")
    with pytest.raises(ValueError, match="needs 'margin'"):
        Objective(build_model(config.model), recipe)


def test_read_only_folder_and_full_disk_are_one_line(tmp_path, monkeypatch):
    run = trainer(tmp_path / "run")

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_file", no_space)
        with pytest.raises(OSError, match="disk full"):
            run.run(until=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write to"):
        trainer(tmp_path / "file" / "run")
    assert not [p for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]


def test_another_run_is_not_resumed(tmp_path):
    trainer(tmp_path).run(until=3)
    for other, words in (
        (tiny.config(tiny.preset(lr=0.5)), r"preset\.recipe\.lr 0\.02, not 0\.5"),
        (tiny.config(seed=3), "seed 0, not 3"),
        (tiny.config(precision="bfloat16"), "precision float32, not bfloat16"),
        (tiny.config(hold_out=0.25), r"hold_out 0\.0, not 0\.25"),
        (
            tiny.config(tiny.preset().override(["model.top_k=3"])),
            r"model\.top_k 10, not 3",
        ),
    ):
        with pytest.raises(runs.RunError, match=f"holds a run with {words}"):
            Trainer(other, tiny.dataset(), tmp_path).resume()
    moved = dataclasses.replace(tiny.config(), data_root="/elsewhere", environment={"torch": "9"})
    again = Trainer(moved, tiny.dataset(), tmp_path)
    again.resume()
    assert again.step == 3
    (tmp_path / runs.CONFIG).unlink()  # whose weights these are, nothing says any more
    with pytest.raises(runs.RunError, match=r"config\.json is missing"):
        Trainer(tiny.config(), tiny.dataset(), tmp_path).resume()


def half_clipped(logits: torch.Tensor, labels: torch.Tensor, eps: float) -> torch.Tensor:
    return 0.5 * losses.clipped_hinge(logits, labels, eps)


@pytest.mark.parametrize("family", ["sortnet", "sortnet-mlp", "maxmin", "ibp-relu"])
def test_an_own_loss_trains_and_is_named(tmp_path, family):
    seen = []

    class Counted:
        def __call__(self, logits, labels, eps):
            seen.append((logits.shape, labels.dtype, eps))
            return torch.nn.functional.cross_entropy(10 * logits, labels)

    config = tiny.config(tiny.preset(family))
    run = Trainer(config, tiny.dataset(), tmp_path / "a", loss=Counted())
    run.run(until=2)
    assert seen[0][:2] == ((64, 3), torch.int64) and len(seen) == 2
    assert "Counted" in runs.read_config(tmp_path / "a").loss
    with pytest.raises(runs.RunError, match=r"loss .*Counted, not None"):
        Trainer(config, tiny.dataset(), tmp_path / "a").resume()
    again = Trainer(config, tiny.dataset(), tmp_path / "a", loss=Counted())
    again.resume()
    again.run()
    assert runs.load_run(tmp_path / "a")[1].loss == run.config.loss


def test_an_own_loss_gets_the_radius_in_the_units_of_the_logits(tmp_path):
    """The recipe's hinge as an own loss is the recipe without cross entropy."""
    own = Trainer(tiny.config(), tiny.dataset(), tmp_path / "own", loss=losses.clipped_hinge)
    half = Trainer(tiny.config(), tiny.dataset(), tmp_path / "half", loss=half_clipped)
    faint = tiny.config(tiny.preset(ce_weight=(1e-30, 1e-30)))
    ours = Trainer(faint, tiny.dataset(), tmp_path / "ours")
    x, y = own.batches[0]
    settings = settings_at(own.recipe, 0)
    (a, _), (b, _) = own.train_step(x, y, settings), half.train_step(x, y, settings)
    c, _ = ours.train_step(x, y, settings_at(faint.preset.recipe, 0))
    assert a == pytest.approx(c) and b == pytest.approx(a / 2)


def test_damaged_checkpoints_are_refused(tmp_path):
    run = trainer(tmp_path)
    run.run(until=3)
    path = tmp_path / runs.CHECKPOINT
    tensors, metadata = runs.read_tensors(path)
    for change, meta, message in (
        ({"objective.net.layers.2.weight": torch.zeros(20, 36).int()}, {}, "is int32"),
        ({"average.layers.2.weight": torch.zeros(1)}, {}, "expected float32"),
        ({"optimizer.step.net.layers.2.weight": torch.tensor(math.inf)}, {}, "NaN or infinity"),
        ({}, {"step": "-1"}, "step -1 of 16"),
        ({}, {"step": "17"}, "step 17 of 16"),
        ({}, {"seconds": "nan"}, "nan s"),
        ({}, {"step": "x"}, "step and time"),
    ):
        runs.write_tensors(path, {**tensors, **change}, {**metadata, **meta})
        again = trainer(tmp_path)
        before = {k: v.clone() for k, v in again.objective.state_dict().items()}
        with pytest.raises(runs.RunError, match=f"does not fit this run: .*{message}"):
            again.resume()
        assert again.step == 0  # and nothing was taken from it
        assert all(torch.equal(v, before[k]) for k, v in again.objective.state_dict().items())


def test_damaged_metrics_are_read_up_to_the_damage(tmp_path):
    for text in ('{"step": 1}\n{"step": 2', '{"step": 1}\n5\n{}', '{"step": 1}\n\xff\xfe\n'):
        (tmp_path / runs.METRICS).write_bytes(text.encode("latin-1"))
        assert runs.read_metrics(tmp_path) == [{"step": 1}]


def test_means_that_are_not_finite_stop_the_end_of_training(tmp_path):
    run = trainer(tmp_path)
    first = run.net.layers[2]
    first.register_forward_hook(lambda layer, args, out: out if layer.training else out * math.nan)
    message = r"diverged by step 16: layer layers\.3 \(MeanShift\): the means of 20 of 20 units"
    with pytest.raises(TrainingDivergedError, match=message):
        run.run()
    assert not (tmp_path / runs.WEIGHTS).exists()
    assert all(bool(v.isfinite().all()) for v in run.net.state_dict().values())


def test_damaged_run_folders_are_refused(tmp_path):
    trainer(tmp_path).run()
    good = (tmp_path / runs.WEIGHTS).read_bytes()
    (tmp_path / runs.WEIGHTS).write_bytes(good[:-5])
    with pytest.raises(runs.RunError, match="damaged"):
        runs.load_run(tmp_path)
    (tmp_path / runs.WEIGHTS).write_bytes(b"\x80\x04pickle")
    with pytest.raises(runs.RunError, match="damaged or no safetensors"):
        runs.load_run(tmp_path)
    (tmp_path / runs.WEIGHTS).write_bytes(good)
    right = weights(tmp_path)
    name = "layers.2.weight"
    nan = right[name].clone()
    nan[0, 0] = math.nan
    for change, message in (
        ({name: right[name].int()}, r"layers\.2\.weight is int32 \[20, 36\], expected float32"),
        ({name: right[name].double()}, "is float64"),
        ({name: right[name][:5]}, r"is float32 \[5, 36\], expected float32 \[20, 36\]"),
        ({name: nan}, "holds NaN"),
        ({"a": torch.zeros(1)}, "a is unknown"),
    ):
        runs.write_tensors(tmp_path / runs.WEIGHTS, {**right, **change}, {})
        with pytest.raises(runs.RunError, match=f"does not fit config.json: .*{message}"):
            runs.load_run(tmp_path)
    del right[name]
    runs.write_tensors(tmp_path / runs.WEIGHTS, right, {})
    with pytest.raises(runs.RunError, match="is missing"):
        runs.load_run(tmp_path)
    (tmp_path / runs.WEIGHTS).unlink()
    with pytest.raises(runs.RunError, match="--resume"):
        runs.load_run(tmp_path)
    (tmp_path / runs.CHECKPOINT).write_bytes(good)
    with pytest.raises(runs.RunError, match="does not fit this run"):
        trainer(tmp_path).resume()
    config = json.loads((tmp_path / runs.CONFIG).read_text())
    for text, message in (
        ("{", "JSON"),
        ("{}", "format"),
        ("[" * 100_000, "JSON"),
        (json.dumps({**config, "seed": "x"}), "seed"),
        (json.dumps({**config, "seed": -1}), "seed"),
        (json.dumps({**config, "precision": "int8"}), "precision"),
        (json.dumps({**config, "model": {}}), "model"),
    ):
        (tmp_path / runs.CONFIG).write_text(text)
        with pytest.raises(runs.RunError, match=message):
            runs.load_run(tmp_path)
    with pytest.raises(runs.RunError, match="no run folder"):
        runs.load_run(tmp_path / "absent")
