"""Run folders: what a training leaves behind. JSON and safetensors only, nothing is unpickled.

config.json           preset, model, seed, data: enough to rebuild and to resume
model.safetensors     weights as evaluated (written at the end)
checkpoint.safetensors   weights, optimizer and position of a run in progress
metrics.jsonl         one JSON object per line: training steps, then the evaluation
"""

from __future__ import annotations

import dataclasses
import errno
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sortnet import __version__
from sortnet.base.files import atomic_write
from sortnet.base.units import parse_eps
from sortnet.data.fingerprint import DataRows
from sortnet.data.schema import Schema
from sortnet.data.sets import DataSet
from sortnet.models import CertifiedNet, ModelConfig, build_model

from .own import regression_text
from .recipe import Preset, first_problem

_T = TypeVar("_T")

FORMAT = 1
CONFIG, WEIGHTS, CHECKPOINT, METRICS = (
    "config.json",
    "model.safetensors",
    "checkpoint.safetensors",
    "metrics.jsonl",
)
TRAINING_PLOT, ACCURACY_PLOT = "training.png", "accuracy.png"


class RunError(ValueError):
    """A run folder or a file in it is missing, damaged or foreign."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RunConfig:
    """All that determines a run, beside the data itself.

    Attributes:
        hold_out: part of the training split kept for model selection in place of the test split;
            0 evaluates on the test split.
        data_root: folder of the data set's files, absolute; None where it needs none. The
            preset's `data` has an absolute path too, if it has one.
        target, drop: of a table: the column of classes, and those that are left out.
        data_schema: shape, classes, class names ... of the data, `sortnet.data.Schema` as JSON;
            None in runs of version 0.1.
        data_rows: number of rows and a hash of each split, as the trainer found them; None in runs
            of older versions.
        loss: name of the user's own loss, or None for the preset's.
        environment: versions and machine, for the record.
    """

    preset: Preset
    model: ModelConfig
    seed: int = Field(default=0, ge=0, lt=2**63)
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    data_root: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    data_schema: dict[str, Any] | None = None
    data_rows: DataRows | None = None
    loss: str | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    environment: dict[str, str] = Field(default_factory=dict)
    format: int = FORMAT

    @property
    def schema(self) -> Schema | None:
        """What the network must remember of its data.

        Raises:
            RunError: damaged.
        """
        if self.data_schema is None:
            return None
        try:
            return Schema.from_json(self.data_schema)
        except ValueError as error:
            raise RunError(str(error)) from None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of the labels, where the data has names."""
        schema = self.schema
        return None if schema is None else schema.class_names

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of a table's columns, in the order of the features."""
        schema = self.schema
        return None if schema is None else schema.feature_names


def new_config(preset: Preset, data: DataSet, **more: Any) -> RunConfig:
    """The configuration of a new run of `preset` on `data`, here and now.

    Args:
        more: fields of `RunConfig`, such as seed and hold_out.

    Raises:
        ValueError: the preset's network does not fit the data; one line.
    """
    return RunConfig(
        preset=preset,
        model=model_config(preset, data),
        data_schema=data.schema.to_json(),
        environment=environment(),
        **more,
    )


def differences(before: Any, after: Any) -> list[tuple[str, object, object]]:
    """(field, value before, value after) wherever two presets or run configs differ.

    Tuples and lists, and numbers of the same value, count as the same, as they do in JSON.
    """
    old, new = _flat(dataclasses.asdict(before)), _flat(dataclasses.asdict(after))
    return [
        (name, old.get(name, "unset"), new.get(name, "unset"))
        for name in {**old, **new}
        if old.get(name, "unset") != new.get(name, "unset")
    ]


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in json.loads(json.dumps(document)).items():
        name = prefix + key
        flat |= _flat(value, name + ".") if isinstance(value, dict) else {name: value}
    return flat


def environment() -> dict[str, str]:
    """Versions and machine of this process."""
    return {
        "sortnet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
    }


def default_folder(preset: str) -> Path:
    """Where a run goes if nothing else is said: runs/NAME, with characters safe for file names."""
    return Path("runs") / "".join(c if c.isalnum() or c in "._-" else "-" for c in preset)


def own_files(folder: Path) -> list[Path]:
    """The files that a run writes into its folder."""
    names = (CONFIG, WEIGHTS, CHECKPOINT, METRICS, TRAINING_PLOT, ACCURACY_PLOT, "tensorboard")
    return [folder / name for name in names]


def write_config(folder: Path, config: RunConfig) -> None:
    """Write config.json (atomically)."""
    with clear_disk_errors(folder), atomic_write(folder / CONFIG) as path:
        path.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n", encoding="utf-8")


def read_config(folder: Path) -> RunConfig:
    """Read config.json.

    Raises:
        RunError: in one line, what is wrong.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise RunError(f"no run folder at {folder}")
    if not path.is_file():
        raise RunError(f"{folder} is no run folder: {CONFIG} is missing")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RunError(f"{path}: not a run config of format {FORMAT}")
    return validated(RunConfig, document, str(path))


def validated(kind: type[_T], document: object, where: str) -> _T:
    """`document` as the pydantic dataclass `kind`.

    Raises:
        RunError: in one line, where and which field is wrong.
    """
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as error:
        raise RunError(f"{where}: {first_problem(error, kind)}") from None


def model_config(preset: Preset, data: DataSet) -> ModelConfig:
    """The preset's network for this data, which gives shape, classes, mean and std left open.

    Raises:
        ValueError: a field is unknown or out of range; one line.
    """
    if data.regression:
        raise ValueError(regression_text(data.name))
    if len(data.input_shape) != 3 and "box" not in preset.model:
        raise ValueError(
            f"preset {preset.name} classifies images [C, H, W]; {data.name} is classes of samples "
            f"{list(data.input_shape)}: `sortnet train own --data ...` chooses a network for them"
        )
    fields = dict(preset.model)
    fields.setdefault("input_shape", data.input_shape)
    fields.setdefault("classes", data.classes)
    if "mean" not in fields or "std" not in fields:
        mean, std = data.statistics()
        fields.setdefault("mean", round(sum(mean) / len(mean), 6))
        fields.setdefault("std", std)
    config = validated(ModelConfig, fields, f"model of preset {preset.name}")
    if config.input.images:
        for eps in (preset.recipe.eps_train, *preset.recipe.eps_test):
            parse_eps(eps)  # of pixels: at most 1
    return config


def write_model(folder: Path, model: CertifiedNet) -> None:
    """Write model.safetensors (atomically)."""
    write_tensors(folder / WEIGHTS, model.state_dict(), {"format": str(FORMAT)})


def load_run(folder: str | Path) -> tuple[CertifiedNet, RunConfig]:
    """The trained network of a finished run, in evaluation mode, on the CPU.

    Raises:
        RunError: folder, config or weights missing, damaged or not belonging together.
    """
    folder = Path(folder)
    config = read_config(folder)
    if not (folder / WEIGHTS).is_file():
        unfinished = (folder / CHECKPOINT).is_file()
        hint = "; training is unfinished, continue it with --resume" if unfinished else ""
        raise RunError(f"{folder} has no {WEIGHTS}{hint}")
    tensors, _ = read_tensors(folder / WEIGHTS)
    try:
        model = build_model(config.model)
    except ValueError as error:
        raise RunError(f"{folder / CONFIG}: {error}") from None
    check_tensors(tensors, model.state_dict(), f"{folder / WEIGHTS} does not fit {CONFIG}")
    model.load_state_dict(tensors)
    return model.eval(), config


def check_tensors(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor], problem: str) -> None:
    """Check that `tensors` has the names, dtypes and shapes of `like`, and finite values.

    Raises:
        RunError: `problem`, and the first difference.
    """
    for name, expected in like.items():
        if name not in tensors:
            raise RunError(f"{problem}: {name} is missing")
        found = tensors[name]
        if (found.dtype, found.shape) != (expected.dtype, expected.shape):
            raise RunError(f"{problem}: {name} is {_kind(found)}, expected {_kind(expected)}")
        if not bool(found.isfinite().all()):
            raise RunError(f"{problem}: {name} holds NaN or infinity")
    for name in tensors.keys() - like.keys():
        raise RunError(f"{problem}: {name} is unknown")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file (atomically).

    Raises:
        OSError: disk full, no permission: one line with the path.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with clear_disk_errors(path.parent), atomic_write(path) as temporary:
        save_file(plain, temporary, metadata)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: tensors and metadata.

    Raises:
        RunError: missing, truncated or of another format.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            # Copies: those given are the mapped file, which Windows lets nobody replace meanwhile.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except FileNotFoundError:
        raise RunError(f"no such file: {path}") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged or no safetensors file ({error})") from None


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    """Append one line to metrics.jsonl."""
    with clear_disk_errors(folder), open(folder / METRICS, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def write_metrics(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replace metrics.jsonl (atomically)."""
    with clear_disk_errors(folder), atomic_write(folder / METRICS) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of metrics.jsonl, up to the first that is cut by a crash or damaged."""
    path = folder / METRICS
    rows: list[dict[str, Any]] = []
    for line in (
        path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ()
    ):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


@contextmanager
def clear_disk_errors(folder: Path) -> Iterator[None]:
    """Turn a failed write, whoever reports it, into one OSError that names the folder."""
    try:
        yield
    except SafetensorError as error:
        full = "No space left" in str(error) or "code: 28" in str(error)
        reason = "disk full" if full else str(error)
        raise OSError(f"cannot write to {folder}: {reason}") from None
    except OSError as error:
        reason = "disk full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise OSError(error.errno, f"cannot write to {folder}: {reason}") from None
