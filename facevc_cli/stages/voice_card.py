"""`voice-card`: saves the voice that is recalled for a face. The card can be used and mixed without the picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevc_cli.conversion.card import CARD_SUFFIX, describe_address, save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.traits import TraitRule, check_traits
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_request import MIX_EXAMPLE, find_mix, parse_mix
from facevc_cli.conversion.voice_spec import VoiceSpec, is_card
from facevc_cli.core.choices import OnMany
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.inputs import IMAGE_SUFFIXES, list_files

STAGE = "voice-card"


@dataclass(frozen=True, kw_only=True)
class VoiceCardConfig:
    faces: tuple[str | Path, ...]  # pictures or folders of ONE person
    output: Path
    mix: str | None = None  # used instead of faces; parse_mix reads it
    register: str = "auto"  # as in TraitRule.parse
    age: str = "auto"
    checkpoint: Path | None = None
    temperature: float | None = None
    on_many: OnMany = "largest"
    device: str = "auto"
    overwrite: bool = False


def run(config: VoiceCardConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the card.

    Summary.data is the result of `describe_voice`. FaceVCError if no picture shows a usable face.
    """
    if config.output.suffix.lower() != CARD_SUFFIX:
        raise UsageError(
            f"--out {config.output}: expected a file name that ends in {CARD_SUFFIX}, such as anna{CARD_SUFFIX}."
        )
    if config.temperature is not None and not config.temperature > 0:
        raise UsageError(f"--temperature {config.temperature}: expected a number above 0.")
    traits = TraitRule.parse(config.register, config.age)
    spec = _find_spec(config, reporter)
    if config.output.exists() and not config.overwrite:
        raise FaceVCError(f"{config.output} exists already. Pass --overwrite to replace it, or choose another output.")
    check_writable(config.output.parent)  # before any work
    converter = Converter(config.checkpoint, "griffin-lim", config.device, on_many=config.on_many, reporter=reporter)
    if spec.has_pictures:
        converter.prepare_faces()
    resolver = VoiceResolver(converter, config.temperature, reporter=reporter, traits=traits)
    check_traits(converter.model, traits, converter.checkpoint.config.name)
    tally = Tally(reporter)
    reporter.begin(1, "cards", STAGE)
    target = resolver.resolve(spec)
    resolver.read_voice(spec)  # tells of a doubtful register
    save_card(config.output, converter.make_card(target, _list_origin(spec, resolver), config.temperature))
    tally.complete(config.output.name)
    return tally.summarise(
        config.output,
        f"facevc convert SPEECH.wav --face {config.output} -o converted.wav",
        **describe_voice(converter, target),
    )


def describe_voice(converter: Converter, target: Target) -> dict[str, Any]:
    """Describes a recalled voice: its address's entropy in bits, the slots with the largest weights, and its predicted
    median F0.

    pitch_hz: None if the model predicts no pitch. Register, age and certainty are left out if the model cannot tell.
    """
    if target.address is None:
        raise FaceVCError("describe_voice needs a target with an address, found none.")
    reading = converter.read_voice(target)
    return {
        "pitch_hz": converter.find_median_hz(target),
        **(reading.describe() if reading else {}),
        **describe_address(target.address[0].float().cpu().numpy()),
    }


def _find_spec(config: VoiceCardConfig, reporter: Reporter) -> VoiceSpec:
    if (config.mix is None) == (not config.faces):
        raise UsageError(f"voice-card needs either pictures of one person or a mix, such as {MIX_EXAMPLE}.")
    if config.mix is not None:
        return find_mix(parse_mix(config.mix), reporter)
    files = list_files(config.faces, IMAGE_SUFFIXES, reporter)
    cards = [path for path in files if is_card(path)]
    if cards:
        raise UsageError(
            f"{cards[0]} is a voice card already. Pass pictures of one person, or mix cards, for example --mix "
            f"'a{CARD_SUFFIX}=.6 b.jpg=.4'."
        )
    return VoiceSpec.from_pictures(config.output.stem, files)


def _list_origin(spec: VoiceSpec, resolver: VoiceResolver) -> list[dict[str, str]]:
    """Lists the files of a voice by their names only, because a card must not reveal somebody's folders."""
    return [
        {"file": file.name, "sha256": hash_file(file), "share": f"{share:.4f}"}
        for file, share in resolver.weigh_files(spec)
    ]
