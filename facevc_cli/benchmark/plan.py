"""From what a command asks for to the rows of its manifest: the system's own conversions, and what a benchmark sets beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from facevc_cli.batch.jobs import Draw, Naming, Row, plan_conversions
from facevc_cli.benchmark.baselines import plan_baselines, plan_degraded
from facevc_cli.benchmark.labels import about_sources, about_targets
from facevc_cli.benchmark.protocol import draw, limit_references, load_protocol
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.faces.degradation import parse_conditions
from facevc_cli.files.tables import path_from, read_table
from facevc_cli.manifest.contract import COLUMNS, SEPARATOR
from facevc_cli.manifest.manifest import Line


@dataclass(frozen=True)
class Benchmark:
    """What is asked for beyond plain conversions."""

    baselines: tuple[str, ...] = ()  # of benchmark/baselines.py
    degrade: tuple[str, ...] = ()  # conditions of faces/degradation.py, one or several between commas
    labels: Path | None = None  # table: target, gender, references, and whatever else is known of targets
    sources_table: Path | None = None  # table: source_id, gender, speaker, transcript
    protocol: str | None = None  # a name or YAML file of benchmark/protocol.py: draws sources and faces out of those found
    seed: int = 0  # of the draws


@dataclass(frozen=True)
class Plan:
    """Rows, all of one source together, and the columns that the tables have about targets and sources."""

    rows: list[Row]
    targets: dict[str, Line] = field(default_factory=dict)
    sources: dict[str, Line] = field(default_factory=dict)

    def lines(self, system: str, folder: Path) -> list[Line]:
        """The columns of the manifest in `folder` about what was asked for, a line a row; those about the file that answers come with the file."""
        name = lru_cache(maxsize=None)(partial(path_from, folder))
        targets = {target: dict(columns) for target, columns in self.targets.items()}
        for columns in targets.values():
            if columns.get("references"):
                columns["references"] = SEPARATOR.join(map(name, columns["references"].split(SEPARATOR)))
        return [_line(row, system, name) | targets.get(row.person, {}) | self.sources.get(row.source_id, {}) for row in self.rows]


def plan_benchmark(
    sources: Sequence[str | Path], faces: Sequence[str | Path], voices: Sequence[str | Path], naming: Naming, benchmark: Benchmark,
    *, pairs: Path | None = None, limit: int | None = None, voice_options: VoiceOptions = VoiceOptions(), reporter: Reporter = SILENT,
) -> Plan:  # fmt: skip
    """The rows of `plan_conversions` (`pairs` and `limit` are about them), with them those of baselines and degraded faces.

    UsageError where options do not go together, FaceVCError where files or tables do not.
    """
    conditions = parse_conditions(benchmark.degrade)
    labels = read_table(benchmark.labels, ["target"]) if benchmark.labels else []
    known_sources = read_table(benchmark.sources_table, ["source_id"]) if benchmark.sources_table else []
    chosen = _draw(benchmark, known_sources, labels, pairs)
    own = plan_conversions(sources, faces, voices, naming, pairs=pairs, limit=limit, draw=chosen, voice_options=voice_options, reporter=reporter)
    by_target: dict[str, Line] = {}
    by_source: dict[str, Line] = {}
    if benchmark.labels:
        written = [column for column in COLUMNS if column not in ("gender", "references")]
        by_target = about_targets(benchmark.labels, labels, {row.person for row in own}, written, reporter)
    if benchmark.sources_table:
        by_source = about_sources(benchmark.sources_table, known_sources, {row.source_id for row in own}, reporter)
    if benchmark.protocol:
        _limit_references(benchmark, by_target)
    rows = [
        *own,
        *plan_baselines(benchmark.baselines, own, naming, by_target, benchmark.seed, reporter),
        *plan_degraded(conditions, own, naming, reporter),
    ]
    order = {source: i for i, source in enumerate(dict.fromkeys(row.source for row in own))}
    return Plan(sorted(rows, key=lambda row: order[row.source]), by_target, by_source)


def _draw(benchmark: Benchmark, known_sources: list[Line], labels: list[Line], pairs: Path | None) -> Draw | None:
    if benchmark.protocol is None:
        return None
    if benchmark.labels is None or benchmark.sources_table is None:
        raise UsageError("--protocol draws speakers and people by gender: give --labels TABLE.csv and --sources-table TABLE.csv as well.")
    if pairs is not None:
        raise UsageError("--protocol draws sources and faces itself, and --pairs names them. Leave one of the two out.")
    protocol = load_protocol(benchmark.protocol)
    return lambda sources, faces: draw(protocol, sources, faces, known_sources, labels, benchmark.seed)


def _limit_references(benchmark: Benchmark, targets: dict[str, Line]) -> None:
    protocol = load_protocol(benchmark.protocol or "")
    for columns in targets.values():
        if columns.get("references"):
            columns["references"] = SEPARATOR.join(limit_references(protocol, columns["references"].split(SEPARATOR), benchmark.seed))


def _line(row: Row, system: str, name: Callable[[Path], str]) -> Line:
    spec, target = row.job.voice_spec if row.job else None, name(row.target)
    return {
        "converted": row.job.relative if row.job else name(row.source),
        "system": system, "baseline": row.baseline, "degradation": spec.degradation if spec else "",
        "source": name(row.source), "source_id": row.source_id, "target": row.person, "face_id": row.target_id,
        "face": target if row.kind in ("face", "person") else "", "voice": target if row.kind == "voice" else "",
        "driver": name(spec.file) if spec and spec.file else "",
    }  # fmt: skip
