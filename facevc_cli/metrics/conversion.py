"""One conversion, as every metric sees it: which source, which target, and what is known about both."""

from dataclasses import dataclass

GENDERS = {"male": "male", "m": "male", "man": "male", "female": "female", "f": "female", "woman": "female"}


@dataclass(frozen=True)
class Conversion:
    """A row of the manifest, joined with what the tables say. Empty text: unknown.

    `target` is the identity, `face` the image (or voice) that was asked for; genders are "male", "female" or "";
    `references` are recordings of the target's real voice.
    """

    system: str
    converted: str
    source_id: str
    target: str
    face: str
    source: str = ""
    gender: str = ""
    source_gender: str = ""
    references: tuple[str, ...] = ()
    transcript: str = ""


def gender_of(text: str) -> str:
    """'M', 'Female', 'woman' ... -> 'male', 'female', or '' for anything else."""
    return GENDERS.get(text.strip().lower(), "")
