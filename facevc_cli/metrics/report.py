"""All figures of one system: which metrics there are, in which order, which way is better, and what each one lacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from facevc_cli.errors import UsageError
from facevc_cli.metrics import consistency, f0_deviation, gender, intelligibility, leakage, matching, naturalness, pairs
from facevc_cli.metrics import mel_cepstral_distortion as distortion
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
    "consistency control": BASELINE,
    "consistency source": BASELINE,
    "matching": HIGHER,
    "F0 deviation": LOWER,
    "F0 deviation source": BASELINE,
    "leakage": LOWER,
    "leakage control": BASELINE,
    "leakage source": BASELINE,
    "WER": LOWER,
    "WER source": BASELINE,
    "CER": LOWER,
    "CER source": BASELINE,
    "naturalness": HIGHER,
    "naturalness source": BASELINE,
    "DNSMOS": HIGHER,
    "DNSMOS source": BASELINE,
    "MCD": LOWER,
    "MOS": HIGHER,  # these two are people's answers to the listening test
    "CPR": HIGHER,
}
LACKS = {
    "SHO": "SHO and SHR are off: no source was converted with two images (column face) of one target",
    "SDO": "SDO and SDR are off: no source was converted to two targets",
    "GA": "GA is off: no target's gender is known (column gender here or in --labels)",
    "consistency": "consistency, matching and F0 deviation are off: no target has real recordings (column references here or in --labels)",
    "consistency control": "the consistency control and matching are off: no two targets of one known gender have real recordings",
    "leakage": "leakage is off: no source recordings (column source, or file in --sources)",
    "leakage control": "the leakage control is off: no two speakers of one known gender among the sources (gender and speaker in --sources)",
    "MCD": "MCD is off: no target's own recording of the same words (column parallel here or in --labels)",
}
GENDER_PAIRS = {f"{a[0].upper()}>{b[0].upper()}": (a, b) for a in ("female", "male") for b in ("female", "male")}
KNOWN_COLUMNS = ("source_id", "target", "gender", "source_gender", "source_speaker", "face", "driver")  # fields of a conversion that make slices too


@dataclass(frozen=True)
class Evidence:
    """What the judges said, by path; empty where nobody was asked.

    theta: the voices' threshold, None where none is known. gender_voices: what the gender judge hears, where that is another
    embedding than voices'. distortions: dB by (converted, parallel).
    """

    voices: Mapping[str, Heard]
    theta: float | None
    gender_judge: gender.GenderJudge
    texts: Mapping[str, intelligibility.Transcript] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    dnsmos: Mapping[str, float] = field(default_factory=dict)
    distortions: Mapping[tuple[str, str], float] = field(default_factory=dict)
    gender_voices: Mapping[str, Heard] | None = None


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
    gender_voices = voices if evidence.gender_voices is None else evidence.gender_voices
    terms = {
        "SHO": pairs.sho_terms(same),
        "SDO": pairs.sdo_terms(different),
        "GA": gender.gender_terms(heard, gender_voices, evidence.gender_judge),
        "consistency control": consistency.control_terms(heard, voices, real, others),
        "leakage control": leakage.control_terms(heard, voices, leakage.control_sources(everyone or conversions, voices, seed)),
        "matching": matching.matching_terms(heard, voices, real, others),
        "MCD": distortion.distortion_terms(heard, evidence.distortions),
    }
    if evidence.theta is not None:
        terms["SHR"], terms["SDR"] = pairs.shr_terms(same, evidence.theta), pairs.sdr_terms(different, evidence.theta)
    parts: tuple[tuple[str, Part], ...] = (("", converted), (" source", source))
    for suffix, part in parts:
        terms[f"consistency{suffix}"] = consistency.consistency_terms(heard, voices, real, part)
        terms[f"F0 deviation{suffix}"] = f0_deviation.f0_deviation_terms(heard, voices, real, part)
        terms[f"leakage{suffix}"] = leakage.leakage_terms(heard, voices, part)
        terms[f"WER{suffix}"] = intelligibility.error_terms(told if suffix else heard, evidence.texts, "word", part)
        terms[f"CER{suffix}"] = intelligibility.error_terms(told if suffix else heard, evidence.texts, "character", part)
        terms[f"naturalness{suffix}"] = naturalness.naturalness_terms(heard, evidence.scores, part)
        terms[f"DNSMOS{suffix}"] = naturalness.naturalness_terms(heard, evidence.dnsmos, part)
    return {name: terms[name] for name in BETTER if name in terms and len(terms[name])}


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


def column_slices(terms: Mapping[str, Terms], columns: Sequence[str], seed: int = 0) -> dict[str, dict[str, Figure]]:
    """Figures by each value of the columns, 'age_bin=20-29'; both conversions of a pair must have the value, the empty one has none."""
    rows = {id(row): row for part in terms.values() for row in part.rows}.values()
    slices = {}
    for column in columns:
        for wanted in sorted({value_of(row, column) for row in rows} - {""}):
            found = figures(terms, lambda c, column=column, wanted=wanted: value_of(c, column) == wanted, seed)  # type: ignore[misc]
            if found:
                slices[f"{column}={wanted}"] = found
    return slices


def value_of(conversion: Conversion, column: str) -> str:
    """What a column says about a conversion, '' where nothing."""
    return getattr(conversion, column) if column in KNOWN_COLUMNS else conversion.about.get(column, "").strip()


def check_columns(columns: Sequence[str], conversions: Sequence[Conversion]) -> list[str]:
    """A line for each column that is empty throughout; UsageError for one that there is not."""
    there = [*KNOWN_COLUMNS, *sorted({name for c in conversions for name in c.about} - set(KNOWN_COLUMNS))]
    for column in columns:
        if column not in there:
            raise UsageError(
                f"--by {column}: expected a column of the manifest, of --labels or of --sources, found none of that name. There are: {', '.join(there)}."
            )
    empty = [column for column in columns if not any(value_of(c, column) for c in conversions)]
    return [f"figures by {column} are off: the column is empty" for column in empty]


def missing(
    systems: Mapping[str, Mapping[str, Figure]],
    slices: Mapping[str, Mapping[str, Mapping[str, Figure]]],
    conversions: Sequence[Conversion],
    evidence: Evidence,
) -> list[str]:
    """One line for every metric that no system has, and why."""
    present = {name for found in systems.values() for name in found}
    lacks = [text for name, text in LACKS.items() if name not in present]
    for name in ("consistency", "leakage"):
        if name not in present:
            lacks = [text for text in lacks if text != LACKS[f"{name} control"]]
    if not any(name in GENDER_PAIRS for parts in slices.values() for name in parts):
        lacks.append(
            "figures by gender pair are off: the gender of sources (source_gender, or gender in --sources) or of targets is unknown"
        )
    if evidence.texts and "CER" not in present:
        lacks.append("WER and CER are off: neither transcripts nor sources in which words are recognised")
    if len({c.target for c in conversions}) < 3:
        lacks.append("fewer than three targets: some or all figures have no interval")
    return lacks
