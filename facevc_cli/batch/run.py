"""Makes the conversions of a plan with one loaded model. A rerun continues from the finished files."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facevc_cli.batch.jobs import NAME, Job, Naming, Row, collect_jobs, make_job_keys
from facevc_cli.batch.making import Made, make_files, make_resolver
from facevc_cli.batch.on_engine import make_files_on_engine
from facevc_cli.batch.plan import Draw, Plan, plan_conversions
from facevc_cli.batch.resume import add_sidecar, select_waiting
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.traits import check_traits
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.core.choices import OnMany
from facevc_cli.core.engines.registry import make_engine
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import locate
from facevc_cli.files.atomic import check_writable, remove_left
from facevc_cli.manifest.contract import READING_COLUMNS
from facevc_cli.manifest.manifest import Addresses, Line, Manifest, make_line_key, pick_file_columns


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    sources: tuple[str | Path, ...]
    output: Path  # a folder, or a .wav/.flac/.ogg file for one source and one target
    faces: tuple[str | Path, ...] = ()
    voices: tuple[str | Path, ...] = ()
    pairs: Path | None = None  # table: source, face or voice (ids or paths); only these pairs are converted
    checkpoint: Path | None = None
    vocoder: str | None = None
    name: str = NAME
    temperature: float | None = None
    on_many: OnMany = "largest"
    device: str = "auto"
    limit: int | None = None  # the most rows; baselines and degraded faces do not count
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False
    voice_options: VoiceOptions = field(default_factory=VoiceOptions)  # people with several pictures, mixes, pitch
    batch_size: int | None = None  # conversions that the network does at once; None: 1 on a CPU, else 16
    watermark: bool = True
    sidecar: bool = False
    engine: str = "local"  # where the files are made, as --engine names it
    jobs: int = 0  # workers of the engine; 0: as many as there is room for, and on this machine this process alone

    @property
    def naming(self) -> Naming:
        return Naming(self.output, self.name)

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings that change every result, as texts. Empty if all have their defaults."""
        return (*self.voice_options.settings, *(() if self.watermark else ("no watermark",)))


def plan_rows(config: ConvertConfig, draw: Draw | None = None, reporter: Reporter = SILENT) -> list[Row]:
    """Plans the requested conversions. Arguments and errors are those of `plan_conversions`."""
    if config.temperature is not None and not config.temperature > 0:
        raise UsageError(f"--temperature {config.temperature}: expected a number above 0.")
    make_engine(config.engine)  # UsageError before any work
    return plan_conversions(
        config.sources,
        config.faces,
        config.voices,
        config.naming,
        pairs=config.pairs,
        limit=config.limit,
        draw=draw,
        voice_options=config.voice_options,
        reporter=reporter,
    )


def make_conversions(
    plan: Plan,
    config: ConvertConfig,
    reporter: Reporter = SILENT,
    *,
    system: str | None = None,
    stage: str = "convert",
) -> Summary:
    """Makes the files. A folder also gets `manifest.csv`, with all rows of the plan, and `addresses.safetensors`.

    system: its name in the manifest; None: the model's name. stage: what the progress is called.
    """
    naming = config.naming
    rows, jobs = plan.rows, collect_jobs(plan.rows, naming)
    tally = Tally(reporter)
    if config.dry_run:
        return tally.summarise(config.output, conversions=len(jobs), planned=[_describe_job(job) for job in jobs])
    folder = None if naming.single else config.output
    manifest = Manifest(folder)
    checkpoint = locate(config.checkpoint)
    keys = make_job_keys(jobs, checkpoint, config.vocoder, config.temperature, config.on_many, *config.settings)
    waiting = select_waiting(jobs, keys, checkpoint, manifest, config.overwrite)
    converter = _prepare_converter(config, waiting, reporter) if waiting else None
    lines = plan.describe(
        _choose_system_name(system, rows, waiting, converter, manifest), folder or config.output.parent
    )
    _put_finished_rows(rows, lines, keys, waiting, manifest)
    reporter.begin(len(jobs), "files", stage)
    for job in jobs:
        if job not in waiting:
            if config.sidecar:
                add_sidecar(job.output)
            reporter.record(_make_record(job, {"status": "skipped"}))
            tally.skip(job.relative)
    if converter is not None:
        addresses = Addresses(folder, converter.slot_values())
        check_writable(folder or config.output.parent)  # before any work
        manifest.save(always=True)
        lines_of_job: dict[Job, list[Line]] = {job: [] for job in waiting}
        for row, line in zip(rows, lines, strict=True):
            if row.job in lines_of_job:
                lines_of_job[row.job].append(line)
        try:
            _convert_waiting(lines_of_job, keys, converter, config, manifest, addresses, tally)
        finally:
            manifest.save()
            addresses.save()
        remove_left({folder or config.output.parent, *(job.output.parent for job in waiting)})
    for row, line in zip(rows, lines, strict=True):
        if row.job is None:  # an unchanged source. These rows come last, because a manifest begins with the system
            manifest.put(line | pick_file_columns({"status": "done"}))
    manifest.save()
    following = None
    if manifest.path is not None:
        evaluation = shlex.quote(str(config.output / "evaluation"))
        following = f"facevc evaluate {shlex.quote(str(manifest.path))} -o {evaluation}"
    return tally.summarise(config.output, following, resumes=True)


def _prepare_converter(config: ConvertConfig, waiting: Mapping[Job, None], reporter: Reporter) -> Converter:
    """Loads what the waiting jobs need, so that what is missing is told before any work."""
    converter = Converter(
        config.checkpoint,
        config.vocoder,
        config.device,
        on_many=config.on_many,
        guidance=config.voice_options.guidance,
        reporter=reporter,
    )
    if any(job.voice_spec.has_pictures for job in waiting):
        converter.prepare_faces()
    converter.check_pitch(config.voice_options.parse_pitch())
    check_traits(converter.model, config.voice_options.parse_traits(), converter.checkpoint.config.name)
    converter.prepare_speech()
    model, vocoder = converter.checkpoint.config.name, converter.vocoder.name
    reporter.note(f"model {model}, vocoder {vocoder}, on {converter.device}")
    return converter


def _choose_system_name(
    name: str | None,
    rows: Sequence[Row],
    waiting: Mapping[Job, None],
    converter: Converter | None,
    manifest: Manifest,
) -> str:
    """Chooses the system's name: the given one, else that of its finished rows, else the model's.

    Finished rows take a new name.
    """
    own = [row.job for row in rows if row.job is not None and not row.baseline and row.job not in waiting]
    kept = [line for job in own if (line := manifest.lines.get((job.relative,)))]
    names = {line.get("system", ""): None for line in kept}
    model = converter.checkpoint.config.name if converter else next((line.get("model", "") for line in kept), "")
    system = name or next(filter(None, names), model)
    manifest.rename(names.keys() - {system}, system)
    return system


def _put_finished_rows(
    rows: Sequence[Row],
    lines: Sequence[Line],
    keys: Mapping[Job, str],
    waiting: Mapping[Job, None],
    manifest: Manifest,
) -> None:
    """Puts the rows of finished files into the manifest, and drops other rows of files that will be made anew."""
    planned = {make_line_key(line) for line in lines}
    anew = {job.relative: keys[job] for job in waiting}

    def is_outdated(line: Line) -> bool:
        key = anew.get(line["converted"])
        return key is not None and line.get("key") != key and make_line_key(line) not in planned

    manifest.forget(is_outdated)
    for row, line in zip(rows, lines, strict=True):
        if row.job is not None and row.job not in waiting and manifest.path is not None:
            manifest.put(line | pick_file_columns(manifest.done[row.job.relative]))


def _convert_waiting(
    jobs: Mapping[Job, Sequence[Line]],
    keys: Mapping[Job, str],
    converter: Converter,
    config: ConvertConfig,
    manifest: Manifest,
    addresses: Addresses,
    tally: Tally,
) -> None:
    """Makes the file of each job, and puts all of its rows into the manifest."""

    def record(made: Made) -> None:
        for line in jobs[made.job]:
            manifest.put(line | pick_file_columns(made.columns))
        if manifest.is_due():
            manifest.save()
            addresses.save()
        tally.reporter.record(_make_record(made.job, made.columns))
        if made.error is None:
            tally.complete(made.job.relative)
            return
        tally.fail(made.job.relative, str(made.error))
        if config.fail_fast:
            raise made.error

    mine = {job: keys[job] for job in jobs}
    if config.engine == "local" and config.jobs <= 1:
        make_files(mine, make_resolver(converter, config, addresses, tally.reporter), config, record)
        return
    known = set(manifest.lines)
    try:
        make_files_on_engine(mine, config, str(converter.device), addresses, tally.reporter, record)
    finally:
        planned = (make_line_key(line) for lines in jobs.values() for line in lines)
        manifest.move_to_end([key for key in planned if key not in known])


def _make_record(job: Job, columns: Mapping[str, str]) -> dict[str, str]:
    """Describes a finished, failed or skipped job for scripts (`--json`)."""
    target = str(job.voice_spec.file or job.voice_spec)
    record = {"type": "item", "converted": str(job.output), "source": str(job.source), "target": target}
    record["status"] = columns["status"]
    further = ("reason", *READING_COLUMNS)
    return record | {column: columns[column] for column in further if columns.get(column)}


def _describe_job(job: Job) -> dict[str, str]:
    spec = job.voice_spec
    degradation = f" degraded by {spec.degradation}" if spec.file and spec.degradation else ""
    target = f"{spec.file or spec}{degradation}"
    return {"converted": str(job.output), "source": str(job.source), "target": target}
