"""`restyle --checkpoint`: what it refuses, what a model of styles makes of a photo, and that a rerun goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.pictures import save_grey
from helpers.sounds import recording
from helpers.styles import PX, replace_face_finders, restyle_by_hand, shrink, style_checkpoint
from PIL import Image

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.families.checkpoint import load_model
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import read_table
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.stages.restyle_in_styles import StyleConfig, run


@pytest.fixture
def model(tmp_path, monkeypatch):
    replace_face_finders(monkeypatch)
    return style_checkpoint(tmp_path / "model")


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.bmp"):
        picture = rng.integers(0, 256, (40, 32, 3), np.uint8)
        picture[0, 0, 0] = 33  # years
        Image.fromarray(picture).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def restyle(tmp_path, model, *photos, **options):
    given = {"output": tmp_path / "out", "device": "cpu"} | options
    return run(StyleConfig(photos=photos, checkpoint=model, **given))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"register": "feminine", "age": "40"}, "--age: a model of styles knows no age"),
        ({}, "takes one of --face, --voice and --register"),
        ({"register": "feminine", "voice": "a.wav"}, "takes one of --face, --voice and --register"),
        ({"register": "0.5", "strength": 0}, "--strength 0"),
        ({"register": "both"}, "--register 'both'"),
        ({"register": "0.5", "output": Path("one.png")}, "expected a folder for 2 photos"),
        ({"register": "0.5", "output": Path("one.gif")}, "found '.gif'"),
    ],
)
def test_what_is_refused(tmp_path, model, photos, options, reason):
    with pytest.raises(UsageError, match=reason):
        restyle(tmp_path, model, photos, **options)
    assert not (tmp_path / "out").exists()


def test_a_model_without_styles_is_refused(tmp_path, model, photos):
    other = checkpoint(tmp_path / "toy")
    with pytest.raises(FaceVCError, match="the model 'toy' has no styles, so it makes no pictures of faces"):
        restyle(tmp_path, other, photos, register="feminine")
    with pytest.raises(FaceVCError, match="the photo itself"):
        restyle(tmp_path, model, photos / "a.png", register="feminine", output=photos / "a.png")


def test_a_face_is_made_in_the_style_of_a_register(tmp_path, model, photos):
    summary = restyle(tmp_path, model, photos, register="0.25")
    assert summary.done == 2 and not summary.failures
    network = load_model(model)
    with torch.no_grad():
        style = torch.lerp(*(network.mapping(torch.zeros(1, 3), torch.tensor([i])) for i in (0, 1)), 0.25)
    for name in ("a.png", "b.bmp"):
        made = load_image(tmp_path / "out" / f"{name[0]}__restyled.png")
        assert np.array_equal(made, restyle_by_hand(network, load_image(photos / name), style))
    assert made.shape == (PX, PX, 3) and np.ptp(made) > 0
    mark = read_picture_mark(tmp_path / "out" / "a__restyled.png")
    assert (mark.made, mark.model, mark.synthetic, mark.settings) == (
        "restyled",
        "styles",
        True,
        "strength 1, register 0.25",
    )
    row = read_table(tmp_path / "out" / "restyled.csv")[0]
    assert row["photo"] == "../photos/a.png" and row["register_asked"] == "0.25" and row["key"] == mark.key
    assert float(row["age"]) == 33 and float(row["distance"]) == 0


def test_a_face_or_a_voice_guides_by_the_strength(tmp_path, model, photos):
    network, converter = load_model(model), Converter(model, "griffin-lim", "cpu")
    photo, other = load_image(photos / "a.png"), load_image(photos / "b.bmp")
    speech = recording(tmp_path / "s.wav", 1.0)
    own, face = (network.embed_pictures(torch.from_numpy(shrink(p, PX))[None]).detach() for p in (photo, other))
    voice = converter.target_from_voice(speech).speaker
    for options, style in (
        ({"face": photos / "b.bmp"}, face),
        ({"face": photos / "b.bmp", "strength": 0.5}, (own + face) / 2),
        ({"voice": speech, "strength": 1.5}, own + 1.5 * (voice - own)),
    ):
        restyle(tmp_path, model, photos / "a.png", output=tmp_path / "one.png", overwrite=True, **options)
        made = load_image(tmp_path / "one.png").astype(int)
        assert np.abs(made - restyle_by_hand(network, photo, style)).max() <= 1
    assert read_picture_mark(tmp_path / "one.png").voice_sha256 and not (tmp_path / "restyled.csv").exists()


def test_a_photo_without_a_face_fails_and_a_rerun_goes_on(tmp_path, model, photos):
    black = save_grey(photos / "c.png", 0)
    first = restyle(tmp_path, model, photos, register="feminine")
    assert first.done == 2 and first.failures == [("c", f"{black}: expected a face, found none.")]
    again = restyle(tmp_path, model, photos, register="feminine")
    assert (again.done, again.skipped, len(again.failures)) == (0, 2, 1)
    for changes in ({"register": "masculine"}, {"register": "feminine", "strength": 0.5}):
        with pytest.raises(FaceVCError, match="is there already, made from another photo, face, voice, model"):
            restyle(tmp_path, model, photos / "a.png", **changes)
    assert restyle(tmp_path, model, photos / "a.png", register="masculine", overwrite=True).done == 1
    planned = restyle(tmp_path, model, photos, register="feminine", dry_run=True).data["planned"]
    assert [one["picture"] for one in planned] == [str(tmp_path / "out" / f"{n}__restyled.png") for n in "abc"]
