"""Compares a vocoder's audio configuration with a mel definition."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import shorten
from facevc_cli.core.settings import from_dict
from facevc_cli.dsp.mel import MEL_DEFINITIONS

MOST_SIZE, MOST_LAYERS = 16_384, 256
S = TypeVar("S")
_COMPARED = ("rate", "n_fft", "win_samples", "hop_samples", "n_mels", "fmin_hz", "fmax_hz", "log")


def require_definition(audio: Mapping[str, Any], mel: str, config: Path) -> None:
    """Raises FaceVCError if the settings `audio`, named as MelDefinition's fields, are not those of `mel`.

    Floor and padding are not compared, because published configurations do not state them, and vocoders tolerate the
    difference.
    """
    definition = MEL_DEFINITIONS[mel]
    wrong = []
    for field in _COMPARED:
        expected, found = getattr(definition, field), audio.get(field)
        if expected != found:
            wrong.append(f"{field} {found} instead of {expected}")
    if not wrong:
        return
    others = [
        name for name, other in MEL_DEFINITIONS.items() if all(getattr(other, f) == audio.get(f) for f in _COMPARED)
    ]
    advice = (
        f"It fits models of the mel definition {others[0]!r}."
        if others
        else "It fits none of the mel definitions known here."
    )
    raise FaceVCError(
        f"{config}: this vocoder was trained on other log-mels than the mel definition {mel!r} that the model makes: "
        f"{', '.join(wrong)}. It would give noise. {advice} Choose a vocoder trained at {definition.rate} Hz, hop "
        f"{definition.hop_samples}, window {definition.win_samples}, {definition.n_mels} bands "
        f"{definition.fmin_hz:g}-{definition.fmax_hz:g} Hz, {definition.log}, or leave --vocoder out."
    )


def check_sizes(sizes: S, config: Path) -> S:
    """Checks the hyper-parameters of a generator.

    FaceVCError names the one in `config` that has a wrong type or is out of range.
    """
    checked = from_dict(type(sizes), vars(sizes), str(config))
    for name, value in vars(checked).items():
        numbers = _flatten(value)
        if len(numbers) > MOST_LAYERS or any(
            not 1 <= n <= MOST_SIZE for n in numbers if name != "context_window" and not isinstance(n, bool | float)
        ):
            raise FaceVCError(
                f"{config}: {name}: expected at most {MOST_LAYERS} numbers from 1 to {MOST_SIZE}, found "
                f"{shorten(value)}."
            )
    return checked


def _flatten(value: Any) -> list[Any]:
    return [n for part in value for n in _flatten(part)] if isinstance(value, tuple) else [value]


def require_sizes(rates: Sequence[int], n_mels: int, mel: str, name: str) -> None:
    """Raises FaceVCError if a generator has other bands than the definition, or makes another number of samples per
    frame.
    """
    definition = MEL_DEFINITIONS[mel]
    if prod(rates) != definition.hop_samples or n_mels != definition.n_mels:
        raise FaceVCError(
            f"vocoder {name}: its generator takes {n_mels} bands and makes {'x'.join(map(str, rates))} = "
            f"{prod(rates)} samples per frame; the mel definition {mel!r} has {definition.n_mels} bands and hop "
            f"{definition.hop_samples}. The config contradicts itself."
        )
