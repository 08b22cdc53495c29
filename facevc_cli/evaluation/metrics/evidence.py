"""Evidence: the judges' answers, which are all that a metric knows besides the conversions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from facevc_cli.evaluation.metrics.pair_sample import Kind, PairSample, sample_pairs
from facevc_cli.evaluation.metrics.people import draw_control_people, find_real_voices
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.conversion import Conversion

if TYPE_CHECKING:
    from facevc_cli.evaluation.metrics.gender import GenderJudge
    from facevc_cli.evaluation.metrics.intelligibility import Transcript


@dataclass(frozen=True)
class Evidence:
    """The judges' answers by path. Empty if a judge was not asked.

    voices: embedding and pitch of every recording. theta: the cosine from which two voices count as one; None if
    unknown.
    gender_voices: what the gender judge hears, if it needs other embeddings. distortions: dB by (converted, parallel).
    independent: by name of an independent speaker judge, what it hears in every recording.
    everyone: the conversions of all systems. Control people are drawn from them by `seed`, so each system has the same
    ones.
    """

    voices: Mapping[str, HeardVoice]
    theta: float | None
    gender_judge: "GenderJudge"
    texts: Mapping[str, "Transcript"] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    dnsmos: Mapping[str, float] = field(default_factory=dict)
    distortions: Mapping[tuple[str, str], float] = field(default_factory=dict)
    gender_voices: Mapping[str, HeardVoice] | None = None
    everyone: Sequence[Conversion] = ()
    seed: int = 0
    independent: Mapping[str, Mapping[str, HeardVoice]] = field(default_factory=dict)

    @cached_property
    def real(self) -> dict[str, list[HeardVoice]]:
        """Real utterances by target."""
        return find_real_voices(self.everyone, self.voices)

    @cached_property
    def recordings(self) -> dict[str, list[HeardVoice]]:
        """Real utterances by target, and the recordings that drove conversions."""
        return find_real_voices(self.everyone, self.voices, driving=True)

    @cached_property
    def by_judge(self) -> "dict[str, Evidence]":
        """The evidence with the voices of each independent judge."""
        return {name: replace(self, voices=voices, independent={}) for name, voices in self.independent.items()}

    @cached_property
    def pairs(self) -> dict[Kind, PairSample]:
        """Which pairs of conversions are compared."""
        return sample_pairs(self.everyone, self.seed)

    @cached_property
    def others(self) -> dict[str, list[str]]:
        """Control people by target."""
        return draw_control_people(self.everyone, self.real, self.seed)
