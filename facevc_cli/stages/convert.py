"""`convert`: every source with every face (or voice), one model load; a manifest that `evaluate` reads and a rerun resumes from."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from facevc_cli import __version__
from facevc_cli.converter import Converter, Source, Target
from facevc_cli.data.conversion_manifest import Addresses, Line, Manifest, line_key, shared_columns
from facevc_cli.data.conversion_plan import Benchmark, plan_benchmark
from facevc_cli.data.conversions import NAME, Driver, Job, Naming, Row, job_keys, jobs_of
from facevc_cli.errors import FaceVCError, UsageError
from facevc_cli.features.degradation import degrade
from facevc_cli.io.audio import save_audio
from facevc_cli.io.checkpoint import locate
from facevc_cli.io.image import load_image
from facevc_cli.progress import SILENT, Reporter, Summary, Tally

STAGE = "convert"


@dataclass(frozen=True)
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
    on_many: str = "largest"
    device: str = "auto"
    limit: int | None = None  # of the system's own conversions; baselines and degraded faces follow them
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False
    system: str | None = None  # its name in the manifest; None: the model's
    benchmark: Benchmark = field(default_factory=Benchmark)


def run(config: ConvertConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the conversions and, into a folder, `manifest.csv` with a row for each, beside it `addresses.safetensors`."""
    if config.temperature is not None and not config.temperature > 0:
        raise UsageError(f"--temperature {config.temperature}: expected a number above 0.")
    naming = Naming(config.output, config.name)
    plan = plan_benchmark(config.sources, config.faces, config.voices, naming, config.benchmark, pairs=config.pairs, limit=config.limit, reporter=reporter)
    rows, jobs = plan.rows, jobs_of(plan.rows, naming)
    tally = Tally(reporter)
    if config.dry_run:
        for job in jobs:
            reporter.note(f"{job.source} + {_named(job.driver)} -> {job.output}")
        return tally.summary(config.output, conversions=len(jobs))
    folder = None if naming.single else config.output
    manifest = Manifest(folder)
    keys = job_keys(jobs, locate(config.checkpoint), config.vocoder, config.temperature, config.on_many)
    waiting = _waiting(jobs, keys, manifest, config.overwrite)
    converter = None
    if waiting:
        converter = Converter(config.checkpoint, config.vocoder, config.device, on_many=config.on_many, reporter=reporter)
        if any(job.driver.by == "face" for job in waiting):
            converter.prepare_faces()
        reporter.note(f"model {converter.checkpoint.config.name}, vocoder {converter.vocoder.name}, on {converter.device}")
    lines = plan.lines(_system(config.system, rows, waiting, converter, manifest))
    _put_what_is_known(rows, lines, keys, waiting, manifest)
    reporter.begin(len(jobs), "files", STAGE)
    for job in jobs:
        if job not in waiting:
            tally.skip(job.relative)
    if converter is not None:
        addresses = Addresses(folder, converter.model.memory.values.detach().cpu().numpy())
        manifest.save(always=True)  # an output folder that cannot be written to is found before any work
        answering: dict[Job, list[Line]] = {job: [] for job in waiting}
        for row, line in zip(rows, lines, strict=True):
            if row.job in answering:
                answering[row.job].append(line)
        try:
            _convert_all(answering, keys, converter, config, manifest, addresses, tally)
        finally:
            manifest.save()
            addresses.save()
    for row, line in zip(rows, lines, strict=True):
        if row.job is None:  # the source itself answers; its rows come last, for a manifest begins with the system
            manifest.put(line | shared_columns({"status": "done"}))
    manifest.save()
    following = None
    if manifest.path is not None:
        following = f"facevc evaluate {shlex.quote(str(manifest.path))} -o {shlex.quote(str(config.output / 'evaluation'))}"
    return tally.summary(config.output, following)


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
    planned = {line_key(line) for line in lines}
    anew = {job.relative: keys[job] for job in waiting}
    manifest.forget(lambda line: line["converted"] in anew and line.get("key") != anew[line["converted"]] and line_key(line) not in planned)
    for row, line in zip(rows, lines, strict=True):
        if row.job is not None and row.job not in waiting and manifest.path is not None:
            manifest.put(line | shared_columns(manifest.done[row.job.relative]))


@dataclass
class _Targets:
    """Targets by what drives them, and embeddings by picture; each looked at once, and kept as what it gave or why it failed."""

    converter: Converter
    temperature: float | None
    addresses: Addresses
    reporter: Reporter
    known: dict[Driver, Target | FaceVCError] = field(default_factory=dict)
    embeddings: dict[tuple[Path, str], np.ndarray | FaceVCError] = field(default_factory=dict)

    def get(self, driver: Driver) -> Target:
        if driver not in self.known:
            try:
                self.known[driver] = self._voice(driver) if driver.by == "voice" else self._face(driver)
            except FaceVCError as error:
                self.known[driver] = error
        found = self.known[driver]
        if isinstance(found, FaceVCError):
            raise found
        return found

    def _voice(self, driver: Driver) -> Target:
        return self.converter.target_from_voice(driver.files[0])

    def _face(self, driver: Driver) -> Target:
        people = [[self._embedding(file, driver.degradation) for file in files] for files in driver.people]
        failed = [found for person in people for found in person if isinstance(found, FaceVCError)]
        usable = [[found for found in person if not isinstance(found, FaceVCError)] for person in people]
        means = [np.mean(person, axis=0) for person in usable if person]
        if not means:
            raise failed[0]
        if failed:
            self.reporter.note(f"{driver}: {len(failed)} of them cannot be used, the first: {failed[0]}")
        target = self.converter.target_from_embedding(np.mean(means, axis=0), self.temperature)
        if driver.file and not driver.degradation and target.address is not None:
            self.addresses.put(driver.file, target.address[0].float().cpu().numpy())
        return target

    def _embedding(self, file: Path, degradation: str) -> np.ndarray | FaceVCError:
        place = (file, degradation)
        if place not in self.embeddings:
            try:
                self.embeddings[place] = self.converter.embed_face(degrade(load_image(file), degradation) if degradation else file)
            except FaceVCError as error:
                self.embeddings[place] = FaceVCError(f"{file} degraded by {degradation}: {error}") if degradation else error
        return self.embeddings[place]


def _waiting(jobs: Sequence[Job], keys: Mapping[Job, str], manifest: Manifest, overwrite: bool) -> dict[Job, None]:
    """The jobs still to do; a file made with other settings is refused unless it may be overwritten.

    A file says itself what it was made from: after a kill it may be finished without its row.
    """
    waiting: dict[Job, None] = {}
    for job in jobs:
        if overwrite or not job.output.exists():
            waiting[job] = None
            continue
        if made_with(job.output) != keys[job]:
            raise FaceVCError(
                f"{job.output} is there already, made from another model, input or setting, or not by this command. "
                "Pass --overwrite to make it anew, or choose another output."
            )
        if manifest.path is not None and manifest.done.get(job.relative, {}).get("key") != keys[job]:
            waiting[job] = None
    return waiting


def _convert_all(
    jobs: Mapping[Job, Sequence[Line]], keys: Mapping[Job, str], converter: Converter, config: ConvertConfig,
    manifest: Manifest, addresses: Addresses, tally: Tally,
) -> None:  # fmt: skip
    """Makes each file and puts all rows that it answers."""
    targets = _Targets(converter, config.temperature, addresses, tally.reporter)
    last: tuple[Path, Source | FaceVCError] | None = None
    for job, lines in jobs.items():
        made = {"model": converter.checkpoint.config.name, "vocoder": converter.vocoder.name, "key": keys[job]}
        failure: FaceVCError | None = None
        try:
            target = targets.get(job.driver)
            if last is None or last[0] != job.source:
                last = (job.source, _analysed(converter, job.source))
            if isinstance(last[1], FaceVCError):
                raise last[1]
            wav = converter.speak(last[1], target)
            save_audio(job.output, wav, converter.rate, comment=provenance(job, keys[job]))
            made |= {"status": "done", "seconds": f"{len(wav) / converter.rate:.3f}"}
        except FaceVCError as error:
            failure = error
            made |= {"status": "failed", "reason": str(error)}
        for line in lines:
            manifest.put(line | shared_columns(made))
        if manifest.due():
            manifest.save()
            addresses.save()
        if failure is None:
            tally.done(job.relative)
            continue
        tally.fail(job.relative, str(failure))
        if config.fail_fast:
            raise failure


def _analysed(converter: Converter, source: Path) -> Source | FaceVCError:
    try:
        return converter.analyse(source)
    except FaceVCError as error:
        return error


def _named(driver: Driver) -> str:
    return " degraded by ".join(filter(None, (str(driver.file or driver), driver.degradation if driver.file else "")))


def provenance(job: Job, key: str) -> str:
    """The comment that every converted file carries: what it is, and the key of what it was made from."""
    what = f"voice converted by facevc {__version__} on {date.today().isoformat()}"
    return f"synthetic speech: {what} from {job.source.name} to the {job.driver} [{key}]"


def made_with(path: Path) -> str | None:
    """The key in a converted file's comment; None where it is none of ours."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            found = re.search(r"^synthetic speech: .*\[([0-9a-f]{16})\]$", file.comment, re.DOTALL)
    except (soundfile.LibsndfileError, OSError):
        return None
    return found[1] if found else None
