"""What Windows forbids and Linux allows: to replace, move or remove a file that is open or mapped.

With SORTNET_WINDOWS_RULES=1 in the environment conftest.py enforces it on a whole run of tests, in
this process. Python opens files without the permission to delete them, so that Windows answers
"access denied" or "used by another process", both a PermissionError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

_OPEN = "/proc/self/fd"
_MAPPED = "/proc/self/maps"


def in_use(path: str) -> bool:
    """Whether this process has the file of this path open or mapped."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    wanted = (status.st_dev, status.st_ino)
    for name in os.listdir(_OPEN):
        try:
            held = os.stat(f"{_OPEN}/{name}")
        except OSError:  # that of the list itself
            continue
        if (held.st_dev, held.st_ino) == wanted:
            return True
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    with open(_MAPPED, encoding="utf-8", errors="replace") as maps:
        return any(line.split()[3:5] == [device, str(status.st_ino)] for line in maps)


@contextmanager
def windows_rules() -> Iterator[None]:
    """Inside, os.replace, os.rename, os.unlink and os.remove refuse files that are in use."""

    def strict(call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*places: Any, **options: Any) -> Any:
            folders = [options.get("dir_fd", options.get("src_dir_fd")), options.get("dst_dir_fd")]
            for place, folder in zip(places, folders, strict=False):
                name = os.fsdecode(place)
                path = name if folder is None else f"{_OPEN}/{folder}/{name}"
                if not os.path.islink(path) and not os.path.isdir(path) and in_use(path):
                    raise PermissionError(errno.EACCES, "in use, which Windows forbids", name)
            return call(*places, **options)

        return checked

    with (
        patch.object(os, "replace", strict(os.replace)),
        patch.object(os, "rename", strict(os.rename)),
        patch.object(os, "unlink", strict(os.unlink)),
        patch.object(os, "remove", strict(os.remove)),
    ):
        yield
