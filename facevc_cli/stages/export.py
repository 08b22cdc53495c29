"""`export`: writes the steps of a conversion as ONNX files, and a voice as numbers, for programs without Python."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facevc_cli import __version__
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.voice_spec import VoiceSpec, is_card
from facevc_cli.core.choices import OnMany
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.export.collect import OWN_LICENCE, collect_graphs
from facevc_cli.export.description import (
    MODEL_FILE,
    VOICE_FILE,
    describe_model,
    describe_voice,
    format_json,
    read_model_file,
)
from facevc_cli.export.onnx_files import WrittenGraph, write_graph
from facevc_cli.files.atomic import atomic_folder, write_text
from facevc_cli.files.hashes import hash_file
from facevc_cli.vocoders import Vocoder

STAGE = "export"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    onnx: Path  # the folder to write
    face: Path | None = None  # a picture or a voice card; with `voice` at most one of them
    voice: Path | None = None  # a recording
    checkpoint: Path | None = None
    vocoder: str | None = None
    temperature: float | None = None
    on_many: OnMany = "largest"
    half: bool = False  # store weights as float16
    overwrite: bool = False


def run(config: ExportConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the folder: a file for each graph, model.json, and voice.json if a face or a recording is given.

    Graphs that the same model, vocoder and settings made before are kept. FaceVCError if a graph computes something
    else than facevc; then the folder is as it was.
    """
    if config.face is not None and config.voice is not None:
        raise UsageError("--face and --voice: give one of them, because an export holds one voice.")
    if config.temperature is not None and not config.temperature > 0:
        raise UsageError(f"--temperature {config.temperature}: expected a number above 0.")
    folder = Path(os.path.abspath(config.onnx))
    converter = Converter(config.checkpoint, config.vocoder, "cpu", on_many=config.on_many, reporter=reporter)
    import onnx  # noqa: F401  # names the extra before any file is read or written
    import onnxruntime  # noqa: F401

    made_from = _describe_inputs(converter, config.half)
    graphs = collect_graphs(converter)
    names = [graph.name for graph in graphs]
    kept = None if config.overwrite else _find_finished(folder, made_from)
    if kept is None:
        _refuse(folder, config.overwrite)
    voice = _make_voice(config, converter, reporter)
    tally = Tally(reporter)
    reporter.begin(len(graphs), "graphs", STAGE)
    if kept is not None:
        for name in names:
            tally.skip(name)
        if voice is not None:
            write_text(folder / VOICE_FILE, format_json(voice))
        described = kept
    else:
        licence = OWN_LICENCE if config.checkpoint is None else None
        described = _write(folder, converter, graphs, config.half, voice, made_from, licence, tally)
    found = described["graphs"]
    return tally.summarise(
        config.onnx,
        f"python examples/onnx_host.py {config.onnx} SPEECH.wav OUT.wav" if voice is not None else None,
        bytes=sum(one["bytes"] for one in found.values()),
        max_difference={name: one["max_difference"] for name, one in found.items()},
        voice=None if voice is None else str(config.onnx / VOICE_FILE),
    )


def _write(
    folder: Path,
    converter: Converter,
    graphs: list[Any],
    half: bool,
    voice: dict[str, Any] | None,
    made_from: dict[str, Any],
    licence: str | None,
    tally: Tally,
) -> dict[str, Any]:
    """Writes all files beside the folder, then swaps it in. Returns the content of model.json."""
    try:
        with atomic_folder(folder) as temporary:
            written: list[WrittenGraph] = []
            for graph in graphs:
                written.append(write_graph(graph, temporary, half))
                tally.complete(graph.name, difference=f"{written[-1].difference:.1e}")
            described = describe_model(converter, written, made_from, licence)
            (temporary / MODEL_FILE).write_text(format_json(described), encoding="utf-8")
            if voice is not None:
                (temporary / VOICE_FILE).write_text(format_json(voice), encoding="utf-8")
    except OSError as error:
        raise FaceVCError(
            f"{folder} could not be written: {error.strerror or error}. Free space or choose another folder."
        ) from error
    return described


def _make_voice(config: ExportConfig, converter: Converter, reporter: Reporter) -> dict[str, Any] | None:
    if config.face is None and config.voice is None:
        return None
    if config.voice is not None:
        spec = VoiceSpec.from_file("voice", config.voice)
        if converter.style.content_retrieval or converter.style.spectrum_matching:
            reporter.note(
                "A recording's voice is exported as its embedding and pitch. 'facevc convert --voice' also takes "
                "sounds and a spectrum from the recording, which the graphs do not."
            )
    else:
        face = Path(config.face or "")
        spec = VoiceSpec.from_file("card" if is_card(face) else "face", face)
        if spec.has_pictures:
            converter.prepare_faces()
    resolver = VoiceResolver(converter, config.temperature, reporter=reporter)
    target = resolver.resolve(spec)
    origin = [
        {"file": file.name, "sha256": hash_file(file), "share": f"{share:.4f}"}
        for file, share in resolver.weigh_files(spec)
    ]
    return describe_voice(converter, target, origin)


def _describe_inputs(converter: Converter, half: bool) -> dict[str, Any]:
    """Returns all that the graphs depend on."""
    return {
        "facevc": __version__,
        "torch": torch.__version__,
        "weights_sha256": converter.checkpoint.weights_sha256,
        "vocoder": converter.vocoder.name,
        "vocoder_sha256": _hash_weights(converter.vocoder),
        "half": half,
    }


def _hash_weights(vocoder: Vocoder) -> str:
    found = hashlib.sha256()
    for name, tensor in vocoder.state_dict().items():
        found.update(name.encode() + tensor.contiguous().cpu().numpy().tobytes())
    return found.hexdigest()


def _find_finished(folder: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """Returns model.json of a finished export of the same inputs whose files are whole, else None."""
    described = read_model_file(folder)
    if described is None or described.get("made_from") != made_from:
        return None
    files = [(folder / one["file"], one["sha256"]) for one in described["graphs"].values()]
    return described if all(path.is_file() and hash_file(path) == sha256 for path, sha256 in files) else None


def _refuse(folder: Path, overwrite: bool) -> None:
    """Raises FaceVCError if writing would lose something, because the folder is swapped as a whole."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or any(
        path.name not in (MODEL_FILE, VOICE_FILE) and path.suffix != ".onnx" for path in folder.iterdir()
    ):
        raise FaceVCError(f"{folder} exists and holds other things than an export. Choose another folder.")
    if not overwrite:
        raise FaceVCError(f"{folder} holds another export. Choose another folder, or pass --overwrite.")
