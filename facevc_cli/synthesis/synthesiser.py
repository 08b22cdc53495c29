"""What an engine of text to speech is, for all that use one."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from facevc_cli.voices.sketch import VoiceSketch

SLOWEST, FASTEST = 0.5, 2.0
ENGLISH = ("en-us", "en-gb")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a text is to be spoken.

    voice: the engine's own name of a voice; "" lets the engine choose. matched: the engine takes its own timbre that is
    nearest to the voice that the speech is for.
    """

    language: str = "en-us"
    voice: str = ""
    speed: float = 1.0
    matched: bool = False


@runtime_checkable
class Synthesiser(Protocol):
    """An engine that turns one sentence at a time into sound. Several threads may call it.

    One that can choose its own timbre for a voice has the attribute `fits_timbre = True`, too.
    """

    @property
    def name(self) -> str:
        """Its name, as `--engine` takes it. The metadata of the result contain it, so it holds no path."""

    def fingerprint(self) -> str:
        """Identifies all that decides the sound besides text and manner, such as versions and weights."""

    def check(self, manner: Manner) -> None:
        """UsageError if it has no such language or voice. FaceVCError if it lacks something to speak."""

    def name_voice(self, manner: Manner) -> str:
        """Names the voice that speaks, for the metadata."""

    def find_unsayable(self, text: str, language: str) -> Collection[str]:
        """Finds the words or characters of a text that it would leave out."""

    def synthesise(self, text: str, manner: Manner, sketch: VoiceSketch | None = None) -> tuple[np.ndarray, int]:
        """Speaks a sentence: (n,) float32 between -1 and 1, and its rate in Hz. FaceVCError if that fails.

        sketch: of the voice that the speech is for, if `manner` says that the timbre is matched.
        """


def fits_timbre(engine: Synthesiser) -> bool:
    """Whether an engine can choose its own timbre for a voice."""
    return bool(getattr(engine, "fits_timbre", False))
