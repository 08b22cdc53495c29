"""The speech that a job converts: where it comes from, and what tells two pieces of speech apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from facevc_cli.conversion.recordings import Recording
from facevc_cli.files.hashes import hash_readable_file
from facevc_cli.files.inputs import Input
from facevc_cli.files.packed import hash_input, open_input
from facevc_cli.files.sound import read_sound
from facevc_cli.voices.sketch import VoiceSketch


class Utterance(Protocol):
    """One piece of speech.

    Utterances are hashable, and equal ones are the same speech. `str()` names it in messages.
    """

    @property
    def id(self) -> str:
        """Its id. Names of outputs and tables use it."""

    @property
    def name(self) -> str:
        """A short name for people. The metadata of the result contain it, so it holds no path."""

    @property
    def file(self) -> Path | None:
        """The file that holds the speech, or None if there is none."""

    @property
    def about(self) -> Mapping[str, str]:
        """What the metadata of a result say about its source besides its hash: fields of `Provenance`."""

    def fingerprint(self) -> str:
        """Hashes everything that decides the speech (sha256, 64 hex digits).

        Empty if it cannot be read: `load` then says why.
        """

    def load(self) -> Recording:
        """Returns the speech as a converter takes it. Another thread may call it. FaceVCError if there is none."""


@runtime_checkable
class FittedUtterance(Utterance, Protocol):
    """Speech that is made anew for each voice that it is converted to."""

    @property
    def is_finished(self) -> bool:
        """Whether the speech has that voice already. It is the result then, and is not converted."""

    def load_for(self, sketch: VoiceSketch) -> Recording:
        """As `load`, for one voice."""


@dataclass(frozen=True)
class RecordingFile:
    """The speech in a sound file or a video."""

    path: Path
    id: str

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def file(self) -> Path:
        return self.path

    @property
    def about(self) -> Mapping[str, str]:
        return {}

    def fingerprint(self) -> str:
        return hash_readable_file(self.path)

    def load(self) -> Path:
        return self.path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class PackedRecording:
    """The speech behind a URL, in a tar file, or in a part of a recording. It is copied when it is needed."""

    source: Input

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def name(self) -> str:
        return PurePosixPath(self.id).name

    @property
    def file(self) -> None:
        return None

    @property
    def about(self) -> Mapping[str, str]:
        return {}

    def fingerprint(self) -> str:
        return hash_input(self.source)

    def load(self) -> Recording:
        with open_input(self.source) as local:
            sound = read_sound(local.path)
        return sound.wav, sound.rate

    def __str__(self) -> str:
        return str(self.source.packed)
