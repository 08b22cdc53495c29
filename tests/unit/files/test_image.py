"""files/image.py: every kind of picture becomes upright RGB, every kind of junk an error that says so."""

import ast
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

import facevc_cli
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files import image as image_module
from facevc_cli.files.image import load_image, save_image

RED, GREEN = (200, 10, 20), (15, 180, 30)


def _two_colours(width=40, height=24):
    """Left half red, right half green: (height, width, 3)."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2], picture[:, width // 2 :] = RED, GREEN
    return picture


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_header(width, height, extra=b"", bits=8, kind=2):
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)) + extra
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + _chunk(b"IEND", b"")


def _smooth(width, height, seed=0):
    """A picture without two equal rows, which every codec keeps nearly as it is."""
    corners = np.random.default_rng(seed).integers(30, 226, (5, 5, 3), dtype=np.uint8)
    return np.array(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR))


def _coded(picture, kind, **options):
    coded = io.BytesIO()
    Image.fromarray(picture).save(coded, kind, **options)
    return coded.getvalue()


def _tiff(entries, rest=b""):
    """A TIFF of (tag, type, count, value) entries."""
    table = b"".join(struct.pack("<HHLL", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + table + bytes(4) + rest


def _tiff_size(width, height):
    return [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]


def _with_exif(jpeg, *blocks):
    """A JPEG with APP1 segments put before everything else."""
    return jpeg[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(b) + 8) + b"Exif\0\0" + b for b in blocks) + jpeg[2:]


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


@pytest.mark.parametrize("side", [10_001, 13_000, 60_000])
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


SAFE = {"JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "MPO", "AVIF", "JPEG2000", "HEIF"}


def test_every_picture_is_opened_by_named_formats():
    """Pillow left alone starts Ghostscript for PostScript, whatever the file's suffix."""
    opened = []
    for path in sorted(Path(facevc_cli.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open"):
                opened.append(node)
                assert "formats" in {word.arg for word in node.keywords}, f"{path.name}:{node.lineno}"
    assert opened and set(image_module.FORMATS) <= SAFE and set(image_module._list_formats()) <= SAFE


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        b"\xc5\xd0\xd3\xc6"
        + struct.pack("<LL", 30, 99)
        + bytes(18)
        + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
        b"\xd7\xcd\xc6\x9a\0\0" + bytes(80),  # a Windows metafile
        b"8BPS\0\1" + bytes(6) + struct.pack(">HLLHH", 3, 9, 9, 8, 3) + bytes(40),  # Photoshop
        b"SIMPLE  =                    T" + bytes(3000),  # FITS
    ],
)
def test_what_is_no_photo_starts_no_program(tmp_path, monkeypatch, content):
    def refuse(*arguments, **options):
        pytest.fail("a program was started")

    for owner, name in ((subprocess, "Popen"), (os, "posix_spawn"), (os, "system"), (os, "execv")):
        monkeypatch.setattr(owner, name, refuse)
    (tmp_path / "face.jpg").write_bytes(content)
    with pytest.raises(FaceVCError, match="expected an image"):
        load_image(tmp_path / "face.jpg")


@pytest.mark.parametrize("kind, closeness", [("JPEG", 4), ("PNG", 1), ("TIFF", 1), ("JPEG2000", 4)])
def test_a_large_picture_is_halved_while_it_is_decoded(tmp_path, monkeypatch, kind, closeness):
    monkeypatch.setattr(image_module, "KEPT_PIXELS", 10_000)
    picture = _smooth(301, 203)  # not a multiple of four
    (tmp_path / "a").write_bytes(_coded(picture, kind, **({"quality": 95} if kind == "JPEG" else {})))
    found = load_image(tmp_path / "a")
    assert found.shape[:2] in ((51, 76), (51, 75))  # twice: 61,103 pixels, 15,352, 3,876
    expected = np.array(Image.fromarray(picture).reduce(4))
    assert np.abs(found.astype(int) - expected)[2:-2, 2:-2].max() <= closeness


def test_sixteen_bits_over_several_strips(tmp_path, monkeypatch):
    monkeypatch.setattr(image_module, "STRIP_PIXELS", 64)
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256).T.copy()  # black at the left to white at the right
    Image.fromarray(ramp).save(tmp_path / "a.png")
    expected = np.round(ramp / 257).astype(np.uint8)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png")[..., 0], expected)
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif")[..., 2], expected)


def test_the_most_pixels_that_are_taken(tmp_path):
    save_image(tmp_path / "a.png", _two_colours())
    assert load_image(tmp_path / "a.png", most_pixels=960).shape == (24, 40, 3)
    with pytest.raises(FaceVCError, match="found 40 x 24"):
        load_image(tmp_path / "a.png", most_pixels=959)


def test_headers_that_cost_too_much(tmp_path, monkeypatch):
    far = 1 << 20
    shared = [(40000 + i, 7, 1_000_000, 8) for i in range(100)]
    jpeg = _coded(_two_colours(), "JPEG")
    entry = b"".join(struct.pack(">HHLL", 0x9000 + i, 7, 60_000, 0) for i in range(5000))
    bomb = b"MM\0*" + struct.pack(">LH", 8, 5000) + entry
    gif = _coded(_two_colours(), "GIF")
    place = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    progressive = _coded(_smooth(900, 900), "JPEG", progressive=True)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for name, content, words in (
        (
            "strips.tif",
            _tiff([*_tiff_size(1, 10**7), (273, 3, 10**7, far), (278, 4, 1, 1), (279, 3, 10**7, far)]),
            "more values",
        ),
        ("shared.tif", _tiff([*_tiff_size(9, 9), *shared], bytes(10**6)), "more values"),
        (
            "inner.tif",
            _tiff([*_tiff_size(9, 9), (34665, 4, 1, 98)], struct.pack("<H", 100) + _tiff(shared)[10:]),
            "more values",
        ),
        ("tile.tif", _tiff([*_tiff_size(9, 9), (322, 4, 1, 60_000), (323, 4, 1, 60_000)]), "60000 x 60000"),
        ("exif.jpg", _with_exif(jpeg, bomb.ljust(65_000, b"\0")), "EXIF"),
        ("exif_parts.jpg", _with_exif(jpeg, *[bytes(65_000)] * 20), "EXIF"),
        ("comment.gif", gif[:place] + b"!\xfe" + (b"\xff" + bytes(255)) * 5000 + b"\0" + gif[place:], "comments"),
        ("tall.png", _png_header(1, 90_000_000), "million pixels"),
        ("grey.png", _png_header(12_000, 12_000, bits=16, kind=0), "million pixels"),
        ("scans.jpg", progressive[:-2] + b"\xff\xda\0\x08\1\1\0\0\0\x10" * 3000 + b"\xff\xd9", "at most 20 scans"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FaceVCError, match=words):
            load_image(tmp_path / name)


def test_large_chunks_of_a_png(tmp_path):
    """A profile or text that is small on disk and huge in memory: refused, or passed over."""
    for name, content in (("iccp", b"x\0\0"), ("ztxt", b"x\0\0")):
        kind = {"iccp": b"iCCP", "ztxt": b"zTXt"}[name]
        (tmp_path / name).write_bytes(_png_header(9, 9, _chunk(kind, content + zlib.compress(bytes(5_000_000)))))
        try:
            assert load_image(tmp_path / name).shape == (9, 9, 3)
        except FaceVCError as error:
            assert name in str(error)


@pytest.mark.parametrize("value, shape", [(0, (24, 40)), (6, (40, 24)), (9, (24, 40)), (65535, (24, 40))])
def test_broken_orientations_and_circles_in_exif(tmp_path, value, shape):
    entries = struct.pack(">HHLL", 0x0112, 3, 1, value << 16) + struct.pack(">HHLL", 0x8769, 4, 1, 8)
    # the EXIF directory and the next are this one
    block = b"MM\0*" + struct.pack(">LH", 8, 2) + entries + struct.pack(">L", 8)
    (tmp_path / "a.jpg").write_bytes(_with_exif(_coded(_two_colours(), "JPEG"), block))
    assert load_image(tmp_path / "a.jpg").shape == (*shape, 3)


def test_a_jpeg_without_its_last_bytes(tmp_path):
    picture = _smooth(320, 320)
    for options in ({}, {"progressive": True}):
        whole = _coded(picture, "JPEG", quality=95, **options)
        (tmp_path / "whole.jpg").write_bytes(whole)
        (tmp_path / "a.jpg").write_bytes(whole[:-2])
        np.testing.assert_array_equal(load_image(tmp_path / "a.jpg"), load_image(tmp_path / "whole.jpg"))
        (tmp_path / "b.jpg").write_bytes(whole[: len(whole) * 9 // 10])
        found = load_image(tmp_path / "b.jpg")
        assert found.shape == (320, 320, 3) and np.abs(found.astype(int) - picture)[:240].mean() < 4
        (tmp_path / "c.jpg").write_bytes(whole[: len(whole) // 4])
        with pytest.raises(FaceVCError, match=r"c\.jpg: the image is damaged or cut short"):
            load_image(tmp_path / "c.jpg")


def test_black_at_the_bottom_is_not_missing(tmp_path):
    picture = _smooth(320, 320)
    picture[160:] = 0
    whole = _coded(picture, "JPEG", quality=95)
    (tmp_path / "a.jpg").write_bytes(whole[:-2])
    assert (load_image(tmp_path / "a.jpg")[200:] == 0).all()


def test_a_png_without_its_last_bytes(tmp_path):
    picture = np.random.default_rng(0).integers(1, 256, (100, 80, 3), dtype=np.uint8)
    whole = _coded(picture, "PNG")
    for name, content in (
        ("end.png", whole[:-6]),
        ("crc.png", whole[:-4] + b"abcd"),
        ("data_crc.png", whole[:-16] + b"abcd" + whole[-12:]),
    ):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(load_image(tmp_path / name), picture)
    (tmp_path / "tenth.png").write_bytes(whole[: len(whole) * 9 // 10])
    found = load_image(tmp_path / "tenth.png")
    np.testing.assert_array_equal(found[:85], picture[:85])
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FaceVCError, match="cut short"):
        load_image(tmp_path / "half.png")


@pytest.mark.parametrize("kind", ["JPEG2000", "MPO", "AVIF", "PPM", "BMP"])
def test_other_kinds_and_wrong_suffixes(tmp_path, kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    picture = _smooth(160, 120)
    options = {"save_all": True, "append_images": [Image.new("RGB", (50, 50))], "quality": 95} if kind == "MPO" else {}
    (tmp_path / "face.jpg").write_bytes(_coded(picture, kind, **options))
    assert np.abs(load_image(tmp_path / "face.jpg").astype(int) - picture).mean() < 4


def test_inverted_cmyk_of_adobe(tmp_path):
    coded = io.BytesIO()
    Image.fromarray(_two_colours()).convert("CMYK").save(coded, "JPEG", quality=95)
    data = coded.getvalue()
    assert b"Adobe" in data
    (tmp_path / "a.jpg").write_bytes(data)
    found = load_image(tmp_path / "a.jpg").astype(int)
    assert np.abs(found[5, 5] - RED).max() < 15 and np.abs(found[5, 35] - GREEN).max() < 15


def test_grey_with_alpha_and_odd_floats(tmp_path):
    Image.fromarray(np.array([[[100, 255], [100, 0]]] * 2, np.uint8), "LA").save(tmp_path / "la.png")
    assert load_image(tmp_path / "la.png")[0].tolist() == [[100] * 3, [255] * 3]
    Image.fromarray(np.array([[np.nan, np.inf, -1, 1e6]], np.float32)).save(tmp_path / "f.tif")
    found = load_image(tmp_path / "f.tif")
    assert found.shape == (1, 4, 3) and found[0, 0, 0] == 0 and found[0, 2, 0] == 0


def test_lab_of_a_tiff(tmp_path):
    lab = np.full((8, 8, 3), (128, 0, 0), np.uint8)  # half as light as white, without colour
    Image.frombytes("LAB", (8, 8), lab.tobytes()).save(tmp_path / "a.tif")
    assert (
        np.ptp(load_image(tmp_path / "a.tif")[4, 4].astype(int)) < 6
        and abs(int(load_image(tmp_path / "a.tif")[4, 4, 0]) - 119) < 6
    )


def test_a_heic_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(struct.pack(">L", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(100))
    with pytest.raises(FaceVCError, match=r'facevc\[heic\]".*export the picture as JPEG'):
        load_image(tmp_path / "a.heic")


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = _smooth(160, 120)
    Image.fromarray(picture).save(tmp_path / "a.heic", quality=95)
    assert np.abs(load_image(tmp_path / "a.heic").astype(int) - picture).mean() < 4
    turned = Image.fromarray(picture)
    turned.info["exif"] = exif.tobytes()  # becomes the file's own rotation
    turned.save(tmp_path / "b.heic", quality=95)
    assert np.abs(load_image(tmp_path / "b.heic").astype(int) - np.rot90(picture, 3)).mean() < 4
