"""Finds sources and targets, pairs them, and describes each pair as a row of the manifest."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from facevc_cli.batch.jobs import Naming, Row
from facevc_cli.batch.pairs import read_pairs
from facevc_cli.batch.utterance import PackedRecording, RecordingFile, Utterance
from facevc_cli.conversion.traits import AUTO_TRAITS
from facevc_cli.conversion.voice_request import (
    FACE_SUFFIXES,
    MIX_EXAMPLE,
    Named,
    TargetRequest,
    VoiceOptions,
    is_mix_word,
    request_faces,
    request_recordings,
)
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, describe_renaming
from facevc_cli.files.inputs import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_files
from facevc_cli.files.packed_inputs import find_all_inputs, split_sources
from facevc_cli.files.tables import make_relative_path
from facevc_cli.manifest.contract import SEPARATOR
from facevc_cli.manifest.manifest import Line

Draw = Callable[[list[Named], list[Named]], tuple[list[Named], list[Named]]]  # (sources, faces) found -> chosen


def plan_conversions(
    sources: Sequence[str | Path],
    faces: Sequence[str | Path],
    voices: Sequence[str | Path],
    naming: Naming,
    *,
    pairs: Path | None = None,
    limit: int | None = None,
    draw: Draw | None = None,
    voice_options: VoiceOptions = VoiceOptions(),
    reporter: Reporter = SILENT,
) -> list[Row]:
    """Pairs recordings with targets, as `pair_all` does. draw: chooses from the sources and faces that were found.

    FaceVCError if an input is missing, or a name leaves the output folder.
    """
    check_targets(faces, voices, voice_options)
    loose = [str(word) for word in sources if is_mix_word(str(word))] if voice_options.mixes else []
    if loose:
        count = len(voice_options.mixes)
        raise UsageError(f"{loose[0]} may belong to any of {count} mixes. Quote each, as in {MIX_EXAMPLE}.")
    if not sources:
        raise UsageError("A conversion needs a source: name recordings or a folder before the options.")
    naming.check()
    note_old_fields(naming, reporter)
    plain, packed = split_sources(sources)
    found = find_all_inputs(packed, AUDIO_SUFFIXES | VIDEO_SUFFIXES, reporter=reporter) if packed else []
    recordings = find_files(plain, AUDIO_SUFFIXES | VIDEO_SUFFIXES, reporter) if plain or not packed else []
    pictures = find_files(faces, FACE_SUFFIXES, reporter) if faces else []
    if draw is not None and found:
        raise UsageError(
            f"{packed[0]}: expected files and folders to draw from, found another input. Copy the recordings "
            "here first."
        )
    if draw is not None:
        recordings, pictures = draw(recordings, pictures)
    targets = request_targets(pictures, voices, voice_options, reporter)
    utterances: list[Utterance] = [RecordingFile(path, name) for path, name in recordings]
    utterances += [PackedRecording(one) for one in found]
    rows = pair_all(utterances, targets, naming, read_pairs(pairs, utterances, targets) if pairs else None, limit)
    if not rows:
        raise FaceVCError(
            f"{pairs}: the table has no rows, so there is nothing to convert. Add pairs, or leave --pairs out."
        )
    return rows


def check_targets(faces: Sequence[str | Path], voices: Sequence[str | Path], voice_options: VoiceOptions) -> None:
    """UsageError if there is no target, or options do not go together."""
    if not (faces or voices or voice_options.persons or voice_options.mixes):
        raise UsageError(
            "A conversion needs a face or a voice: "
            "pass --face IMAGE_OR_FOLDER, --person, --mix or --voice WAV_OR_FOLDER."
        )
    check_voice_options(voices, voice_options)


def check_voice_options(voices: Sequence[str | Path], voice_options: VoiceOptions) -> None:
    """UsageError if options of voices do not go together, or a value is wrong."""
    voice_options.check()
    if voices and voice_options.parse_traits() != AUTO_TRAITS:
        raise UsageError(
            "--register and --age change the voice of a face, a mix or a voice card. The voice of a recording is taken "
            "as it is. Leave out --voice, or --register and --age."
        )


def note_old_fields(naming: Naming, reporter: Reporter) -> None:
    """Notes the old names of the target in --name."""
    for old in [] if naming.single else naming.old_fields:
        reporter.note(describe_renaming(f"{{{old}}} in --name", "{target}"))


def request_targets(
    pictures: Sequence[Named], voices: Sequence[str | Path], voice_options: VoiceOptions, reporter: Reporter = SILENT
) -> list[TargetRequest]:
    """Lists all targets: the found pictures, people, mixes, and recordings. FaceVCError if an input is missing."""
    references = find_files(voices, AUDIO_SUFFIXES, reporter) if voices else []
    return [*request_faces(pictures), *voice_options.find_targets(reporter), *request_recordings(references)]


def pair_all(
    sources: Sequence[Utterance],
    targets: Sequence[TargetRequest],
    naming: Naming,
    wanted: Collection[tuple[Utterance, TargetRequest]] | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Pairs every source with every target, or only the wanted pairs. Rows of one source follow each other.

    limit: the most rows to return. FaceVCError if a name leaves the output folder.
    """
    rows: list[Row] = []
    for source in sources:
        for target in targets:
            if wanted is not None and (source, target) not in wanted:
                continue
            if len(rows) == limit:
                break
            job = naming.make_job(source, target.voice_spec, target.id)
            rows.append(Row(source, target.kind, target.path, target.id, job, who=target.who))
    return rows


@dataclass(frozen=True)
class Plan:
    """Rows, and the columns that tables have about targets and sources. Rows of one source follow each other."""

    rows: list[Row]
    targets: dict[str, Line] = field(default_factory=dict)
    sources: dict[str, Line] = field(default_factory=dict)

    def describe(self, system: str, folder: Path) -> list[Line]:
        """Describes each request for the manifest in `folder`. The columns about the finished file are added later."""
        name = lru_cache(maxsize=None)(partial(make_relative_path, folder))
        targets = {target: dict(columns) for target, columns in self.targets.items()}
        for columns in targets.values():
            if columns.get("references"):
                columns["references"] = SEPARATOR.join(map(name, columns["references"].split(SEPARATOR)))
        return [
            _describe_row(row, system, name) | targets.get(row.person, {}) | self.sources.get(row.source.id, {})
            for row in self.rows
        ]


def _describe_row(row: Row, system: str, name: Callable[[Path], str]) -> Line:
    spec, target = row.job.voice_spec if row.job else None, name(row.target)
    source = name(row.source.file) if row.source.file else ""
    return {
        "converted": row.job.relative if row.job else source,
        "system": system,
        "baseline": row.baseline,
        "degradation": spec.degradation if spec else "",
        "source": source,
        "source_id": row.source.id,
        "target": row.person,
        "face_id": row.target_id,
        "face": target if row.kind in ("face", "person") else "",
        "voice": target if row.kind == "voice" else "",
        "driver": name(spec.file) if spec and spec.file else "",
    }
