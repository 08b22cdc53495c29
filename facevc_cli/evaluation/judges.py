"""The judges: the speaker judges, and the ones that need an installed package."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
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
from facevc_cli.evaluation.speaker_judges.registry import INDEPENDENT
from facevc_cli.evaluation.threshold import Threshold, load_packaged_threshold
from facevc_cli.voices.dvector import EMBEDDER_VERSION, VoiceEmbedder

RESEMBLYZER = "resemblyzer"
OWN_JUDGES = (RESEMBLYZER, *INDEPENDENT)
PLUGINS = Plugins("facevc.speaker_judges", "--speaker-judge", "speaker judge", OWN_JUDGES)
Judge = TypeVar("Judge")
EVAL_EXTRA = install_command("eval")


@dataclass(frozen=True)
class Judges:
    """The judges of an evaluation. If embedder is None, each process loads the speaker judge called `speaker`.

    independent: further speaker judges by name, which trained no model here. They hear the same files. If a value is
    None, each process loads that judge.
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
    independent: Mapping[str, Embedder | None] = field(default_factory=dict)

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


@lru_cache(maxsize=4)
def load_speaker_judge(name: str) -> Embedder:
    """Load a speaker judge by name, once per process: one of OWN_JUDGES, or an entry point of the group
    facevc.speaker_judges.

    The entry point's object is called without arguments. It returns an object with embed(wav (n,) float32 at 16 kHz) ->
    (D,). If that has a `device` other than the CPU, only one process uses it. UsageError for an unknown name.
    FaceVCError if it does not load.
    """
    if name == RESEMBLYZER:
        return VoiceEmbedder("cpu")
    if name in INDEPENDENT:
        return INDEPENDENT[name]()
    return _CheckedJudge(name, PLUGINS.make(name))


def name_speaker_judge(name: str) -> str:
    """Make the speaker judge's name in the cache.

    It includes the package's version or the weights' sha256, and the judge's own `name` if it has one.
    """
    if name == RESEMBLYZER:
        return f"{RESEMBLYZER}-{EMBEDDER_VERSION}"
    if name in INDEPENDENT:
        return INDEPENDENT[name].name
    judge = load_speaker_judge(name)
    package = PLUGINS.find(name).dist
    parts = [
        name,
        package.version if package else "",
        str(getattr(judge._judge, "name", "")) if isinstance(judge, _CheckedJudge) else "",
    ]
    return re.sub(r"[^\w.]+", "-", "-".join(part for part in dict.fromkeys(parts) if part))


def choose_judges(
    speaker: str, recogniser: str, language: str | None, naturalness: bool, independent: bool, notes: list[str]
) -> Judges:
    """Choose and load the judges. One that the user named must load.

    A default one that does not load is left out, with a note.

    recogniser: auto (the packaged one, if installed), none, a CTranslate2 Whisper folder, or a model's name.
    independent: whether the independent speaker judges hear the files too.
    """
    if language is not None and not re.fullmatch("[a-z]{2,3}", language):
        raise UsageError(f"--language {language!r}: expected the code of a language, such as en.")
    judges = (
        Judges()
        if speaker == RESEMBLYZER
        else Judges(name=name_speaker_judge(speaker), speaker=speaker, threshold=None)
    )
    if speaker in INDEPENDENT:
        load_speaker_judge(speaker)
    if independent:
        judges = replace(judges, independent=_choose_independent(speaker, notes))
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


def _choose_independent(speaker: str, notes: list[str]) -> dict[str, Embedder | None]:
    """Choose the independent judges that are installed and load. A note names each other one."""
    chosen: dict[str, Embedder | None] = {}
    for name, judge in INDEPENDENT.items():
        off = f"similarities by {name} are off"
        if name == speaker:
            continue
        if not judge.is_installed():
            notes.append(f"{off}: {judge.package} is not installed ({judge.install_command})")
        elif _load_or_note(partial(load_speaker_judge, name), off, notes):
            chosen[name] = None
    return chosen


def _load_or_note(load: Callable[[], Judge], off: str, notes: list[str]) -> Judge | None:
    try:
        return load()
    except UsageError:
        raise
    except FaceVCError as error:
        notes.append(f"{off}: {error}")
        return None
