"""All figures of one system: which metrics there are, in which order, which way is better, and what each one lacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from facevc_cli.metrics import consistency, f0_deviation, gender, intelligibility, leakage, matching, naturalness, pairs
from facevc_cli.metrics.bootstrap import Figure, Terms, figure
from facevc_cli.metrics.consistency import Part, converted, source
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.voices import Heard

HIGHER, LOWER, BASELINE = "higher", "lower", ""
BETTER = {
    "SHO": HIGHER,
    "SHR": HIGHER,
    "SDO": LOWER,
    "SDR": HIGHER,
    "GA": HIGHER,
    "consistency": HIGHER,
    "consistency_control": BASELINE,
    "consistency_source": BASELINE,
    "matching": HIGHER,
    "F0_deviation": LOWER,
    "F0_deviation_source": BASELINE,
    "leakage": LOWER,
    "leakage_source": BASELINE,
    "WER": LOWER,
    "WER_source": BASELINE,
    "CER": LOWER,
    "CER_source": BASELINE,
    "naturalness": HIGHER,
    "naturalness_source": BASELINE,
}
LACKS = {
    "SHO": "SHO and SHR are off: no source was converted with two images (column face) of one target",
    "SDO": "SDO and SDR are off: no source was converted to two targets",
    "GA": "GA is off: no target's gender is known (column gender here or in --labels)",
    "consistency": "consistency, matching and F0 deviation are off: no target has real recordings (column references here or in --labels)",
    "consistency_control": "the consistency control and matching are off: no two targets of one known gender have real recordings",
    "leakage": "leakage is off: no source recordings (column source)",
}
GENDER_PAIRS = {f"{a[0].upper()}>{b[0].upper()}": (a, b) for a in ("female", "male") for b in ("female", "male")}


@dataclass(frozen=True)
class Evidence:
    """What the judges said, by path; texts and scores are empty where nobody was asked."""

    voices: Mapping[str, Heard]
    theta: float
    gender_judge: gender.GenderJudge
    texts: Mapping[str, intelligibility.Transcript] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


def metric_terms(
    conversions: Sequence[Conversion], evidence: Evidence, everyone: Sequence[Conversion] | None = None, seed: int = 0
) -> dict[str, Terms]:
    """The terms of every metric that has any, in BETTER's order. `everyone`: all systems' rows, whence control people come."""
    voices = evidence.voices
    heard = [c for c in conversions if c.converted in voices]
    real = consistency.real_voices(everyone or conversions, voices)
    others = consistency.control_people(everyone or conversions, real, seed)
    same, different = pairs.same_target(heard, voices), pairs.different_target(heard, voices)
    told = [c for c in heard if c.transcript]  # a source against its own text would be no baseline
    parts: tuple[tuple[str, Part], ...] = (("", converted), ("_source", source))
    terms = {
        "SHO": pairs.sho_terms(same),
        "SHR": pairs.shr_terms(same, evidence.theta),
        "SDO": pairs.sdo_terms(different),
        "SDR": pairs.sdr_terms(different, evidence.theta),
        "GA": gender.gender_terms(heard, voices, evidence.gender_judge),
        "consistency_control": consistency.control_terms(heard, voices, real, others),
        "matching": matching.matching_terms(heard, voices, real, others),
    }
    for suffix, part in parts:
        terms[f"consistency{suffix}"] = consistency.consistency_terms(heard, voices, real, part)
        terms[f"F0_deviation{suffix}"] = f0_deviation.f0_deviation_terms(heard, voices, real, part)
        terms[f"leakage{suffix}"] = leakage.leakage_terms(heard, voices, part)
        terms[f"WER{suffix}"] = intelligibility.error_terms(told if suffix else heard, evidence.texts, "word", part)
        terms[f"CER{suffix}"] = intelligibility.error_terms(
            told if suffix else heard, evidence.texts, "character", part
        )
        terms[f"naturalness{suffix}"] = naturalness.naturalness_terms(heard, evidence.scores, part)
    return {name: terms[name] for name in BETTER if len(terms[name])}


def figures(
    terms: Mapping[str, Terms], keep: Callable[[Conversion], bool] | None = None, seed: int = 0
) -> dict[str, Figure]:
    """Each metric's figure over the terms whose conversions `keep` accepts; a metric without terms is absent."""
    found = {name: figure(part.where(keep) if keep else part, seed) for name, part in terms.items()}
    return {name: value for name, value in found.items() if value is not None}


def gender_slices(terms: Mapping[str, Terms], seed: int = 0) -> dict[str, dict[str, Figure]]:
    """Figures by gender pair, source > target; both targets of an SDO pair must have the gender."""
    slices = {
        name: figures(terms, lambda c, wanted=wanted: (c.source_gender, c.gender) == wanted, seed)  # type: ignore[misc]
        for name, wanted in GENDER_PAIRS.items()
    }
    return {name: found for name, found in slices.items() if found}
