"""recipes/stream: a run in miniature, and its figures."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.checkpoints import checkpoint
from helpers.recipes import list_stages, run_recipe
from helpers.repository import RECIPES
from helpers.sounds import buzz
from helpers.stores import Stores

from facevc_cli.conversion.converter import Converter
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.base import Capability
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.audio import save_audio
from facevc_cli.files.tables import read_table, write_table

MEASURE = runpy.run_path(str(RECIPES / "stream" / "local" / "measure.py"), run_name="measure")


def test_a_run_in_miniature(tmp_path: Path, starter_stores: Stores, starter_run: Path) -> None:
    given = ("--features", starter_stores.features, "--init", starter_run)
    out = tmp_path / "out"
    run = run_recipe("stream", *given, "--out", out, "--steps", 1, "--batch-size", 2, "--width", 8, "--device", "cpu")
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, 3] and "stage 3 needs --table and --face" in run.stderr
    made = load_checkpoint(out / "model")
    assert Capability.STREAM in made.model.capabilities and made.config.model.stream_encoder.width == 8
    assert made.origin.startswith("recipes/stream")


def test_the_distance_is_that_of_the_log_mels_in_speech() -> None:
    wav = np.random.default_rng(0).standard_normal(22050).astype(np.float32) / 10
    measure = MEASURE["measure_distance"]
    assert measure(wav, wav, MEL_DEFINITIONS["hifigan"]) == 0
    # a factor of two is ln 2 in every band
    assert measure(2 * wav, wav, MEL_DEFINITIONS["hifigan"]) == pytest.approx(np.log(2), abs=0.02)


def test_character_errors_are_weighted_by_the_texts() -> None:
    figures = (*MEASURE["FIGURES"], *MEASURE["PARTS"])
    rows = [
        {"kind": "file", "errors": 1, "characters": 10, **dict.fromkeys(figures, 0.5)},
        {"kind": "file", "errors": 5, "characters": 30, **dict.fromkeys(figures, 0.1)},
    ]
    said = MEASURE["summarise"](rows)
    assert "cer 0.150" in said and "distance 0.300" in said and "mos 0.300" in said
    assert "mos -" in MEASURE["summarise"]([{**rows[0], "mos": ""}])


def test_figures_of_streams_beside_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    overrides = ("conversion.voice_guidance=0", "model.stream_encoder={width: 8, blocks: 1}")
    folder = checkpoint(tmp_path / "model", "starter", overrides=overrides)
    save_audio(tmp_path / "a.wav", buzz(0.8, 22050), 22050)
    write_table(tmp_path / "table.csv", [{"utterance": "a/1", "path": "a.wav"}])
    monkeypatch.setattr(Converter, "embed_face", lambda self, face: np.ones(162, np.float32))
    face = str(tmp_path / "face.png")
    arguments = [str(tmp_path / "out"), str(tmp_path / "table.csv"), "--face", face, "--checkpoint", str(folder)]
    more = ["--vocoder", "griffin-lim", "--settings", "{step_frames: 16, content_frames: 60}", "--calibrate"]
    more += ["--judges", "none"]
    monkeypatch.setattr(sys, "argv", ["measure.py", *arguments, *more])
    MEASURE["main"]()
    rows = read_table(tmp_path / "out" / "figures.csv", ("kind", "distance", "content"))
    assert [row["kind"] for row in rows] == ["file", "window", "causal"]
    assert float(rows[0]["distance"]) == 0 and all(float(row["distance"]) > 0 for row in rows[1:])
    assert all((tmp_path / "out" / row["kind"] / f"a_1__{tmp_path.name}_face.wav").is_file() for row in rows)
    assert "causal:  cer -" in capsys.readouterr().out
