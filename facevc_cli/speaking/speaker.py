"""Speaks texts in the voices of faces, from Python.

from facevc_cli import Speaker
wav, rate = Speaker().speak("Hi, the weather is nice today.", face="face.jpg")
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from facevc_cli.conversion.converter import Converter, Picture
from facevc_cli.conversion.recordings import Recording, load_recording
from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.conversion.traits import TraitRule
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.dsp.statistics import RunningStatistics
from facevc_cli.speaking.narrator import Cue, Narrator, NarratorSettings
from facevc_cli.voices.sketch import VoiceSketch

REMEMBERED = 8  # sentences over which level and pitch are measured, while a text is spoken sentence by sentence


class Speaker:
    """An engine of text to speech and a `Converter`.

    converter: None loads one with the bundled starter. settings: of `NarratorSettings`, such as engine="espeak" or
    speed=0.9. UsageError if one is wrong; FaceVCError if the engine lacks something.
    """

    def __init__(self, converter: Converter | None = None, **settings: Any):
        self.narrator = Narrator(NarratorSettings(**settings))
        self.narrator.check()
        self.converter = converter or Converter()

    @property
    def rate(self) -> int:
        return self.converter.rate

    def speak(
        self,
        text: str,
        face: Picture | None = None,
        voice: Recording | Target | None = None,
        *,
        pitch: str = "auto",
        register: str | float = "auto",
        age: str | float = "auto",
    ) -> tuple[np.ndarray, int]:
        """Speaks a whole text in the face's or the given voice: (wav (n,) float32, rate in Hz).

        face: a picture or a voice card. voice: a recording, or a target of the converter. pitch, register and age: as
        in `Converter.convert`; the last two are not for recordings. FaceVCError if there is nothing to say, or the face
        cannot be used.
        """
        target = self._find_target(face, voice, pitch, register, age)
        spoken = self.narrator.narrate([Cue(text)], self._describe(target))
        if self.narrator.settings.how == "timbre":
            return load_recording(spoken, self.rate), self.rate
        return self.converter.speak(self.converter.analyse(spoken), target), self.rate

    def speak_sentences(
        self,
        text: str,
        face: Picture | None = None,
        voice: Recording | Target | None = None,
        *,
        pitch: str = "auto",
        register: str | float = "auto",
        age: str | float = "auto",
    ) -> Iterator[tuple[np.ndarray, int]]:
        """Does `speak`, but yields each sentence as soon as it is ready, with the pause after it.

        So the first sound comes early, and a long text needs no more memory than a short one.
        """
        target = self._find_target(face, voice, pitch, register, age)
        statistics = RunningStatistics(REMEMBERED)
        for spoken in self.narrator.speak_sentences(text, self._describe(target)):
            if self.narrator.settings.how == "timbre":
                yield load_recording(spoken, self.rate), self.rate
            else:
                source = self.converter.analyse(spoken, statistics)
                yield self.converter.speak(source, target), self.rate

    def _find_target(
        self,
        face: Picture | None,
        voice: Recording | Target | None,
        pitch: str,
        register: str | float,
        age: str | float,
    ) -> Target:
        rule, traits = PitchRule.parse(pitch), TraitRule.parse(str(register), str(age))
        if (face is None) == (voice is None):
            raise FaceVCError("speak needs a face or a voice, and not both.")
        if isinstance(voice, Target):
            target = voice
        elif voice is not None:
            target = self.converter.target_from_voice(voice)
        else:
            target = self.converter.target_from_face(cast(Path, face))
        return self.converter.apply_pitch_rule(self.converter.apply_trait_rule(target, traits), rule)

    def _describe(self, target: Target) -> VoiceSketch | None:
        return sketch_voice(self.converter, target) if self.narrator.settings.manner.matched else None
