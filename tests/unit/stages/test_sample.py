"""stages/sample.py: each pair has a card, a face and a line, and a rerun continues."""

import numpy as np
import pytest
from helpers.portraits import replace_portraits
from helpers.reporters import Notes
from helpers.sounds import recording
from helpers.speech_engines import replace_engine

from facevc_cli.conversion.card import load_card
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import read_table
from facevc_cli.provenance.metadata import read_provenance
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.speaking.narrator import NarratorSettings
from facevc_cli.stages import sample as stage
from facevc_cli.stages.sample import SampleConfig, run


@pytest.fixture
def engine(monkeypatch):
    return replace_engine(monkeypatch)


@pytest.fixture
def sample(tmp_path, monkeypatch, model):
    replace_portraits(monkeypatch)

    def call(output="pairs", reporter=None, **changes):
        given = {"checkpoint": model, "device": "cpu", "vocoder": "griffin-lim", **changes}
        return run(SampleConfig(output=tmp_path / output, **given), reporter or Notes())

    return call


def test_what_is_refused(sample, toy_model, engine, tmp_path):
    with pytest.raises(UsageError, match="--count 0"):
        sample(count=0)
    with pytest.raises(UsageError, match="expected a folder"):
        sample("pair.png")
    with pytest.raises(UsageError, match="--text is empty"):
        sample(text=" ")
    with pytest.raises(UsageError, match="--size 5"):
        sample(size_px=5)
    with pytest.raises(FaceVCError, match="no memory of d-vectors"):
        sample(checkpoint=toy_model)
    assert not list((tmp_path / "pairs").glob("*.safetensors"))


def test_an_engine_that_there_is_not(sample):
    with pytest.raises(UsageError, match="no speech engine of this name"):
        sample(narrator=NarratorSettings(engine="nobody"))


def test_pairs_are_complete(sample, engine, tmp_path):
    assert sample(count=2, seed=4, text="Hi, you.").done == 2
    folder = tmp_path / "pairs"
    names = [f"4-00{i}.{suffix}" for i in (1, 2) for suffix in ("png", "safetensors", "wav")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*names, "index.html", "manifest.csv", "portraits.csv", "sheet.png"]
    )
    card = load_card(folder / "4-001.safetensors")
    assert card.origin[0]["file"] == "facevc sample --seed 4, pair 1"
    assert float(np.linalg.norm(card.speaker)) == pytest.approx(1, abs=1e-5)
    mark = read_picture_mark(folder / "4-001.png")
    assert (mark.made, mark.synthetic, len(mark.voice_sha256)) == ("sampled", True, 1)
    assert read_picture_mark(folder / "sheet.png").made == "sampled"
    assert read_provenance(folder / "4-001.wav").engine == "fake" and engine.said == ["Hi, you."]
    rows = read_table(folder / "portraits.csv")
    assert [row["voice"] for row in rows] == ["4-001.safetensors", "4-002.safetensors"]
    assert {row["feminine"] for row in rows} == {"0.000", "1.000"}
    spoken = read_table(folder / "manifest.csv")
    assert [(row["converted"], row["transcript"]) for row in spoken] == [(f"4-00{i}.wav", "Hi, you.") for i in (1, 2)]
    page = (folder / "index.html").read_text()
    assert 'src="4-002.wav"' in page and "nobody&#x27;s own" in page and "http" not in page


def test_a_rerun_continues_and_keeps_what_is_there(sample, engine, tmp_path):
    sample(count=2, seed=4)
    card = (tmp_path / "pairs/4-001.safetensors").read_bytes()
    summary = sample(count=3, seed=4)
    assert (summary.done, summary.skipped) == (1, 2)
    (tmp_path / "pairs/4-001.png").unlink()
    assert sample(count=3, seed=4).done == 1
    assert (tmp_path / "pairs/4-001.safetensors").read_bytes() == card
    assert sample(count=1, seed=5).done == 1  # another seed has other names
    with pytest.raises(FaceVCError, match=r"4-001\.png is there already"):
        sample(count=1, seed=4, size_px=80)
    assert sample(count=1, seed=4, size_px=80, overwrite=True).done == 1
    assert load_image(tmp_path / "pairs/4-001.png").shape == (80, 80, 3)


def test_without_an_engine_a_recording_is_converted(sample, monkeypatch, tmp_path):
    def refuse(name):
        raise FaceVCError("the engine is not installed")

    monkeypatch.setattr("facevc_cli.speaking.narrator.load_synthesiser", refuse)
    folder = tmp_path / "assets" / "examples"
    for name in stage.EXAMPLES.values():
        recording((folder / name).with_suffix(".wav"), 0.3).rename(folder / name)
    monkeypatch.setattr(stage, "files", lambda package: tmp_path)
    with pytest.raises(FaceVCError, match="not installed"):
        sample(text="Hi.")
    sample(count=2)
    sources = {row["converted"]: row["source_id"] for row in read_table(tmp_path / "pairs/manifest.csv")}
    assert set(sources.values()) == {"speech_woman", "speech_man"}


def test_a_dry_run_draws_nothing(sample, tmp_path):
    assert sample(count=2, dry_run=True).data["planned"] == [str(tmp_path / f"pairs/0-00{i}") for i in (1, 2)]
    assert not (tmp_path / "pairs").exists()
