"""stages/imagine.py: what is refused, what is drawn, and that a rerun continues."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.composites import make_composites
from helpers.networks import make_embedding
from helpers.pictures import save_grey
from helpers.portraits import FakeJudge, replace_portraits
from helpers.reporters import Notes
from helpers.sounds import recording
from PIL import Image

from facevc_cli.conversion.card import save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image, save_image
from facevc_cli.files.tables import read_table
from facevc_cli.imagining.imaginer import Imaginer
from facevc_cli.imagining.own_faces import _check_pose, cut_frame
from facevc_cli.imagining.plan import PortraitSettings
from facevc_cli.imagining.sheet import SENTENCE
from facevc_cli.portraits.photo import UnfitPhotoError
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.stages.imagine import ImagineConfig, run


@pytest.fixture
def inputs(tmp_path, monkeypatch, voice_embedder):
    replace_portraits(monkeypatch)
    recording(tmp_path / "voices" / "low.wav", 0.5, f0_hz=110.0)
    recording(tmp_path / "voices" / "high.wav", 0.6, f0_hz=220.0)
    return tmp_path


@pytest.fixture
def imagine(inputs, model):
    def call(*voices, output="out", reporter=None, settings=None, **changes):
        config = ImagineConfig(
            voices=tuple(inputs / voice for voice in voices),
            output=inputs / output,
            settings=PortraitSettings(**(settings or {})),
            checkpoint=model,
            device="cpu",
            **changes,
        )
        return run(config, reporter or Notes())

    return call


def rows_of(inputs, output="out"):
    return {row["portrait"]: row for row in read_table(inputs / output / "portraits.csv")}


def test_what_is_refused(imagine, inputs):
    with pytest.raises(UsageError, match="needs a voice"):
        imagine()
    with pytest.raises(UsageError, match="--size 20: expected 64 to 2048"):
        imagine("voices", settings={"size_px": 20})
    with pytest.raises(UsageError, match="--register 'old'"):
        imagine("voices", settings={"register": "old"})
    with pytest.raises(UsageError, match="--samples 0"):
        imagine("voices", samples=0)
    with pytest.raises(UsageError, match="is one picture"):
        imagine("voices", output="face.png")
    with pytest.raises(UsageError, match="is one picture"):
        imagine("voices/low.wav", output="face.png", samples=2)
    with pytest.raises(UsageError, match="expected a folder, or a file name that ends in .png"):
        imagine("voices", output="face.txt")
    with pytest.raises(UsageError, match="--candidates also writes a ranking"):
        imagine("voices/low.wav", candidates=(inputs,), output="face.png")
    with pytest.raises(FaceVCError, match="no such file"):
        imagine("nobody.wav")
    assert not (inputs / "out").exists()


def test_a_voice_that_cannot_be_used_ends_only_itself(imagine, inputs):
    (inputs / "voices" / "broken.wav").write_bytes(b"no sound")
    summary = imagine("voices", samples=2)
    assert summary.done == 4 and [item for item, _ in summary.failures] == ["broken"]
    row = rows_of(inputs)["broken__02.png"]
    assert row["status"] == "failed" and "broken.wav" in row["reason"]
    with pytest.raises(FaceVCError, match="broken.wav"):
        imagine("voices/broken.wav", output="other", fail_fast=True)


def test_pictures_say_what_they_are(imagine, inputs, model):
    assert imagine("voices", settings={"size_px": 96}).done == 2
    assert sorted(path.name for path in (inputs / "out").iterdir()) == ["high.png", "low.png", "portraits.csv"]
    assert load_image(inputs / "out/low.png").shape == (96, 96, 3)
    mark = read_picture_mark(inputs / "out/low.png")
    assert (mark.made, mark.synthetic, mark.model) == ("imagined", True, "composites, chosen by starter")
    assert mark.voice_sha256 == (hash_file(inputs / "voices/low.wav")[:16],)
    assert "size_px 96" in mark.settings
    with Image.open(inputs / "out/low.png") as picture:
        assert "a face that fits the voice low.wav, not the speaker's" in picture.info["Comment"]
    row = rows_of(inputs)["low.png"]
    assert (row["status"], row["voice"], row["voice_id"], row["sample"]) == ("done", "../voices/low.wav", "low", "1")
    assert (row["key"], row["fits_register"], row["looks_age"]) == (mark.key, "1", "40")
    shares = [float(part.partition("=")[2]) for part in row["parts"].split()]
    assert sum(shares) == pytest.approx(1, abs=2e-3)


def test_a_rerun_continues(imagine, inputs):
    assert imagine("voices", samples=2).done == 4
    before = (inputs / "out/low__01.png").read_bytes()
    reporter = Notes()
    summary = imagine("voices", samples=2, reporter=reporter)
    assert (summary.done, summary.skipped, reporter.notes) == (0, 4, [])  # no model was loaded
    (inputs / "out/low__02.png").unlink()
    assert imagine("voices", samples=3).done == 3  # it, and the third of each
    assert (inputs / "out/low__01.png").read_bytes() == before
    assert list(rows_of(inputs)) == [f"{voice}__0{i}.png" for voice in ("high", "low") for i in (1, 2, 3)]


def test_another_picture_in_the_place_is_kept(imagine, inputs):
    imagine("voices", samples=2)
    with pytest.raises(FaceVCError, match=r"high__02\.png is there already"):
        imagine("voices", samples=2, settings={"seed": 5})
    with pytest.raises(FaceVCError, match="--overwrite"):
        imagine("voices", samples=2, settings={"age": "60"})
    assert imagine("voices", samples=2, settings={"age": "60"}, overwrite=True).done == 4
    assert {row["age"] for row in rows_of(inputs).values()} == {"60"}
    save_grey(inputs / "out/low.png", 90)
    with pytest.raises(FaceVCError, match="not by this command"):
        imagine("voices/low.wav")


def test_sheets_and_steps(imagine, inputs):
    imagine("voices/low.wav", samples=3, with_steps=True)
    sheet, steps = (load_image(inputs / f"out/low__{name}.png") for name in ("sheet", "steps"))
    assert sheet.shape[1] == 3 * (64 + 8) - 8 + 16  # three pictures of 64 px side by side
    assert np.array_equal(sheet[38 : 38 + 64, 8 : 8 + 64], load_image(inputs / "out/low__01.png"))
    assert steps.shape[0] > 64
    mark = read_picture_mark(inputs / "out/low__sheet.png")
    assert mark.made == "imagined" and mark.key == ""
    (inputs / "out/low__sheet.png").unlink()
    assert imagine("voices/low.wav", samples=3, with_steps=True).skipped == 3
    assert np.array_equal(load_image(inputs / "out/low__sheet.png"), sheet)
    assert "not the speaker's" in SENTENCE and "Synthetic" in SENTENCE


def test_what_is_asked_for_is_drawn(imagine, inputs):
    """The composites are men of 20 and 30 and women of 40 and 50 years."""
    imagine("voices/low.wav", settings={"register": "feminine", "age": "50"})
    assert {part.partition("=")[0] for part in rows_of(inputs)["low.png"]["parts"].split()} == {"2", "3"}
    imagine("voices/low.wav", settings={"register": "masculine"}, output="men")
    assert {part.partition("=")[0] for part in rows_of(inputs, "men")["low.png"]["parts"].split()} == {"0", "1"}


def test_one_file_needs_no_table(imagine, inputs):
    assert imagine("voices/low.wav", output="face.jpg").done == 1
    assert imagine("voices/low.wav", output="face.jpg").skipped == 1
    assert read_picture_mark(inputs / "face.jpg").made == "imagined" and not (inputs / "portraits.csv").exists()


def test_a_card_is_a_voice(imagine, inputs, model):
    converter = Converter(model, "griffin-lim", "cpu")
    target = converter.target_from_embedding(make_embedding(converter, 0.1))
    save_card(inputs / "voices/card.safetensors", converter.make_card(target, []))
    assert imagine("voices/card.safetensors").done == 1
    assert rows_of(inputs)["card.png"]["voice"] == "../voices/card.safetensors"


def test_a_dry_run_draws_nothing(imagine, inputs):
    planned = imagine("voices", samples=2, dry_run=True).data["planned"]
    assert [one["portrait"] for one in planned][:2] == [str(inputs / f"out/high__0{i}.png") for i in (1, 2)]
    assert not (inputs / "out").exists()


def test_own_pictures_are_ranked_and_the_best_is_copied(imagine, inputs):
    """A FakeJudge reads the register from the red and the age from the green."""
    for name, colour in {"woman": (250, 40, 0), "man": (5, 40, 0), "nobody": (0, 0, 0)}.items():
        save_image(inputs / "faces" / f"{name}.png", np.full((40, 40, 3), colour, np.uint8))
    settings = {"register": "feminine", "age": "40"}
    reporter = Notes()
    summary = imagine("voices/low.wav", candidates=(inputs / "faces",), settings=settings, reporter=reporter)
    assert any("fewer than 3 of the pictures can be mixed" in note for note in reporter.notes)
    assert not (inputs / "out/low.png").exists() and summary.data["best"] == {"low": str(inputs / "faces/woman.png")}
    assert summary.done == 1 and [item for item, _ in summary.failures] == [str(inputs / "faces/nobody.png")]
    ranking = read_table(inputs / "out/low__ranking.csv")
    assert [row["file"] for row in ranking] == ["../faces/woman.png", "../faces/man.png"]
    assert float(ranking[0]["register"]) > float(ranking[1]["register"]) and ranking[0]["face_age"] == "40"
    assert hash_file(inputs / "out/low__best.png") == hash_file(inputs / "faces/woman.png")
    assert read_picture_mark(inputs / "out/low__best.png") is None  # a photograph is not called synthetic
    with pytest.raises(FaceVCError, match="expected pictures that show faces, found none among 1"):
        imagine("voices/low.wav", candidates=(inputs / "faces/nobody.png",), output="other")


def test_the_nearest_own_pictures_are_mixed(imagine, inputs):
    """Four women of different ages and a man, each of one colour. The mixture's colour is that of its parts."""
    ages = {"a": 30, "b": 38, "c": 42, "d": 90}
    for name, green in ages.items():
        save_image(inputs / "faces" / f"{name}.png", np.full((80, 80, 3), (250, green, 10), np.uint8))
    save_image(inputs / "faces" / "man.png", np.full((80, 80, 3), (5, 40, 200), np.uint8))
    save_image(inputs / "faces" / "small.png", np.full((40, 40, 3), (250, 40, 10), np.uint8))  # not from the front
    options = {"candidates": (inputs / "faces",), "settings": {"register": "feminine", "age": "40"}}
    reporter = Notes()
    assert imagine("voices/low.wav", reporter=reporter, samples=2, **options).done == 2
    assert any("small.png is ranked, but not mixed" in note for note in reporter.notes)
    ranked = [row["file"].rpartition("/")[2][:-4] for row in read_table(inputs / "out/low__ranking.csv")]
    row = rows_of(inputs)["low__01.png"]
    parts = {ranked[int(rank) - 1]: float(share) for rank, share in (part.split("=") for part in row["parts"].split())}
    assert set(parts) == {"a", "b", "c"} and sum(parts.values()) == pytest.approx(1, abs=2e-3)
    red, green, blue = load_image(inputs / "out/low__01.png")[32, 32].tolist()
    assert (red, blue) == (250, 10) and green == pytest.approx(sum(ages[n] * s for n, s in parts.items()), abs=1)
    assert read_picture_mark(inputs / "out/low__01.png").model == "own pictures, chosen by starter"
    assert imagine("voices/low.wav", samples=3, **options).done == 1  # goes on
    (inputs / "faces/d.png").unlink()
    with pytest.raises(FaceVCError, match="is there already"):
        imagine("voices/low.wav", samples=2, **options)


def test_a_face_is_cut_to_the_frame_of_the_composites():
    """A picture twice as large and moved: its landmarks come to where the composites have them."""
    like = make_composites()
    shape = like.landmarks.mean(0).astype(np.float64)
    photo = np.zeros((200, 160, 3), np.uint8)
    photo[60:, 40:] = 90
    frame, points = cut_frame(photo, 2 * (shape + 0.5) - 0.5 + (10, 30), like)
    assert frame.shape == (64, 64, 3) and points == pytest.approx(shape, abs=1e-3)
    assert frame[5, 5].tolist() == [0, 0, 0] and frame[40, 40].tolist() == [90, 90, 90]
    edge = int(np.flatnonzero(frame[40, :, 0] > 45)[0])
    assert edge == 15  # (40 - 10) / 2


def test_a_turned_face_is_not_mixed():
    for yaw, pitch, usable in ((-17.0, 17.0, True), (19.0, 0.0, False), (0.0, -19.0, False)):
        with nullcontext() if usable else pytest.raises(UnfitPhotoError, match="at most 18 degrees, found 19"):
            _check_pose(SimpleNamespace(yaw_deg=yaw, pitch_deg=pitch))


def test_if_no_face_is_seen_the_start_is_taken(inputs, model):
    voice = inputs / "voices/low.wav"
    plain = Imaginer(model, "cpu", judge=FakeJudge()).imagine(voice)
    start = Imaginer(model, "cpu", judge=FakeJudge(1)).imagine(voice)
    alone = Imaginer(model, "cpu", judge=FakeJudge(2)).imagine(voice)
    assert len(start.path) == 1 and start.weights == pytest.approx(plain.path[0])
    assert sorted(alone.weights)[-1] == 1
    with pytest.raises(FaceVCError, match="no face is seen"):
        Imaginer(model, "cpu", judge=FakeJudge(3)).imagine(voice)


def test_the_same_seed_gives_the_same_pictures(inputs, model):
    imaginer, voice = Imaginer(model, "cpu"), inputs / "voices/low.wav"
    first, again, other = (imaginer.imagine_many(voice, 3, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0].picture, other[0].picture)  # the best needs no chance
    heard = imaginer.listen(voice)
    assert imaginer.imagine(replace(heard, feminine=1.0)).scores["total"] != first[0].scores["total"]
