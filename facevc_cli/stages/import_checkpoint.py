"""`import-checkpoint`: turns a published checkpoint, or one of our own runs, into a checkpoint to convert with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import load_checkpoint, locate, save_checkpoint
from facevc_cli.families.presets import load_config
from facevc_cli.families.registry import open_published
from facevc_cli.files.hashes import hash_file
from facevc_cli.training.weights import CONFIG, METRICS, TRAINING, WEIGHTS

STAGE = "import-checkpoint"


@dataclass(frozen=True, kw_only=True)
class ImportCheckpointConfig:
    source: Path  # a published .pt, or a run or checkpoint folder of ours
    output: Path
    stats: Path | None = None  # .npy: (2, n_mels) mean and standard deviation; a published checkpoint needs them
    preset: str = "fvmvc"
    overrides: tuple[str, ...] = ()
    half: bool = False  # store float16
    origin: str | None = None
    overwrite: bool = False


def run(config: ImportCheckpointConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes `output` as a checkpoint without training state. Skips it if the same files and options made it before."""
    own = config.source.is_dir()
    weights = locate(config.source) / WEIGHTS if own else config.source
    if own and (config.stats or config.overrides):
        raise UsageError(
            f"{config.source} is facevc's own and has its statistics and settings. Leave --stats and --set out."
        )
    load_config(config.preset, None, config.overrides)  # reports a wrong value before files are read
    tally = Tally(reporter)
    reporter.begin(1, "checkpoints", STAGE)
    done = {"source": hash_file(weights), "half": config.half, "origin": config.origin}
    if not own:
        stats = hash_file(config.stats) if config.stats is not None else None
        done |= {"stats": stats, "preset": config.preset, "settings": list(config.overrides)}
    output = Path(os.path.abspath(config.output))
    if not config.overwrite and _is_checkpoint(output) and load_checkpoint(output).metrics.get("imported") == done:
        tally.skip(str(config.source))
        checkpoint = load_checkpoint(output)
    else:
        _refuse(output, weights, config.overwrite)
        if own:
            checkpoint = load_checkpoint(config.source)
        else:
            checkpoint = open_published(config.source).load(config.preset, config.overrides, config.stats)
        checkpoint.metrics = {**checkpoint.metrics, "imported": done}
        checkpoint.origin = " ".join(config.origin.split()) if config.origin is not None else checkpoint.origin
        if config.half:
            _check_half(checkpoint.model.state_dict())
        save_checkpoint(output, checkpoint, dtype=torch.float16 if config.half else torch.float32)
        tally.complete(str(config.source))
    target = "--face FACE.jpg" if "face" in checkpoint.embedders else "--voice VOICE.wav"
    following = f"facevc convert SOURCE.wav {target} --checkpoint {config.output} -o out.wav"
    if not checkpoint.family.converts:
        following = f"facevc nearest --face FACE.jpg RECORDINGS/ --checkpoint {config.output}"
    return tally.summarise(
        config.output,
        following,
        parameters=sum(p.numel() for p in checkpoint.model.parameters()),
        bytes=(output / WEIGHTS).stat().st_size,
        origin=checkpoint.origin,
    )


def _is_checkpoint(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


def _refuse(output: Path, weights: Path, overwrite: bool) -> None:
    """Raises FaceVCError if writing would lose something, because the folder is swapped as a whole."""
    if output.resolve() == weights.parent.resolve():
        raise FaceVCError(f"{output} is the source itself. Choose another folder.")
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir() or {p.name for p in output.iterdir()} - {WEIGHTS, CONFIG, METRICS, TRAINING}:
        raise FaceVCError(
            f"{output} exists and holds other things than a checkpoint. They would be lost. Choose another folder."
        )
    if not overwrite:
        raise FaceVCError(f"{output} holds another checkpoint. Choose another folder, or pass --overwrite.")


def _check_half(state: Mapping[str, Tensor]) -> None:
    largest = torch.finfo(torch.float16).max
    beyond = [k for k, v in state.items() if v.is_floating_point() and float(v.abs().max()) > largest]
    if beyond:
        raise FaceVCError(
            f"{', '.join(beyond[:4])}: values above {largest:.0f}, which float16 cannot hold. Leave --half out."
        )
