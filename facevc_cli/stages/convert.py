"""`convert`: every source with every face (or voice), one model load; a manifest that `evaluate` reads and a rerun resumes from."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from facevc_cli import __version__
from facevc_cli.converter import Converter, Source, Target
from facevc_cli.errors import FaceVCError, UsageError
from facevc_cli.io.audio import save_audio
from facevc_cli.io.checkpoint import WEIGHTS, file_sha256, locate
from facevc_cli.io.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, find_files, inside
from facevc_cli.io.manifest import read_table, write_table
from facevc_cli.progress import SILENT, Reporter, Summary, Tally

STAGE = "convert"
NAME = "{source}__{face}.wav"
MANIFEST = "manifest.csv"
COLUMNS = ("converted", "status", "source", "source_id", "face", "voice", "face_id", "target", "seconds", "model", "vocoder", "key", "reason")
SAVE_EVERY_S = 10.0  # the manifest on disk is at most this old


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
    limit: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False


@dataclass(frozen=True)
class Job:
    """One conversion to be."""

    source: Path
    source_id: str
    target: Path
    target_id: str
    by: str  # "face" or "voice"
    output: Path
    relative: str


@dataclass
class _Targets:
    """Targets by path, each looked at once: a `Target`, or why there is none."""

    converter: Converter
    temperature: float | None
    known: dict[Path, Target | FaceVCError] = field(default_factory=dict)

    def get(self, job: Job) -> Target:
        if job.target not in self.known:
            try:
                make = self.converter.target_from_voice if job.by == "voice" else lambda p: self.converter.target_from_face(p, self.temperature)
                self.known[job.target] = make(job.target)
            except FaceVCError as error:
                self.known[job.target] = error
        found = self.known[job.target]
        if isinstance(found, FaceVCError):
            raise found
        return found


def run(config: ConvertConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the conversions and, into a folder, `manifest.csv` with a row for each (COLUMNS)."""
    jobs = plan(config)
    tally = Tally(reporter)
    if config.dry_run:
        for job in jobs:
            reporter.note(f"{job.source} + {job.target} -> {job.output}")
        return tally.summary(config.output, conversions=len(jobs))
    single = is_file_name(config.output)
    manifest = config.output / MANIFEST
    rows = {} if single or not manifest.is_file() else {row["converted"]: row for row in read_table(manifest, COLUMNS)}
    weights = locate(config.checkpoint) / WEIGHTS
    keys = _keys(jobs, file_sha256(weights), config)
    waiting = _waiting(jobs, keys, rows, config, single)
    reporter.begin(len(jobs), "files", STAGE)
    for job in jobs:
        if job not in waiting:
            tally.skip(job.relative)
    if waiting:
        converter = Converter(config.checkpoint, config.vocoder, config.device, on_many=config.on_many, reporter=reporter)
        try:
            _convert_all(waiting, keys, converter, config, rows, tally, None if single else manifest)
        finally:
            if not single:
                write_table(manifest, list(rows.values()), COLUMNS)
    following = None if single else f"facevc evaluate {manifest} -o {config.output / 'evaluation'}"
    return tally.summary(config.output, following)


def plan(config: ConvertConfig) -> list[Job]:
    """All conversions asked for, sources outermost; FaceVCError where two would be written to one file."""
    if not config.faces and not config.voices:
        raise UsageError("convert needs a face or a voice: pass --face IMAGE_OR_FOLDER or --voice WAV_OR_FOLDER.")
    sources = find_files(config.sources, AUDIO_SUFFIXES | VIDEO_SUFFIXES)
    targets = [(p, i, "face") for p, i in (find_files(config.faces, IMAGE_SUFFIXES) if config.faces else ())]
    targets += [(p, i, "voice") for p, i in (find_files(config.voices, AUDIO_SUFFIXES) if config.voices else ())]
    wanted = _wanted(config.pairs, sources, targets) if config.pairs else None
    single = is_file_name(config.output)
    jobs: dict[Path, Job] = {}
    for source, source_id in sources:
        for target, target_id, by in targets:
            if wanted is not None and (source, target) not in wanted:
                continue
            relative = config.output.name if single else _name(config.name, source_id, target_id)
            output = config.output if single else inside(config.output, relative)
            job = Job(source, source_id, target, target_id, by, output, relative)
            other = jobs.setdefault(output, job)
            if other is not job:
                raise FaceVCError(
                    f"{other.source} with {other.target} and {source} with {target} would both be written to {output}. "
                    + ("Give a folder as the output." if single else f"Give a --name that tells them apart; now {config.name!r}.")
                )
    if not jobs:
        raise FaceVCError(f"{config.pairs}: none of its pairs is among the sources and targets given. Check the names.")
    return list(jobs.values())[: config.limit]


def is_file_name(output: Path) -> bool:
    """Whether the output names one audio file rather than a folder."""
    return output.suffix.lower() in (".wav", ".flac", ".ogg") and not output.is_dir()


def _name(template: str, source_id: str, target_id: str) -> str:
    try:
        return template.format(source=source_id, face=target_id.replace("/", "-"), voice=target_id.replace("/", "-"))
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"--name {template!r}: expected a pattern with {{source}} and {{face}}, such as {NAME!r} ({error}).") from error


def _wanted(table: Path, sources: Sequence[tuple[Path, str]], targets: Sequence[tuple[Path, str, str]]) -> set[tuple[Path, Path]]:
    """The (source, target) paths of a table whose cells are ids or paths."""
    rows = read_table(table, ("source",))
    by_source = {name: p for p, i in sources for name in (i, str(p), p.name)}
    by_target = {name: p for p, i, _ in targets for name in (i, str(p), p.name)}
    wanted, unknown = set(), []
    for row in rows:
        target = row.get("face") or row.get("voice") or ""
        if row["source"] in by_source and target in by_target:
            wanted.add((by_source[row["source"]], by_target[target]))
        else:
            unknown.append(f"{row['source']} with {target}")
    if unknown:
        raise FaceVCError(f"{table}: {len(unknown)} pairs name a source or target that was not given, first {unknown[0]!r}. Give it, or drop the row.")
    return wanted


def _keys(jobs: Sequence[Job], weights: str, config: ConvertConfig) -> dict[Job, str]:
    """What each result depends on, as sixteen hex digits: weights, vocoder, settings, and both inputs' contents."""
    contents: Mapping[Path, str] = {path: _content(path) for path in {p for job in jobs for p in (job.source, job.target)}}
    shared = f"{weights} {config.vocoder} {config.temperature} {config.on_many}"
    return {job: hashlib.sha256(f"{shared} {contents[job.source]} {contents[job.target]} {job.by}".encode()).hexdigest()[:16] for job in jobs}


def _content(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""


def _waiting(jobs: Sequence[Job], keys: Mapping[Job, str], rows: Mapping[str, Mapping[str, str]], config: ConvertConfig, single: bool) -> list[Job]:
    """The jobs still to do; a file made with other settings is refused unless --overwrite."""
    waiting = []
    for job in jobs:
        row = rows.get(job.relative)
        if config.overwrite or not job.output.exists() or (row is not None and row["status"] != "done"):
            waiting.append(job)
        elif row is None or row["key"] != keys[job]:
            reason = "is there already" if single or row is None else "was made from another model, input or setting"
            raise FaceVCError(f"{job.output} {reason}. Pass --overwrite to make it anew, or choose another output.")
    return waiting


def _convert_all(
    jobs: Sequence[Job], keys: Mapping[Job, str], converter: Converter, config: ConvertConfig, rows: dict, tally: Tally, manifest: Path | None
) -> None:
    targets = _Targets(converter, config.temperature)
    last: tuple[Path, Source | FaceVCError] | None = None
    saved = time.monotonic()
    for job in jobs:
        row = _row(job, keys[job], converter)
        try:
            target = targets.get(job)
            if last is None or last[0] != job.source:
                last = (job.source, _analysed(converter, job.source))
            if isinstance(last[1], FaceVCError):
                raise last[1]
            wav = converter.speak(last[1], target)
            save_audio(job.output, wav, converter.rate, comment=provenance(job))
            rows[job.relative] = row | {"status": "done", "seconds": f"{len(wav) / converter.rate:.3f}"}
            tally.done(job.relative)
        except FaceVCError as error:
            rows[job.relative] = row | {"status": "failed", "reason": str(error)}
            tally.fail(job.relative, str(error))
            if config.fail_fast:
                raise
        if manifest is not None and time.monotonic() - saved > SAVE_EVERY_S:
            write_table(manifest, list(rows.values()), COLUMNS)
            saved = time.monotonic()


def _analysed(converter: Converter, source: Path) -> Source | FaceVCError:
    try:
        return converter.analyse(source)
    except FaceVCError as error:
        return error


def _row(job: Job, key: str, converter: Converter) -> dict[str, str]:
    person = job.target.parent.name if "/" in job.target_id else job.target.stem
    return {
        "converted": job.relative, "source": str(job.source), "source_id": job.source_id, "face_id": job.target_id, "target": person,
        "face": str(job.target) if job.by == "face" else "", "voice": str(job.target) if job.by == "voice" else "",
        "model": converter.checkpoint.config.name, "vocoder": converter.vocoder.name, "key": key, "seconds": "", "reason": "",
    }  # fmt: skip


def provenance(job: Job) -> str:
    """The comment that every converted file carries."""
    return f"synthetic speech: voice converted by facevc {__version__} on {date.today().isoformat()} from {job.source.name} to the {job.by} {job.target.name}"
