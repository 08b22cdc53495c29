"""Splits a text into sentences with the pauses between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from facevc_cli.synthesis.text.normalise import normalise

PAUSE_S = 0.5  # after a paragraph
SENTENCE_SHARE, LINE_SHARE, PART_SHARE = 0.5, 0.3, 0.2  # of that pause: after a sentence, a line, a part of a sentence
MOST_CHARACTERS = 300  # an engine gets no longer sentence at once
_END = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"')]))\s+(?=[\"'(]*[^\W_])(?![\"'(]*[a-z])")
_BREAKS = (re.compile(r"(?<=[;:])\s|\s(?=—)"), re.compile(r"(?<=,)\s"), re.compile(r"\s"))


@dataclass(frozen=True)
class Sentence:
    """A sentence as an engine gets it, and the pause after it."""

    text: str
    pause_s: float


@dataclass(frozen=True)
class SplitText:
    """The sentences of a text, and what was left out, each once."""

    sentences: tuple[Sentence, ...]
    left_out: tuple[str, ...]


def split_text(text: str, language: str = "en-us", pause_s: float = PAUSE_S) -> SplitText:
    """Splits a text of any length. pause_s: after a paragraph; other pauses are shares of it. The last one is 0."""
    sentences: list[Sentence] = []
    left_out: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        first = len(sentences)
        for line in paragraph.split("\n"):
            spoken = normalise(line, language)
            left_out += spoken.left_out
            sentences += _split_line(spoken.text, pause_s)
            if len(sentences) > first and spoken.text:
                sentences[-1] = replace(sentences[-1], pause_s=pause_s * LINE_SHARE)
        if len(sentences) > first:
            sentences[-1] = replace(sentences[-1], pause_s=pause_s)
    if sentences:
        sentences[-1] = replace(sentences[-1], pause_s=0.0)
    return SplitText(tuple(sentences), tuple(dict.fromkeys(left_out)))


def _split_line(text: str, pause_s: float) -> Iterator[Sentence]:
    for sentence in re.split(_END, text):
        *parts, last = _split_long(sentence.strip())
        yield from (Sentence(part, pause_s * PART_SHARE) for part in parts)
        if last:
            yield Sentence(last, pause_s * SENTENCE_SHARE)


def _split_long(sentence: str) -> list[str]:
    """Splits a sentence that is too long: at a semicolon, else at a comma, else between words, else anywhere."""
    parts = []
    while len(sentence) > MOST_CHARACTERS:
        end = next(filter(None, (_find_last(pattern, sentence) for pattern in _BREAKS)), MOST_CHARACTERS)
        parts.append(sentence[:end].strip())
        sentence = sentence[end:].strip()
    return [*parts, sentence]


def _find_last(pattern: re.Pattern[str], sentence: str) -> int:
    """The last place before the limit, in its second half; 0 if there is none."""
    places = [found.start() for found in pattern.finditer(sentence, MOST_CHARACTERS // 3, MOST_CHARACTERS)]
    return places[-1] if places else 0
