"""`restyle`: what it refuses, what a folder gets, and that a rerun goes on."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from helpers.composites import make_composites
from helpers.networks import FakeEmbedder
from helpers.pictures import save_grey

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.faces.analyser import NoFaceError
from facevc_cli.faces.reading import FUSED_DIM, FaceReading, pack
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import read_table
from facevc_cli.portraits.photo import Aim, Restyled
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.stages.restyle import RestyleConfig, read_voice_aim, run


class FakeRestyler:
    """Makes a photo lighter by 10 times the strength; a black one has no face. Counts what it made."""

    made: ClassVar[list[tuple[Aim, float]]] = []

    def __init__(self, composites=None, on_many="largest"):
        self.composites = composites

    def describe(self, picture):
        return pack(np.zeros(128), np.zeros(FUSED_DIM - 130), float(picture.mean()), 33.0)

    def find_face(self, picture):
        if not picture.any():
            raise NoFaceError("expected a face, found none.")
        return picture

    def restyle(self, face, aim, strength):
        self.made.append((aim, strength))
        return Restyled(face + np.uint8(10 * strength), FaceReading(0.1, 30), FaceReading(0.9, 50), 0.41, (0, 0, 1, 1))


@pytest.fixture(autouse=True)
def restyler(monkeypatch):
    composites = make_composites()
    monkeypatch.setattr("facevc_cli.stages.restyle.load_composites", lambda: composites)
    monkeypatch.setattr("facevc_cli.stages.restyle.Restyler", FakeRestyler)
    monkeypatch.setattr(FakeRestyler, "made", [])
    return FakeRestyler


def restyle(tmp_path: Path, *photos: Path, **options):
    options = {"register": "feminine", "output": tmp_path / "out"} | options
    return run(RestyleConfig(photos=photos or (tmp_path / "photos",), **options))


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    return [save_grey(tmp_path / "photos" / name, grey) for name, grey in (("a.jpg", 60), ("b.bmp", 120))]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"register": "auto"}, "needs something to move the photo to"),
        ({"register": "both"}, "--register 'both'"),
        ({"age": "200"}, "--age '200'"),
        ({"strength": 0}, "--strength 0"),
        ({"strength": float("nan")}, "--strength nan"),
        ({"strength": 1.6}, "at most 1.5"),
        ({"face": Path("a.png"), "voice": Path("b.wav")}, "found both"),
        ({"output": Path("one.png")}, "expected a folder for 2 photos"),
        ({"output": Path("one.gif")}, "found '.gif'"),
    ],
)
def test_wrong_usage_is_said(tmp_path, photos, options, said):
    with pytest.raises(UsageError, match=said):
        restyle(tmp_path, **options)


def test_the_photo_itself_is_not_replaced(tmp_path, photos):
    photo = save_grey(tmp_path / "p.png", 50)
    with pytest.raises(FaceVCError, match="is the photo itself"):
        restyle(tmp_path, photo, output=photo, overwrite=True)


def test_a_picture_of_others_is_not_replaced(tmp_path, photos):
    other = save_grey(tmp_path / "other.png", 50)
    with pytest.raises(FaceVCError, match="is there already, made from another"):
        restyle(tmp_path, photos[0], output=other)
    assert restyle(tmp_path, photos[0], output=other, overwrite=True).done == 1


def test_a_face_that_cannot_be_read_is_named(tmp_path, photos):
    with pytest.raises(FaceVCError, match="nowhere.png"):
        restyle(tmp_path, register="auto", face=tmp_path / "nowhere.png")


def test_a_photo_that_fails_is_in_the_table_and_the_others_are_made(tmp_path, photos):
    save_grey(photos[0].with_name("black.png"), 0)
    summary = restyle(tmp_path)
    assert (summary.done, len(summary.failures)) == (2, 1)
    rows = {row["photo_id"]: row for row in read_table(tmp_path / "out" / "restyled.csv")}
    assert rows["black"]["status"] == "failed" and "found none" in rows["black"]["reason"]
    assert "black.png" in rows["black"]["reason"]
    with pytest.raises(FaceVCError, match="found none"):
        restyle(tmp_path, fail_fast=True)


def test_a_folder_gets_pictures_and_a_table(tmp_path, photos):
    summary = restyle(tmp_path, strength=0.5)
    assert summary.done == 2 and not summary.failures
    out = tmp_path / "out"
    assert sorted(path.name for path in out.glob("*__*")) == ["a__restyled.jpg", "b__restyled.png"]
    assert load_image(out / "b__restyled.png")[0, 0].tolist() == [125, 125, 125]
    row = read_table(out / "restyled.csv")[0]
    assert row["photo"] == "../photos/a.jpg" and row["register_asked"] == "1.00" and row["strength"] == "0.5"
    assert (row["register"], row["register_made"], row["age_made"]) == ("0.100", "0.900", "50")
    assert row["distance"] == "0.410"
    mark = read_picture_mark(out / "a__restyled.jpg")
    assert mark is not None and mark.made == "restyled" and mark.key == row["key"]
    assert "strength 0.5" in mark.settings and "register 1" in mark.settings


def test_a_rerun_skips_what_is_done_and_other_settings_are_refused(tmp_path, photos, restyler):
    restyle(tmp_path)
    summary = restyle(tmp_path)
    assert (summary.done, summary.skipped, len(restyler.made)) == (0, 2, 2)
    with pytest.raises(FaceVCError, match="--overwrite"):
        restyle(tmp_path, age="50")
    assert restyle(tmp_path, age="50", overwrite=True).done == 2
    (tmp_path / "out" / "b__restyled.png").unlink()
    assert restyle(tmp_path, age="50").done == 1


def test_a_picture_without_its_row_is_made_again(tmp_path, photos):
    restyle(tmp_path)
    (tmp_path / "out" / "restyled.csv").unlink()
    assert restyle(tmp_path).done == 2


def test_a_dry_run_makes_nothing(tmp_path, photos):
    planned = restyle(tmp_path, dry_run=True).data["planned"]
    assert [Path(one["picture"]).name for one in planned] == ["a__restyled.jpg", "b__restyled.png"]
    assert not (tmp_path / "out").exists()


def test_register_and_age_count_before_those_of_a_voice(tmp_path, photos, restyler, monkeypatch):
    monkeypatch.setattr("facevc_cli.stages.restyle.read_voice_aim", lambda path: Aim(0.2, 61.0))
    voice = save_grey(tmp_path / "voice.png", 3)  # only its bytes are read
    restyle(tmp_path, register="auto", voice=voice, age="25")
    aim, _ = restyler.made[0]
    assert (aim.register, aim.age_years) == (0.2, 25.0)


def test_a_face_gives_a_descriptor(tmp_path, photos, restyler):
    restyle(tmp_path, register="auto", face=photos[1])
    aim, _ = restyler.made[0]
    assert aim.register is None and aim.descriptor is not None and aim.descriptor.shape == (FUSED_DIM,)


def test_a_voice_is_read_as_imagine_reads_it(tmp_path, monkeypatch):
    from facevc_cli.files.audio import save_audio
    from facevc_cli.imagining.voice import listen

    monkeypatch.setattr("facevc_cli.stages.restyle.VoiceEmbedder", FakeEmbedder)
    save_audio(tmp_path / "v.wav", np.sin(np.arange(16000) / 20).astype(np.float32), 16000)
    aim, heard = read_voice_aim(tmp_path / "v.wav"), listen(tmp_path / "v.wav", FakeEmbedder())
    assert heard.log_f0 is not None  # the pitch counts, too
    assert (aim.register, aim.age_years) == (heard.feminine, heard.age_years)
    assert json.dumps(aim.register)  # a plain number
