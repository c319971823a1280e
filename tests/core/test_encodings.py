"""Text is UTF-8 by name: without one, Python takes the system's, on Windows not UTF-8."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("sortnet", "export", "theory", "tools", "benchmarks", "examples")
SOURCES = [*(path for room in ROOMS for path in (ROOT / room).rglob("*.py")), ROOT / "noxfile.py"]
TEXT = {"read_text", "write_text", "TextIOWrapper", "NamedTemporaryFile", "fdopen"}


def careless(source: str) -> list[str]:
    """The calls that read or write text in an encoding of the system's choice, as `line: name`."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        words = {word.arg: word.value for word in call.keywords}
        # Of open and the like: any text that is a mode.
        modes = [value.value for value in [*call.args, *words.values()]
                 if isinstance(value, ast.Constant) and isinstance(value.value, str)]  # fmt: skip
        binary = any(mode and "b" in mode and set(mode) <= set("rwxab+") for mode in modes)
        # Path("file").open() and open("file"), but not os.open, Image.open or gzip.open (binary).
        opens = name == "open" and not (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id in ("os", "Image", "gzip")
        )
        text = (name in TEXT or opens) and not binary
        text |= "text" in words or "universal_newlines" in words
        if text and "encoding" not in words:
            found.append(f"{call.lineno}: {name}")
    return found


def test_text_names_its_encoding() -> None:
    found = {str(path.relative_to(ROOT)): careless(path.read_text("utf-8")) for path in SOURCES}
    assert len(found) > 100 and {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "open(name)",
        "open(name, 'w')",
        "path.open('a', newline='')",
        "path.read_text()",
        "path.write_text(text)",
        "os.fdopen(handle, 'w')",
        "subprocess.run(command, text=True)",
        "open(name, mode='r')",
    ],
)
def test_what_is_careless(line: str) -> None:
    assert len(careless(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "open(name, 'rb')",
        "open(name, mode='ab')",
        "path.open('wb')",
        "os.open(name, os.O_RDONLY)",
        "Image.open(file)",
        "open(name, encoding='utf-8')",
        "path.read_text(encoding='utf-8')",
        "subprocess.run(command, encoding='utf-8')",
        "path.read_bytes()",
    ],
)
def test_what_is_not(line: str) -> None:
    assert careless(line) == []
