"""An engine of text to speech that needs no package: it buzzes, one second for each ten letters."""

from collections.abc import Collection

import numpy as np
import pytest
from helpers.sounds import buzz

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.synthesis.synthesiser import Manner
from facevc_cli.voices.sketch import VoiceSketch

RATE = 16000
LETTERS_PER_SECOND = 20


class FakeSynthesiser:
    """Counts what it says. It cannot say 'xyzzy', and has no German."""

    name = "fake"
    fits_timbre = True

    def __init__(self) -> None:
        self.said: list[str] = []
        self.sketch: list[VoiceSketch | None] = []

    def fingerprint(self) -> str:
        return "fake 1"

    def check(self, manner: Manner) -> None:
        if manner.language == "de":
            raise UsageError("--language de: the engine fake has no German.")

    def name_voice(self, manner: Manner) -> str:
        return manner.voice or "buzz"

    def find_unsayable(self, text: str, language: str) -> Collection[str]:
        return [word for word in text.split() if word == "xyzzy"]

    def synthesise(self, text: str, manner: Manner, sketch: VoiceSketch | None = None) -> tuple[np.ndarray, int]:
        if "crash" in text:
            raise FaceVCError(f"the engine fake cannot say {text!r}.")
        self.said.append(text)
        self.sketch.append(sketch)
        silence = np.zeros(RATE // 10, np.float32)
        f0_hz = sketch.f0_hz if sketch else 120.0
        seconds = len(text) / LETTERS_PER_SECOND / manner.speed
        return np.concatenate([silence, buzz(seconds, RATE, f0_hz), silence]), RATE


def replace_engine(patch: pytest.MonkeyPatch) -> FakeSynthesiser:
    """Puts a fake in place of every engine."""
    fake = FakeSynthesiser()
    patch.setattr("facevc_cli.speaking.narrator.load_synthesiser", lambda name: fake)
    return fake
