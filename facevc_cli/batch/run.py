"""The conversions of a plan: one model load, files and rows as they are made; a rerun goes on from what is there."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facevc_cli.batch.jobs import NAME, Draw, Job, Naming, Row, job_keys, jobs_of, plan_conversions
from facevc_cli.batch.pipeline import convert_jobs
from facevc_cli.batch.plan import Plan
from facevc_cli.batch.resume import add_sidecar, jobs_waiting
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.choices import OnMany
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import locate
from facevc_cli.files.atomic import check_writable, remove_left
from facevc_cli.manifest.manifest import Addresses, Line, Manifest, make_line_key, pick_file_columns
from facevc_cli.provenance.metadata import describe_provenance
from facevc_cli.provenance.saving import save_converted

STAGE = "convert"


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    sources: tuple[str | Path, ...]
    output: Path  # a folder, or a .wav/.flac/.ogg file for one source and one target
    faces: tuple[str | Path, ...] = ()
    voices: tuple[str | Path, ...] = ()
    pairs: Path | None = None  # table: source, face or voice (ids or paths): only these
    checkpoint: Path | None = None
    vocoder: str | None = None
    name: str = NAME
    temperature: float | None = None
    on_many: OnMany = "largest"
    device: str = "auto"
    limit: int | None = None  # of the system's own conversions; baselines and degraded faces follow them
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False
    voice_options: VoiceOptions = field(default_factory=VoiceOptions)  # people of several pictures, mixes, pitch
    batch_size: int | None = None  # conversions that go through the network at once; None: 1 on a processor, else 16
    watermark: bool = True
    sidecar: bool = False

    @property
    def naming(self) -> Naming:
        return Naming(self.output, self.name)

    @property
    def settings(self) -> tuple[str, ...]:
        """What every result depends on besides its inputs; nothing where all is as it is by default."""
        return (*self.voice_options.settings, *(() if self.watermark else ("no watermark",)))


def plan_rows(config: ConvertConfig, draw: Draw | None = None, reporter: Reporter = SILENT) -> list[Row]:
    """The conversions that are asked for; `draw` first takes its choice. UsageError, FaceVCError as `plan_conversions`."""
    if config.temperature is not None and not config.temperature > 0:
        raise UsageError(f"--temperature {config.temperature}: expected a number above 0.")
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
    plan: Plan, config: ConvertConfig, reporter: Reporter = SILENT, *, system: str | None = None
) -> Summary:
    """Writes the conversions and, into a folder, `manifest.csv` with a row for each, beside it `addresses.safetensors`.

    system: its name in the manifest; None: the model's.
    """
    naming = config.naming
    rows, jobs = plan.rows, jobs_of(plan.rows, naming)
    tally = Tally(reporter)
    if config.dry_run:
        for job in jobs:
            reporter.note(f"{job.source} + {_named(job.voice_spec)} -> {job.output}")
        return tally.summarise(config.output, conversions=len(jobs))
    folder = None if naming.single else config.output
    manifest = Manifest(folder)
    checkpoint = locate(config.checkpoint)
    keys = job_keys(jobs, checkpoint, config.vocoder, config.temperature, config.on_many, *config.settings)
    waiting = jobs_waiting(jobs, keys, checkpoint, manifest, config.overwrite)
    converter = None
    if waiting:
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
        converter.prepare_speech()
        reporter.note(f"model {converter.checkpoint.config.name}, vocoder {converter.vocoder.name}, on {converter.device}")
    lines = plan.lines(_system(system, rows, waiting, converter, manifest), folder or config.output.parent)
    _put_what_is_known(rows, lines, keys, waiting, manifest)
    reporter.begin(len(jobs), "files", STAGE)
    for job in jobs:
        if job not in waiting:
            if config.sidecar:
                add_sidecar(job.output)
            reporter.record(_record(job, {"status": "skipped"}))
            tally.skip(job.relative)
    if converter is not None:
        addresses = Addresses(folder, converter.slot_values())
        check_writable(folder or config.output.parent)  # before any work
        manifest.save(always=True)
        answering: dict[Job, list[Line]] = {job: [] for job in waiting}
        for row, line in zip(rows, lines, strict=True):
            if row.job in answering:
                answering[row.job].append(line)
        try:
            _convert_all(answering, keys, converter, config, manifest, addresses, tally)
        finally:
            manifest.save()
            addresses.save()
        remove_left({folder or config.output.parent, *(job.output.parent for job in waiting)})
    for row, line in zip(rows, lines, strict=True):
        if row.job is None:  # the source itself answers; its rows come last, for a manifest begins with the system
            manifest.put(line | pick_file_columns({"status": "done"}))
    manifest.save()
    following = None
    if manifest.path is not None:
        following = f"facevc evaluate {shlex.quote(str(manifest.path))} -o {shlex.quote(str(config.output / 'evaluation'))}"
    return tally.summarise(config.output, following)


def _system(given: str | None, rows: Sequence[Row], waiting: Mapping[Job, None], converter: Converter | None, manifest: Manifest) -> str:
    """The system's name: as given, else what its finished rows have, else the model's. Those rows take a new name."""
    own = [row.job for row in rows if row.job is not None and not row.baseline and row.job not in waiting]
    kept = [line for job in own if (line := manifest.lines.get((job.relative,)))]
    names = {line.get("system", ""): None for line in kept}
    model = converter.checkpoint.config.name if converter else next((line.get("model", "") for line in kept), "")
    system = given or next(filter(None, names), model)
    manifest.rename(names.keys() - {system}, system)
    return system


def _put_what_is_known(rows: Sequence[Row], lines: Sequence[Line], keys: Mapping[Job, str], waiting: Mapping[Job, None], manifest: Manifest) -> None:
    """Rows of files that are there; and out go other rows of files that will be made anew from something else."""
    planned = {make_line_key(line) for line in lines}
    anew = {job.relative: keys[job] for job in waiting}
    manifest.forget(lambda line: line["converted"] in anew and line.get("key") != anew[line["converted"]] and make_line_key(line) not in planned)
    for row, line in zip(rows, lines, strict=True):
        if row.job is not None and row.job not in waiting and manifest.path is not None:
            manifest.put(line | pick_file_columns(manifest.done[row.job.relative]))


def _convert_all(
    jobs: Mapping[Job, Sequence[Line]], keys: Mapping[Job, str], converter: Converter, config: ConvertConfig,
    manifest: Manifest, addresses: Addresses, tally: Tally,
) -> None:  # fmt: skip
    """Makes each file and puts all rows that it answers."""
    resolver = VoiceResolver(converter, config.temperature, addresses, tally.reporter, config.voice_options.parse_pitch())
    model = converter.checkpoint

    def save(job: Job, wav: np.ndarray) -> None:
        made = describe_provenance(
            keys[job], model.config.name, model.weights_sha256, job.source, resolver.used_files(job.voice_spec), job.voice_spec.kind, watermark=config.watermark
        )
        save_converted(job.output, wav, converter.rate, made, job.source.name, str(job.voice_spec), sidecar=config.sidecar)

    def finish(job: Job, seconds: float, error: FaceVCError | None) -> None:
        made = {"model": model.config.name, "vocoder": converter.vocoder.name, "key": keys[job]}
        made |= {"status": "failed", "reason": str(error)} if error else {"status": "done", "seconds": f"{seconds:.3f}"}
        for line in jobs[job]:
            manifest.put(line | pick_file_columns(made))
        if manifest.is_due():
            manifest.save()
            addresses.save()
        tally.reporter.record(_record(job, made))
        if error is None:
            tally.complete(job.relative)
            return
        tally.fail(job.relative, str(error))
        if config.fail_fast:
            raise error

    convert_jobs(list(jobs), converter, resolver, save, finish, config.batch_size)


def _record(job: Job, made: Mapping[str, str]) -> dict[str, str]:
    """One finished, failed or skipped item, for scripts."""
    reason = {"reason": made["reason"]} if made.get("reason") else {}
    what = {"converted": str(job.output), "source": str(job.source), "face": str(job.voice_spec.file or job.voice_spec)}
    return {"type": "item", **what, "status": made["status"], **reason}


def _named(spec: VoiceSpec) -> str:
    return " degraded by ".join(filter(None, (str(spec.file or spec), spec.degradation if spec.file else "")))
