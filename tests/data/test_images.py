"""Image files: every value as it is in the file, or a refusal in one line that names the file."""

from io import BytesIO

import numpy as np
import pytest
import torch
from files import pixels, png, save_image, tiff
from PIL import Image

from sortnet.data.batches import TrainingBatches
from sortnet.data.images import ImageFiles, read_image
from sortnet.data.split import Split


def refused(path, *words: str, error: type[Exception] = ValueError, **options: object) -> None:
    with pytest.raises(error) as raised:
        read_image(path, **options)
    text = str(raised.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 400, text
    assert all(word in text for word in words), text


GREY = pixels("g", mode="L")
DEEP = np.random.default_rng(1).integers(0, 65536, (4, 6)).astype(np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif", ".webp", ".PNG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_files_keep_every_value(tmp_path, suffix, mode):
    array = pixels(suffix, mode=mode)
    path = tmp_path / f"x{suffix}"
    Image.fromarray(array).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    got = read_image(path)
    if mode == "L" and suffix == ".webp":  # WebP knows colour only
        assert (got == array).all() and got.shape[0] == 3
    else:
        assert np.array_equal(got, array[None] if mode == "L" else array.transpose(2, 0, 1))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_shallow_grey_png_is_exact(tmp_path, depth):
    values = np.random.default_rng(depth).integers(0, 2**depth, (3, 8))
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(3, -1).astype(np.uint8), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    (tmp_path / "x.png").write_bytes(png(8, 3, depth, 0, raw))
    got = read_image(tmp_path / "x.png")[0].astype(int)
    assert np.array_equal(got * (2**depth - 1), values * 255)


def netpbm(largest: int) -> bytes:
    values = np.random.default_rng(largest).integers(0, largest + 1, (4, 6))
    body = values.astype(np.uint8 if largest < 256 else ">u2").tobytes()
    return b"P5 # a comment\n6 4\n%d\n" % largest + body


TOO_DEEP = {
    "grey16.png": png(6, 4, 16, 0, b"".join(b"\0" + r.tobytes() for r in DEEP.byteswap())),
    "colour16.png": png(6, 4, 16, 2, b"".join(b"\0" + r.tobytes() * 3 for r in DEEP)),
    "alpha16.png": png(6, 4, 16, 4, b"".join(b"\0" + r.tobytes() * 2 for r in DEEP)),
    "little16.tif": tiff(DEEP),
    "big16.tif": tiff(DEEP, ">"),
    "signed16.tif": tiff(DEEP.astype(np.int16), sample_format=2),
    "signed8.tif": tiff(GREY.astype(np.int8), sample_format=2),
    "big32.tif": tiff(DEEP.astype(np.uint32), ">"),
    "float.tif": tiff(DEEP.astype(np.float32) / 65535, sample_format=3),
    "16.pgm": netpbm(65535),
    **{f"{largest}.pgm": netpbm(largest) for largest in (1, 15, 16, 100, 254, 256, 1023)},
    "plain.pgm": b"P2\n2 2\n7\n0 1 2 7\n",
    "colour.ppm": b"P6\n1 1\n31\n\x01\x02\x1f",
    "15.bmp": b"BM" + bytes(8) + b"6\0\0\0(\0\0\0\2\0\0\0\2\0\0\0\1\0\x10\0" + bytes(32),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_DEEP)
def test_what_bytes_cannot_hold_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(TOO_DEEP[name])
    refused(tmp_path / name, "unknown" if name == "big32.tif" else ".npz")  # unknown to Pillow
    refused(tmp_path / name, colour="grey")


def test_byte_tiff_of_either_order_and_full_pgm_are_read(tmp_path):
    for name, raw in {
        "little.tif": tiff(GREY),
        "big.tif": tiff(GREY, ">"),
        "full.pgm": b"P5\n#\n6\n4\n255\n" + GREY.tobytes(),
    }.items():
        (tmp_path / name).write_bytes(raw)
        assert np.array_equal(read_image(tmp_path / name)[0], GREY)


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif", "bmp"])
def test_cut_files_are_refused(tmp_path, kind):
    save_image(tmp_path / f"x.{kind}", size=(40, 30))
    whole = (tmp_path / f"x.{kind}").read_bytes()
    for size in (0, 1, 9, 30, len(whole) // 2, 3 * len(whole) // 4):
        (tmp_path / f"x.{kind}").write_bytes(whole[:size])
        refused(tmp_path / f"x.{kind}", "not a readable image")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif", "ppm"])
@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on damage
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    save_image(path)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            assert read_image(path).dtype == np.uint8
        except ValueError:
            refused(path)


def test_a_png_is_refused_wherever_it_is_cut(tmp_path):
    """Pillow decodes one whose pixels are there, and asks for no checksum and no end."""
    path = tmp_path / "x.png"
    pixels_there = save_image(path).transpose(2, 0, 1)
    whole = path.read_bytes()
    for length in range(8, len(whole)):
        path.write_bytes(whole[:length])
        refused(path, "not a readable image", *(["cut short"] if length > len(whole) - 20 else []))
    with pytest.raises(ValueError, match="mine: not a readable image"):
        read_image(BytesIO(whole[:-1]), name="mine")  # as lakes and archives hold it
    path.write_bytes(whole + b"a remark after the end")
    assert np.array_equal(read_image(path), pixels_there)


def test_other_damage_names_the_file(tmp_path):
    cases = {
        "text.png": b"no image",
        "header.pgm": b"P5\n6 x\n255\nabcd",
        "short.pgm": b"P5\n6",
        "endless.pgm": b"P5\n" + b"9" * 30 + b" 2\n255\nab",
        "comment.pgm": b"P5#" + b"c" * 100,
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 7 5\nshowpage\n",
        "bomb.png": png(60_000, 60_000, 8, 0, bytes(100)),
        "half bomb.png": png(10_000, 10_000, 8, 0, bytes(100)),
        "wrong size.png": png(5000, 4000, 8, 0, bytes(100)),
    }
    for name, raw in cases.items():
        (tmp_path / name).write_bytes(raw)
        refused(tmp_path / name)
        refused(tmp_path / name, shape=(1, 4, 6))  # never decoded
    refused(tmp_path / "absent.png", "no such file", error=FileNotFoundError)
    (tmp_path / "folder.png").mkdir()
    refused(tmp_path / "folder.png", "directory")


def test_alpha_frames_and_colour_spaces(tmp_path):
    rgba = pixels("a", mode="RGBA")
    rgba[..., 3] = 255
    for name in ("a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        Image.fromarray(rgba).save(tmp_path / name, **options)
        assert np.array_equal(read_image(tmp_path / name), rgba[..., :3].transpose(2, 0, 1))
        seen = rgba.copy()
        seen[1, 2, 3] = 254
        Image.fromarray(seen).save(tmp_path / name, **options)
        refused(tmp_path / name, "transparent")
    palette = Image.fromarray(rgba[..., :3]).quantize(8)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(
        read_image(tmp_path / "p.png"), np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    )
    palette.save(tmp_path / "p.png", transparency=int(np.asarray(palette)[0, 0]))
    refused(tmp_path / "p.png", "transparent")
    Image.fromarray(GREY).save(tmp_path / "l.png", transparency=int(GREY[0, 0]))
    refused(tmp_path / "l.png", "transparent")
    colour = Image.fromarray(rgba[..., :3])
    for name in ("frames.png", "frames.tif", "frames.webp"):
        colour.save(tmp_path / name, save_all=True, append_images=[colour.rotate(180)])
        refused(tmp_path / name, "2 images")
    colour.convert("CMYK").save(tmp_path / "k.jpg")
    refused(tmp_path / "k.jpg", "CMYK")
    colour.convert("LAB").save(tmp_path / "lab.tif")
    refused(tmp_path / "lab.tif", "LAB")


TURNS = {1: "identity", 2: "fliplr", 3: "rot180", 4: "flipud", 6: "clockwise", 8: "anticlockwise"}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_images_are_turned_as_viewers_show_them(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(GREY).save(tmp_path / f"x.{suffix}", exif=exif, **options)
    Image.fromarray(GREY).save(tmp_path / "x.tif", exif=exif)
    if orientation > 1:
        refused(tmp_path / "x.tif", "turn")
    expected = {
        "identity": GREY,
        "fliplr": GREY[:, ::-1],
        "rot180": GREY[::-1, ::-1],
        "flipud": GREY[::-1],
        "clockwise": np.rot90(GREY, -1),
        "anticlockwise": np.rot90(GREY),
    }[TURNS[orientation]]
    assert np.array_equal(read_image(tmp_path / f"x.{suffix}")[0], expected)
    shape = (len(read_image(tmp_path / f"x.{suffix}")), *expected.shape)
    assert read_image(tmp_path / f"x.{suffix}", shape=shape).shape == shape
    if expected.shape != GREY.shape:
        refused(tmp_path / f"x.{suffix}", "one size", shape=(*shape[:1], *GREY.shape))


def test_grey_and_colour_are_mixed_only_where_asked(tmp_path):
    grey = save_image(tmp_path / "grey.png", mode="L")
    colour = save_image(tmp_path / "colour.png")
    refused(tmp_path / "grey.png", "grey image", "first image is colour", shape=(3, 4, 6))
    refused(tmp_path / "colour.png", "colour image", "first image is grey", shape=(1, 4, 6))
    assert (read_image(tmp_path / "grey.png", "rgb") == grey).all()
    luminance = np.asarray(Image.fromarray(colour).convert("L"))
    assert np.array_equal(read_image(tmp_path / "colour.png", "grey")[0], luminance)


def test_files_are_taken_like_rows_of_an_array(tmp_path):
    rows = [save_image(tmp_path / f"{i}.png", mode="L") for i in range(4)]
    files = ImageFiles([tmp_path / f"{i}.png" for i in range(4)], (1, 4, 6))
    array = np.stack(rows)[:, None]
    split, held = Split(files, range(4)), Split(array, range(4))
    masks = np.array([True, False, False, True])
    for index in (slice(1, 3), np.array([2, 0]), masks, np.array([-1]), slice(None, None, -2)):
        assert np.array_equal(files[index], array[index])
        assert np.array_equal(split.take(index).floats(), held.take(index).floats())
        assert split.take(index).labels.tolist() == held.take(index).labels.tolist()


@pytest.mark.parametrize("fault", ["missing", "damaged", "size"])
def test_an_error_of_a_worker_is_one_line(tmp_path, fault):
    paths = [tmp_path / f"{i}.png" for i in range(8)]
    for path in paths:
        save_image(path, mode="L")
    if fault == "missing":
        paths[5].unlink()
    elif fault == "damaged":
        paths[5].write_bytes(paths[5].read_bytes()[:40])
    else:
        save_image(paths[5], size=(3, 3), mode="L")
    recipe = type("Recipe", (), {"batch_size": 8, "epochs": 1, "crop": 0, "flip": False})()
    batches = TrainingBatches(Split(ImageFiles(paths, (1, 4, 6)), [0] * 8), recipe, seed=0)
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        list(batches.loader(0, torch.device("cpu")))
    text = str(raised.value)
    assert text.startswith(f"{paths[5]}: ") and "\n" not in text and len(text) < 300
