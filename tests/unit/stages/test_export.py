"""`export`: its files, what it refuses, and a program that uses them without torch."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.repository import ROOT
from helpers.vocoders import write_hifigan

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.graphs import Graph, draw_speech
from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel
from facevc_cli.export.sound_graphs import PitchGraph
from facevc_cli.files.hashes import hash_file
from facevc_cli.provenance.watermark import add_watermark, detect
from facevc_cli.stages.export import ExportConfig, run
from facevc_cli.vocoders.load import load_vocoder

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from facevc_cli.export.onnx_files import write_graph

NAMES = ["mel", "pitch", "voice", "content", "decoder", "vocoder", "mark"]
ALL = [*NAMES[:-1], "vocoder_stream", NAMES[-1]]


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory) -> str:
    return str(write_hifigan(tmp_path_factory.mktemp("vocoder") / "hifigan"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """A buzz whose pitch no method doubts, with silence around it."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    silence = np.zeros(9000, np.float32)
    soundfile.write(path, np.concatenate([silence, draw_speech(44_100, 22050).numpy(), silence]), 22050)
    return path


@pytest.fixture(scope="module")
def exported(model, vocoder, speech, tmp_path_factory) -> Path:
    """An export with a recording's voice; not to be written to."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    summary = run(
        ExportConfig(onnx=folder, voice=ROOT / "examples/speech_woman.flac", checkpoint=model, vocoder=vocoder)
    )
    assert (summary.done, summary.skipped, summary.failures) == (8, 0, [])
    return folder


# ---- what is refused


def test_two_voices_and_a_wrong_temperature(tmp_path):
    with pytest.raises(UsageError, match="--face and --voice"):
        run(ExportConfig(onnx=tmp_path / "x", face=Path("a.jpg"), voice=Path("b.wav")))
    with pytest.raises(UsageError, match="above 0"):
        run(ExportConfig(onnx=tmp_path / "x", temperature=-1.0))


def test_a_vocoder_without_a_graph(model, tmp_path):
    with pytest.raises(FaceVCError, match="griffin-lim cannot be exported"):
        run(ExportConfig(onnx=tmp_path / "x", checkpoint=model, vocoder="griffin-lim"))
    assert not (tmp_path / "x").exists()


def test_a_folder_with_other_things(model, vocoder, exported, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FaceVCError, match="other things than an export"):
        run(ExportConfig(onnx=tmp_path, checkpoint=model, vocoder=vocoder, overwrite=True))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(FaceVCError, match="another export"):
        run(ExportConfig(onnx=exported, checkpoint=model, vocoder=vocoder, half=True))


def test_a_graph_that_differs_is_an_error_and_leaves_nothing(model, vocoder, tmp_path, monkeypatch):
    from facevc_cli.vocoders.hifigan import HifiganGraph

    right = HifiganGraph.forward
    monkeypatch.setattr(
        HifiganGraph, "forward", lambda self, x: right(self, x) + (0.01 if torch.onnx.is_in_onnx_export() else 0.0)
    )
    with pytest.raises(
        FaceVCError, match=r"vocoder\.onnx: onnxruntime computes something else.*at most 0\.0005, found 0\.01"
    ):
        run(ExportConfig(onnx=tmp_path / "x", checkpoint=model, vocoder=vocoder))
    assert list(tmp_path.iterdir()) == []


def test_no_number_is_a_difference(tmp_path):
    class Root(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sqrt()

    graph = Graph(
        name="root",
        purpose="",
        module=Root(),
        inputs={"x": ("frames",)},
        outputs={"y": ("frames",)},
        make_inputs=lambda frames: (torch.linspace(-1, 1, frames),),
    )
    with pytest.raises(FaceVCError, match="found inf"):
        write_graph(graph, tmp_path)
    good = replace(graph, make_inputs=lambda frames: (torch.linspace(0, 1, frames),))
    assert write_graph(good, tmp_path).difference < 1e-6


# ---- what is written


def test_the_files_are_as_model_json_says(exported, vocoder):
    described = json.loads((exported / "model.json").read_text())
    assert described["order"] == NAMES and list(described["graphs"]) == ALL
    assert described["graphs"]["vocoder_stream"]["instead_of"] == "vocoder"
    assert {path.name for path in exported.iterdir()} == {f"{n}.onnx" for n in ALL} | {"model.json", "voice.json"}
    for name, graph in described["graphs"].items():
        path = exported / graph["file"]
        assert (graph["sha256"], graph["bytes"]) == (hash_file(path), path.stat().st_size), name
        assert graph["max_difference"] <= graph["tolerance"]
        assert str(exported.parent).encode() not in path.read_bytes() and str(ROOT).encode() not in path.read_bytes()
    assert [described[name] for name in ("rate", "hop_samples", "peak", "trim_db")] == [22050, 256, 0.9, 60]
    assert described["mel_mean"] == [-5.0] * 80 and np.allclose(described["mel_std"], 1)
    assert described["graphs"]["decoder"]["context_frames"] == 7  # 2 at each end, 3 in the block
    assert described["graphs"]["vocoder"]["context_frames"] == load_vocoder(vocoder, "hifigan").context_frames
    assert described["licence"] is None and described["graphs"]["voice"]["licence"] == "Apache-2.0"


def test_the_voice_is_the_converters(exported, model):
    found = json.loads((exported / "voice.json").read_text())
    target = Converter(model, "griffin-lim").target_from_voice(ROOT / "examples/speech_woman.flac")
    assert np.allclose(found["voice"], target.speaker[0], atol=1e-8)
    assert found["log_f0_mean"] == target.log_f0_mean and found["log_f0_std"] == target.log_f0_std
    assert found["pitch_hz"] == round(float(np.exp(found["log_f0_mean"])), 1)
    assert found["origin"][0]["file"] == "speech_woman.flac" and found["recording"] is None


def test_the_same_weights_give_the_same_bytes_and_finished_work_is_kept(exported, model, vocoder, tmp_path, analyser):
    config = ExportConfig(onnx=tmp_path / "again", checkpoint=model, vocoder=vocoder)
    assert run(config).done == 8
    for name in ALL:
        assert hash_file(tmp_path / "again" / f"{name}.onnx") == hash_file(exported / f"{name}.onnx"), name
    picture = ROOT / "examples/face.jpg"
    summary = run(replace(config, face=picture))
    assert (summary.done, summary.skipped) == (0, 8)
    voice = json.loads((tmp_path / "again" / "voice.json").read_text())
    assert np.allclose(voice["voice"], Converter(model, "griffin-lim").target_from_face(picture).speaker[0], atol=1e-8)
    (tmp_path / "again" / "mel.onnx").write_bytes(b"damaged")
    with pytest.raises(FaceVCError, match="another export"):
        run(config)
    assert run(replace(config, overwrite=True)).done == 8


def test_half_the_size(exported, model, vocoder, tmp_path):
    run(ExportConfig(onnx=tmp_path / "half", checkpoint=model, vocoder=vocoder, half=True))
    for name in ("voice", "decoder", "content"):
        full, half = ((folder / f"{name}.onnx").stat().st_size for folder in (exported, tmp_path / "half"))
        assert half < 0.75 * full, name


# ---- the example program

WITHOUT_TORCH = """
import runpy, sys
for name in ("torch", "facevc_cli", "pyworld", "librosa", "scipy", "dlib"):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
HOST = ROOT / "examples" / "onnx_host.py"


def test_a_program_without_torch_converts_as_facevc_does(exported, model, vocoder, speech, tmp_path, monkeypatch):
    """With the graph's F0 facevc makes the same sound. With its own it makes nearly the same."""
    assert len(HOST.read_text().splitlines()) <= 60
    command = [sys.executable, "-c", WITHOUT_TORCH, str(HOST), str(exported), str(speech), str(tmp_path / "out.wav")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    made, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert rate == 22050 and detect(made, rate).marked
    module = "facevc_cli.families.fvmvc.distilled_content"
    monkeypatch.setattr(f"{module}.prefers_bfloat16", lambda device: False)  # as the graphs compute
    converter = Converter(model, vocoder)
    target = converter.target_from_voice(ROOT / "examples/speech_woman.flac")
    target = replace(target, content=None, bands=None, log_f0_std=None)  # what the graphs do not take of a recording
    own = add_watermark(converter.speak(converter.analyse(speech), target), rate)
    graph = PitchGraph(converter.frontend.definition)
    monkeypatch.setattr("facevc_cli.dsp.frontend.extract_f0", lambda wav, *_: graph(torch.from_numpy(wav)).numpy())
    same = add_watermark(converter.speak(converter.analyse(speech), target), rate)
    assert made.shape == same.shape and np.abs(same).max() > 0.1
    assert np.abs(made - same).max() < 2e-3
    heard, wanted = (compute_log_mel(wav, MEL_DEFINITIONS["hifigan"]) for wav in (made, own))
    assert np.abs(heard - wanted).mean() < 0.15
