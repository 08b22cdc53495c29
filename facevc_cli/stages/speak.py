"""`speak`: speaks every text in the voice of every face. A rerun resumes as that of `convert` does."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facevc_cli.batch.plan import Plan, check_targets, check_voice_options, note_old_fields, pair_all, request_targets
from facevc_cli.batch.run import ConvertConfig, make_conversions
from facevc_cli.benchmark.labels import describe_targets
from facevc_cli.benchmark.protocol import draw_spoken, load_protocol
from facevc_cli.conversion.voice_request import FACE_SUFFIXES, Named, TargetRequest
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.files.inputs import find_files
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.contract import COLUMNS
from facevc_cli.manifest.manifest import Line
from facevc_cli.speaking.narrator import Narrator, NarratorSettings, list_left_out
from facevc_cli.speaking.spoken_text import SpokenText, make_spoken_text
from facevc_cli.speaking.text_files import TEXT_SUFFIXES, NamedText, read_texts

STAGE = "speak"


@dataclass(frozen=True, kw_only=True)
class SpeakConfig:
    """texts: the texts themselves. text_files: as `read_texts` takes them. conversions: without sources and pairs."""

    conversions: ConvertConfig
    texts: tuple[str, ...] = ()
    text_files: tuple[Path, ...] = ()
    narrator: NarratorSettings = field(default_factory=NarratorSettings)
    protocol: str | None = None  # a name or YAML file; it draws from the texts and faces that were found
    labels: Path | None = None  # table: target, gender, references, and any other columns about targets
    system: str | None = None  # the system's name in the manifest; None: the model's name
    seed: int = 0  # of the protocol's draw


def run(config: SpeakConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the speech. If the output is a folder, also writes `manifest.csv` and `addresses.safetensors`."""
    return make_conversions(
        plan_speech(config, reporter), config.conversions, reporter, system=config.system, stage=STAGE
    )


def plan_speech(config: SpeakConfig, reporter: Reporter = SILENT) -> Plan:
    """Pairs the texts with their own faces, or with all targets. UsageError and FaceVCError as for `convert`."""
    given, naming = config.conversions, config.conversions.naming
    _check(config)
    naming.check()
    note_old_fields(naming, reporter)
    named = _read_texts(config)
    own = list(dict.fromkeys(face for text in named for face in text.faces))
    if any(not text.faces for text in named) or not own:
        check_targets(given.faces, given.voices, given.voice_options)
    else:
        check_voice_options(given.voices, given.voice_options)
    narrator = Narrator(config.narrator)
    narrator.check()
    pictures = find_files([*given.faces, *own], FACE_SUFFIXES, reporter) if given.faces or own else []
    labels = read_table(config.labels, ["target"]) if config.labels else []
    if config.protocol is not None:
        named, pictures = _draw(config, named, pictures, labels)
    targets = request_targets(pictures, given.voices, given.voice_options, reporter)
    sources = [make_spoken_text(text.id, text.name, text.cues, narrator) for text in named]
    for source in sources:
        _note_left_out(source, reporter)
    asked = None if not own else _choose_pairs(sources, named, targets, {path for path, _ in _find(given.faces)})
    columns = {
        source.id: {"transcript": " ".join(source.text.split()), **source.about, "how": config.narrator.how}
        for source in sources
    }
    rows = pair_all(sources, targets, naming, asked, given.limit)
    about = {}
    if config.labels:
        written = [column for column in COLUMNS if column not in ("gender", "references")]
        about = describe_targets(config.labels, labels, {row.person for row in rows}, written, reporter)
    return Plan(rows, about, columns)


def _check(config: SpeakConfig) -> None:
    given = config.conversions
    if not config.texts and not config.text_files:
        raise UsageError("There is nothing to say: give a text in quotes, --text FILE, or - for stdin.")
    if not config.text_files and not any(text.strip() for text in config.texts):
        raise UsageError("There is nothing to say: the text is empty. Write words, or pass --text FILE.")
    for text in config.texts:
        if text.lower().endswith(TEXT_SUFFIXES) and os.path.isfile(text):
            raise UsageError(f"{text} is a file. To speak what is in it, pass --text {shlex.quote(text)}.")
    if given.temperature is not None and not given.temperature > 0:
        raise UsageError(f"--temperature {given.temperature}: expected a number above 0.")
    config.narrator.check()
    options = given.voice_options
    needed = "--pitch" if options.pitch != "auto" else "--guidance" if options.guidance is not None else ""
    if config.narrator.how == "timbre" and needed:
        raise UsageError(
            f"--how timbre does without the conversion, which {needed} needs. Leave one of the two out, or choose "
            "--how both."
        )


def _draw(
    config: SpeakConfig, named: Sequence[NamedText], pictures: list[Named], labels: Sequence[Line]
) -> tuple[list[NamedText], list[Named]]:
    """Chooses texts and pictures as the protocol says."""
    protocol = load_protocol(config.protocol or "")
    if not protocol.is_spoken:
        raise UsageError(f"--protocol {config.protocol} is about recordings. Pass it to 'facevc benchmark'.")
    if config.labels is None:
        raise UsageError("--protocol draws people by gender. Pass --labels TABLE.csv as well.")
    if any(text.faces for text in named):
        raise UsageError("--protocol draws the faces, and a table of texts names its own. Leave one of the two out.")
    texts, chosen = draw_spoken(protocol, [text.id for text in named], pictures, labels, config.seed)
    return [text for text in named if text.id in texts], chosen


def _read_texts(config: SpeakConfig) -> list[NamedText]:
    """Reads all texts. FaceVCError if two have one id."""
    named = [text for path in config.text_files for text in read_texts(path)]
    for words in config.texts:
        named.append(NamedText.from_words(words, [text.id for text in named]))
    seen: dict[str, NamedText] = {}
    for text in named:
        if seen.setdefault(text.id, text) is not text:
            raise FaceVCError(
                f"{seen[text.id].name} and {text.name} would both be called {text.id!r}. Rename one of the files."
            )
    return named


def _find(faces: Sequence[str | Path]) -> list[tuple[Path, str]]:
    return find_files(faces, FACE_SUFFIXES) if faces else []


def _choose_pairs(
    sources: Sequence[SpokenText], texts: Sequence[NamedText], targets: Sequence[TargetRequest], common: set[Path]
) -> set[tuple[SpokenText, TargetRequest]]:
    """Pairs a text with its own faces; a text without any with all targets of the command line."""
    pairs = set()
    for source, text in zip(sources, texts, strict=True):
        own = {path for path, _ in _find(text.faces)}
        for target in targets:
            is_file = target.kind in ("face", "card")
            if is_file and target.path in own if own else not is_file or target.path in common:
                pairs.add((source, target))
    return pairs


def _note_left_out(source: SpokenText, reporter: Reporter) -> None:
    """Names what cannot be said. The other words are spoken."""
    words: list[str] = []
    for cue in source.cues:
        words += source.narrator.split(cue.text).left_out
    words = list(dict.fromkeys(words))
    if words:
        language = source.narrator.settings.manner.language
        reporter.note(
            f"{source.id}: not said, because {source.narrator.engine.name} cannot say it in {language}: "
            f"{list_left_out(words)}"
        )
