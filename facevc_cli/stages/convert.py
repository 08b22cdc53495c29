"""`convert`: every source with every face (or voice), one model load; a manifest that `evaluate` reads and a rerun resumes from."""

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from facevc_cli import __version__
from facevc_cli.converter import Converter, Source, Target
from facevc_cli.data.conversions import NAME, Job, is_file_name, job_keys, plan_conversions
from facevc_cli.errors import FaceVCError, UsageError
from facevc_cli.io.audio import save_audio
from facevc_cli.io.checkpoint import locate
from facevc_cli.io.manifest import read_table, write_table
from facevc_cli.progress import SILENT, Reporter, Summary, Tally

STAGE = "convert"
MANIFEST = "manifest.csv"
COLUMNS = (
    "converted", "status", "source", "source_id", "face", "voice", "face_id", "target", "seconds", "model", "vocoder", "key", "reason"
)  # fmt: skip
SAVING_SHARE = 0.05  # of the time may go into keeping the manifest on disk up to date


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


def run(config: ConvertConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the conversions and, into a folder, `manifest.csv` with a row for each (COLUMNS)."""
    if config.temperature is not None and not config.temperature > 0:
        raise UsageError(f"--temperature {config.temperature}: expected a number above 0.")
    jobs = plan_conversions(
        config.sources, config.faces, config.voices, config.output, name=config.name, pairs=config.pairs, limit=config.limit
    )
    tally = Tally(reporter)
    if config.dry_run:
        for job in jobs:
            reporter.note(f"{job.source} + {job.target} -> {job.output}")
        return tally.summary(config.output, conversions=len(jobs))
    manifest = _Manifest(None if is_file_name(config.output) else config.output / MANIFEST)
    keys = job_keys(jobs, locate(config.checkpoint), config.vocoder, config.temperature, config.on_many)
    waiting = _waiting(jobs, keys, manifest, config.overwrite)
    if waiting:
        converter = Converter(config.checkpoint, config.vocoder, config.device, on_many=config.on_many, reporter=reporter)
        if any(job.by == "face" for job in waiting):
            converter.prepare_faces()
        reporter.note(f"model {converter.checkpoint.config.name}, vocoder {converter.vocoder.name}, on {converter.device}")
    reporter.begin(len(jobs), "files", STAGE)
    for job in jobs:
        if job not in waiting:
            tally.skip(job.relative)
    if waiting:
        manifest.save()  # an output folder that cannot be written to is found before any work
        try:
            _convert_all(list(waiting), keys, converter, config, manifest, tally)
        finally:
            manifest.save()
    following = None
    if manifest.path is not None:
        following = f"facevc evaluate {shlex.quote(str(manifest.path))} -o {shlex.quote(str(config.output / 'evaluation'))}"
    return tally.summary(config.output, following)


class _Manifest:
    """The rows of `manifest.csv` by output; those of earlier runs stay, with any columns that were added to them."""

    def __init__(self, path: Path | None):
        self.path = path  # None: one output file, no manifest
        known = read_table(path, COLUMNS) if path is not None and path.is_file() else []
        self.rows = {row["converted"]: row for row in known}
        self._columns = list(dict.fromkeys([*COLUMNS, *(known[0] if known else ())]))
        self._save_at = 0.0

    def put(self, row: dict[str, str]) -> None:
        self.rows[row["converted"]] = {**self.rows.get(row["converted"], {}), **row}
        if time.monotonic() >= self._save_at:
            self.save()

    def save(self) -> None:
        if self.path is None:
            return
        started = time.monotonic()
        write_table(self.path, list(self.rows.values()), self._columns)
        self._save_at = time.monotonic() + (time.monotonic() - started) / SAVING_SHARE


@dataclass
class _Targets:
    """Targets by path, each looked at once: a `Target`, or why there is none."""

    converter: Converter
    temperature: float | None
    known: dict[tuple[str, Path], Target | FaceVCError] = field(default_factory=dict)

    def get(self, job: Job) -> Target:
        place = (job.by, job.target)
        if place not in self.known:
            try:
                if job.by == "voice":
                    self.known[place] = self.converter.target_from_voice(job.target)
                else:
                    self.known[place] = self.converter.target_from_face(job.target, self.temperature)
            except FaceVCError as error:
                self.known[place] = error
        found = self.known[place]
        if isinstance(found, FaceVCError):
            raise found
        return found


def _waiting(jobs: Sequence[Job], keys: Mapping[Job, str], manifest: _Manifest, overwrite: bool) -> dict[Job, None]:
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
        row = manifest.rows.get(job.relative, {})
        if manifest.path is not None and (row.get("status"), row.get("key")) != ("done", keys[job]):
            waiting[job] = None
    return waiting


def _convert_all(
    jobs: Sequence[Job], keys: Mapping[Job, str], converter: Converter, config: ConvertConfig, manifest: _Manifest, tally: Tally
) -> None:
    targets = _Targets(converter, config.temperature)
    last: tuple[Path, Source | FaceVCError] | None = None
    for job in jobs:
        row = _row(job, keys[job], converter)
        try:
            target = targets.get(job)
            if last is None or last[0] != job.source:
                last = (job.source, _analysed(converter, job.source))
            if isinstance(last[1], FaceVCError):
                raise last[1]
            wav = converter.speak(last[1], target)
            save_audio(job.output, wav, converter.rate, comment=provenance(job, keys[job]))
            manifest.put(row | {"status": "done", "seconds": f"{len(wav) / converter.rate:.3f}"})
            tally.done(job.relative)
        except FaceVCError as error:
            manifest.put(row | {"status": "failed", "reason": str(error)})
            tally.fail(job.relative, str(error))
            if config.fail_fast:
                raise


def _analysed(converter: Converter, source: Path) -> Source | FaceVCError:
    try:
        return converter.analyse(source)
    except FaceVCError as error:
        return error


def _row(job: Job, key: str, converter: Converter) -> dict[str, str]:
    person = job.target.parent.name if "/" in job.target_id else job.target.stem
    target = str(job.target.absolute())
    return {
        "converted": job.relative, "source": str(job.source.absolute()), "source_id": job.source_id,
        "face_id": job.target_id, "target": person,
        "face": target if job.by == "face" else "", "voice": target if job.by == "voice" else "",
        "model": converter.checkpoint.config.name, "vocoder": converter.vocoder.name, "key": key, "seconds": "", "reason": "",
    }  # fmt: skip


def provenance(job: Job, key: str) -> str:
    """The comment that every converted file carries: what it is, and the key of what it was made from."""
    what = f"voice converted by facevc {__version__} on {date.today().isoformat()}"
    return f"synthetic speech: {what} from {job.source.name} to the {job.by} {job.target.name} [{key}]"


def made_with(path: Path) -> str | None:
    """The key in a converted file's comment; None where it is none of ours."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            found = re.search(r"^synthetic speech: .*\[([0-9a-f]{16})\]$", file.comment, re.DOTALL)
    except (soundfile.LibsndfileError, OSError):
        return None
    return found[1] if found else None
