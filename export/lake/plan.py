"""What a job over a lake has to do, and what of it is done: row groups in, one file each out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sortnet.base.files import create_json, write_json
from sortnet.data.folder import is_hidden
from sortnet.data.lake import Part, parts
from sortnet.data.lake_files import files, folders

MANIFEST = "_sortnet.json"
SUMMARY = "_summary.json"
FOOTER = b"sortnet.part"
"""Key of an output file's metadata that says what it was made of and what it counts."""

_TAIL = 8


class DifferentJobError(ValueError):
    """The folder holds the results of another job."""


@dataclass(frozen=True)
class Task:
    """A row group and where its results go.

    Attributes:
        part: the row group. file: its file's path below the lake, as the results name it.
        out: absolute path of the results. stamp: hash of job, row group, size and time of the
        file: results with another stamp are of something else, and made anew.
    """

    part: Part
    file: str
    out: str
    stamp: str

    def done(self) -> dict[str, Any] | None:
        """What the results count, where they are there and are those of this task."""
        from pyarrow import ArrowException, parquet

        try:
            with parquet.ParquetFile(self.out) as file:
                raw = (file.schema_arrow.metadata or {}).get(FOOTER, b"null")
        except (OSError, ArrowException):
            return None
        try:
            counts = json.loads(raw)
        except ValueError:
            return None
        fits = isinstance(counts, dict) and counts.get("stamp") == self.stamp
        return counts if fits else None


@dataclass(frozen=True)
class Plan:
    """What a job is to do, made without writing anything.

    Attributes:
        tasks: the row groups. damaged: files that cannot be read, each with its reason.
        out: the folder of the results. manifest: what is to be recorded there.
        left: absolute paths of the results of damaged files, without number and suffix.
    """

    tasks: list[Task]
    damaged: dict[str, str]
    out: Path
    manifest: dict[str, Any]
    left: list[Path]


def make_plan(data: Path, out: Path, job: Mapping[str, Any]) -> Plan:
    """Find the row groups of a lake, and refuse a folder that holds another job's results.

    The manifest, recorded before any work, holds the job and a fingerprint of each file: a hash of
    its size and of its footer, in which Parquet says where each column of each row group lies. A
    file that was unreadable may have been mended since.

    Args:
        data: a folder of Parquet files, or one. out: a folder, which need not be there.
        job: what the results depend on, for JSON.

    Raises:
        DifferentJobError: names what differs, with both values.
        FileNotFoundError, ImportError: as `sortnet.data.lake.parts`.
        ValueError: the results would lie in the lake.
    """
    root = Path(os.path.realpath(data))
    place = Path(os.path.realpath(out))
    if root.is_dir() and any(place.is_relative_to(real) for real in folders(root)):
        raise ValueError(f"{out} lies in the lake {data}; name another folder for the results")
    tasks: list[Task] = []
    damaged: dict[str, str] = {}
    left: list[Path] = []
    prints: dict[str, str | None] = {}
    key = json.dumps(job, sort_keys=True)
    for file in files(root):
        name = file.relative_to(root).as_posix() if root.is_dir() else file.name
        # Names of files may hold bytes that are no text.
        shown = name.encode("utf-8", "backslashreplace").decode()
        try:
            found = parts(file)
        except (ValueError, FileNotFoundError) as error:
            damaged[shown], prints[shown] = str(error), None
            left.append(out.absolute() / name)
            continue
        status = file.stat()
        prints[shown] = _fingerprint(file, status.st_size)
        for part in found:
            told = [key, name, part.group, part.rows, prints[shown], status.st_mtime_ns]
            stamp = hashlib.sha256(json.dumps(told).encode()).hexdigest()
            target = out.absolute() / f"{name}.{part.group:05d}.parquet"
            tasks.append(Task(part, shown, str(target), stamp))
    manifest = {"format": 1, "job": dict(job), "files": prints}
    if _recorded(out, manifest) is None and out.is_dir():
        # What is hidden may be the manifest that another process is just writing.
        strange = any(not is_hidden(place.name) for place in out.iterdir())
        if strange and not (out / MANIFEST).exists():
            raise DifferentJobError(
                f"{out} is not empty, and holds no {MANIFEST}; name another folder"
            )
    return Plan(tasks, damaged, out, manifest, left)


def record(plan: Plan) -> None:
    """Write the manifest, and remove what is there of files that are damaged by now.

    Of two jobs that begin at once one is the first; the other goes on if it is the same job.

    Raises:
        DifferentJobError: the folder holds another job by now. OSError: it cannot be written.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    path = plan.out / MANIFEST
    try:
        if not path.exists():
            create_json(path, plan.manifest)
    except FileExistsError:
        pass
    merged = _recorded(plan.out, plan.manifest)
    if merged is not None and merged != json.loads(path.read_text(encoding="utf-8")):
        write_json(path, merged)
    for place in plan.left:
        for old in place.parent.iterdir() if place.parent.is_dir() else ():
            number = old.name.removeprefix(f"{place.name}.").removesuffix(".parquet")
            if old.name == f"{place.name}.{number}.parquet" and number.isdecimal():
                old.unlink(missing_ok=True)


def _fingerprint(file: Path, size: int) -> str:
    with open(file, "rb") as stream:
        stream.seek(-_TAIL, os.SEEK_END)
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(-min(size, length + _TAIL), os.SEEK_END)
        return hashlib.sha256(size.to_bytes(8, "little") + stream.read()).hexdigest()


def _recorded(out: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest that is to replace the one in the folder; None where there is none.

    Raises:
        DifferentJobError: it is of another job. ValueError: it is damaged.
    """
    path = out / MANIFEST
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        differences = _differences(old, manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} is damaged; name another folder, or delete it") from None
    if differences:
        raise DifferentJobError(
            f"{out} holds the results of another job: {'; '.join(differences[:3])}; name "
            "another folder"
        )
    known = {name: value for name, value in old["files"].items() if value is not None}
    return {**manifest, "files": {**manifest["files"], **known}}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """In words, with the old and the new value."""
    out = []
    if old["format"] != new["format"]:
        out.append(f"format was {old['format']}, is {new['format']}")
    for name in sorted({*old["job"], *new["job"]}):
        was, now = old["job"].get(name), new["job"].get(name)
        if was != now:
            out.append(f"{name} was {json.dumps(was)}, is {json.dumps(now)}")
    for name in sorted({*old["files"], *new["files"]}):
        if name not in new["files"]:
            out.append(f"the file {name} was there, is gone")
        elif name not in old["files"]:
            out.append(f"the file {name} was not there, is now")
        else:
            was, now = old["files"][name], new["files"][name]
            if was is not None and now is not None and was != now:
                out.append(f"fingerprint of {name} was {was[:12]}, is {now[:12]}")
    return out
