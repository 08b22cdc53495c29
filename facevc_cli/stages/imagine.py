"""`imagine`: draws faces that fit voices. A rerun continues from the finished pictures."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import find_bundled_matcher, locate, read_weights_hash
from facevc_cli.files.atomic import atomic_path, check_writable
from facevc_cli.files.image import load_image
from facevc_cli.files.inputs import IMAGE_SUFFIXES, list_files
from facevc_cli.files.tables import make_relative_path, write_table
from facevc_cli.imagining.choice import PARTS
from facevc_cli.imagining.imaginer import Imaginer
from facevc_cli.imagining.own_faces import OwnFaces, find_ranks, hash_files, rank_faces, read_own_faces
from facevc_cli.imagining.plan import (
    ImaginedVoice,
    PortraitSettings,
    make_portrait_key,
    plan_portraits,
)
from facevc_cli.imagining.saving import describe_portrait, make_record, read_portrait_key, save_portrait, save_sheet
from facevc_cli.imagining.sheet import OWN_SENTENCE, SENTENCE
from facevc_cli.imagining.styled import AnyPortrait, FaceImaginer, make_imaginer
from facevc_cli.manifest.contract import DONE, FAILED
from facevc_cli.manifest.portraits import PortraitTable
from facevc_cli.portraits.composites import load_composites
from facevc_cli.provenance.pictures import PictureRecord, find_picture_folder, is_picture_name, shorten_hash

STAGE = "imagine"
RANKING = "__ranking.csv"


@dataclass(frozen=True, kw_only=True)
class ImagineConfig:
    voices: tuple[str | Path, ...]  # recordings, voice cards, folders of them
    output: Path  # a folder, or a .png file for one voice
    samples: int = 1
    with_steps: bool = False
    candidates: tuple[str | Path, ...] = ()  # pictures to choose from in place of the composites
    settings: PortraitSettings = field(default_factory=PortraitSettings)
    checkpoint: Path | None = None
    device: str = "auto"
    limit: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False


def run(config: ImagineConfig, reporter: Reporter = SILENT) -> Summary:
    """Draws the pictures. A folder also gets `portraits.csv`, and with several samples a sheet for each voice.

    FaceVCError if an input is missing, or a file is there already that was made otherwise.
    """
    config.settings.check()
    rule = TraitRule.parse(config.settings.register, config.settings.age)
    if config.candidates and is_picture_name(config.output):
        raise UsageError("--candidates also writes a ranking, so --out must be a folder.")
    planned = plan_portraits(config.voices, config.output, config.samples, config.with_steps, config.limit, reporter)
    tally = Tally(reporter)
    if config.dry_run:
        return _list_planned(config, planned, tally)
    work = _Work(config, rule, tally)
    waiting = [(voice, work.select_waiting(voice)) for voice in planned]
    if any(numbers for _, numbers in waiting):
        resolve_device(config.device)
        work.look_at_candidates()
    reporter.begin(sum(len(voice.portraits) for voice in planned), "pictures", STAGE)
    try:
        for voice, numbers in waiting:
            work.draw(voice, numbers)
    finally:
        work.table.save()
    following = None
    if work.table.path is not None:
        following = f"facevc evaluate --portraits {shlex.quote(str(work.table.path))}"
    ranked: dict[str, Any] = {"best": work.best} if config.candidates else {}
    return tally.summarise(config.output, following, **ranked)


class _Work:
    """Draws the waiting pictures of each voice. The networks are loaded when something waits."""

    def __init__(self, config: ImagineConfig, rule: TraitRule, tally: Tally):
        self.config, self.rule, self.tally = config, rule, tally
        self.folder = find_picture_folder(config.output)
        self.table = PortraitTable(None if is_picture_name(config.output) else config.output)
        self.composites = load_composites()
        self.model = locate(config.checkpoint if config.checkpoint is not None else find_bundled_matcher())
        self.candidates = list_files(config.candidates, IMAGE_SUFFIXES, tally.reporter) if config.candidates else []
        mixed_sha256 = hash_files(self.candidates) if self.candidates else self.composites.sha256
        self.hashes = (read_weights_hash(self.model), mixed_sha256)
        self.own: OwnFaces | None = None
        self.best: dict[str, str] = {}  # the best own picture of each voice

    @cached_property
    def imaginer(self) -> FaceImaginer:
        if self.candidates:
            return self.mixer
        config, reporter = self.config, self.tally.reporter
        check_writable(self.folder)  # before any work
        imaginer = make_imaginer(config.checkpoint, config.device, composites=self.composites, reporter=reporter)
        reporter.note(f"model {imaginer.model_name}, {len(self.composites)} composites")
        return imaginer

    @cached_property
    def mixer(self) -> Imaginer:
        """Compares the user's own pictures with voices. FaceVCError if the model cannot."""
        config, reporter = self.config, self.tally.reporter
        check_writable(self.folder)  # before any work
        mixer = Imaginer(config.checkpoint, config.device, composites=self.composites, reporter=reporter)
        reporter.note(f"model {mixer.model_name}, {len(self.candidates)} pictures")
        return mixer

    def look_at_candidates(self) -> None:
        """Reads the user's own pictures, if there are any. FaceVCError if none shows a face."""
        if self.candidates:
            self.own = read_own_faces(self.candidates, self.mixer.judge, self.tally, self.composites)

    def select_waiting(self, voice: ImaginedVoice) -> dict[int, str]:
        """Returns the numbers of the pictures that are not done, with their keys.

        FaceVCError if another picture is in the place of one.
        """
        waiting = {}
        for number, name in enumerate(voice.portraits):
            key = make_portrait_key(*self.hashes, voice.path, number, self.config.settings)
            path = self.folder / name
            if not self.config.overwrite and path.exists() and path.stat().st_size:
                if read_portrait_key(path) != key:
                    raise FaceVCError(
                        f"{path} is there already, drawn from another voice, model or setting, or not by this command. "
                        "Pass --overwrite to draw it anew, or choose another output."
                    )
                if self.table.path is None or self.table.is_done(name, key):
                    continue
            waiting[number] = key
        return waiting

    def draw(self, voice: ImaginedVoice, waiting: dict[int, str]) -> None:
        """Draws what a voice lacks. A voice that cannot be used is one failure."""
        for number, name in enumerate(voice.portraits):
            if number not in waiting:
                self.tally.skip(name)
                self._record(voice, name, {"status": "skipped"})
        sheets = [name for name in (voice.sheet, voice.steps) if name]
        if not waiting and all((self.folder / name).exists() for name in sheets):
            return
        try:
            with report_memory_errors(str(voice.path)):
                self._draw_waiting(voice, waiting)
        except UsageError:
            raise
        except FaceVCError as error:
            columns = {"status": FAILED, "reason": str(error)}
            for number, key in waiting.items():
                self.table.put(self._make_row(voice, voice.portraits[number], key, columns))
                self._record(voice, voice.portraits[number], columns)
            self.tally.fail(voice.id, str(error))
            if self.config.fail_fast:
                raise

    def _draw_waiting(self, voice: ImaginedVoice, waiting: dict[int, str]) -> None:
        """Draws the waiting pictures, and takes each finished one from them."""
        imaginer, settings = self.imaginer, self.config.settings
        heard = imaginer.listen(voice.path).ask_for(self.rule.register, self.rule.age_years)
        ranks: dict[int, int] = {}
        if self.own is not None:
            scores = self.mixer.score(self.own.faces, heard)
            mixed, ranks = self.own.find_pictures(heard), find_ranks(self.own, scores)
            self._write_ranking(voice, rank_faces(self.own, scores), mixed is not None)
            if mixed is None:
                self.tally.reporter.note(
                    f"{voice.path}: fewer than {PARTS} of the pictures can be mixed for this voice, so none is drawn."
                )
                self.tally.complete(voice.id)
                return
            imaginer = self.mixer.choose_from(mixed)
        order = [*waiting] if 0 in waiting or not voice.steps else [0, *waiting]  # the steps are those to the first
        drawn = imaginer.imagine_numbered(heard, order, seed=settings.seed, size_px=settings.size_px)
        for number, portrait in zip(order, drawn, strict=True):
            if number in waiting:
                self._save(voice, number, waiting.pop(number), describe_portrait(heard, portrait, ranks), portrait)
            if number == 0 and voice.steps:
                steps = imaginer.draw_steps(portrait, settings.size_px)
                captions = ["start", *map(str, range(1, len(steps) - 1)), "end"][-len(steps) :]
                record, sentence = self._describe(voice, ""), self._sentence
                save_sheet(self.folder / voice.steps, steps, captions, voice.path, record, len(steps), sentence)
        if voice.sheet:
            pictures = [load_image(self.folder / name) for name in voice.portraits]
            captions = [str(number) for number in range(1, len(pictures) + 1)]
            record = self._describe(voice, "")
            save_sheet(self.folder / voice.sheet, pictures, captions, voice.path, record, sentence=self._sentence)

    def _write_ranking(self, voice: ImaginedVoice, ranking: Sequence[Mapping[str, object]], is_drawn: bool) -> None:
        """Writes the table of all own pictures, and a copy of the best one as it is."""
        table, first = self.folder / f"{voice.id}{RANKING}", Path(str(ranking[0]["file"]))
        self.best[voice.id] = str(first)
        if table.exists() and not self.config.overwrite:
            if is_drawn:  # more samples of the same pictures
                return
            raise FaceVCError(f"{table} exists already. Pass --overwrite to replace it, or choose another output.")
        write_table(table, [{**row, "file": make_relative_path(self.folder, str(row["file"]))} for row in ranking])
        with atomic_path(self.folder / f"{voice.id}__best{first.suffix}") as temporary:
            shutil.copyfile(first, temporary)

    def _save(
        self, voice: ImaginedVoice, number: int, key: str, described: Mapping[str, str], portrait: AnyPortrait
    ) -> None:
        name = voice.portraits[number]
        save_portrait(self.folder / name, portrait.picture, self._describe(voice, key), voice.path)
        columns = {"status": DONE, **described}
        self.table.put(self._make_row(voice, name, key, columns))
        self._record(voice, name, columns)
        self.tally.complete(name)

    def _make_row(self, voice: ImaginedVoice, name: str, key: str, columns: dict[str, str]) -> dict[str, str]:
        sample = str(voice.portraits.index(name) + 1)
        path = make_relative_path(self.folder, voice.path)
        base = {"model": shorten_hash(self.hashes[0]), "key": key}
        return {"portrait": name, "voice": path, "voice_id": voice.id, "sample": sample, **base, **columns}

    def _record(self, voice: ImaginedVoice, name: str, columns: dict[str, str]) -> None:
        record = {"type": "item", "portrait": str(self.folder / name), "voice": str(voice.path)}
        self.tally.reporter.record({**record, **columns})

    def _describe(self, voice: ImaginedVoice, key: str) -> PictureRecord:
        settings = self.config.settings
        said = ", ".join(f"{name} {value}" for name, value in asdict(settings).items() if value not in (None, "auto"))
        faces = "own pictures" if self.candidates else "composites"
        return make_record(key, self.imaginer.model_name, self.hashes[0], voice.path, said, faces)

    @property
    def _sentence(self) -> str:
        return OWN_SENTENCE if self.candidates else SENTENCE


def _list_planned(config: ImagineConfig, planned: Sequence[ImaginedVoice], tally: Tally) -> Summary:
    folder = find_picture_folder(config.output)
    pairs = [(voice.path, folder / name) for voice in planned for name in voice.portraits]
    return tally.summarise(config.output, planned=[{"voice": str(v), "portrait": str(p)} for v, p in pairs])
