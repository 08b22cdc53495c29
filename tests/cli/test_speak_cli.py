"""facevc speak: options, pipes and exit codes."""

import io
import json

import pytest
import soundfile
from helpers.commands import call
from helpers.pictures import draw_face
from helpers.speech_engines import replace_engine
from typer.testing import CliRunner

from facevc_cli.cli.app import app
from facevc_cli.files.image import save_image


@pytest.fixture
def speak(tmp_path, monkeypatch, analyser, voice_embedder, model):
    monkeypatch.chdir(tmp_path)
    replace_engine(monkeypatch)
    save_image(tmp_path / "face.jpg", draw_face(0))
    return lambda *words: call("speak", *words, "--checkpoint", model, "--vocoder", "griffin-lim")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Hi.", "-o", "o.wav"), "needs a face or a voice"),
        (("--face", "face.jpg", "-o", "o.wav"), "nothing to say"),
        (("Hi.", "--face", "face.jpg", "-o", "o.wav", "--how", "magic"), "expected one of convert, timbre, both"),
        (("Hi.", "--face", "face.jpg", "-o", "o.wav", "--speed", "0.1"), "--speed 0.1"),
        (("Hi.", "--face", "face.jpg", "-o", "o.wav", "--pause", "-3"), "--pause -3"),
        (("Hi.", "--face", "face.jpg", "-o", "o.wav", "--language", "de"), "no German"),
        (("-", "--face", "face.jpg", "-o", "o.wav"), "expected a text on stdin"),
    ],
)
def test_wrong_values_exit_2(speak, words, said):
    result = speak(*words)
    assert result.exit_code == 2 and said in result.stderr


def test_an_engine_that_there_is_not_exits_2(tmp_path):
    save_image(tmp_path / "face.jpg", draw_face(0))
    result = call("speak", "Hi.", "--face", tmp_path / "face.jpg", "-o", tmp_path / "o.wav", "--engine", "nobody")
    assert result.exit_code == 2 and "no speech engine of this name" in result.stderr


def test_files_that_cannot_be_used_exit_1(speak):
    assert speak("Hi.", "--face", "none.jpg", "-o", "o.wav").exit_code == 1
    assert speak("--text", "none.txt", "--face", "face.jpg", "-o", "o.wav").exit_code == 1
    assert speak("你好", "--face", "face.jpg", "-o", "o.wav").exit_code == 1


def test_a_text_from_the_command_line(speak, tmp_path):
    result = speak("Hi, you.", "--face", "face.jpg", "-o", "o.wav", "--json", "--speed", "2")
    assert result.exit_code == 0, result.stderr
    item, summary = map(json.loads, result.stdout.splitlines())
    assert (item["type"], item["source"], item["status"]) == ("item", "hi-you", "done")
    assert (summary["type"], summary["done"]) == ("summary", 1)
    assert soundfile.info(tmp_path / "o.wav").duration > 0.1


def test_a_dry_run_lists_what_would_be_made(speak, tmp_path):
    result = speak("Hi.", "Ho.", "--face", "face.jpg", "-o", "out", "-n")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["hi + face.jpg -> out/hi__face.wav", "ho + face.jpg -> out/ho__face.wav"]
    assert not (tmp_path / "out").exists()


def test_pipes(speak, model):
    words = ["speak", "-", "--face", "face.jpg", "-o", "-", "--checkpoint", str(model), "--vocoder", "griffin-lim"]
    result = CliRunner().invoke(app, words, input=b"Hi, you.\n")
    assert result.exit_code == 0, result.stderr
    assert soundfile.info(io.BytesIO(result.stdout_bytes)).duration > 0.2
    bad = CliRunner().invoke(app, words, input=b"\xff\xfe\x00")
    assert bad.exit_code == 2 and "expected a text in UTF-8 on stdin" in bad.stderr
