"""Texts to speak: clean sentences out of lists, patterns and tables, and the order in which they are spoken."""

import csv
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

SAME = str.maketrans("’‘“”–—…\u00a0", "''\"\",,. ")
# Starts with a letter, has no digit and no symbol that is read in several ways.
SPEAKABLE = re.compile(r"[^\W\d_][^\d_/@#$%&*<>\[\]{}|\\^~=+]*")
GAP = re.compile(r"\{(\w+)\}")
PATTERNED = 0.4  # share of the English sentences that come from patterns
SENTENCES = (1, 1, 2, 2, 3)  # in a text, drawn from
FEWEST_LETTERS = 25  # a shorter text gets another sentence, mostly
KEEP_SHORT = 0.15
MOST_LETTERS = 230


def normalise(text: str) -> str:
    """One line that ends as a sentence does; empty if it holds digits or symbols, which are not spelled out here.

    A text in capitals alone becomes lower case with one capital: phonemes of capitals are those of letters' names.
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
    """The normalised lines of a list; lines with # are comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(s for line in lines if not line.startswith("#") and (s := normalise(line))))


def read_table_texts(path: Path, language: str) -> list[str]:
    """The texts (column text) of a table whose column language, if there is one, says this language."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("language", language) == language]
    return sorted({s for row in rows if (s := normalise(row.get("text") or ""))})


def read_patterns(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Phrases by kind, and the patterns with gaps for them."""
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
    """A pattern with a different phrase in each of its gaps."""
    used: set[str] = set()

    def draw(gap: re.Match[str]) -> str:
        phrase = rng.choice([phrase for phrase in phrases[gap[1]] if phrase not in used])
        used.add(phrase)
        return phrase

    return normalise(GAP.sub(draw, pattern))


def shuffle_forever(items: list[str], rng: random.Random) -> Iterator[str]:
    """Every item once in a random order, then all again in another."""
    while True:
        yield from rng.sample(items, len(items))


def compose(sentences: Iterator[str], rng: random.Random) -> str:
    """One to three sentences in a row."""
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
