"""Image files as bytes, decoded when asked for; what bytes cannot hold is refused by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = Literal["grey", "rgb"]

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".ppm", ".pgm", ".pnm", ".webp"),
    *(".tif", ".tiff"),
)
# Others are not tried: Pillow would start Ghostscript for PostScript, whatever the file's name.
_FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF")
_PNG = b"\x89PNG\r\n\x1a\n"
_INSTEAD = "convert it to 8 bits, or put floats in [0, 1] into an .npz"


class ImageFiles:
    """Image files decoded when asked for; indexed like an array uint8 [N, C, H, W].

    Args:
        paths: the N files.
        shape: (C, H, W) that every image must have; C is 1 (grey) or 3 (RGB).
        colour: "grey" or "rgb" converts images of the other kind; by default they are refused.

    Raises:
        FileNotFoundError: on indexing, if a file is missing.
        ValueError: on indexing, if a file is no image or has another size; names the file.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, paths: Sequence[Path], shape: tuple[int, int, int], colour: Colour | None = None
    ) -> None:
        self.paths = list(paths)
        self.image_shape = shape
        self.colour = colour

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return (len(self.paths), *self.image_shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        chosen = self.take(index).paths
        out = np.empty((len(chosen), *self.image_shape), np.uint8)

        def decode(job: tuple[int, Path]) -> None:
            out[job[0]] = read_image(job[1], self.colour, self.image_shape)

        # Decoding releases the interpreter lock, so two threads use two cores.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(decode, enumerate(chosen)))
        return out

    def take(self, index: slice | np.ndarray) -> ImageFiles:
        """The files at `index` (a slice, integers or a mask), in that order."""
        numbers = np.arange(len(self))[index]
        return ImageFiles([self.paths[i] for i in numbers], self.image_shape, self.colour)


def read_image(
    file: Path | BytesIO,
    colour: Colour | None = None,
    shape: tuple[int, int, int] | None = None,
    name: str | None = None,
    network: bool = False,
) -> np.ndarray:
    """The pixels of an image file as uint8 [C, H, W], C = 1 (grey) or 3 (RGB).

    Turned as its EXIF orientation says, as viewers show it (a TIFF that asks for it is refused).
    Opaque alpha is dropped.

    Args:
        file: its path, or its bytes.
        colour: "grey" or "rgb" converts (by ITU-R 601); None keeps what the file is.
        shape: what it must have; checked before the pixels are decoded.
        name: for errors; by default the path.
        network: for errors: whether the shape is that of a network's input, or of the first image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no image, damaged, of another shape, transparent, animated, CMYK, or with more
            than 8 bits a channel; one line that names the file.
    """
    from PIL import Image, ImageOps

    name = str(file) if name is None else name
    try:
        with Image.open(file, formats=_FORMATS) as image:
            _check_header(image, shape, network)
            image.load()
            upright = ImageOps.exif_transpose(image)
            kind = _kind(upright)
            if colour is None and shape is not None and kind != ("L" if shape[0] == 1 else "RGB"):
                kinds = {"L": "grey", "RGB": "colour"}
                other = next(word for mode, word in kinds.items() if mode != kind)
                if network:
                    raise _RefusedError(
                        f"a {kinds[kind]} image, but the network takes {other} ones; convert it"
                    )
                raise _RefusedError(
                    f"a {kinds[kind]} image, but the first image is {other}; convert them, or "
                    'ask for colour="rgb" (grey repeated) or colour="grey" (luminance)'
                )
            mode = {"grey": "L", "rgb": "RGB", None: kind}[colour]
            for wanted in (kind, mode):  # palette to colour to luminance
                upright = upright if upright.mode == wanted else upright.convert(wanted)
            pixels = np.asarray(upright)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: no such file") from None
    except _RefusedError as error:
        raise ValueError(f"{name}: {error}") from None
    except Exception as error:  # Pillow's decoders raise a dozen kinds on damage
        system = getattr(error, "strerror", None)  # such as "Permission denied"
        reason = system or " ".join(str(error).split())[:200]
        if (
            str(file) in reason or "BytesIO" in reason
        ):  # "cannot identify image file PATH" says nothing more
            reason = "unknown or damaged format"
        reason = reason or type(error).__name__
        raise ValueError(f"{name}: not a readable image ({reason})") from None
    planes = pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
    if shape is not None and planes.shape != shape:
        size = planes.shape[2], planes.shape[1]
        raise ValueError(f"{name}: {_size_problem(size, shape, network)}")
    return np.ascontiguousarray(planes)


class _RefusedError(Exception):
    """Why an image that can be read is not."""


def _check_header(image: Any, shape: tuple[int, int, int] | None, network: bool) -> None:
    """Refuse what cannot become bytes without loss, or is too large, before decoding it."""
    from PIL.Image import MAX_IMAGE_PIXELS

    if shape is not None and {*image.size} != {*shape[1:]}:  # orientation may swap them
        raise _RefusedError(_size_problem(image.size, shape, network))
    if MAX_IMAGE_PIXELS is not None and image.width * image.height > MAX_IMAGE_PIXELS:
        raise _RefusedError(f"{image.width}x{image.height} pixels are too many")
    if image.format == "PPM":
        largest = _netpbm_maximum(image.fp)
        if largest is not None and largest != 255:
            raise _RefusedError(f"its largest value is {largest}, not 255; {_INSTEAD}")
    if image.format == "PNG" and not _png_has_an_end(image.fp):
        raise _RefusedError("not a readable image (cut short: its end is missing)")
    if image.format == "TIFF":
        tags = image.tag_v2
        if any(sign not in (1, 4) for sign in np.atleast_1d(tags.get(339, 1))):
            raise _RefusedError(f"signed or floating-point pixels (mode {image.mode}); {_INSTEAD}")
        # Some versions of Pillow (13.0) scramble the pixels of a turned TIFF.
        if tags.get(274, 1) != 1:
            raise _RefusedError("a TIFF that says it is to be turned; turn its pixels first")
    # Pillow cuts deeper colour images to 8 bits without a word; only its raw mode tells.
    deep = max((int(bits) for bits in re.findall(r";(\d+)", str(_raw_modes(image)))), default=8)
    if image.mode.startswith(("I", "F")) or deep > 8:
        kind = "floating-point" if image.mode == "F" else "more than 8 bits a channel"
        raise _RefusedError(f"{kind} (mode {image.mode}); {_INSTEAD}")
    if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        raise _RefusedError(f"colour space {image.mode}; convert it to RGB first")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's JPEG: the picture, then its preview
        raise _RefusedError(f"holds {frames} images, expected one")


def _raw_modes(image: Any) -> list[str]:
    """How the pixels lie in the file, in Pillow's words."""
    modes = []
    for tile in image.tile:
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        modes += [part for part in arguments if isinstance(part, str)]
    return modes


def _kind(image: Image) -> str:
    """ "L" or "RGB", the mode that holds this image."""
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise _RefusedError("transparent pixels; put it on the background that you mean")
    return "L" if image.mode in ("1", "L", "LA", "La") else "RGB"


def _png_has_an_end(file: IO[bytes]) -> bool:
    """Whether its chunks go on to the last one, whole; Pillow asks for no more than the pixels."""
    place = file.tell()
    size = file.seek(0, SEEK_END)
    start, kind = len(_PNG), b""
    while kind != b"IEND" and start + 8 <= size:
        file.seek(start)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        start += 8 + length + 4  # length and kind, the data, its checksum
    file.seek(place)
    return kind == b"IEND" and start <= size


def _netpbm_maximum(file: IO[bytes]) -> int | None:
    """The largest value that a PGM or PPM header declares; None for bitmaps, which have none."""
    place = file.tell()
    file.seek(0)
    head = file.read(1 << 16)
    file.seek(place)
    if head[:2] in (b"P1", b"P4"):
        return None
    gap = rb"(?:\s|#[^\n]*\n)+"
    match = re.match(rb"P[2356]" + 3 * (gap + rb"(\d+)") + rb"\s", head)
    if match is None:
        raise _RefusedError("its header is damaged or of another kind")
    return int(match[3][:9])


def _size_problem(size: tuple[int, int], shape: tuple[int, int, int], network: bool) -> str:
    if network:
        return f"size {size[0]}x{size[1]}, but the network takes {shape[2]}x{shape[1]}"
    return (
        f"size {size[0]}x{size[1]}, but the first image has {shape[2]}x{shape[1]}; all images "
        "must have one size"
    )
