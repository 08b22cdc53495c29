"""`facevc voice-card`, `facevc nearest`, and how convert is told whose voice and how high: exit codes, stdout and
stderr.
"""

import json

import numpy as np
import pytest
from helpers.pictures import save_grey
from helpers.sounds import recording
from typer.testing import CliRunner

from facevc_cli.cli.app import app
from facevc_cli.files.image import save_image

pytestmark = pytest.mark.usefixtures("analyser", "voice_embedder")


@pytest.fixture
def call(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recording(tmp_path / "s.wav", 0.2)
    for name, value in {"a": 90, "b": 160, "anna/1": 30, "anna/2": 31}.items():
        save_grey(tmp_path / f"{name}.png", value)

    def run(command, *arguments):
        vocoder = ("--vocoder", "griffin-lim") if command == "convert" else ()
        return CliRunner().invoke(app, [command, *arguments, "--checkpoint", str(model), *vocoder, "-d", "cpu"])

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("convert s.wav -o out --sweep 3 --face a.png", 2, "--sweep"),
        ("convert s.wav -o out --mix a.png=.5", 2, "at least two"),
        ("convert s.wav -o out --mix a.png=.5 b.png=.5 --mix a.png=1 b.png=2", 2, "quote each"),
        ("convert s.wav -o out --face a.png --pitch high", 2, "--pitch"),
        ("convert s.wav -o out --face a.png --pitch 180", 2, "180hz"),
        ("convert s.wav -o out --person nowhere", 1, "no such"),
        ("convert --mix a.png=.5 b.png=.5 -o out", 2, "needs a source"),
        ("voice-card a.png", 2, "--out"),
        ("voice-card a.png -o a.wav", 2, ".safetensors"),
        ("voice-card -o a.safetensors", 2, "either"),
        ("nearest a.png", 2, "either"),
        ("nearest --voice s.wav", 2, "candidates"),
        ("nearest --voice s.wav a.png --top 0", 2, "--top"),
        ("nearest --voice a.png a.png", 1, "a.png"),
    ],
)
def test_exit_codes(call, tmp_path, arguments, code, said):
    result = call(*arguments.split())
    assert (
        result.exit_code == code
        and said in result.stderr.lower()
        and result.stdout == ""
        and "Traceback" not in result.stderr
    )
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_mix_needs_no_quotes(call, tmp_path):
    assert call("convert", "s.wav", "--mix", "a.png=.6", "b.png=.4", "-o", "out").exit_code == 0
    assert (tmp_path / "out" / "s__a=0.60+b=0.40.wav").is_file()
    assert call("convert", "--mix", "a.png=.6 b.png=.4", "s.wav", "-o", "out").exit_code == 0


def test_a_sweep_and_a_person(call, tmp_path):
    result = call(
        "convert", "s.wav", "--mix", "a.png=1 b.png=1", "--sweep", "3", "--person", "anna", "--pitch", "-2", "-o", "out"
    )
    assert result.exit_code == 0 and "4 done" in result.stderr
    names = {path.name for path in (tmp_path / "out").glob("*.wav")}
    assert names == {"s__anna.wav", "s__a=1.00+b=0.00.wav", "s__a=0.50+b=0.50.wav", "s__a=0.00+b=1.00.wav"}


def test_a_card_is_made_and_used(call, tmp_path):
    result = call("voice-card", "anna", "-o", "anna.safetensors")
    assert result.exit_code == 0 and "next: facevc convert SPEECH.wav --face anna.safetensors" in result.stderr
    pitch, register, address, slots = result.stdout.splitlines()
    assert register.startswith("register ")
    assert (
        pitch.startswith("median pitch")
        and pitch.endswith(" Hz")
        and "bits" in address
        and slots.startswith("most of it")
    )
    assert "median pitch" not in result.stderr and "bits" not in result.stderr
    assert call("voice-card", "anna", "-o", "anna.safetensors").exit_code == 1
    printed = json.loads(call("voice-card", "anna", "-o", "anna.safetensors", "--overwrite", "--json", "-q").stdout)
    assert printed["output"] == "anna.safetensors" and printed["pitch_hz"] > 50 and printed["slots"] == 8
    assert call("voice-card", "--mix", "anna.safetensors=.7", "b.png=.3", "-o", "mixed.safetensors", "-q").stderr == ""
    assert call("convert", "s.wav", "--face", "mixed.safetensors", "-o", "made.wav").exit_code == 0
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    result = call("convert", "s.wav", "--face", "bad.safetensors", "-o", "bad.wav")
    assert result.exit_code == 1 and "expected a voice card" in result.stderr and "Traceback" not in result.stderr


def ranks(table: str) -> list[str]:
    """The first column of a drawn table."""
    return [cells[1].strip() for line in table.splitlines() if len(cells := line.split("│")) > 1]


def test_a_pipe_gets_whole_names(call, tmp_path, monkeypatch):
    """A name is data: neither cut nor wrapped, and no markup."""
    monkeypatch.delenv("COLUMNS", raising=False)
    name = f"[red]{'x' * 150}.png"
    save_grey(tmp_path / "faces" / name, 80)
    found = call("nearest", "--voice", "s.wav", "faces")
    assert found.exit_code == 0 and f"faces/{name}" in found.stdout


def test_nearest_prints_a_table_or_json(call, tmp_path):
    save_image(tmp_path / "anna" / "dark.png", np.zeros((40, 40, 3), np.uint8))
    result = call("nearest", "--voice", "s.wav", "anna", "a.png")
    assert result.exit_code == 1 and "failed  dark" in result.stderr and "score" not in result.stderr
    assert (
        ranks(result.stdout) == ["1", "2", "3"] and "nearest first" in result.stdout and "done, " not in result.stdout
    )
    (tmp_path / "anna" / "dark.png").unlink()
    quiet = call("nearest", "--voice", "s.wav", "anna", "a.png", "-q")
    assert quiet.exit_code == 0 and quiet.stderr == "" and ranks(quiet.stdout) == ["1", "2", "3"]
    result = call("nearest", "--voice", "s.wav", "anna", "a.png", "--json", "-q", "--top", "2")
    assert result.exit_code == 0 and result.stderr == ""
    ranking = json.loads(result.stdout)["ranking"]
    assert [one["rank"] for one in ranking] == [1, 2] and ranking[0]["score"] >= ranking[1]["score"]
    back = json.loads(call("nearest", "--face", "a.png", "s.wav", "--json").stdout)["ranking"]
    assert [one["id"] for one in back] == ["s"]
