"""`sample`: draws faces and voices that fit each other, from a seed. A rerun continues from what is finished."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from facevc_cli.batch.jobs import Naming
from facevc_cli.batch.plan import Plan, pair_all
from facevc_cli.batch.run import ConvertConfig, make_conversions
from facevc_cli.batch.utterance import RecordingFile, Utterance
from facevc_cli.conversion.card import CARD_SUFFIX, load_card, save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice_request import request_faces
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import locate, read_weights_hash
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.image import load_image
from facevc_cli.imagining.draw import draw_register
from facevc_cli.imagining.pair_page import ShownPair, write_pair_page
from facevc_cli.imagining.pairs import PairDrawer, make_pair_drawer
from facevc_cli.imagining.plan import PICTURE_SUFFIX, PortraitSettings, make_portrait_key
from facevc_cli.imagining.saving import (
    describe_portrait,
    make_record,
    read_portrait_key,
    save_pair_face,
    save_pair_sheet,
)
from facevc_cli.manifest.contract import DONE
from facevc_cli.manifest.portraits import PortraitTable
from facevc_cli.portraits.composites import load_composites
from facevc_cli.provenance.pictures import shorten_hash
from facevc_cli.speaking.narrator import Narrator, NarratorSettings
from facevc_cli.speaking.spoken_text import make_spoken_text
from facevc_cli.speaking.text_files import NamedText

STAGE = "sample"
TEXT = "Hello. Nobody has this voice, and nobody has this face."
MOST = 1000
SHEET, PAGE, LINE = "sheet.png", "index.html", "{target}.wav"
EXAMPLES = {1.0: "speech_woman.flac", 0.0: "speech_man.flac"}  # what is converted without an engine


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    output: Path  # a folder
    count: int = 1
    seed: int = 0
    text: str | None = None  # None: TEXT, or a bundled recording if the engine is not installed
    narrator: NarratorSettings = field(default_factory=NarratorSettings)
    size_px: int | None = None
    checkpoint: Path | None = None
    vocoder: str | None = None
    device: str = "auto"
    overwrite: bool = False
    dry_run: bool = False
    watermark: bool = True


@dataclass(frozen=True)
class _Pair:
    number: int
    card: Path
    picture: Path
    line: Path

    @property
    def name(self) -> str:
        return self.card.stem


def run(config: SampleConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes a voice card, a picture and a spoken line for each pair, a sheet and a page, and both tables.

    FaceVCError if the model has no memory of d-vectors and no styles, or other files are in the place.
    """
    _check(config)
    pairs = [_name_pair(config, number) for number in range(1, config.count + 1)]
    tally = Tally(reporter)
    if config.dry_run:
        return tally.summarise(config.output, planned=[str(pair.card.with_suffix("")) for pair in pairs])
    sources, texts = _find_sources(config)
    work = _Work(config, tally)
    waiting = [(pair, work.is_done(pair)) for pair in pairs]
    if not all(done for _, done in waiting):
        work.load_model()  # before anything is written
    check_writable(config.output)
    reporter.begin(len(pairs), "pairs", STAGE)
    try:
        for pair, done in waiting:
            if done:
                tally.skip(pair.name)
            else:
                work.draw(pair)
    finally:
        work.table.save()
    spoken = _speak(config, pairs, sources, texts, reporter)
    _write_overview(config, pairs)
    summary = tally.summarise(config.output, f"facevc evaluate --portraits {shlex.quote(str(config.output))}")
    summary.failures.extend(spoken.failures)
    return summary


def _check(config: SampleConfig) -> None:
    if not 1 <= config.count <= MOST:
        raise UsageError(f"--count {config.count}: expected 1 to {MOST}.")
    if config.output.suffix and not config.output.is_dir():
        raise UsageError(f"--out {config.output}: expected a folder.")
    if config.text is not None and not config.text.strip():
        raise UsageError("--text is empty. Write what is said, or leave it out.")
    PortraitSettings(size_px=config.size_px).check()
    config.narrator.check()


def _name_pair(config: SampleConfig, number: int) -> _Pair:
    stem = config.output / f"{config.seed}-{number:03}"
    return _Pair(number, *(stem.with_name(stem.name + suffix) for suffix in (CARD_SUFFIX, PICTURE_SUFFIX, ".wav")))


class _Work:
    """Draws what is missing. The model is loaded when something is."""

    def __init__(self, config: SampleConfig, tally: Tally):
        self.config, self.tally = config, tally
        self.table = PortraitTable(config.output)
        self.composites = load_composites()
        self.weights_sha256 = read_weights_hash(locate(config.checkpoint))

    @cached_property
    def converter(self) -> Converter:
        vocoder = self.config.vocoder or "griffin-lim"  # it speaks later; a name that is wrong is told now
        return Converter(self.config.checkpoint, vocoder, self.config.device, reporter=self.tally.reporter)

    def load_model(self) -> None:
        """Loads the model now. FaceVCError if it, or the vocoder, cannot be used."""
        _ = self.drawer

    @cached_property
    def drawer(self) -> PairDrawer:
        return make_pair_drawer(self.converter, self.config.checkpoint, self.composites, self.tally.reporter)

    def is_done(self, pair: _Pair) -> bool:
        """Whether the card and the picture are there. FaceVCError if others are in their place."""
        if self.config.overwrite or not pair.card.exists():
            return False
        card = load_card(pair.card)
        own = [dict(part) for part in card.origin] == self._describe_origin(pair)
        if not own or card.weights_sha256 != shorten_hash(self.weights_sha256):
            raise self._make_refusal(pair.card)
        if not pair.picture.exists():
            return False
        key = self._make_key(pair)
        if read_portrait_key(pair.picture) != key:
            raise self._make_refusal(pair.picture)
        return self.table.is_done(pair.picture.name, key)

    def draw(self, pair: _Pair) -> None:
        """Draws a voice and a face for it, and writes both."""
        config = self.config
        drawn = self.drawer.draw(config.seed, pair.number)
        if config.overwrite or not pair.card.exists():
            save_card(pair.card, self.converter.make_card(drawn.target, self._describe_origin(pair)))
        chance = int(np.random.default_rng((config.seed, pair.number)).integers(2**32))  # another face for each pair
        voice, portrait = self.drawer.draw_face(drawn, chance, config.size_px)
        key = self._make_key(pair)
        record = make_record(key, self.drawer.model_name, self.weights_sha256, pair.card, f"seed {config.seed}")
        save_pair_face(pair.picture, portrait.picture, record)
        self.table.put(
            {
                "portrait": pair.picture.name,
                "status": DONE,
                "voice": pair.card.name,
                "voice_id": pair.name,
                "sample": "1",
                "model": shorten_hash(self.weights_sha256),
                "key": key,
                **describe_portrait(voice, portrait),
            }
        )
        self.tally.reporter.record({"type": "item", "card": str(pair.card), "portrait": str(pair.picture)})
        self.tally.complete(pair.name)

    def _describe_origin(self, pair: _Pair) -> list[dict[str, str]]:
        return [{"file": f"facevc sample --seed {self.config.seed}, pair {pair.number}", "share": "1.0000"}]

    def _make_key(self, pair: _Pair) -> str:
        settings = PortraitSettings(seed=self.config.seed, size_px=self.config.size_px)
        return make_portrait_key(self.weights_sha256, self.composites.sha256, pair.card, pair.number, settings)

    def _make_refusal(self, path: Path) -> FaceVCError:
        return FaceVCError(
            f"{path} is there already, from another model, seed or setting. Pass --overwrite to draw it anew, or "
            "choose another output."
        )


def _find_sources(config: SampleConfig) -> tuple[dict[float, Utterance], dict[str, str]]:
    """Finds what each register says: a text, or without an engine a bundled recording. And the texts by source.

    UsageError or FaceVCError if a text is given and the engine lacks something.
    """
    narrator = Narrator(config.narrator)
    try:
        narrator.check()
    except UsageError:
        raise
    except FaceVCError:
        if config.text is not None:
            raise
        folder = Path(str(files("facevc_cli") / "assets" / "examples"))
        return {side: RecordingFile(folder / name, Path(name).stem) for side, name in EXAMPLES.items()}, {}
    words = config.text or TEXT
    named = NamedText.from_words(words, [])
    source = make_spoken_text(named.id, named.name, named.cues, narrator)
    return dict.fromkeys(EXAMPLES, source), {source.id: " ".join(words.split())}


def _speak(
    config: SampleConfig,
    pairs: Sequence[_Pair],
    sources: Mapping[float, Utterance],
    texts: Mapping[str, str],
    reporter: Reporter,
) -> Summary:
    """Speaks a line in each voice."""
    conversions = ConvertConfig(
        sources=(),
        output=config.output,
        name=LINE,
        checkpoint=config.checkpoint,
        vocoder=config.vocoder,
        device=config.device,
        overwrite=config.overwrite,
        watermark=config.watermark,
    )
    targets = request_faces([(pair.card, pair.name) for pair in pairs])
    registers = [draw_register(config.seed, pair.number) for pair in pairs]
    wanted = {(sources[register], target) for register, target in zip(registers, targets, strict=True)}
    rows = pair_all(list(dict.fromkeys(sources.values())), targets, Naming(config.output, LINE), wanted)
    about = {source: {"transcript": text} for source, text in texts.items()}
    return make_conversions(Plan(rows, {}, about), conversions, reporter, stage="lines")


def _write_overview(config: SampleConfig, pairs: Sequence[_Pair]) -> None:
    """Writes the sheet and the page of this run's pairs."""
    pictures = [load_image(pair.picture) for pair in pairs]
    title = f"Pairs of seed {config.seed}"
    save_pair_sheet(config.output / SHEET, pictures, [pair.name for pair in pairs], title)
    shown = [
        ShownPair(pair.picture.name, pair.line.name if pair.line.is_file() else "", f"Pair {pair.name}")
        for pair in pairs
    ]
    write_pair_page(config.output / PAGE, title, shown)
