"""One conversion, as every metric sees it: which source, which target, and what is known about both."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Conversion:
    """A row of the manifest, joined with what the tables say. Empty text: unknown.

    `system` is the label under which figures are listed: `base`, the plain system's name, and after a slash the `baseline` (what
    drove it instead of the face) or the `degradation` (what was done to the face). `target` is the identity, `face` the image (or
    recording) that was asked for, `driver` the one that really drove the conversion; genders are "male", "female" or "";
    `source_speaker` says who speaks in the source;
    `references` are recordings of the target's real voice, `parallel` one of the same words; `about` holds every other column.
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
    base: str = ""  # without it: the system itself
    baseline: str = ""
    degradation: str = ""
    driver: str = ""
    parallel: str = ""
    source_speaker: str = ""
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", self.base or self.system)

    @property
    def speaker(self) -> str:
        """Who speaks in the source; unless told, every source has a speaker of its own."""
        return self.source_speaker or self.source_id


def label_of(base: str, baseline: str = "", degradation: str = "") -> str:
    """'starter', 'starter/mean-face', 'starter/blur=4'."""
    return "/".join(part for part in (base, baseline, degradation) if part)
