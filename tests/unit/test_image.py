"""io/image.py: every kind of picture becomes upright RGB, every kind of junk an error that says so."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from facevc_cli.errors import FaceVCError
from facevc_cli.io.image import load_image, save_image

RED, GREEN = (200, 10, 20), (15, 180, 30)


def _two_colours(width=40, height=24):
    """Left half red, right half green: (height, width, 3)."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2], picture[:, width // 2 :] = RED, GREEN
    return picture


def _png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(FaceVCError, match="no such image"):
        load_image(tmp_path / "nowhere.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(FaceVCError, match="zero bytes"):
        load_image(tmp_path / "empty.jpg")
    (tmp_path / "text.jpg").write_text("not a picture " * 40)
    with pytest.raises(FaceVCError, match=r"text\.jpg: expected an image"):
        load_image(tmp_path / "text.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_truncated_files(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    save_image(whole, noise)
    data = whole.read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) // 2])
    with pytest.raises(FaceVCError, match=f"cut.{suffix}"):
        load_image(tmp_path / f"cut.{suffix}")


@pytest.mark.parametrize("side", [13_000, 60_000])
def test_decompression_bomb(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(_png_header(side, side))
    with pytest.raises(FaceVCError, match="million pixels"):
        load_image(tmp_path / "bomb.png")


def test_rgb_is_kept(tmp_path):
    save_image(tmp_path / "deep" / "a.png", _two_colours())
    found = load_image(tmp_path / "deep" / "a.png")
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, _two_colours())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_unknown_suffix_for_saving(tmp_path):
    with pytest.raises(FaceVCError, match="no image format"):
        save_image(tmp_path / "a.face", _two_colours())


@pytest.mark.parametrize("orientation, corner", [(1, RED), (2, GREEN), (3, GREEN), (6, RED), (8, GREEN)])
def test_exif_orientation_is_applied(tmp_path, orientation, corner):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(_two_colours()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = load_image(tmp_path / "a.jpg")
    assert found.shape == ((40, 24, 3) if orientation in (6, 8) else (24, 40, 3))
    assert np.abs(found[2, 2].astype(int) - corner).max() < 12


def test_transparency_lies_over_white(tmp_path):
    rgba = np.dstack([_two_colours(), np.full((24, 40), 255, np.uint8)])
    rgba[:, :10, 3] = 0
    rgba[:, 10:20, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = load_image(tmp_path / "a.png")
    assert found[5, 5].tolist() == [255, 255, 255]
    assert np.abs(found[5, 15].astype(int) - (np.array(RED) + 255) / 2).max() <= 2
    assert tuple(found[5, 30]) == GREEN


def test_grey_palette_bilevel_and_cmyk(tmp_path):
    picture = Image.fromarray(_two_colours())
    picture.convert("L").save(tmp_path / "grey.png")
    grey = load_image(tmp_path / "grey.png")
    assert grey.shape == (24, 40, 3) and (grey[..., 0] == grey[..., 2]).all()
    picture.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.gif")
    assert np.abs(load_image(tmp_path / "palette.gif")[5, 5].astype(int) - RED).max() < 8
    picture.convert("1").save(tmp_path / "one.png")
    assert load_image(tmp_path / "one.png").shape == (24, 40, 3)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(load_image(tmp_path / "cmyk.jpg")[5, 5].astype(int) - RED).max() < 15


def test_palette_with_transparent_entry(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]] * 2, np.uint8), "L").convert("P")
    palette.putpalette([0, 0, 0, 200, 10, 20])
    palette.save(tmp_path / "a.png", transparency=0)
    found = load_image(tmp_path / "a.png")
    assert found[0, 0].tolist() == [255, 255, 255] and tuple(found[0, 1]) == RED


def test_sixteen_bits_and_floats_are_scaled(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(load_image(tmp_path / "deep.png")[..., 0].ravel(), np.arange(256))
    Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)).save(tmp_path / "float.tif")
    np.testing.assert_array_equal(load_image(tmp_path / "float.tif")[..., 1].ravel(), np.arange(256))


def test_damaged_exif_is_no_obstacle(tmp_path):
    Image.fromarray(_two_colours()).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x99" * 30)
    assert load_image(tmp_path / "a.jpg").shape == (24, 40, 3)
