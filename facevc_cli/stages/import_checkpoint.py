"""`import-checkpoint`: a published VQMIVC or FVMVC checkpoint, or one of our own runs, as a checkpoint to convert with."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facevc_cli.core.devices import seed_everything
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint, locate, save_checkpoint
from facevc_cli.families.fvmvc.model import build_model
from facevc_cli.families.fvmvc.published import convert_published, read_published
from facevc_cli.families.presets import load_config
from facevc_cli.files.arrays import read_npy
from facevc_cli.files.hashes import file_sha256
from facevc_cli.training.weights import CONFIG, METRICS, TRAINING, WEIGHTS, load_weights
from facevc_cli.voices.dvector import VOICE_RATE

STAGE = "import-checkpoint"
MEL = "fvmvc"  # what both published systems compute
RANDOM_IN_VQMIVC = ("face_encoder.", "memory.")
EMBEDDERS = {  # what FVMVC's published memory was trained on
    "voice": {"embedder": "resemblyzer", "rate": VOICE_RATE},
    "face": {"detector": "mtcnn", "embedder": "facenet", "weights": "vggface2", "on_many": "largest"},
}


@dataclass(frozen=True, kw_only=True)
class ImportCheckpointConfig:
    source: Path  # a published .pt, or a run or checkpoint folder of ours
    output: Path
    stats: Path | None = None  # .npy: (2, n_mels) mean and standard deviation, for a published checkpoint
    preset: str = "fvmvc"
    overrides: tuple[str, ...] = ()
    half: bool = False  # store float16
    origin: str | None = None
    overwrite: bool = False


def run(config: ImportCheckpointConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes `output` as a checkpoint without training state; done already from the same files with the same options: skipped."""
    own = config.source.is_dir()
    weights = locate(config.source) / WEIGHTS if own else config.source
    if own and (config.stats or config.overrides):
        raise UsageError(f"{config.source} is facevc's own: its statistics and settings come with it. Leave --stats and --set out.")
    if not own and config.stats is None:
        raise UsageError(f"{config.source} lacks its mel statistics: pass --stats MEL_STATS.npy, a (2, 80) array of means and deviations.")
    load_config(config.preset, None, config.overrides)  # wrong values are told before files are read
    tally = Tally(reporter)
    reporter.begin(1, "checkpoints", STAGE)
    done = {"source": file_sha256(weights), "half": config.half, "origin": config.origin}
    if config.stats is not None:  # a published checkpoint's
        done |= {"stats": file_sha256(config.stats), "preset": config.preset, "settings": list(config.overrides)}
    output = Path(os.path.abspath(config.output))
    if not config.overwrite and _is_checkpoint(output) and load_checkpoint(output).metrics.get("imported") == done:
        tally.skip(str(config.source))
        checkpoint = load_checkpoint(output)
    else:
        _refuse(output, weights, config.overwrite)
        checkpoint = load_checkpoint(config.source) if own else _published(config)
        checkpoint.metrics = {**checkpoint.metrics, "imported": done}
        checkpoint.origin = " ".join(config.origin.split()) if config.origin is not None else checkpoint.origin
        if config.half:
            _check_half(checkpoint.model.state_dict())
        save_checkpoint(output, checkpoint, dtype=torch.float16 if config.half else torch.float32)
        tally.done(str(config.source))
    target = "--face FACE.jpg" if "face" in checkpoint.embedders else "--voice VOICE.wav"
    return tally.summary(
        config.output, f"facevc convert SOURCE.wav {target} --checkpoint {config.output} -o out.wav",
        parameters=sum(p.numel() for p in checkpoint.model.parameters()), bytes=(output / WEIGHTS).stat().st_size, origin=checkpoint.origin,
    )  # fmt: skip


def _published(config: ImportCheckpointConfig) -> Checkpoint:
    tensors, kind = convert_published(read_published(config.source))
    resolved = load_config(config.preset, None, (*_settings_of(tensors, kind, str(config.source)), *config.overrides))
    mean, std = _statistics(config.stats, resolved.model.n_mels)  # type: ignore[arg-type]
    seed_everything(0)  # for what VQMIVC has no weights of
    model = build_model(resolved.model, str(config.source))
    own = model.state_dict()
    statistics = ("mel_mean", "mel_std", "face_mean", "face_std")  # the published code keeps the first two apart, and has no others
    rest = {k: v for k, v in own.items() if k in statistics or (kind == "vqmivc" and k.startswith(RANDOM_IN_VQMIVC))}
    load_weights(model, {**rest, **tensors}, str(config.source))
    model.set_statistics(mean, std)
    origin = f"published {kind.upper()} checkpoint {config.source.name}"
    if kind == "vqmivc":
        origin += "; its face encoder and memory are random: it converts to voices only"
    return Checkpoint(model.eval(), resolved, Frontend.standard(MEL), STAGE, embedders=EMBEDDERS if kind == "fvmvc" else {}, origin=origin)


def _settings_of(tensors: Mapping[str, Tensor], kind: str, where: str) -> list[str]:
    """The sizes and kinds that the tensors' shapes say, as settings under --set's."""
    try:
        layers = max(int(m[1]) for k in tensors if (m := re.fullmatch(r"content_encoder\.layers\.(\d+)\.weight", k)))
        speaker = "query" if kind == "fvmvc" else "output"
        channels, n_mels, _ = tensors["content_encoder.conv.weight"].shape
        codes, z_dim = tensors["content_encoder.quantizer.embedding"].shape
        sizes: dict[str, object] = {
            "mel": MEL,
            "n_mels": n_mels,
            "z_dim": z_dim,
            "pitch": "normalised",
            "voice_dim": tensors[f"speaker_encoder.{speaker}.weight"].shape[0],
            "content_encoder.kind": "vq",
            "content_encoder.channels": channels,
            "content_encoder.layers": (layers + 1) // 3 - 1,  # three modules a layer, three for the bottleneck
            "content_encoder.codes": codes,
            "content_encoder.context_dim": tensors["content_encoder.context.weight_hh_l0"].shape[1],
            "decoder.kind": "recurrent",
            "decoder.channels": tensors["decoder.lstm_in.weight_hh_l0"].shape[1],
            "decoder.recurrent_dim": tensors["decoder.lstm_out.weight_hh_l0"].shape[1],
            "decoder.postnet_channels": tensors["decoder.postnet.convolutions.0.conv.weight"].shape[0],
        }
        if kind == "fvmvc":
            sizes |= {
                "speaker_encoder": "dvector",
                "dvector_dim": tensors["speaker_encoder.query.weight"].shape[1],
                "face_dim": tensors["face_encoder.query.weight"].shape[1],
                "slots": tensors["memory.keys"].shape[0],
            }
        else:
            sizes |= {"speaker_encoder": "mel", "normalise_mel_embedding": "false"}
    except (KeyError, ValueError, IndexError) as error:  # IndexError: a tensor of fewer dimensions
        raise FaceVCError(f"{where}: expected a whole {kind.upper()} model, but weights are missing or misshapen ({error}).") from error
    found = [f"model.{name}={value}" for name, value in sizes.items()]
    try:
        load_config("fvmvc", None, found)
    except UsageError as error:  # the file is wrong, not the command line
        raise FaceVCError(f"{where}: its sizes are those of no model ({error}). Give another file.") from error
    return found


def _statistics(path: Path, n_mels: int) -> tuple[Tensor, Tensor]:
    array = read_npy(path)
    if array.shape != (2, n_mels):
        raise FaceVCError(f"{path}: expected a (2, {n_mels}) array of mean and standard deviation, found {array.shape}. Give the right file.")
    with np.errstate(over="ignore"):  # of float64 beyond float32, which then is not finite
        array = array.astype(np.float32)
    if not np.isfinite(array).all() or (array[1] <= 0).any():
        raise FaceVCError(f"{path}: expected finite means, then standard deviations above zero. Is the array the right way round?")
    return torch.from_numpy(array[0].copy()), torch.from_numpy(array[1].copy())


def _is_checkpoint(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


def _refuse(output: Path, weights: Path, overwrite: bool) -> None:
    """FaceVCError where writing would lose something: the folder is swapped as a whole."""
    if output.resolve() == weights.parent.resolve():
        raise FaceVCError(f"{output} is the source itself. Choose another folder.")
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir() or {p.name for p in output.iterdir()} - {WEIGHTS, CONFIG, METRICS, TRAINING}:
        raise FaceVCError(f"{output} exists and holds other things than a checkpoint, which would be lost. Choose another folder.")
    if not overwrite:
        raise FaceVCError(f"{output} holds another checkpoint. Choose another folder, or pass --overwrite.")


def _check_half(state: Mapping[str, Tensor]) -> None:
    largest = torch.finfo(torch.float16).max
    beyond = [k for k, v in state.items() if v.is_floating_point() and float(v.abs().max()) > largest]
    if beyond:
        raise FaceVCError(f"{', '.join(beyond[:4])}: values above {largest:.0f}, which float16 cannot hold. Leave --half out.")
