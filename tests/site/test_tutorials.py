"""Every block of docs/tutorials runs, in order, and prints what the page shows below it.

A `python` block runs in the page's namespace; with a title it is a file. A `diff` block changes a
file of a copy of the packages. The lines of a `bash` block are commands. A `text` block is the
output since the block before; `…` stands for anything within a line, alone on a line for any lines.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sortnet.backend.native import library_path
from sortnet.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r'^```(python|diff|bash|text)(?: title="([^"]+)")?\n(.*?)^```', re.M | re.S)
NO_TORCH = "raise ImportError('this machine has no torch')\n"


def matches(shown: str, printed: str) -> bool:
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
        for line in (line.rstrip() for line in shown.splitlines())
    ]
    text = "".join(line.rstrip() + "\n" for line in printed.splitlines())
    return re.fullmatch("".join(lines), text) is not None


def change(path: Path, diff: str) -> None:
    """What stands once in the file becomes what the block makes of it."""
    lines = diff.splitlines()
    before = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] + "\n" for line in lines if not line.startswith("-"))
    text = path.read_text()
    assert text.count(before) == 1, f"{path.name} no longer has\n{before}"
    path.write_text(text.replace(before, after))


class Page:
    """One reader who follows a page."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.space: dict[str, Any] = {"__name__": "tutorial"}
        self.tree: Path | None = None
        self.out = ""

    def copied(self) -> Path:
        """A copy of the packages as they are installed, for the page to change."""
        if self.tree is None:
            self.tree = self.folder / "clone"
            skip = shutil.ignore_patterns("__pycache__", "coq")
            shutil.copytree(ROOT / "sortnet", self.tree / "sortnet", ignore=skip)
            for name in ("export", "theory"):
                shutil.copytree(ROOT / name, self.tree / "sortnet" / name, ignore=skip)
            shutil.copytree(library_path("sortnet_kernels").parent, self.tree / "sortnet" / "lib")
        return self.tree

    def place(self, title: str) -> Path:
        return (self.copied() if title.startswith("sortnet/") else self.folder) / title

    def run(self, kind: str, title: str, text: str) -> None:
        if kind == "diff":
            change(self.place(title), text)
        elif kind == "python" and title:
            self.place(title).write_text(text)
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, str(self.path), "exec"), self.space)
            self.out += out.getvalue()
        elif kind == "bash":
            for line in text.splitlines():
                self.command(*shlex.split(line))
        else:
            assert matches(text, self.out), f"{self.path.name} shows\n{text}\nprinted\n{self.out}"
            self.out = ""

    def command(self, name: str, *arguments: str) -> None:
        if name == "sortnet":
            with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as end:
                main(list(arguments))
            assert not end.value.code, out.getvalue()
            self.out += out.getvalue()
            return
        assert name == "python"
        (script,) = arguments
        code = f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
        if self.tree is None:  # the page's second machine
            (self.folder / "no-torch").mkdir(exist_ok=True)
            (self.folder / "no-torch" / "torch.py").write_text(NO_TORCH)
            path = self.folder / "no-torch"
        else:  # an editable install's finder would come before the path
            path = self.tree
            code = (
                "import sys; sys.meta_path[:] = [f for f in sys.meta_path "
                "if 'editable' not in type(f).__module__]\n"
                f"sys.path.insert(0, {str(path)!r})\n{code}"
            )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        self.out += done.stdout


@pytest.mark.timeout(900)  # of a busy machine; a quiet one takes seconds
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_page_runs_and_prints_what_it_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("MPLBACKEND", "agg")
    page = Page(path, tmp_path)
    blocks = BLOCK.findall(path.read_text())
    assert [kind for kind, _, _ in blocks].count("text") >= 2
    for block in blocks:
        page.run(*block)
    assert not page.out.strip(), f"{path.name} does not show\n{page.out}"


def test_there_are_four_tutorials() -> None:
    assert [path.stem for path in PAGES] == ["deploy", "images", "layer", "theorem"]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a … c\n", "a bb c\n", True),
        ("a …\n", "a\nb\n", False),
        ("…\nb\n", "x\ny\nb\n", True),
        ("a\n", "a\nb\n", False),
    ],
)
def test_outputs_are_compared(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same
