"""Engines that are programs: how they fail, and that no text reaches a shell."""

import sys
from pathlib import Path

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.synthesis import program
from facevc_cli.synthesis.program import CommandSynthesiser, EspeakSynthesiser
from facevc_cli.synthesis.registry import load_synthesiser
from facevc_cli.synthesis.synthesiser import Manner, Synthesiser

# Writes 0.1 s for each letter on stdin, and its arguments into a file.
SCRIPT = """
import io, sys, wave
text = sys.stdin.buffer.read().decode()
open(sys.argv[1], "w").write("|".join([text, *sys.argv[2:]]))
held = io.BytesIO()
with wave.open(held, "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(8000)
    file.writeframes(b"\\x00\\x10" * (800 * len(text)))
sys.stdout.buffer.write(held.getvalue())
"""


@pytest.fixture
def command(tmp_path: Path) -> str:
    script = tmp_path / "say it.py"
    script.write_text(SCRIPT)
    return f"{sys.executable} '{script}' '{tmp_path / 'log'}'"


@pytest.mark.parametrize("template", ["", "   ", "say 'it"])
def test_a_template_without_a_program(template):
    with pytest.raises(UsageError, match="--engine command"):
        CommandSynthesiser(template)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no such voice')", r"failed with exit code 1 \(no such voice\)"),
        ("print('hello')", "expected a WAV file on the stdout"),
        ("pass", "expected a WAV file on the stdout"),
    ],
)
def test_a_program_that_fails(code, said):
    with pytest.raises(FaceVCError, match=said):
        CommandSynthesiser(f'{sys.executable} -c "{code}"').synthesise("hi", Manner())


def test_a_program_that_is_not_there(monkeypatch):
    with pytest.raises(FaceVCError, match="--engine command:no-such-program: the program no-such-program is not"):
        CommandSynthesiser("no-such-program").check(Manner())
    monkeypatch.setattr(program.shutil, "which", lambda name: None)
    with pytest.raises(FaceVCError, match="the program espeak-ng is not on this machine"):
        EspeakSynthesiser().check(Manner())


def test_a_program_that_hangs(monkeypatch):
    monkeypatch.setattr(program, "LONGEST_S", 0.2)
    with pytest.raises(FaceVCError, match=r"did not end within 0\.2 s"):
        CommandSynthesiser(f'{sys.executable} -c "import time; time.sleep(9)"').synthesise("hi", Manner())


def test_an_engine_that_is_not_installed():
    with pytest.raises(UsageError, match=r"--engine nobody: no speech engine .* There are: kokoro, espeak"):
        load_synthesiser("nobody")


def test_the_text_is_on_stdin_and_never_in_a_shell(command, tmp_path):
    engine = load_synthesiser(f"command:{command} -v {{voice}} --speed={{speed}} {{language}}")
    assert isinstance(engine, Synthesiser)
    text = "$(touch gone); `id` 'ü'"
    wav, rate = engine.synthesise(text, Manner(voice="a b", speed=1.5, language="de"))
    assert (len(wav), rate, wav.dtype) == (800 * len(text), 8000, np.float32)
    assert wav[0] == pytest.approx(4096 / 32768)
    assert (tmp_path / "log").read_text() == f"{text}|-v|a b|--speed=1.5|de"
    assert engine.name.startswith("command python") and str(tmp_path) not in engine.name
    assert engine.fingerprint() != load_synthesiser(f"command:{command} other").fingerprint()


def test_espeak_gets_voice_and_speed(monkeypatch):
    monkeypatch.setattr(program.shutil, "which", lambda name: "/usr/bin/espeak" if name == "espeak" else None)
    engine = EspeakSynthesiser()
    assert engine.make_arguments(Manner(speed=2.0)) == ["espeak", "-v", "en-us", "-s", "320", "--stdin", "--stdout"]
    assert engine.make_arguments(Manner(voice="en+f3"))[2] == "en+f3"
    assert (engine.name, engine.name_voice(Manner(language="fr"))) == ("espeak", "fr")
