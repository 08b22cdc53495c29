"""Marks of pictures: what is written is read again in every format; what others wrote is none of ours."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facevc_cli.core.errors import UsageError
from facevc_cli.files.image import load_image
from facevc_cli.provenance.pictures import (
    PictureRecord,
    encode_marked_picture,
    format_picture_mark,
    parse_picture_mark,
    read_picture_mark,
    save_marked_picture,
)

RECORD = PictureRecord(
    made="restyled",
    key="k1",
    model="composites",
    model_sha256="m1",
    photo_sha256="p1",
    voice_sha256=("v1", "v2"),
    settings="strength 0.7",
)
PICTURE = np.linspace(0, 255, 16 * 12 * 3).reshape(16, 12, 3).astype(np.uint8)
TEXT = format_picture_mark(RECORD, "from a.jpg towards the voice b.wav")


def test_an_unknown_suffix_is_wrong_usage():
    with pytest.raises(UsageError, match="found '.bmp'"):
        encode_marked_picture(PICTURE, RECORD, "x", suffix=".bmp")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a holiday",
        TEXT.replace("synthetic picture", "synthetic speech"),
        TEXT.replace('"synthetic": true', '"synthetic": 1'),
        TEXT.replace('"key": "k1"', '"key": 3'),
        TEXT.replace('["v1", "v2"]', '"v1"'),
        TEXT.replace('["v1", "v2"]', "[1]"),
        TEXT[:-4],
        TEXT.replace('"k1"', '"' + "k" * 9000 + '"'),
    ],
)
def test_texts_of_others_are_no_marks(text):
    assert parse_picture_mark(text) is None


def test_control_characters_do_not_reach_the_terminal():
    found = parse_picture_mark(TEXT.replace('"k1"', '"k\\u001b[2J1"'))
    assert found is not None and found.key == "k?[2J1"


def test_a_picture_without_a_mark_and_a_broken_file_have_none(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe1 no picture")
    assert read_picture_mark(tmp_path / "plain.png") is None
    assert read_picture_mark(tmp_path / "broken.jpg") is None
    assert read_picture_mark(tmp_path / "missing.png") is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_a_mark_is_read_again(tmp_path, suffix):
    path = tmp_path / f"made{suffix}"
    save_marked_picture(path, PICTURE, RECORD, "from a.jpg towards the voice b.wav")
    assert read_picture_mark(path) == RECORD
    assert load_image(path).shape == PICTURE.shape


def test_a_png_keeps_every_pixel_and_its_mark_is_in_text_and_exif(tmp_path):
    path = tmp_path / "made.png"
    save_marked_picture(path, PICTURE, RECORD, "from ä.jpg")
    assert np.array_equal(load_image(path), PICTURE)
    with Image.open(path) as image:
        assert "from ä.jpg" in image.info["Comment"]
        assert image.getexif()[0x010E].startswith("synthetic picture: restyled by facevc")
        assert image.getexif()[0x0131].startswith("facevc ")


def test_exif_alone_is_enough(tmp_path):
    """Programs that convert a picture keep EXIF more often than PNG's text."""
    path, copied = tmp_path / "made.png", tmp_path / "copied.jpg"
    save_marked_picture(path, PICTURE, RECORD, "x")
    with Image.open(path) as image:
        image.save(copied, exif=image.getexif())
    assert read_picture_mark(copied) == RECORD


def test_a_colour_profile_is_kept(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save_marked_picture(tmp_path / "made.jpg", PICTURE, RECORD, "x", icc_profile=profile)
    with Image.open(tmp_path / "made.jpg") as image:
        assert image.info["icc_profile"] == profile


def test_unused_fields_are_left_out():
    assert set(replace(RECORD, voice_sha256=(), settings="").as_dict()) == {
        "made",
        "key",
        "model",
        "model_sha256",
        "photo_sha256",
        "date",
        "version",
        "tool",
        "synthetic",
    }
