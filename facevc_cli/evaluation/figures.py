"""The figures of one system, overall and by slices, and why metrics are missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from facevc_cli.core.errors import UsageError
from facevc_cli.core.extras import install_command
from facevc_cli.evaluation.bootstrap import Figure, Terms, estimate_figure
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.mel_cepstral_distortion import is_distortion_available
from facevc_cli.evaluation.metrics.registry import METRICS
from facevc_cli.manifest.contract import GENDERS
from facevc_cli.manifest.conversion import Conversion

GENDER_PAIRS = {f"{a[0].upper()}>{b[0].upper()}": (a, b) for a in GENDERS for b in GENDERS}
# fields of a conversion; they give slices too
KNOWN_COLUMNS = ("source_id", "target", "gender", "source_gender", "source_speaker", "face", "driver")


def measure_terms(
    conversions: Sequence[Conversion], evidence: Evidence, everyone: Sequence[Conversion] | None = None, seed: int = 0
) -> dict[str, Terms]:
    """Measure facevc's own metrics, in their order.

    Metrics without terms are left out. everyone: rows of all systems, for control people.
    """
    everyone = everyone or conversions
    if evidence.everyone is not everyone or evidence.seed != seed:
        evidence = replace(evidence, everyone=everyone, seed=seed)
    heard = [c for c in conversions if c.converted in evidence.voices]
    found = {name: metric.measure_terms(heard, evidence) for name, metric in METRICS.items()}
    return {name: terms for name, terms in found.items() if len(terms)}


def estimate_figures(
    terms: Mapping[str, Terms], keep: Callable[[Conversion], bool] | None = None, seed: int = 0
) -> dict[str, Figure]:
    """Estimate each metric over the terms that `keep` accepts. A metric without terms is left out."""
    found = {name: estimate_figure(part.select(keep) if keep else part, seed) for name, part in terms.items()}
    return {name: value for name, value in found.items() if value is not None}


def slice_by_gender(terms: Mapping[str, Terms], seed: int = 0) -> dict[str, dict[str, Figure]]:
    """Estimate figures by gender pair, source > target. Both targets of an SDO pair must have the gender."""
    return _slice(terms, {name: partial(_has_genders, pair) for name, pair in GENDER_PAIRS.items()}, seed)


def slice_by_columns(terms: Mapping[str, Terms], columns: Sequence[str], seed: int = 0) -> dict[str, dict[str, Figure]]:
    """Estimate figures by each value of the columns, such as 'age_bin=20-29'.

    Both conversions of a pair must have the value. Empty values give no slice.
    """
    rows = {id(row): row for part in terms.values() for row in part.rows}.values()
    slices = {
        f"{column}={value}": partial(_has_value, column, value)
        for column in columns
        for value in sorted({read_column(row, column) for row in rows} - {""})
    }
    return _slice(terms, slices, seed)


def _slice(
    terms: Mapping[str, Terms], slices: Mapping[str, Callable[[Conversion], bool]], seed: int
) -> dict[str, dict[str, Figure]]:
    """Estimate figures of each slice. Slices without figures are left out."""
    found = {name: estimate_figures(terms, keep, seed) for name, keep in slices.items()}
    return {name: figures for name, figures in found.items() if figures}


def _has_genders(pair: tuple[str, str], row: Conversion) -> bool:
    return (row.source_gender, row.gender) == pair


def _has_value(column: str, value: str, row: Conversion) -> bool:
    return read_column(row, column) == value


def read_column(conversion: Conversion, column: str) -> str:
    """Read a column of a conversion; '' if it is absent."""
    return getattr(conversion, column) if column in KNOWN_COLUMNS else conversion.about.get(column, "").strip()


def check_columns(columns: Sequence[str], conversions: Sequence[Conversion]) -> list[str]:
    """Return a note for each column that is empty in every row. UsageError if a column does not exist."""
    there = [*KNOWN_COLUMNS, *sorted({name for c in conversions for name in c.about} - set(KNOWN_COLUMNS))]
    for column in columns:
        if column not in there:
            raise UsageError(
                f"--by {column}: expected a column of the manifest, of --labels or of --sources, found none of that "
                f"name. There are: {', '.join(there)}."
            )
    empty = [column for column in columns if not any(read_column(c, column) for c in conversions)]
    return [f"figures by {column} are off: the column is empty" for column in empty]


def explain_missing(
    systems: Mapping[str, Mapping[str, Figure]],
    slices: Mapping[str, Mapping[str, Mapping[str, Figure]]],
    conversions: Sequence[Conversion],
    evidence: Evidence,
) -> list[str]:
    """Explain in one line each why a metric is missing from all systems."""
    present = {name for found in systems.values() for name in found}
    lacks = [
        m.needs for m in METRICS.values() if m.needs and m.name not in present and (not m.beside or m.beside in present)
    ]
    if "MCD" not in present and any(c.parallel for c in conversions) and not is_distortion_available():
        lacks = [text for text in lacks if text != METRICS["MCD"].needs]
        lacks.append(f"MCD is off: it needs librosa and scipy. Install them with {install_command('eval')}")
    if not any(name in GENDER_PAIRS for parts in slices.values() for name in parts):
        lacks.append(
            "figures by gender pair are off: the gender of sources (source_gender, or gender in --sources) or of "
            "targets is unknown"
        )
    if evidence.texts and "CER" not in present:
        lacks.append("WER and CER are off: neither transcripts nor sources in which words are recognised")
    if len({c.target for c in conversions}) < 3:
        lacks.append("fewer than three targets: some or all figures have no interval")
    return lacks
