"""One conversion, as every metric sees it: its source, its target, and what is known about both."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Conversion:
    """A row of the manifest, joined with the tables. An empty text means unknown.

    system: the label under which figures are listed. It is `base`, the plain system's name; a slash may follow with the
    `baseline` (what drove it instead of the face) or the `degradation` (what was done to the face). target: the
    identity. face: the image or recording that was asked for. driver: the file that the voice really came from.
    Genders: "male", "female" or "".
    source_speaker: who speaks in the source. references: recordings of the target's real voice. parallel: the target's
    own recording of the same words. driving: further recordings of the target's real voice, which drove conversions and
    are therefore not compared with them. about: every other column.
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
    base: str = ""  # default: the system itself
    baseline: str = ""
    degradation: str = ""
    driver: str = ""
    parallel: str = ""
    source_speaker: str = ""
    driving: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", self.base or self.system)

    @property
    def speaker(self) -> str:
        """Who speaks in the source. If that is unknown, every source counts as a speaker of its own."""
        return self.source_speaker or self.source_id


def make_label(base: str, baseline: str = "", degradation: str = "") -> str:
    """'starter', 'starter/mean-face', 'starter/blur=4'."""
    return "/".join(part for part in (base, baseline, degradation) if part)
