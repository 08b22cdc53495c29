"""Which conversions a command asks for: sources and targets found, joined and named, and what each result depends on."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.errors import FaceVCError, UsageError
from facevc_cli.io.checkpoint import file_sha256
from facevc_cli.io.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, find_files, inside
from facevc_cli.io.manifest import read_table

NAME = "{source}__{face}.wav"
OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg")
PACKAGED_VOCODERS = ("auto", "hifigan", "griffin-lim")
Named = tuple[Path, str]  # a file and its id
Draw = Callable[[list[Named], list[Named]], tuple[list[Named], list[Named]]]  # the sources and faces found -> those to take


@dataclass(frozen=True)
class Driver:
    """Whose voice: a recording's, or what is recalled for a picture. The mean face has every picture of every person."""

    by: str  # "face" or "voice"
    people: tuple[tuple[Path, ...], ...]  # their files; one of one, but for the mean face
    degradation: str = ""  # of the picture, as in features/degradation.py

    @classmethod
    def of(cls, by: str, file: Path, degradation: str = "") -> "Driver":
        return cls(by, ((file,),), degradation)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for files in self.people for file in files)

    @property
    def file(self) -> Path | None:
        """The one file that drives; None for a mean of several."""
        return self.files[0] if len(self.files) == 1 else None

    def __str__(self) -> str:
        what = f"{self.by} {self.file.name}" if self.file else f"mean of {len(self.files)} faces"
        return f"{what} ({self.degradation})" if self.degradation else what


@dataclass(frozen=True)
class Job:
    """One file to be made. `relative` is its name below the output folder, as the manifest has it."""

    source: Path
    source_id: str
    driver: Driver
    output: Path
    relative: str


@dataclass(frozen=True)
class Row:
    """One line of the manifest: the source and the target that are asked for, and the file that answers. Several may share a file."""

    source: Path
    source_id: str
    by: str  # "face" or "voice"
    target: Path  # the picture or recording that is asked for
    target_id: str
    job: Job | None  # None: the source itself, unchanged
    baseline: str = ""

    @property
    def person(self) -> str:
        return person_of(self.target, self.target_id)


@dataclass(frozen=True)
class Naming:
    """Where outputs go: a folder and a pattern of names, or one file."""

    output: Path
    pattern: str = NAME

    @property
    def single(self) -> bool:
        return is_file_name(self.output)

    def job(self, source: Path, source_id: str, driver: Driver, target_id: str, below: str = "") -> Job:
        """The job of that name, below a folder within the output; FaceVCError where the name would leave it."""
        if self.single:
            return Job(source, source_id, driver, self.output, self.output.name)
        name = _name(self.pattern, source_id, target_id)
        return Job(source, source_id, driver, inside(self.output / below, name), below + name)


def person_of(path: Path, identifier: str) -> str:
    """Whose picture or recording it is: the folder's name that it lies in, or its own where it lies in none."""
    return path.parent.name if "/" in identifier else path.stem


def is_file_name(output: Path) -> bool:
    """Whether the output names one audio file rather than a folder."""
    return output.suffix.lower() in OUTPUT_SUFFIXES and not output.is_dir()


def plan_conversions(
    sources: Sequence[str | Path], faces: Sequence[str | Path], voices: Sequence[str | Path], naming: Naming,
    *, pairs: Path | None = None, limit: int | None = None, draw: Draw | None = None,
) -> list[Row]:  # fmt: skip
    """Every source with every target, or the pairs of a table, sources outermost, at most `limit`; `draw` first takes its choice.

    FaceVCError where an input is missing or a name would leave the output folder.
    """
    if not faces and not voices:
        raise UsageError("convert needs a face or a voice: pass --face IMAGE_OR_FOLDER or --voice WAV_OR_FOLDER.")
    _check_output(naming)
    heard = find_files(sources, AUDIO_SUFFIXES | VIDEO_SUFFIXES)
    targets = {
        "face": find_files(faces, IMAGE_SUFFIXES) if faces else [],
        "voice": find_files(voices, AUDIO_SUFFIXES) if voices else [],
    }
    if draw is not None:
        heard, targets["face"] = draw(heard, targets["face"])
    wanted = _wanted(pairs, heard, targets) if pairs else None
    rows: list[Row] = []
    for source, source_id in heard:
        for by, target, target_id in ((by, *named) for by, several in targets.items() for named in several):
            if wanted is not None and (source, by, target) not in wanted:
                continue
            if len(rows) == limit:
                break
            job = naming.job(source, source_id, Driver.of(by, target), target_id)
            rows.append(Row(source, source_id, by, target, target_id, job))
    if not rows:
        raise FaceVCError(f"{pairs}: the table has no rows, so there is nothing to convert. Add pairs, or leave --pairs out.")
    return rows


def jobs_of(rows: Sequence[Row], naming: Naming) -> list[Job]:
    """Each file to be made, once; FaceVCError where two different ones would be written to one place."""
    jobs: dict[Path, Job] = {}
    for job in (row.job for row in rows if row.job is not None):
        other = jobs.setdefault(job.output, job)
        if other != job:
            raise FaceVCError(
                f"{_both(other)} and {_both(job)} would both be written to {job.output}. "
                + ("Give a folder as the output." if naming.single else f"Give a --name that tells them apart; now {naming.pattern!r}.")
            )
    return list(jobs.values())


def job_keys(jobs: Sequence[Job], checkpoint: Path, vocoder: str | None, *settings: object) -> dict[Job, str]:
    """What each result depends on, as sixteen hex digits: model, vocoder, settings, and all inputs' contents.

    checkpoint: its own folder. A changed file under an old name gives another key.
    """
    model = "".join(_content(checkpoint / name) for name in ("model.safetensors", "config.yaml"))
    drivers = {job.driver for job in jobs}
    contents = {path: _content(path) for path in {job.source for job in jobs} | {p for driver in drivers for p in driver.files}}
    shared = f"{model} {_vocoder_content(vocoder)} {settings}"
    driving = {driver: _driver_content(driver, contents) for driver in drivers}
    parts = {job: f"{shared} {contents[job.source]} {driving[job.driver]}" for job in jobs}
    return {job: hashlib.sha256(text.encode()).hexdigest()[:16] for job, text in parts.items()}


def _driver_content(driver: Driver, contents: dict[Path, str]) -> str:
    people = "/".join(sorted("+".join(sorted(contents[file] for file in files)) for files in driver.people))
    return f"{people} {driver.by} {driver.degradation}".rstrip()


def _both(job: Job) -> str:
    return f"{job.source} with {job.driver.file or job.driver}"


def _check_output(naming: Naming) -> None:
    output, name = naming.output, naming.pattern
    expected = f"that ends in {', '.join(OUTPUT_SUFFIXES)}"
    if naming.single:
        return
    if not output.is_dir() and (output.exists() or output.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES):
        raise UsageError(f"--out {output}: expected a folder, or a file name {expected}, found neither. Choose another.")
    if Path(_name(name, "source", "face")).suffix.lower() not in OUTPUT_SUFFIXES:
        raise UsageError(f"--name {name!r}: expected a name {expected}, such as {NAME!r}.")


def _name(template: str, source_id: str, target_id: str) -> str:
    try:
        return template.format(source=source_id, face=target_id.replace("/", "-"), voice=target_id.replace("/", "-"))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"--name {template!r}: expected a pattern with {{source}} and {{face}}, such as {NAME!r} ({error}).") from error


def _wanted(table: Path, sources: Sequence[Named], targets: dict[str, list[Named]]) -> set[tuple[Path, str, Path]]:
    """(source, "face" or "voice", target) of a table whose cells are ids, paths, or file names that occur once."""
    by_source, by_target = _by_name(sources), {kind: _by_name(named) for kind, named in targets.items()}
    wanted, unknown = set(), []
    for row in read_table(table, ("source",)):
        asked = [(kind, row[kind]) for kind in targets if row.get(kind)]
        for kind, target in asked:
            if row["source"] in by_source and target in by_target[kind]:
                wanted.add((by_source[row["source"]], kind, by_target[kind][target]))
            else:
                unknown.append(f"{row['source']} with {target}")
        if not asked:
            unknown.append(f"{row['source']} with nothing in the columns face and voice")
    if unknown:
        raise FaceVCError(
            f"{table}: {len(unknown)} pairs name a source or target that was not given, first {unknown[0]!r}. Give it, or drop the row."
        )
    return wanted


def _by_name(named: Sequence[Named]) -> dict[str, Path]:
    count = Counter(path.name for path, _ in named)
    found = {path.name: path for path, _ in named if count[path.name] == 1}
    for path, _ in named:
        found |= {str(path): path, str(path.absolute()): path}
    return found | {identifier: path for path, identifier in named}


def _vocoder_content(vocoder: str | None) -> str:
    if vocoder in (None, *PACKAGED_VOCODERS):
        return vocoder or "auto"
    path = Path(vocoder)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return " ".join(_content(file) for file in files)


def _content(path: Path) -> str:
    """A file's sha256; nothing for what cannot be read, which fails by itself when its turn comes."""
    try:
        return file_sha256(path)
    except FaceVCError:
        return ""
