"""`extract-wav`: writes the sound of videos and recordings as mono 16-bit wavs in the same folders, with a manifest."""

import json
import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from facevc_cli.core.engines.registry import make_engine, open_engine
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.parsing import read_json
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus import origins
from facevc_cli.corpus.extraction import ExtractionConfig
from facevc_cli.corpus.origins import Origin, find_standing
from facevc_cli.files.atomic import remove_left, write_text
from facevc_cli.files.audio import read_wav_header, save_audio
from facevc_cli.files.inputs import (
    AUDIO_SUFFIXES,
    VIDEO_SUFFIXES,
    Input,
    SpeakerRule,
    join_inside,
    parse_shard,
)
from facevc_cli.files.packed import open_input
from facevc_cli.files.packed_inputs import find_all_inputs
from facevc_cli.files.sound import fit_full_scale, read_sound
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest.contract import MANIFEST

STAGE = "extract-wav"
SETTINGS = ".facevc-extract-wav.json"
COLUMNS = ("utterance", "speaker", "file", "duration", "rate")  # duration in s, rate in Hz
ALL_COLUMNS = (*COLUMNS, *origins.COLUMNS)  # manifests of earlier versions lack origins.COLUMNS
NOTES = "notes"  # key in a row that a worker returns: changes to the sound; it is not written to the table
SAVE_EVERY_S = 10.0  # largest age of the manifest on disk
RATES_HZ = (4000, 192_000)
_COMMENT = "extracted from a file of sha256 "

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ExtractWavConfig(ExtractionConfig):
    rate: int = 16000  # Hz

    def find_inputs(self, suffixes: frozenset[str], reporter: Reporter = SILENT) -> list[Input]:
        """Returns the inputs without the wavs of an earlier run, which are found if the inputs include the output
        folder.
        """
        rule = SpeakerRule.from_options(self.speaker_pattern, self.speakers_table)
        found = find_all_inputs(self.sources, suffixes, rule, reporter, self.root)
        if (self.output / SETTINGS).is_file():
            own = self.output.resolve()  # a link may lead to it
            found = [
                one
                for one in found
                if one.packed is not None or one.path.suffix != ".wav" or not one.path.resolve().is_relative_to(own)
            ]
        return found[: self.limit]


def run(config: ExtractWavConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes `<output>/<id>.wav` for every input, and `<output>/manifest.csv` (COLUMNS).

    The manifest is complete also after a resumed run.

    Rows of earlier runs stay as long as their files exist. An input without sound is a failure.
    """
    if not RATES_HZ[0] <= config.rate <= RATES_HZ[1]:
        raise UsageError(f"--rate {config.rate}: expected {RATES_HZ[0]} to {RATES_HZ[1]} Hz.")
    make_engine(config.engine)  # UsageError before any work
    inputs = config.find_inputs(VIDEO_SUFFIXES | AUDIO_SUFFIXES, reporter)
    index, count = parse_shard(config.shard)
    mine = inputs[index - 1 :: count]
    targets = [_choose_target(config.output, source) for source in mine]
    ours = _has_same_settings(config)
    manifest = _Manifest(config)
    known = (
        {}
        if config.overwrite or not ours
        else {s.id: found for s in mine if (found := manifest.find_origin(s)) is not None}
    )
    standing = find_standing(mine, known, config.output, config.output)
    standing.tell(config.output, reporter)
    waiting = standing.waiting
    if not ours and not config.overwrite and (taken := next((t for t in targets if t.exists()), None)):
        raise FaceVCError(
            f"{taken} exists and was not made by {STAGE}. Choose another output, or pass --overwrite to replace the "
            "file."
        )
    tally = Tally(reporter)
    if config.dry_run:
        reporter.note(f"would extract {len(waiting)} of {len(mine)} files into {config.output}")
        return tally.summarise(config.output, inputs=len(mine), waiting=len(waiting))
    write_text(config.output / SETTINGS, json.dumps(_make_settings(config)) + "\n")
    folders = {config.output, *(target.parent for target in targets)}
    remove_left(folders)
    reporter.begin(len(mine), "files", STAGE)
    for source in standing.done:
        manifest.keep(source)
        tally.skip(source.id)
    try:
        if waiting:
            with open_engine(config.engine) as engine, engine.open_pool(config.jobs) as pool:
                for source, row, error in pool.map(partial(_extract, config), waiting):
                    if row is not None:
                        if note := row.pop(NOTES, ""):
                            reporter.note(f"{source.path}: {note}")
                        manifest.add(row)
                        tally.complete(source.id)
                        continue
                    tally.fail(source.id, str(error))
                    if config.fail_fast and error is not None:
                        raise error
    finally:
        manifest.write()
        remove_left(folders)
    following = f"facevc extract-features {config.output} -o features.h5 --speakers {config.output / MANIFEST}"
    if count > 1:
        following = "run every shard, then the same command without --shard, which completes the manifest"
    return tally.summarise(
        config.output,
        following,
        resumes=True,
        manifest=str(config.output / MANIFEST),
        seconds=manifest.sum_seconds(mine),
    )


def _extract(config: ExtractWavConfig, source: Input) -> Row:
    with open_input(source) as local:
        origin = Origin.of(local, config.output)
        sound = fit_full_scale(read_sound(local.path, config.rate))
    # a killed run cannot enter the wav into the manifest, so the wav itself names its origin
    save_audio(_choose_target(config.output, source), sound.wav, sound.rate, _COMMENT + origin.sha256)
    return _make_row(source, len(sound.wav), sound.rate, origin) | {NOTES: "; ".join(sound.notes)}


def _make_row(source: Input, samples: int, rate: int, origin: Origin) -> Row:
    row = {"utterance": source.id, "speaker": source.speaker, "file": f"{source.id}.wav"}
    return row | {"duration": f"{samples / rate:.6f}", "rate": str(rate)} | origin.as_columns()


def _read_source_sha256(wav: Path) -> str:
    """Reads the sha256 of a wav's source from its comment. Returns "" for a wav of an earlier version."""
    import soundfile

    try:
        with soundfile.SoundFile(wav) as file:
            text = str(file.comment or "")
    except (soundfile.LibsndfileError, OSError, UnicodeDecodeError):
        return ""
    return text.removeprefix(_COMMENT) if text.startswith(_COMMENT) else ""


def _choose_target(folder: Path, source: Input) -> Path:
    target = join_inside(folder, f"{source.id}.wav")
    if source.packed is None and target.resolve() == source.path.resolve():
        raise FaceVCError(
            f"{source.path} would be replaced by its own extract. Choose an output folder that does not hold the "
            "inputs."
        )
    return target


def _make_settings(config: ExtractWavConfig) -> dict[str, str | int]:
    return {"stage": STAGE, "rate": config.rate}


def _has_same_settings(config: ExtractWavConfig) -> bool:
    """Returns True if the output was begun with the same settings.

    FaceVCError if its settings differ, unless it is overwritten.
    """
    path = config.output / SETTINGS
    if not path.is_file():
        return False
    found = read_json(path, advice="Delete it and pass --overwrite.")
    if found == _make_settings(config):
        return True
    if not config.overwrite:
        raise FaceVCError(
            f"{config.output} was made with other settings ({found} there, {_make_settings(config)} now). Choose "
            "another output, or pass --overwrite to make it again."
        )
    return False


class _Manifest:
    """The output folder's table: rows by utterance. It keeps rows of earlier runs whose files exist."""

    def __init__(self, config: ExtractWavConfig):
        self.folder, self.path, self.rate = config.output, config.output / MANIFEST, config.rate
        self.rows: dict[str, Row] = {}
        self._merge()
        self._written = time.monotonic()

    def find_origin(self, source: Input) -> Origin | None:
        """Returns the origin of the wav with this id, from its row or from the wav itself.

        None if there is no complete wav.
        """
        found = self.rows.get(source.id)
        if found is not None:
            return Origin.read(found, found["speaker"])
        wav = self.folder / f"{source.id}.wav"
        samples, rate = read_wav_header(wav)
        if samples == 0 or rate != self.rate:
            return None
        return Origin(sha256=_read_source_sha256(wav), speaker=source.speaker)

    def keep(self, source: Input) -> None:
        """Keeps the row of a source that is done. Its speaker is the one that this command line gives."""
        found = self.rows.get(source.id)
        if found is None:
            wav = self.folder / f"{source.id}.wav"
            samples, rate = read_wav_header(wav)
            origin = Origin()
            if _read_source_sha256(wav):
                with open_input(source) as local:
                    origin = Origin.of(local, self.folder)
            found = self.rows[source.id] = _make_row(source, samples, rate, origin)
        found["speaker"] = source.speaker

    def add(self, row: Row) -> None:
        self.rows[row["utterance"]] = row
        if time.monotonic() - self._written > SAVE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Writes the sorted table, with the rows that other shards have entered."""
        self._merge()
        write_table(self.path, [self.rows[utterance] for utterance in sorted(self.rows)], ALL_COLUMNS)
        self._written = time.monotonic()

    def sum_seconds(self, sources: Sequence[Input]) -> float:
        return round(sum(float(self.rows[s.id]["duration"]) for s in sources if s.id in self.rows), 3)

    def _check_duration(self, text: str) -> None:
        with suppress(ValueError):
            if 0 <= float(text) < math.inf:
                return
        raise FaceVCError(
            f"{self.path}: expected a duration in seconds, found {text[:80]!r}. Correct the row, or delete it. The "
            "file is then extracted again."
        )

    def _merge(self) -> None:
        for row in read_table(self.path, COLUMNS) if self.path.is_file() else ():
            if row["rate"] == str(self.rate) and os.path.isfile(self.folder / row["file"]):
                self._check_duration(row["duration"])
                self.rows.setdefault(row["utterance"], row)
