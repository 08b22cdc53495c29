"""A text as a source of a batch: it is spoken when it is loaded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from facevc_cli.conversion.recordings import Recording
from facevc_cli.speaking.narrator import Cue, Narrator
from facevc_cli.voices.sketch import VoiceSketch


@dataclass(frozen=True)
class SpokenText:
    """A text that an engine speaks. name: for people, such as the file of the text."""

    id: str
    name: str
    cues: tuple[Cue, ...]
    narrator: Narrator
    file: None = None  # its sound is in no file

    @property
    def text(self) -> str:
        return "\n".join(cue.text for cue in self.cues)

    @property
    def about(self) -> Mapping[str, str]:
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        return {"text_sha256": digest, "engine": self.narrator.engine.name, "engine_voice": self.narrator.voice}

    def fingerprint(self) -> str:
        return self.narrator.fingerprint(self.cues)

    def load(self) -> Recording:
        return self.narrator.narrate(self.cues)

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class FittedText(SpokenText):
    """A text that an engine speaks in its own timbre that is nearest to the target's voice."""

    @property
    def is_finished(self) -> bool:
        return self.narrator.settings.how == "timbre"

    def load_for(self, sketch: VoiceSketch) -> Recording:
        return self.narrator.narrate(self.cues, sketch)


def make_spoken_text(identifier: str, name: str, cues: tuple[Cue, ...], narrator: Narrator) -> SpokenText:
    """Makes the source of a text, as the narrator's settings want it."""
    kind = SpokenText if narrator.settings.how == "convert" else FittedText
    return kind(identifier, name, cues, narrator)
