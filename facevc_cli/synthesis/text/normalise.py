"""Writes a text as it is spoken: numbers, dates, money, abbreviations and signs become English words.

Other languages only get clean characters, because their engines read their own numbers.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from facevc_cli.synthesis.synthesiser import ENGLISH
from facevc_cli.synthesis.text.english import spell_english
from facevc_cli.synthesis.text.vocabulary import FOLDED, GREEK

_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‛ʼ＇′`´", "'"),
        **dict.fromkeys("“”„‟«»＂″", '"'),
        **dict.fromkeys("‐‑‒−﹣－", "-"),
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000\t\v\f", " "),
        "⁄": "/",
        "½": "1/2",
        "⅓": "1/3",
        "⅔": "2/3",
        "¼": "1/4",
        "¾": "3/4",
        "。": ".",
        "，": ",",
        "！": "!",
        "？": "?",
        "：": ":",
        "；": ";",
    }
)
_DASHES = re.compile(r"\s*(?:[–—―]|(?<=\s)-{1,3}(?=\s)|--+)\s*")
_LONG_WORD = re.compile(r"\S{200}")  # no word is so long; some rules take a time that grows with its square
_RANGE = re.compile(r"(?<=\d)[–—](?=\d)")


@dataclass(frozen=True)
class SpokenText:
    """A text in words, and what was left out of it, each once."""

    text: str
    left_out: tuple[str, ...] = ()


def normalise(text: str, language: str = "en-us") -> SpokenText:
    """Writes a text of one line as it is spoken. It never fails: what it cannot say is in `left_out`."""
    text = unicodedata.normalize("NFC", text).translate(_SAME)
    text, emoji = _take_out(text, _is_emoji)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") or c == "\n")
    text = _LONG_WORD.sub(r"\g<0> ", re.sub(r"\s+", " ", text).strip())
    text = _DASHES.sub(" — ", _RANGE.sub("-", text))
    foreign: list[str] = []
    if language in ENGLISH:
        text = spell_english(text, british=language == "en-gb")
        text = _fold_letters(text)
        text, foreign = _take_out(text, _is_foreign)
    return SpokenText(_tidy(text), tuple(dict.fromkeys([*emoji, *foreign])))


def _take_out(text: str, is_unsayable: Callable[[str], bool]) -> tuple[str, list[str]]:
    """Returns the text without some characters, and these: neighbours together, as words."""
    found: list[str] = []
    kept = ""
    within = False
    for character in text:
        if is_unsayable(character):
            found[-1:] = [found[-1] + character] if within else [*found[-1:], character]
            kept += "" if within else " "
        else:
            kept += character
        within = is_unsayable(character)
    return kept, found


def _is_emoji(character: str) -> bool:
    return (
        (unicodedata.category(character) == "So" and character not in "©®™°№℃℉")
        or 0x1F000 <= ord(character) <= 0x1FAFF
        or character in "\ufe0f\u200d"
    )


def _is_foreign(character: str) -> bool:
    """Whether a letter or digit is not one of the 26 letters."""
    return unicodedata.category(character)[0] in "LMN" and not ("a" <= character.lower() <= "z")


def _fold_letters(text: str) -> str:
    """'café' -> 'cafe'. Greek letters get their names."""
    text = re.sub("|".join(GREEK), lambda found: f" {GREEK[found[0]]} ", text) if not text.isascii() else text
    folded = "".join(FOLDED.get(c, c) for c in text)
    return "".join(
        unicodedata.normalize("NFKD", c)[0] if unicodedata.name(c, "").startswith("LATIN") else c for c in folded
    )


def _tidy(text: str) -> str:
    """Removes signs that nobody says, and marks of punctuation that repeat."""
    text = re.sub(r"[*_~^|\\<>\[\]{}•·®™№→←↑↓]", " ", text)
    text = re.sub(r"\.{2,}|…[.…]*", "…", text)
    text = re.sub(r"[!?]*\?[!?]*", "?", text)
    text = re.sub(r"!+", "!", text)
    text = re.sub(r"([,;:])[,;:]+", r"\1", text)
    text = re.sub(r"\s+([,.;:!?…])", r"\1", re.sub(r"\s+", " ", text))
    text = re.sub(r"\(\s*\)|\"\s*\"", "", text)
    text = re.sub(r"\s+", " ", text).strip(" —,;:-")
    return text if any(c.isalnum() for c in text) else ""
