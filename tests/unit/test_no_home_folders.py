"""What is passed on names no folder of whoever made it: every byte of every output is looked at."""

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.checkpoints import checkpoint
from helpers.pictures import save_grey
from helpers.planted_voices import EnvelopeEmbedder
from helpers.sounds import recording
from helpers.stores import Stores, train

from facevc_cli.evaluation.judges import Judges
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
from facevc_cli.files.tables import make_relative_path, read_table, write_table
from facevc_cli.stages.benchmark import BenchmarkConfig
from facevc_cli.stages.benchmark import run as benchmark
from facevc_cli.stages.convert import ConvertConfig
from facevc_cli.stages.convert import run as convert
from facevc_cli.stages.evaluate import EvaluateConfig
from facevc_cli.stages.evaluate import run as evaluate


def tell_tales(folder: Path, prefix: Path) -> list[str]:
    """Files below `folder` that hold `prefix`, plainly or in base64."""
    name = str(prefix).encode()
    forms = [name, *(base64.b64encode(b" " * shift + name)[4:-4] for shift in range(3))]
    return [
        str(p.relative_to(folder))
        for p in sorted(folder.rglob("*"))
        if p.is_file() and any(form in p.read_bytes() for form in forms)
    ]


def test_the_look_out_finds_what_is_there(tmp_path: Path):
    (tmp_path / "plain").write_text(f"x{tmp_path}/a")
    for shift in range(3):
        (tmp_path / f"coded{shift}").write_bytes(base64.b64encode(b"x" * shift + f"{tmp_path}/a".encode()))
    (tmp_path / "clean").write_text("../a")
    assert tell_tales(tmp_path, tmp_path) == ["coded0", "coded1", "coded2", "plain"]


@pytest.mark.usefixtures("analyser")
def test_conversions_and_their_evaluation(tmp_path: Path):
    home = tmp_path / "home" / "somebody"
    for name, f0_hz in {"one": 110, "two": 220}.items():
        recording(home / "wavs" / f"{name}.wav", 0.6, f0_hz=f0_hz)
    for name, value in {"eve": 90, "bob": 160}.items():
        save_grey(home / "faces" / f"{name}.png", value)
        recording(home / "real" / f"{name}.wav", 0.6, f0_hz=180)
    write_table(
        home / "people.csv",
        [
            {"target": name, "gender": gender, "references": f"real/{name}.wav"}
            for name, gender in (("eve", "f"), ("bob", "m"))
        ],
    )
    out = home / "out"
    config = ConvertConfig(
        sources=(home / "wavs",),
        output=out,
        faces=(home / "faces",),
        checkpoint=checkpoint(home / "model"),
        vocoder="griffin-lim",
        device="cpu",
        sidecar=True,
    )
    asked = BenchmarkConfig(conversions=config, baselines=("source", "mean-face"), labels=home / "people.csv")
    assert not benchmark(asked).failures
    rows = read_table(out / "manifest.csv")
    assert (rows[0]["source"], rows[0]["face"], rows[0]["references"]) == (
        "../wavs/one.wav",
        "../faces/bob.png",
        "../real/bob.wav",
    )
    (home / "faces" / "eve.png").unlink()  # a picture that the page misses is named there
    judges = Judges(EnvelopeEmbedder(), "envelope", PitchGenderJudge())
    summary = evaluate(
        EvaluateConfig(
            manifest=out, output=home / "report", naturalness=False, listening_test=home / "report" / "test.html"
        ),
        judges=judges,
    )
    assert not summary.failures and "eve.png" in (home / "report" / "report.html").read_text()
    assert len(list((home / "report").iterdir())) == 4
    assert tell_tales(out, home) == tell_tales(home / "report", home) == tell_tales(home / "model", home) == []
    again = convert(replace(config, faces=(home / "faces" / "bob.png",)))
    assert (again.done, again.skipped) == (0, 2)  # paths that are relative resume like others


@pytest.mark.usefixtures("no_plots")
def test_runs(toy_stores: Stores, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = toy_run.parents[1]
    monkeypatch.setattr(
        sys, "argv", [str(home / "bin" / "facevc"), "train", str(toy_run), f"--init={toy_run}", "-o", "runs/train"]
    )
    train(toy_stores, toy_run, tmp_path / "run", "train.steps=2")
    assert tell_tales(tmp_path / "run", home) == []
    (start,) = json.loads((tmp_path / "run" / "run.json").read_text())
    assert start["command"] == ["facevc", "train", "toy", "--init=toy", "-o", "runs/train"]


def test_paths_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    assert make_relative_path(tmp_path / "out", tmp_path / "a.wav") == "../a.wav"
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")  # `link/..` is `far`, not where the link lies
    assert make_relative_path(tmp_path / "link", tmp_path / "a.wav") == "../../a.wav"
    (tmp_path / "a.wav").touch()
    assert (tmp_path / "link" / make_relative_path(tmp_path / "link", tmp_path / "a.wav")).is_file()
    monkeypatch.chdir(tmp_path)
    assert (
        make_relative_path(Path("out"), "a.wav") == "../a.wav"
        and make_relative_path(Path("out"), "out/b.wav") == "b.wav"
    )
