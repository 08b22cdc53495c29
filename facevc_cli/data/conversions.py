"""Which conversions a command asks for: sources and targets found, joined and named, and what each result depends on."""

import hashlib
from collections import Counter
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Job:
    """One conversion to be. `relative` is the output's name below the output folder, as the manifest has it."""

    source: Path
    source_id: str
    target: Path
    target_id: str
    by: str  # "face" or "voice"
    output: Path
    relative: str


def is_file_name(output: Path) -> bool:
    """Whether the output names one audio file rather than a folder."""
    return output.suffix.lower() in OUTPUT_SUFFIXES and not output.is_dir()


def plan_conversions(
    sources: Sequence[str | Path], faces: Sequence[str | Path], voices: Sequence[str | Path], output: Path,
    *, name: str = NAME, pairs: Path | None = None, limit: int | None = None,
) -> list[Job]:  # fmt: skip
    """Every source with every target, or the pairs of a table, sources outermost, at most `limit`.

    FaceVCError where an input is missing, two results would be written to one file, or a name would leave the output folder.
    """
    if not faces and not voices:
        raise UsageError("convert needs a face or a voice: pass --face IMAGE_OR_FOLDER or --voice WAV_OR_FOLDER.")
    _check_output(output, name)
    heard = find_files(sources, AUDIO_SUFFIXES | VIDEO_SUFFIXES)
    targets = {
        "face": find_files(faces, IMAGE_SUFFIXES) if faces else [],
        "voice": find_files(voices, AUDIO_SUFFIXES) if voices else [],
    }
    wanted = _wanted(pairs, heard, targets) if pairs else None
    single = is_file_name(output)
    jobs: dict[Path, Job] = {}
    for source, source_id in heard:
        for by, target, target_id in ((by, *named) for by, several in targets.items() for named in several):
            if wanted is not None and (source, by, target) not in wanted:
                continue
            if len(jobs) == limit:
                break
            relative = output.name if single else _name(name, source_id, target_id)
            path = output if single else inside(output, relative)
            job = Job(source, source_id, target, target_id, by, path, relative)
            other = jobs.setdefault(path, job)
            if other is not job:
                raise FaceVCError(
                    f"{other.source} with {other.target} and {source} with {target} would both be written to {path}. "
                    + ("Give a folder as the output." if single else f"Give a --name that tells them apart; now {name!r}.")
                )
    if not jobs:
        raise FaceVCError(f"{pairs}: the table has no rows, so there is nothing to convert. Add pairs, or leave --pairs out.")
    return list(jobs.values())


def job_keys(jobs: Sequence[Job], checkpoint: Path, vocoder: str | None, *settings: object) -> dict[Job, str]:
    """What each result depends on, as sixteen hex digits: model, vocoder, settings, and both inputs' contents.

    checkpoint: its own folder. A changed file under an old name gives another key.
    """
    model = "".join(_content(checkpoint / name) for name in ("model.safetensors", "config.yaml"))
    contents = {path: _content(path) for path in {p for job in jobs for p in (job.source, job.target)}}
    shared = f"{model} {_vocoder_content(vocoder)} {settings}"
    parts = {job: f"{shared} {contents[job.source]} {contents[job.target]} {job.by}" for job in jobs}
    return {job: hashlib.sha256(text.encode()).hexdigest()[:16] for job, text in parts.items()}


def _check_output(output: Path, name: str) -> None:
    expected = f"that ends in {', '.join(OUTPUT_SUFFIXES)}"
    if is_file_name(output):
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
