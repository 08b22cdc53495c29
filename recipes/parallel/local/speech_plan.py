"""Plan the speech: for each text its words, one prosody and several timbres. The same seed gives the same plan."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from texts import english_texts, spanish_texts

LANGUAGES = ("en", "es")
EVERY_SPANISH = 8  # every eighth text is Spanish, if it is asked for
ENGLISH_VOICES, SPANISH_VOICES, ROMANCE_VOICES = "ab", "e", "eifp"  # first letters of the voices' names
BLENDED_PROSODY, FOREIGN_PROSODY = 0.3, 0.2  # shares of the texts

Weights = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TextPlan:
    text_id: str
    language: str
    text: str
    prosody: Weights
    timbres: tuple[str, ...]

    @property
    def prosody_name(self) -> str:
        return "+".join(f"{name}*{weight:.2f}" for name, weight in self.prosody.items())


def draw_prosody(language: str, voices: list[str], rng: random.Random) -> Weights:
    """Draw a voice of the language, a blend of two, or a voice of another language, which sounds like an accent."""
    own = [name for name in voices if name[0] in (ENGLISH_VOICES if language == "en" else SPANISH_VOICES)]
    foreign = (
        [name for name in voices if name[0] not in ENGLISH_VOICES]
        if language == "en"
        else [n for n in voices if n[0] in ROMANCE_VOICES]
    )
    kind = rng.random()
    if kind < FOREIGN_PROSODY:
        return {rng.choice(foreign): 1.0}
    if kind < FOREIGN_PROSODY + BLENDED_PROSODY:
        first, second = rng.sample(own, 2)
        share = round(rng.uniform(0.3, 0.7), 2)
        return {first: share, second: round(1 - share, 2)}
    return {rng.choice(own): 1.0}


def draw_timbres(genders: dict[str, str], count: int, rng: random.Random) -> tuple[str, ...]:
    """Draw as many women as men, give or take one. genders: by timbre."""
    women, men = ([name for name in sorted(genders) if genders[name] == gender] for gender in ("female", "male"))
    more_women = rng.random() < 0.5
    of_women = (count + more_women) // 2
    return tuple(sorted([*rng.sample(women, of_women), *rng.sample(men, count - of_women)]))


def plan_texts(
    conf: Path,
    languages: tuple[str, ...],
    table: Path | None,
    voices: list[str],
    genders: dict[str, str],
    timbres: int,
    seed: int,
) -> Iterator[TextPlan]:
    """Plan one text after another, without end."""
    texts = {"en": english_texts(conf, table, seed), "es": spanish_texts(conf, seed)}
    number = 0
    while True:
        language = (
            "es"
            if "es" in languages and ("en" not in languages or number % EVERY_SPANISH == EVERY_SPANISH - 1)
            else "en"
        )
        rng = random.Random(f"{seed}/text/{number}")
        yield TextPlan(
            text_id=f"{language}{number:05d}",
            language=language,
            text=next(texts[language]),
            prosody=draw_prosody(language, voices, rng),
            timbres=draw_timbres(genders, timbres, rng),
        )
        number += 1
