"""The judges: the speaker judge, and the ones that need an installed package."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.extras import install_command
from facevc_cli.core.plugins import Plugins
from facevc_cli.evaluation.metrics.gender import GenderJudge, LinearGenderJudge, PitchGenderJudge, load_packaged_judge
from facevc_cli.evaluation.metrics.intelligibility import PACKAGED, Recogniser, WhisperRecogniser, is_whisper_packaged
from facevc_cli.evaluation.metrics.naturalness import (
    DNSMOS,
    DistillMOS,
    NaturalnessJudge,
    is_distillmos_installed,
    is_dnsmos_installed,
)
from facevc_cli.evaluation.metrics.voices import Embedder
from facevc_cli.evaluation.threshold import Threshold, load_packaged_threshold
from facevc_cli.voices.dvector import EMBEDDER_VERSION, VoiceEmbedder

RESEMBLYZER = "resemblyzer"
PLUGINS = Plugins("facevc.speaker_judges", "--speaker-judge", "speaker judge", (RESEMBLYZER,))
Judge = TypeVar("Judge")
EVAL_EXTRA = install_command("eval")


@dataclass(frozen=True)
class Judges:
    """The judges of an evaluation. If embedder is None, each process loads the speaker judge called `speaker`.

    name: the speaker judge's name in the cache. threshold: the cosine from which it takes two voices for one person;
    None if unknown.
    """

    embedder: Embedder | None = None
    name: str = field(default_factory=lambda: f"resemblyzer-{EMBEDDER_VERSION}")
    gender: GenderJudge = field(default_factory=lambda: load_packaged_judge() or PitchGenderJudge())
    recogniser: Recogniser | None = None
    naturalness: NaturalnessJudge | None = None
    dnsmos: NaturalnessJudge | None = None
    speaker: str = RESEMBLYZER
    threshold: Threshold | None = field(default_factory=load_packaged_threshold)

    @property
    def gender_needs_dvectors(self) -> bool:
        """Whether the gender judge needs Resemblyzer's d-vectors while the speaker judge gives other embeddings."""
        return isinstance(self.gender, LinearGenderJudge) and (self.embedder is not None or self.speaker != RESEMBLYZER)


class _CheckedJudge:
    """A speaker judge of another package.

    Its embeddings are normalised, and its failures are reported as the file's.
    """

    def __init__(self, name: str, judge: Embedder):
        self._name, self._judge = name, judge
        self.device = getattr(judge, "device", "cpu")

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """(n,) float32 at 16 kHz -> (D,) float32, L2-normalised. FaceVCError if the judge returns anything else."""
        try:
            vector = np.asarray(self._judge.embed(wav), dtype=np.float32)
        except Exception as error:  # a plug-in may raise anything; one recording must not stop the others
            raise FaceVCError(
                f"the speaker judge {self._name} failed on this recording ({type(error).__name__}: {error})."
            ) from error
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            finite, zeros = np.isfinite(vector).all(), not vector.any()
            found = f"{vector.shape}{'' if finite else ' with NaN or infinity'}{' of zeros' if zeros else ''}"
            raise FaceVCError(
                f"the speaker judge {self._name}: expected one embedding (D,) of finite numbers, found shape {found}."
            )
        return vector / np.linalg.norm(vector)


@lru_cache(maxsize=2)
def load_speaker_judge(name: str) -> Embedder:
    """Load a speaker judge by name, once per process: Resemblyzer, or an entry point of the group
    facevc.speaker_judges.

    The entry point's object is called without arguments. It returns an object with embed(wav (n,) float32 at 16 kHz) ->
    (D,). If that has a `device` other than the CPU, only one process uses it. UsageError for an unknown name.
    FaceVCError if it does not load.
    """
    if name == RESEMBLYZER:
        return VoiceEmbedder("cpu")
    return _CheckedJudge(name, PLUGINS.make(name))


def name_speaker_judge(name: str) -> str:
    """Make the speaker judge's name in the cache.

    It includes the package's version, and the judge's own `name` if it has one.
    """
    if name == RESEMBLYZER:
        return f"{RESEMBLYZER}-{EMBEDDER_VERSION}"
    judge = load_speaker_judge(name)
    package = PLUGINS.find(name).dist
    parts = [
        name,
        package.version if package else "",
        str(getattr(judge._judge, "name", "")) if isinstance(judge, _CheckedJudge) else "",
    ]
    return re.sub(r"[^\w.]+", "-", "-".join(part for part in dict.fromkeys(parts) if part))


def choose_judges(speaker: str, recogniser: str, language: str | None, naturalness: bool, notes: list[str]) -> Judges:
    """Choose and load the judges. One that the user named must load.

    A default one that does not load is left out, with a note.

    recogniser: auto (the packaged one, if installed), none, a CTranslate2 Whisper folder, or a model's name.
    """
    if language is not None and not re.fullmatch("[a-z]{2,3}", language):
        raise UsageError(f"--language {language!r}: expected the code of a language, such as en.")
    judges = (
        Judges()
        if speaker == RESEMBLYZER
        else Judges(name=name_speaker_judge(speaker), speaker=speaker, threshold=None)
    )
    if recogniser == "auto" and not is_whisper_packaged():
        notes.append(
            f"WER and CER are off: no recogniser is installed ({EVAL_EXTRA}, then --recogniser FOLDER or base)"
        )
    elif recogniser == "auto":
        judges = replace(
            judges,
            recogniser=_load_or_note(lambda: WhisperRecogniser(PACKAGED, language), "WER and CER are off", notes),
        )
    elif recogniser != "none":
        judges = replace(judges, recogniser=WhisperRecogniser(recogniser, language))
    if not naturalness:
        return judges
    if is_distillmos_installed():
        judges = replace(judges, naturalness=_load_or_note(DistillMOS, "naturalness is off", notes))
    else:
        notes.append(f"naturalness is off: DistillMOS is not installed ({EVAL_EXTRA})")
    if is_dnsmos_installed():
        return replace(judges, dnsmos=_load_or_note(DNSMOS, "DNSMOS is off", notes))
    notes.append(f"DNSMOS is off: speechmos is not installed ({EVAL_EXTRA})")
    return judges


def _load_or_note(load: Callable[[], Judge], off: str, notes: list[str]) -> Judge | None:
    try:
        return load()
    except UsageError:
        raise
    except FaceVCError as error:
        notes.append(f"{off}: {error}")
        return None
