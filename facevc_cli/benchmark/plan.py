"""Plans the rows of a benchmark's manifest: the system's own conversions, baselines and damaged faces."""

from dataclasses import dataclass
from pathlib import Path

from facevc_cli.batch.plan import Draw, Plan
from facevc_cli.batch.run import ConvertConfig, plan_rows
from facevc_cli.benchmark.baselines import plan_baselines, plan_degraded
from facevc_cli.benchmark.labels import describe_sources, describe_targets
from facevc_cli.benchmark.protocol import draw, limit_references, load_protocol
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.faces.degradation import parse_conditions
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.contract import COLUMNS, SEPARATOR
from facevc_cli.manifest.manifest import Line


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """The options of the system's own conversions, and those of the benchmark."""

    conversions: ConvertConfig  # its `limit` counts only the system's own conversions
    baselines: tuple[str, ...] = ()  # names in benchmark/baselines.py
    degrade: tuple[str, ...] = ()  # conditions in faces/degradation.py; each text may hold several, separated by commas
    labels: Path | None = None  # table: target, gender, references, and any other columns about targets
    sources_table: Path | None = None  # table: source_id, gender, speaker, transcript
    # a name or YAML file, read by benchmark/protocol.py; it draws from the sources and faces that were found
    protocol: str | None = None
    system: str | None = None  # the system's name in the manifest; None: the model's name
    seed: int = 0  # of all random draws


def plan_benchmark(benchmark: BenchmarkConfig, reporter: Reporter = SILENT) -> Plan:
    """Plans the system's own rows, the rows of baselines and damaged faces, and the columns from the tables.

    UsageError if options contradict each other, FaceVCError if files or tables do not fit.
    """
    naming = benchmark.conversions.naming
    conditions = parse_conditions(benchmark.degrade)
    labels = read_table(benchmark.labels, ["target"]) if benchmark.labels else []
    known_sources = read_table(benchmark.sources_table, ["source_id"]) if benchmark.sources_table else []
    chosen = _draw(benchmark, known_sources, labels)
    own = plan_rows(benchmark.conversions, chosen, reporter)
    by_target: dict[str, Line] = {}
    by_source: dict[str, Line] = {}
    if benchmark.labels:
        written = [column for column in COLUMNS if column not in ("gender", "references")]
        by_target = describe_targets(benchmark.labels, labels, {row.person for row in own}, written, reporter)
    if benchmark.sources_table:
        by_source = describe_sources(benchmark.sources_table, known_sources, {row.source.id for row in own}, reporter)
    if benchmark.protocol:
        _limit_references(benchmark, by_target)
    rows = [
        *own,
        *plan_baselines(benchmark.baselines, own, naming, by_target, benchmark.seed, reporter),
        *plan_degraded(conditions, own, naming, reporter),
    ]
    order = {source: i for i, source in enumerate(dict.fromkeys(row.source for row in own))}
    return Plan(sorted(rows, key=lambda row: order[row.source]), by_target, by_source)


def _draw(benchmark: BenchmarkConfig, known_sources: list[Line], labels: list[Line]) -> Draw | None:
    if benchmark.protocol is None:
        return None
    if benchmark.labels is None or benchmark.sources_table is None:
        raise UsageError(
            "--protocol draws speakers and people by gender. Pass --labels TABLE.csv and --sources TABLE.csv as well."
        )
    if benchmark.conversions.pairs is not None:
        raise UsageError("--protocol draws sources and faces, and --pairs names them. Leave one of the two out.")
    protocol = load_protocol(benchmark.protocol)
    if protocol.is_spoken:
        raise UsageError(f"--protocol {benchmark.protocol} is about texts. Pass it to 'facevc speak'.")
    return lambda sources, faces: draw(protocol, sources, faces, known_sources, labels, benchmark.seed)


def _limit_references(benchmark: BenchmarkConfig, targets: dict[str, Line]) -> None:
    protocol = load_protocol(benchmark.protocol or "")
    for columns in targets.values():
        if columns.get("references"):
            columns["references"] = SEPARATOR.join(
                limit_references(protocol, columns["references"].split(SEPARATOR), benchmark.seed)
            )
