"""Describes a target's voice for those who choose speech that is near it."""

import math

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.voices.sketch import VoiceSketch


def sketch_voice(converter: Converter, target: Target) -> VoiceSketch:
    """Returns the mean F0 of the target's voice, and its d-vector if that is what the decoder takes."""
    dvector = target.speaker[0].float().cpu().numpy() if converter.model.needs_dvector else None
    return VoiceSketch(math.exp(converter.find_log_f0(target)), dvector)
