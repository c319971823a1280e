"""Files written whole or not at all, and outputs checked before the work."""

import fcntl
import mmap
import os
from pathlib import Path

import pytest
from windows_rules import windows_rules

from sortnet.base import files
from sortnet.base.files import atomic_write, check_outputs


def tree(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, problem):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(problem), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise problem
    assert (tmp_path / "a.txt").read_text() == "old" and tree(tmp_path) == {str(tmp_path / "a.txt")}


def test_the_umask_is_applied_and_never_touched(tmp_path, monkeypatch):
    """Reading it means changing it, and for that moment other threads make readable files."""
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o027, 0o640), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "umask", lambda _: pytest.fail("touched"))
                path = tmp_path / f"{mask}.txt"
                with atomic_write(path) as temporary:
                    temporary.write_text("new")
                check_outputs({"--json": tmp_path / "other.json"})
            assert path.stat().st_mode & 0o777 == mode
        finally:
            os.umask(before)


def test_bytes_are_on_the_disk_before_the_name_is_and_then_the_name(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace

    def synced(handle):
        done.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    def replaced(old, new):
        done.append((str(old), str(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    path = str(tmp_path / "a.txt")
    assert done == [str(temporary), (str(temporary), path), str(tmp_path)]


def test_windows_syncs_no_folder_and_only_what_it_may_write(tmp_path, monkeypatch):
    """There os.open refuses folders, and os.fsync handles that only read."""
    opened, synced = os.open, []

    def strict(path, flags, *mode):
        assert not os.path.isdir(path)
        return opened(path, flags, *mode)

    def sync(handle):
        synced.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "open", strict)
    monkeypatch.setattr(os, "fsync", sync)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new" and synced == [os.O_RDWR]


def test_what_windows_forbids_is_seen(tmp_path):
    """The rules themselves: a file that is open or mapped is not replaced, moved or removed."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("old")
    other.write_text("other")
    with windows_rules():
        with open(path, "rb") as file:
            for forbidden in (
                lambda: other.replace(path),
                lambda: path.rename(tmp_path / "c"),
                path.unlink,
                lambda: os.remove(path),
            ):
                with pytest.raises(PermissionError, match="Windows"):
                    forbidden()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with pytest.raises(PermissionError, match="Windows"):
            other.replace(path)
        mapped.close()
        with atomic_write(path) as temporary:
            temporary.write_text("new")
        other.replace(path)
        path.unlink()


def test_a_disk_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")

    def fail(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with (
        pytest.raises(OSError, match="Input/output"),
        atomic_write(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "old" and tree(tmp_path) == {str(tmp_path / "a.txt")}


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "far" / "a.txt")
    with atomic_write(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "far" / "a.txt").read_text() == "new"


def test_good_outputs_pass_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old.json").write_text("{}")
    before = tree(tmp_path)
    check_outputs(
        {"--json": Path("old.json"), "--plot": Path("a b.png"), "-o": None},
        inputs=[tmp_path / "data.npz"],
    )
    inside = {"--json": Path("new/run/result.json")}  # a folder that the command makes
    check_outputs(inside, folder=Path("new/run"), inputs=[Path("new/run/config.json")])
    check_outputs({"--json": Path("data/old.json")}, data=Path("data"))
    check_outputs({})
    assert tree(tmp_path) == before


def test_outputs_that_cannot_be_written_are_refused_by_option(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "none" / "a.json", r"--json: the folder .*none does not exist"),
        (tmp_path / "file" / "a.json", r"--json: the folder .*file does not exist"),
        (tmp_path / "folder", "--json: .* is a folder"),
        (tmp_path / "pipe", "--json: .* is not a regular file"),
        (tmp_path / ("a" * 300), "--json: cannot write .*: File name too long"),
        (Path("/proc/self/a.json"), "--json: cannot write /proc/self/a.json"),
    ):
        with pytest.raises(OSError, match=message):
            check_outputs({"--json": path})
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="not a folder"):
            check_outputs({}, folder=folder)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(OSError, match="a link to nowhere"):
        check_outputs({}, folder=tmp_path / "dangling")
    with pytest.raises(OSError, match=r"cannot write to /proc/self/run"):
        check_outputs({}, folder=Path("/proc/self/run"))
    for path in (tmp_path / "new" / "run", tmp_path / "new"):  # the folder itself, and above it
        with pytest.raises(OSError, match="is a folder"):
            check_outputs({"--json": path}, folder=tmp_path / "new" / "run")
    with pytest.raises(OSError, match="does not exist"):
        check_outputs({"--json": tmp_path / "new/run/deep/a"}, folder=tmp_path / "new" / "run")


def test_a_write_protected_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("{}")
    # The superuser may write everything.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="write-protected"):
        check_outputs({"--json": tmp_path / "a.json"})


def test_outputs_never_replace_inputs_or_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data.npz"
    data.write_bytes(b"data")
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    for path in (data, Path("data.npz"), Path("link"), Path("photos/../data.npz")):
        with pytest.raises(ValueError, match=r"--json: .* is the file .*data\.npz of this command"):
            check_outputs({"--json": path}, inputs=[data])
        with pytest.raises(ValueError, match="is the file"):
            check_outputs({"--json": data}, inputs=[path])
    with pytest.raises(ValueError, match="--plot: x is written by -o already"):
        check_outputs({"-o": tmp_path / "x", "--plot": Path("x")})
    with pytest.raises(ValueError, match=r"cat\.png is a file of the data folder"):
        check_outputs({"--plot": Path("photos/cat.png")}, data=tmp_path / "photos")
