"""Jobs, rows and their names: which files are made, and what each depends on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from facevc_cli.batch.utterance import Utterance
from facevc_cli.conversion.voice_request import TargetKind
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import UsageError
from facevc_cli.files.hashes import hash_readable_file
from facevc_cli.files.inputs import AUDIO_SUFFIXES, VIDEO_SUFFIXES, join_inside
from facevc_cli.files.names import normalise_name
from facevc_cli.vocoders.load import VOCODERS

NAME = "{source}__{target}.wav"
OLD_FIELDS = ("face", "voice")  # earlier versions named the target by its kind
OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg")


@dataclass(frozen=True)
class Job:
    """One file to make. `relative` is its name below the output folder, as in the manifest."""

    source: Utterance
    voice_spec: VoiceSpec
    output: Path
    relative: str


@dataclass(frozen=True)
class Row:
    """One line of the manifest: a source, a requested target, and the job that makes the file.

    Several rows may share a job.
    """

    source: Utterance
    kind: TargetKind
    target: Path  # the picture, card or recording; the first of several
    target_id: str
    job: Job | None  # None: the unchanged source is the result
    baseline: str = ""
    who: str = ""  # whose voice it is, if the file does not say it

    @property
    def person(self) -> str:
        return self.who or name_person(self.target, self.target_id)


@dataclass(frozen=True)
class Naming:
    """The output: one file, or a folder and a pattern of names."""

    output: Path
    pattern: str = NAME

    @property
    def single(self) -> bool:
        return is_file_name(self.output)

    @property
    def old_fields(self) -> list[str]:
        """The old names of the target in the pattern."""
        fields = {name for _, name, _, _ in Formatter().parse(self.pattern)}
        return [name for name in OLD_FIELDS if name in fields]

    def make_job(self, source: Utterance, spec: VoiceSpec, target_id: str, below: str = "") -> Job:
        """Names a job. below: a folder within the output. FaceVCError if the name leaves the output folder."""
        if self.single:
            return Job(source, spec, self.output, self.output.name)
        name = _fill_pattern(self.pattern, source.id, target_id)
        return Job(source, spec, join_inside(self.output / below, name), below + name)

    def check(self) -> None:
        """UsageError if the output or the pattern cannot be used."""
        expected = f"that ends in {', '.join(OUTPUT_SUFFIXES)}"
        try:
            self.output.exists()
        except OSError as error:  # the name is too long, or the folder may not be read
            raise UsageError(f"--out {self.output}: {error.strerror}. Choose another output.") from error
        if self.single:
            return
        is_media = self.output.suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES
        if not self.output.is_dir() and (self.output.exists() or is_media):
            raise UsageError(
                f"--out {self.output}: expected a folder, or a file name {expected}, found neither. Choose another."
            )
        if Path(_fill_pattern(self.pattern, "source", "face")).suffix.lower() not in OUTPUT_SUFFIXES:
            raise UsageError(f"--name {self.pattern!r}: expected a name {expected}, such as {NAME!r}.")
        if Path(self.pattern).is_absolute() or ".." in Path(self.pattern).parts:
            raise UsageError(
                f"--name {self.pattern!r} leads outside the output folder: expected a name such as {NAME!r}."
            )


def name_person(path: Path, identifier: str) -> str:
    """Names the person of a picture or recording: by its folder if the id has one, else by the file."""
    return normalise_name(path.parent.name if "/" in identifier else path.stem)


def is_file_name(output: Path) -> bool:
    """Whether the output names one audio file and not a folder."""
    return output.suffix.lower() in OUTPUT_SUFFIXES and not output.is_dir()


def collect_jobs(rows: Sequence[Row], naming: Naming) -> list[Job]:
    """Returns each job of the rows once. UsageError if two different jobs would write the same file."""
    jobs: dict[Path, Job] = {}
    for job in (row.job for row in rows if row.job is not None):
        other = jobs.setdefault(job.output, job)
        if other != job:
            advice = f"Give a --name that tells them apart; now {naming.pattern!r}."
            raise UsageError(
                f"{_describe_inputs(other)} and {_describe_inputs(job)} would both be written to {job.output}. "
                + ("Give a folder as the output." if naming.single else advice)
            )
    return list(jobs.values())


def make_job_keys(jobs: Sequence[Job], checkpoint: Path, vocoder: str | None, *settings: object) -> dict[Job, str]:
    """Hashes everything that each result depends on: model, vocoder, settings and the content of all inputs.

    A key has sixteen hex digits. A changed file under an old name gives another key. checkpoint: the model's own
    folder.
    """
    model = "".join(hash_readable_file(checkpoint / name) for name in ("model.safetensors", "config.yaml"))
    shared = f"{model} {_describe_vocoder(vocoder)} {settings}"
    specs = {job.voice_spec for job in jobs}
    contents = {path: hash_readable_file(path) for path in {path for spec in specs for path in spec.files}}
    spoken = {source: source.fingerprint() for source in {job.source for job in jobs}}
    by_spec = {spec: _describe_content(spec, contents) for spec in specs}
    parts = {job: f"{shared} {spoken[job.source]} {by_spec[job.voice_spec]}" for job in jobs}
    return {job: hashlib.sha256(text.encode()).hexdigest()[:16] for job, text in parts.items()}


def _describe_content(spec: VoiceSpec, contents: dict[Path, str]) -> str:
    if spec.parts:
        parts = sorted(f"{share:.6f} ({_describe_content(part, contents)})" for part, share in spec.parts)
        return "mix " + " ".join(parts)
    people = "/".join(sorted("+".join(sorted(contents[file] for file in files)) for files in spec.people))
    return f"{people} {spec.kind} {spec.degradation}".rstrip()


def _describe_inputs(job: Job) -> str:
    return f"{job.source} with {job.voice_spec.file or job.voice_spec}"


def _describe_vocoder(vocoder: str | None) -> str:
    if vocoder is None or vocoder in VOCODERS.own:
        return vocoder or "auto"
    if vocoder in VOCODERS.find_installed():
        return f"{vocoder} {VOCODERS.describe_release(vocoder)}"
    path = Path(vocoder)
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return " ".join(hash_readable_file(file) for file in files)


def _fill_pattern(pattern: str, source_id: str, target_id: str) -> str:
    try:
        target = target_id.replace("/", "-")
        return pattern.format(source=source_id, target=target, **dict.fromkeys(OLD_FIELDS, target))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"--name {pattern!r}: expected a pattern with {{source}} and {{target}}, such as {NAME!r} ({error})."
        ) from error
