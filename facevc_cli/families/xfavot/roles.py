"""What each kind of data can serve, as in the paper's table.

A person with recordings and pictures serves all. A person with only one of them has no place among the speakers and no
second style to match: it serves the gender heads of its own modality, and all terms that need one modality.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Corpus(StrEnum):
    PAIRED = "paired"
    IMAGES = "images"
    AUDIO = "audio"


class Head(StrEnum):
    GENDER = "gender"
    SPEAKER = "speaker"


BOTH_TERMS = frozenset({"adversarial", "style", "diversity", "cycle", "gender", "smoothness"})
AUDIO_TERMS = frozenset({"content", "pitch", "level", "source"})
JOINT_TERMS = frozenset({"match"})


@dataclass(frozen=True)
class Service:
    heads: frozenset[Head]
    terms: frozenset[str]


SERVES: Mapping[Corpus, Service] = {
    Corpus.PAIRED: Service(frozenset({Head.GENDER, Head.SPEAKER}), BOTH_TERMS | AUDIO_TERMS | JOINT_TERMS),
    Corpus.IMAGES: Service(frozenset({Head.GENDER}), BOTH_TERMS),
    Corpus.AUDIO: Service(frozenset({Head.GENDER}), BOTH_TERMS | AUDIO_TERMS),
}


def find_corpus(has_recordings: bool, has_pictures: bool) -> Corpus:
    """Returns the kind of data that a person has; at least one of both."""
    if has_recordings and has_pictures:
        return Corpus.PAIRED
    return Corpus.AUDIO if has_recordings else Corpus.IMAGES
