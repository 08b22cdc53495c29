"""Places faces and voices in one space. A face fits a voice if the cosine of their places is high.

Two kinds of models can do it: those with `MATCHING`, which place both themselves, and those with `MEMORY`. For a memory
the place is the recalled voice as a direction from the mean of the slots. Without that mean, a face with an average
voice would be near every voice.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.base import Capability, MatchingModel, MemoryModel
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint

if TYPE_CHECKING:
    from facevc_cli.faces.analyser import FaceAnalyser
    from facevc_cli.voices.dvector import VoiceEmbedder

PLACED_AT_ONCE = 4096


class Matcher:
    """Places embeddings with one checkpoint, and makes the embeddings of files that it needs.

    FaceVCError if the checkpoint's model cannot compare faces with voices.
    """

    def __init__(self, checkpoint: Path | str | None = None, device: str = "auto", on_many: str = "largest"):
        self.device, self.on_many = resolve_device(device), on_many
        self.checkpoint = load_checkpoint(checkpoint, str(self.device))
        check_matching(self.checkpoint)
        self._faces: FaceAnalyser | None = None
        self._voices: VoiceEmbedder | None = None

    @property
    def face_settings(self) -> Mapping[str, Any]:
        """What the face embeddings that the model expects depend on. `check_matching` has seen that they are there."""
        return cast(Mapping[str, Any], self.checkpoint.embedders["face"])

    @torch.inference_mode()
    def place_faces(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, face_dim) -> (n, D) float32 of unit length."""
        return self._place_in_blocks(embeddings, self._place_faces)

    @torch.inference_mode()
    def place_voices(self, dvectors: np.ndarray) -> np.ndarray:
        """(n, 256) -> (n, D) float32 of unit length."""
        return self._place_in_blocks(dvectors, self._place_voices)

    def embed_face(self, picture: Path) -> np.ndarray:
        """Embeds the face in a picture: (face_dim,). FaceVCError if there is none."""
        from facevc_cli.files.image import load_image

        if self._faces is None:
            self.prepare_faces()
        try:
            return cast("FaceAnalyser", self._faces).analyse(load_image(picture)).embedding
        except FaceVCError as error:
            raise _name(picture, error) from error

    def embed_voice(self, recording: Path) -> np.ndarray:
        """Embeds the voice in a recording: its d-vector (256,). FaceVCError if it is silent or cannot be read."""
        from facevc_cli.files.audio import load_audio
        from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder

        if self._voices is None:
            self._voices = VoiceEmbedder(str(self.device) if self.device.type == "cuda" else "cpu")
        try:
            return self._voices.embed(load_audio(recording, VOICE_RATE)[0])
        except FaceVCError as error:
            raise _name(recording, error) from error

    def prepare_faces(self) -> None:
        """Loads the face networks now. FaceVCError if the model's face embedder is not installed."""
        from facevc_cli.faces.analyser import make_analyser

        self._faces = make_analyser(self.face_settings, self.on_many)

    def _place_in_blocks(self, embeddings: np.ndarray, place: Any) -> np.ndarray:
        given = torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32))
        placed = [place(block.to(self.device)).float().cpu() for block in given.split(PLACED_AT_ONCE)]
        return cast(np.ndarray, torch.cat(placed).numpy())

    def _place_faces(self, embeddings: Tensor) -> Tensor:
        model = self.checkpoint.model
        if Capability.MATCHING in model.capabilities:
            return cast(MatchingModel, model).place_faces(embeddings)
        memory = cast(MemoryModel, model)
        return place_recalled(memory, memory.recall_address(cast(Tensor, memory.recall_face(embeddings)[1]).log()))

    def _place_voices(self, dvectors: Tensor) -> Tensor:
        model = self.checkpoint.model
        if Capability.MATCHING in model.capabilities:
            return cast(MatchingModel, model).place_voices(dvectors)
        memory = cast(MemoryModel, model)
        return place_recalled(memory, memory.recall_address(memory.address_voice(memory.embed_voice(dvectors))))


def place_recalled(memory: MemoryModel, recalled: Tensor) -> Tensor:
    """Recalled voices (B, D) -> their directions from the mean of the slots, (B, D) of unit length."""
    middle = F.normalize(memory.get_slot_values(), dim=-1).mean(0)
    return F.normalize(F.normalize(recalled, dim=-1) - middle, dim=-1)


def check_matching(checkpoint: Checkpoint) -> None:
    """Raises FaceVCError if the model cannot compare a face's embedding with a d-vector."""
    name, model = checkpoint.config.name, checkpoint.model
    if not {Capability.MATCHING, Capability.MEMORY} & model.capabilities:
        raise FaceVCError(
            f"the model {name!r} has no memory of voices and no common space of faces and voices, so it cannot say "
            "which fit each other. Choose another checkpoint, such as one of 'facevc train --preset cmpc'."
        )
    if Capability.MATCHING not in model.capabilities and not model.needs_dvector:
        raise FaceVCError(f"the model {name!r} hears voices as log-mels, but d-vectors are compared here.")
    if "face" not in checkpoint.embedders:
        raise FaceVCError(
            f"this checkpoint (of {checkpoint.stage}) was never trained on faces, so it places none. Choose one of "
            "'facevc train'."
        )


def _name(path: Path, error: FaceVCError) -> FaceVCError:
    """Returns the error with the file's name."""
    return error if str(path) in str(error) else type(error)(f"{path}: {error}")
