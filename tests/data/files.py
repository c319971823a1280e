"""Small files of images and arrays for the tests of data."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from sortnet.data import DataSet


def pixels(name: str, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> np.ndarray:
    """Random bytes [H, W] or [H, W, C] that depend on the name."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    generator = np.random.default_rng(len(name) + sum(name.encode()))
    return generator.integers(0, 256, (size[1], size[0], *channels)).astype(np.uint8)


def save_image(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = pixels(path.name, size, mode)
    Image.fromarray(array).save(path)
    return array


def decided(data: DataSet) -> tuple[str, ...]:
    """Its notes, but for that on repeated pictures: those of these tests depend on names only."""
    return tuple(note for note in data.notes if "values of training samples" not in note)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG of any depth; colour is 0 for grey, 2 for RGB, 4 for grey with alpha."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(array: np.ndarray, order: str = "<", sample_format: int = 1) -> bytes:
    """An uncompressed grey TIFF [H, W] in the byte order "<" or ">"."""
    body = array.astype(array.dtype.newbyteorder(order)).tobytes()
    body += b"\0" * (len(body) % 2)
    height, width = array.shape
    tags = (
        (256, width), (257, height), (258, 8 * array.itemsize), (259, 1), (262, 1), (273, 8),
        (277, 1), (278, height), (279, len(body)), (339, sample_format),
    )  # fmt: skip
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(body)) + body
    out += struct.pack(order + "H", len(tags))
    for tag, value in tags:
        out += struct.pack(order + "HHII", tag, 4, 1, value)
    return out + struct.pack(order + "I", 0)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()
