"""Describes an export in two small files: model.json says how the graphs are used, voice.json holds a voice."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from facevc_cli import __version__
from facevc_cli.conversion.converter import GUIDING_S, Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import read_json
from facevc_cli.dsp.level import PEAK
from facevc_cli.export.onnx_files import WrittenGraph
from facevc_cli.families.base import Capability, RecordingModel
from facevc_cli.provenance.watermark import GAIN_DB

MODEL_FILE, VOICE_FILE = "model.json", "voice.json"
FORMAT = 1
DUTY = (
    "What these files make is synthetic speech. Mark it: run the graph 'mark' over every result, and say so in the "
    "file and to those who hear it. Use only voices of people who agree."
)


def describe_model(
    converter: Converter, written: Sequence[WrittenGraph], made_from: Mapping[str, Any], licence: str | None
) -> dict[str, Any]:
    """Returns the content of model.json. licence: of the model's weights, if it is known."""
    checkpoint, frontend, style = converter.checkpoint, converter.frontend, converter.style
    zeros = torch.zeros(frontend.definition.n_mels, device=converter.device)
    mean = converter.model.denormalise(zeros)
    std = converter.model.denormalise(zeros + 1) - mean
    has_voice = any(one.graph.name == "voice" for one in written)
    return {
        "format": FORMAT,
        "facevc": __version__,
        "model": checkpoint.config.name,
        "weights_sha256": checkpoint.weights_sha256,
        "origin": checkpoint.origin,
        "licence": licence,
        "duty": DUTY,
        "rate": frontend.definition.rate,
        "hop_samples": frontend.definition.hop_samples,
        "frame_rate": float(frontend.definition.frame_rate),
        "mel": frontend.definition.as_settings(),
        "trim_db": frontend.trim_db,
        "peak": frontend.peak,
        "most_peak": PEAK,
        "mel_mean": _round(mean),
        "mel_std": _round(std),
        "guidance": converter.guidance if has_voice else 0.0,
        "guiding_s": GUIDING_S,
        "variance_scale": style.variance_scale,
        "watermark_db": GAIN_DB,
        "order": [one.graph.name for one in written if not one.graph.instead_of],
        "graphs": {one.graph.name: one.describe() for one in written},
        "made_from": dict(made_from),
    }


def describe_voice(converter: Converter, target: Target, origin: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Returns the content of voice.json: a voice for the graph `decoder`, without the face or the recording."""
    recording = target.recording
    if recording is None and Capability.RECORDING in converter.model.capabilities:
        recording = cast(RecordingModel, converter.model).describe_no_recording()
    return {
        "format": FORMAT,
        "facevc": __version__,
        "model": converter.checkpoint.config.name,
        "weights_sha256": converter.checkpoint.weights_sha256,
        "voice": _round(target.speaker[0], 9),
        "log_f0_mean": converter.find_log_f0(target),
        "log_f0_std": target.log_f0_std,
        "pitch_hz": converter.find_median_hz(target),
        "recording": None if recording is None else recording[0].detach().float().cpu().tolist(),
        "origin": [dict(part) for part in origin],
    }


def read_model_file(folder: Path) -> dict[str, Any] | None:
    """Reads model.json of an export. None if there is none, or it is damaged."""
    try:
        return read_json(folder / MODEL_FILE)
    except FaceVCError:
        return None


def format_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _round(vector: torch.Tensor, digits: int = 6) -> list[float]:
    return [round(float(value), digits) for value in vector.float().cpu()]
