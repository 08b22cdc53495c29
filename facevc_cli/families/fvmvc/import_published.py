"""Builds this family's model from a published checkpoint of VQMIVC or FVMVC."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facevc_cli.core.devices import seed_everything
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.checkpoint import Checkpoint
from facevc_cli.families.fvmvc.model import build_model
from facevc_cli.families.fvmvc.published import convert_published, read_published
from facevc_cli.families.presets import load_config
from facevc_cli.files.arrays import read_npy
from facevc_cli.training.weights import load_weights
from facevc_cli.voices.dvector import VOICE_RATE

MEL = "fvmvc"  # the log-mel of both published systems
RANDOM_IN_VQMIVC = ("face_encoder.", "memory.")
EMBEDDERS = {  # FVMVC's published memory was trained on their embeddings
    "voice": {"embedder": "resemblyzer", "rate": VOICE_RATE},
    "face": {"detector": "mtcnn", "embedder": "facenet", "weights": "vggface2", "on_many": "largest"},
}


class PublishedFile:
    """The tensors of a published checkpoint. FaceVCError if the file is none of VQMIVC or FVMVC."""

    def __init__(self, source: Path):
        self.source = source
        self.tensors, self.kind = convert_published(read_published(source))

    def load(self, preset: str, overrides: Sequence[str], stats: Path | None) -> Checkpoint:
        """Builds the model. UsageError if `stats` is missing, FaceVCError if a file or a setting does not fit."""
        if stats is None:
            raise UsageError(
                f"{self.source} lacks its mel statistics: pass --stats MEL_STATS.npy, a (2, 80) array of means and "
                "deviations."
            )
        config = load_config(preset, None, (*_find_settings(self.tensors, self.kind, str(self.source)), *overrides))
        mean, std = _read_statistics(stats, config.model.n_mels)
        seed_everything(0)  # VQMIVC has no weights for the face encoder and the memory, so they are drawn
        model = build_model(config.model, str(self.source))
        statistics = ("mel_mean", "mel_std", "face_mean", "face_std")  # the published files hold none of them
        drawn = RANDOM_IN_VQMIVC if self.kind == "vqmivc" else ()
        rest = {k: v for k, v in model.state_dict().items() if k in statistics or k.startswith(drawn)}
        load_weights(model, {**rest, **self.tensors}, str(self.source))
        model.set_statistics(mean, std)
        origin = f"published {self.kind.upper()} checkpoint {self.source.name}"
        if self.kind == "vqmivc":
            origin += "; its face encoder and memory are random: it converts to voices only"
        embedders = EMBEDDERS if self.kind == "fvmvc" else {}
        return Checkpoint(
            model.eval(), config, Frontend.standard(MEL), "import-checkpoint", embedders=embedders, origin=origin
        )


def _find_settings(tensors: Mapping[str, Tensor], kind: str, where: str) -> list[str]:
    """Reads the sizes and kinds of the model's parts from the tensors' shapes. Returns them as values of --set."""
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
            "content_encoder.layers": (layers + 1) // 3 - 1,  # three modules per layer, three for the bottleneck
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
        raise FaceVCError(
            f"{where}: expected a whole {kind.upper()} model, but weights are missing or misshapen ({error})."
        ) from error
    found = [f"model.{name}={value}" for name, value in sizes.items()]
    try:
        load_config("fvmvc", None, found)
    except UsageError as error:  # the file is wrong, not the command line
        raise FaceVCError(f"{where}: no model has these sizes ({error}). Give another file.") from error
    return found


def _read_statistics(path: Path, n_mels: int) -> tuple[Tensor, Tensor]:
    array = read_npy(path)
    if array.shape != (2, n_mels):
        raise FaceVCError(
            f"{path}: expected a (2, {n_mels}) array of mean and standard deviation, found {array.shape}. Give the "
            "right file."
        )
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, which is refused below
        array = array.astype(np.float32)
    if not np.isfinite(array).all() or (array[1] <= 0).any():
        raise FaceVCError(
            f"{path}: expected finite means, then standard deviations above zero. Is the array the right way round?"
        )
    return torch.from_numpy(array[0].copy()), torch.from_numpy(array[1].copy())
