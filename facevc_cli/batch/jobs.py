"""Which conversions a command asks for: sources and targets found, joined and named, and what each result depends on."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Generic, TypeVar

from facevc_cli.conversion.voice_request import (
    FACE_SUFFIXES,
    MIX_EXAMPLE,
    Named,
    TargetKind,
    TargetRequest,
    VoiceOptions,
    is_mix_word,
    request_faces,
    request_recordings,
)
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, describe_renaming
from facevc_cli.files.hashes import hash_readable_file
from facevc_cli.files.inputs import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_files, join_inside
from facevc_cli.files.names import find_real_path, normalise_name
from facevc_cli.files.tables import read_table
from facevc_cli.vocoders.load import VOCODERS

NAME = "{source}__{target}.wav"
OLD_FIELDS = ("face", "voice")  # of a pattern of names; they are the target
OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg")
T = TypeVar("T")
Draw = Callable[[list[Named], list[Named]], tuple[list[Named], list[Named]]]  # the sources and faces found -> those to take


@dataclass(frozen=True)
class Job:
    """One file to be made. `relative` is its name below the output folder, as the manifest has it."""

    source: Path
    source_id: str
    voice_spec: VoiceSpec
    output: Path
    relative: str


@dataclass(frozen=True)
class Row:
    """One line of the manifest: the source and the target that are asked for, and the file that answers. Several may share a file."""

    source: Path
    source_id: str
    kind: TargetKind
    target: Path  # the picture, card or recording that is asked for; of several the first
    target_id: str
    job: Job | None  # None: the source itself, unchanged
    baseline: str = ""
    who: str = ""  # whose voice, where the file does not say it

    @property
    def person(self) -> str:
        return self.who or person_of(self.target, self.target_id)


@dataclass(frozen=True)
class Naming:
    """Where outputs go: a folder and a pattern of names, or one file."""

    output: Path
    pattern: str = NAME

    @property
    def single(self) -> bool:
        return is_file_name(self.output)

    @property
    def old_fields(self) -> list[str]:
        """What the pattern calls the target by an old name."""
        fields = {name for _, name, _, _ in Formatter().parse(self.pattern)}
        return [name for name in OLD_FIELDS if name in fields]

    def job(self, source: Path, source_id: str, spec: VoiceSpec, target_id: str, below: str = "") -> Job:
        """The job of that name, below a folder within the output; FaceVCError where the name would leave it."""
        if self.single:
            return Job(source, source_id, spec, self.output, self.output.name)
        name = _name(self.pattern, source_id, target_id)
        return Job(source, source_id, spec, join_inside(self.output / below, name), below + name)


def person_of(path: Path, identifier: str) -> str:
    """Whose picture or recording it is: the folder's name that it lies in, or its own where it lies in none."""
    return normalise_name(path.parent.name if "/" in identifier else path.stem)


def is_file_name(output: Path) -> bool:
    """Whether the output names one audio file rather than a folder."""
    return output.suffix.lower() in OUTPUT_SUFFIXES and not output.is_dir()


def plan_conversions(
    sources: Sequence[str | Path], faces: Sequence[str | Path], voices: Sequence[str | Path], naming: Naming,
    *, pairs: Path | None = None, limit: int | None = None, draw: Draw | None = None, voice_options: VoiceOptions = VoiceOptions(),
    reporter: Reporter = SILENT,
) -> list[Row]:  # fmt: skip
    """Every source with every target, or the pairs of a table, sources outermost, at most `limit`; `draw` first takes its choice.

    FaceVCError where an input is missing or a name would leave the output folder.
    """
    if not (faces or voices or voice_options.persons or voice_options.mixes):
        raise UsageError("A conversion needs a face or a voice: pass --face IMAGE_OR_FOLDER, --person, --mix or --voice WAV_OR_FOLDER.")
    voice_options.check()
    loose = [str(word) for word in sources if is_mix_word(str(word))] if voice_options.mixes else []
    if loose:
        raise UsageError(f"{loose[0]} may belong to any of {len(voice_options.mixes)} mixes. Quote each, as in {MIX_EXAMPLE}.")
    if not sources:
        raise UsageError("A conversion needs a source: name recordings or a folder before the options.")
    _check_output(naming)
    for old in [] if naming.single else naming.old_fields:
        reporter.note(describe_renaming(f"{{{old}}} in --name", "{target}"))
    heard = find_files(sources, AUDIO_SUFFIXES | VIDEO_SUFFIXES, reporter)
    seen = find_files(faces, FACE_SUFFIXES, reporter) if faces else []
    if draw is not None:
        heard, seen = draw(heard, seen)
    recordings = find_files(voices, AUDIO_SUFFIXES, reporter) if voices else []
    targets = [*request_faces(seen), *voice_options.find_targets(reporter), *request_recordings(recordings)]
    wanted = _wanted(pairs, heard, targets) if pairs else None
    rows: list[Row] = []
    for source, source_id in heard:
        for asked in targets:
            if wanted is not None and (source, asked) not in wanted:
                continue
            if len(rows) == limit:
                break
            job = naming.job(source, source_id, asked.voice_spec, asked.id)
            rows.append(Row(source, source_id, asked.kind, asked.path, asked.id, job, who=asked.who))
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
    model = "".join(hash_readable_file(checkpoint / name) for name in ("model.safetensors", "config.yaml"))
    specs = {job.voice_spec for job in jobs}
    contents = {path: hash_readable_file(path) for path in {job.source for job in jobs} | {p for spec in specs for p in spec.files}}
    shared = f"{model} {_vocoder_content(vocoder)} {settings}"
    by_spec = {spec: _describe_content(spec, contents) for spec in specs}
    parts = {job: f"{shared} {contents[job.source]} {by_spec[job.voice_spec]}" for job in jobs}
    return {job: hashlib.sha256(text.encode()).hexdigest()[:16] for job, text in parts.items()}


def _describe_content(spec: VoiceSpec, contents: dict[Path, str]) -> str:
    if spec.parts:
        return "mix " + " ".join(sorted(f"{share:.6f} ({_describe_content(part, contents)})" for part, share in spec.parts))
    people = "/".join(sorted("+".join(sorted(contents[file] for file in files)) for files in spec.people))
    return f"{people} {spec.kind} {spec.degradation}".rstrip()


def _both(job: Job) -> str:
    return f"{job.source} with {job.voice_spec.file or job.voice_spec}"


def _check_output(naming: Naming) -> None:
    output, name = naming.output, naming.pattern
    expected = f"that ends in {', '.join(OUTPUT_SUFFIXES)}"
    try:
        output.exists()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise UsageError(f"--out {output}: {error.strerror}. Choose another output.") from error
    if naming.single:
        return
    if not output.is_dir() and (output.exists() or output.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES):
        raise UsageError(f"--out {output}: expected a folder, or a file name {expected}, found neither. Choose another.")
    if Path(_name(name, "source", "face")).suffix.lower() not in OUTPUT_SUFFIXES:
        raise UsageError(f"--name {name!r}: expected a name {expected}, such as {NAME!r}.")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UsageError(f"--name {name!r} leads outside the output folder: expected a name such as {NAME!r}.")


def _name(template: str, source_id: str, target_id: str) -> str:
    try:
        target = target_id.replace("/", "-")
        return template.format(source=source_id, target=target, **dict.fromkeys(OLD_FIELDS, target))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"--name {template!r}: expected a pattern with {{source}} and {{target}}, such as {NAME!r} ({error}).") from error


def _wanted(table: Path, sources: Sequence[Named], targets: Sequence[TargetRequest]) -> set[tuple[Path, TargetRequest]]:
    """(source, target) of a table whose cells are ids, paths, or file names that occur once. All but recordings stand in its column face."""
    by_source = _Given([(path, identifier, path) for path, identifier in sources], table)
    of_kind = {"face": [one for one in targets if one.kind != "voice"], "voice": [one for one in targets if one.kind == "voice"]}
    by_target = {kind: _Given([(_own_file(one), one.id, one) for one in ones], table) for kind, ones in of_kind.items()}
    wanted, unknown = set(), []
    for row in read_table(table, ("source",)):
        source = by_source.find(row["source"])
        asked = [(kind, row[kind]) for kind in by_target if row.get(kind, "").strip()]
        for kind, name in asked:
            target = by_target[kind].find(name)
            if source is not None and target is not None:
                wanted.add((source, target))
            else:
                hint = by_source.hint(row["source"]) if source is None else by_target[kind].hint(name)
                unknown.append(f"{row['source']} with {name}{hint}")
        if not asked:
            unknown.append(f"{row['source']} with nothing in the columns face and voice")
    if unknown:
        raise FaceVCError(
            f"{table}: {len(unknown)} pairs name a source or target that was not given, first {unknown[0]!r}. Give it, or drop the row."
        )
    return wanted


def _own_file(asked: TargetRequest) -> Path | None:
    """The file that names a target; people of several pictures and mixes have none."""
    return None if asked.kind in ("person", "mix") else asked.path


class _Given(Generic[T]):
    """What was given, by every name that a table may use: the id, with or without the suffix, the file's name if it occurs once, and any path."""

    def __init__(self, named: Sequence[tuple[Path | None, str, T]], table: Path):
        self.folder = table.parent
        files = [(path, identifier, item) for path, identifier, item in named if path]
        count = Counter(path.name for path, _, _ in files)
        self.ids = [identifier for _, identifier, _ in named]
        names = [(path.name, item) for path, _, item in files if count[path.name] == 1]
        names += [(str(path), item) for path, _, item in files]
        names += [(identifier + path.suffix, item) for path, identifier, item in files]
        self.names = {normalise_name(name): item for name, item in [*names, *((identifier, item) for _, identifier, item in named)]}
        self.paths = {os.path.realpath(path): item for path, _, item in reversed(files)}
        self.paths |= {os.path.abspath(path): item for path, _, item in reversed(files)}

    def find(self, name: str) -> T | None:
        """What a cell names; a path may start from the table's folder or from the working directory."""
        for text in dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))):
            if (item := self.names.get(normalise_name(text))) is not None:
                return item
            for path in (self.folder / text, Path(text)):
                place = os.path.abspath(find_real_path(Path(os.path.abspath(path))))
                if (item := self.paths.get(place, self.paths.get(os.path.realpath(place)))) is not None:
                    return item
        return None

    def hint(self, name: str) -> str:
        """Ids that a name may stand for, now that two files need their suffix to be told apart."""
        longer = [identifier for identifier in self.ids if identifier.startswith(f"{normalise_name(name.strip())}.")]
        return f" (there are {' and '.join(longer[:2])}: say which)" if len(longer) > 1 else ""


def _vocoder_content(vocoder: str | None) -> str:
    if vocoder is None or vocoder in VOCODERS.own:
        return vocoder or "auto"
    if vocoder in VOCODERS.find_installed():
        return f"{vocoder} {VOCODERS.describe_release(vocoder)}"
    path = Path(vocoder)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return " ".join(hash_readable_file(file) for file in files)
