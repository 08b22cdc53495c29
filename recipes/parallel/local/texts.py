"""Texts to speak: clean sentences from lists, patterns and tables, in random order."""

import csv
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

SAME = str.maketrans("’‘“”–—…\u00a0", "''\"\",,. ")
# Starts with a letter; has no digits and no symbols with several readings.
SPEAKABLE = re.compile(r"[^\W\d_][^\d_/@#$%&*<>\[\]{}|\\^~=+]*")
GAP = re.compile(r"\{(\w+)\}")
PATTERNED = 0.4  # share of English sentences from patterns
SENTENCES = (1, 1, 2, 2, 3)  # the number in a text is drawn from these
FEWEST_LETTERS = 25  # shorter texts usually get another sentence
KEEP_SHORT = 0.15
MOST_LETTERS = 230


def normalise(text: str) -> str:
    """Normalise a text to one line that ends like a sentence.

    Empty if it has digits or symbols, which are not spelled out here.

    A text in capitals becomes lower case with one capital, because capitals would be spelled as letters.
    """
    text = unicodedata.normalize("NFC", text).translate(SAME)
    text = re.sub(r"\s+", " ", text).replace('"', "").strip(" ,;:-'")
    start = len(text) - len(text.lstrip("¿¡"))
    if not SPEAKABLE.fullmatch(text[start:]):
        return ""
    if text.isupper():
        text = text.lower()
    text = text[:start] + text[start].upper() + text[start + 1 :]
    return text if text[-1] in ".!?" else f"{text}."


def read_sentences(path: Path) -> list[str]:
    """Read and normalise the lines of a list. Lines with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(s for line in lines if not line.startswith("#") and (s := normalise(line))))


def read_table_texts(path: Path, language: str) -> list[str]:
    """Read the column text of a table. If it has a column language, only rows of this language count."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("language", language) == language]
    return sorted({s for row in rows if (s := normalise(row.get("text") or ""))})


def read_patterns(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Read phrases by kind, and patterns with gaps for them."""
    kinds_text, _, patterns_text = path.read_text(encoding="utf-8").partition("\n---\n")
    phrases = {}
    for line in kinds_text.splitlines():
        if line and not line.startswith("#"):
            kind, _, listed = line.partition(":")
            phrases[kind] = [phrase.strip() for phrase in listed.split("|")]
    patterns = [line for line in patterns_text.splitlines() if line]
    for kind in {kind for pattern in patterns for kind in GAP.findall(pattern)} - set(phrases):
        raise SystemExit(f"{path}: there are no phrases of the kind {kind!r}.")
    return phrases, patterns


def fill(pattern: str, phrases: dict[str, list[str]], rng: random.Random) -> str:
    """Fill each gap of a pattern with a different phrase."""
    used: set[str] = set()

    def draw(gap: re.Match[str]) -> str:
        phrase = rng.choice([phrase for phrase in phrases[gap[1]] if phrase not in used])
        used.add(phrase)
        return phrase

    return normalise(GAP.sub(draw, pattern))


def shuffle_forever(items: list[str], rng: random.Random) -> Iterator[str]:
    """Yield every item once in random order, then again in another order, without end."""
    while True:
        yield from rng.sample(items, len(items))


def compose(sentences: Iterator[str], rng: random.Random) -> str:
    """Join one to three sentences."""
    count, keeps_short, parts = rng.choice(SENTENCES), rng.random() < KEEP_SHORT, [next(sentences)]
    while (len(parts) < count or len(" ".join(parts)) < FEWEST_LETTERS) and not (keeps_short and len(parts) == 1):
        following = next(sentences)
        if len(" ".join([*parts, following])) > MOST_LETTERS:
            break
        parts.append(following)
    return " ".join(parts)


def english_texts(conf: Path, table: Path | None, seed: int) -> Iterator[str]:
    rng = random.Random(f"{seed}/english")
    listed = read_sentences(conf / "english.txt") + (read_table_texts(table, "en") if table else [])
    phrases, patterns = read_patterns(conf / "patterns.txt")
    by_hand, by_pattern = shuffle_forever(listed, rng), shuffle_forever(patterns, rng)

    def sentences() -> Iterator[str]:
        while True:
            yield fill(next(by_pattern), phrases, rng) if rng.random() < PATTERNED else next(by_hand)

    drawn = sentences()
    while True:
        yield compose(drawn, rng)


def spanish_texts(conf: Path, seed: int) -> Iterator[str]:
    rng = random.Random(f"{seed}/spanish")
    drawn = shuffle_forever(read_sentences(conf / "spanish.txt"), rng)
    while True:
        yield compose(drawn, rng)
