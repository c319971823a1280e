"""Files that are written whole or not at all; a command's outputs, checked before its work."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_WINDOWS = os.name == "nt"


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a temporary file to write, and move it to ``path`` if the block succeeds.

    On any exception, Ctrl-C included, the temporary file is removed and ``path`` is as it was.
    When the block has ended, file and folder are on the disk (fsync). The file has the permissions
    of any new file. The temporary name keeps the suffix, for writers that choose the format by it.
    Where ``path`` is a link, the file that it points to is replaced.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary(target.parent, target)
    try:
        yield temporary
        # First the bytes, then the name: after a power loss the name holds the old file or the new.
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def write_json(path: Path | None, document: object) -> None:
    """Write a JSON file (atomically) if a path is given."""
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def create_json(path: Path, document: object) -> None:
    """Write a JSON file whole, unless there is one: of several processes one succeeds.

    Raises:
        FileExistsError: there is one. OSError: the folder cannot be written.
    """
    temporary = _temporary(path.parent, path)
    text = json.dumps(document, indent=2) + "\n"
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
            _sync(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def check_outputs(
    outputs: Mapping[str, Path | None],
    *,
    folder: Path | None = None,
    inputs: Iterable[Path] = (),
    data: Path | None = None,
) -> None:
    """Refuse output files that cannot be written, or that would replace what a command needs.

    Every command calls this before its work. Nothing is left behind.

    Args:
        outputs: name of the option -> its file, None where the option is not given.
        folder: a folder that the command makes, with its parents, and fills; outputs may lie in it.
        inputs: files that the command reads, or writes into `folder` by itself.
        data: a folder that the command reads; of its files only .json ones are ever replaced.

    Raises:
        OSError: a folder is missing or cannot be written, or an output is no regular file.
        ValueError: an output is an input or another output.
    """
    made = None if folder is None else Path(os.path.realpath(folder))
    if folder is not None and made is not None:
        problem = f"cannot write to {folder}"
        there = _existing(made)
        if not os.path.isdir(there):
            raise NotADirectoryError(f"{problem}: {there} is not a folder")
        if os.path.islink(folder) and not made.exists():
            raise NotADirectoryError(f"{problem}: it is a link to nowhere")
        _try_to_write(problem, there, made)
    taken = {os.path.realpath(path): f"the file {path} of this command" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        target = Path(os.path.realpath(path))
        if os.path.isdir(target) or (made is not None and made.is_relative_to(target)):
            raise IsADirectoryError(f"{option}: {path} is a folder, expected a file")
        if str(target) in taken:
            raise ValueError(f"{option}: {path} is {taken[str(target)]}; name another file")
        taken[str(target)] = f"written by {option} already"
        if os.path.exists(target):
            if not os.path.isfile(target):
                raise OSError(f"{option}: {path} is not a regular file")
            if not os.access(target, os.W_OK):
                raise PermissionError(f"{option}: {path} is write-protected")
            home = None if data is None else os.path.realpath(data)
            if home is not None and target.is_relative_to(home) and target.suffix != ".json":
                raise ValueError(f"{option}: {path} is a file of the data folder {data}")
        parent = target.parent
        if made is not None and parent == made:
            parent = _existing(made)
        elif not os.path.isdir(parent):
            raise FileNotFoundError(f"{option}: the folder {path.parent} does not exist")
        _try_to_write(f"{option}: cannot write {path}", parent, target)


def _existing(path: Path) -> Path:
    """The path itself or the nearest of its parents that exists."""
    return next(place for place in (path, *path.parents) if os.path.exists(place))


def _try_to_write(problem: str, folder: Path, target: Path) -> None:
    # Asking the system for permissions misses read-only mounts and too long names.
    try:
        _temporary(folder, target).unlink()
    except OSError as error:
        raise OSError(f"{problem}: {error.strerror or error}") from None


def _temporary(folder: Path, target: Path) -> Path:
    """A new empty file in `folder`, named after `target`, with the permissions of any new file."""
    while True:
        path = folder / f".{target.stem}.{secrets.token_hex(4)}{target.suffix}"
        try:
            # The system applies the umask; reading it would change it for all threads.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return path


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    if _WINDOWS and path.is_dir():
        return  # Windows opens no folders, and its file system keeps a journal of names
    handle = os.open(
        path, os.O_RDWR if _WINDOWS else os.O_RDONLY
    )  # it syncs only what it may write
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot do it for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(handle)
