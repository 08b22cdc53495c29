"""Describes the voice in a recording: its register, how certain that is, and its age group."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facevc_cli.conversion.voice_reading import DOUBTFUL_BELOW, is_feminine
from facevc_cli.core.errors import name_in_errors
from facevc_cli.files.audio import load_audio
from facevc_cli.voices.dvector import VOICE_RATE
from facevc_cli.voices.traits import load_trait_reader

if TYPE_CHECKING:
    from facevc_cli.voices.dvector import VoiceEmbedder


def describe_voice(path: Path, embedder: "VoiceEmbedder") -> dict[str, Any]:
    """Returns length, register, certainty and age group of the voice.

    The age group is a guess: of three, it is right for .34 to .69 of the speakers (assets/voice_traits.json).
    FaceVCError if the recording is silent or cannot be read.
    """
    wav = load_audio(path, VOICE_RATE)[0]
    with name_in_errors(path):
        dvector = embedder.embed(wav)
    reader = load_trait_reader()
    traits = reader.read(torch.from_numpy(dvector))
    certainty = reader.find_certainty(traits.register)
    described: dict[str, Any] = {
        "kind": "voice",
        "seconds": round(len(wav) / VOICE_RATE, 2),
        "register": round(traits.register, 2),
        "register_word": "feminine" if is_feminine(traits.register) else "masculine",
        "certainty": round(certainty, 2),
        "age_group": reader.find_age_group(traits.age_years),
    }
    if certainty < DOUBTFUL_BELOW:
        described["note"] = "the voice is between the registers, so the word says little"
    return described
