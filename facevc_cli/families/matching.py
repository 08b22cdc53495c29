"""Places faces and voices in one space. A face fits a voice if the cosine of their places is high.

Two kinds of models can do it: those with `MATCHING`, which place both themselves, and those with `MEMORY`. For a memory
the place is the recalled voice as a direction from the mean of the slots. Without that mean, a face with an average
voice would be near every voice.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, name_in_errors
from facevc_cli.families.base import Capability, MatchingModel, MemoryModel
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint
from facevc_cli.families.reading import FaceReader, VoiceReader

if TYPE_CHECKING:
    from facevc_cli.faces.analyser import FaceAnalyser
    from facevc_cli.voices.dvector import VoiceEmbedder

PLACED_AT_ONCE, FEW_AT_ONCE = 4096, 32  # embeddings; crops and log-mels


class Matcher:
    """Places faces and voices with one checkpoint, and reads files as it needs them.

    FaceVCError if the checkpoint's model cannot compare faces with voices.
    """

    def __init__(self, checkpoint: Path | str | None = None, device: str = "auto", on_many: str = "largest"):
        self.device, self.on_many = resolve_device(device), on_many
        self.checkpoint = load_checkpoint(checkpoint, str(self.device))
        check_matching(self.checkpoint)
        where, can = f"the model {self.checkpoint.config.name!r}", self.checkpoint.model.capabilities
        face, voice = self.checkpoint.embedders["face"], self.checkpoint.embedders.get("voice", {})
        self.face_reader = FaceReader.make(face, Capability.CROPS in can, where)
        self.voice_reader = VoiceReader.make(voice, Capability.LOG_MELS in can, where)
        self._faces: FaceAnalyser | None = None
        self._voices: VoiceEmbedder | None = None

    @torch.inference_mode()
    def place_faces(self, given: np.ndarray) -> np.ndarray:
        """Faces as `read_face` gives them, (n, ...) -> (n, D) float32 of unit length."""
        return self._place_in_blocks(given, self._place_faces)

    @torch.inference_mode()
    def place_voices(self, given: np.ndarray) -> np.ndarray:
        """Voices as `read_voice` gives them, (n, ...) -> (n, D) float32 of unit length."""
        return self._place_in_blocks(given, self._place_voices)

    def read_face(self, picture: Path) -> np.ndarray:
        """Reads the face in a picture: its embedding (face_dim,), or its crop. FaceVCError if there is none."""
        if self._faces is None:
            self.prepare_faces()
        with name_in_errors(picture):
            return self.face_reader.read(cast("FaceAnalyser", self._faces), picture)

    def read_voice(self, recording: Path) -> np.ndarray:
        """Reads the voice in a recording: its d-vector (256,), or parts of its log-mel.

        FaceVCError if it is silent or cannot be read.
        """
        if self._voices is None:
            self._voices = self.voice_reader.load(str(self.device) if self.device.type == "cuda" else "cpu")
        with name_in_errors(recording):
            return self.voice_reader.read(self._voices, recording)

    def prepare_faces(self) -> None:
        """Loads the face networks now. FaceVCError if the model's face embedder is not installed."""
        self._faces = self.face_reader.load(self.on_many)

    def _place_in_blocks(self, given: np.ndarray, place: Any) -> np.ndarray:
        read = torch.from_numpy(np.ascontiguousarray(given, dtype=np.float32))
        blocks = read.split(PLACED_AT_ONCE if read.dim() == 2 else FEW_AT_ONCE)
        placed = [place(block.to(self.device)).float().cpu() for block in blocks]
        return cast(np.ndarray, torch.cat(placed).numpy())

    def _place_faces(self, given: Tensor) -> Tensor:
        model = self.checkpoint.model
        if Capability.MATCHING in model.capabilities:
            return cast(MatchingModel, model).place_faces(given)
        memory = cast(MemoryModel, model)
        return place_recalled(memory, memory.recall_address(cast(Tensor, memory.recall_face(given)[1]).log()))

    def _place_voices(self, given: Tensor) -> Tensor:
        model = self.checkpoint.model
        if Capability.MATCHING in model.capabilities:
            return cast(MatchingModel, model).place_voices(given)
        memory = cast(MemoryModel, model)
        return place_recalled(memory, memory.recall_address(memory.address_voice(memory.embed_voice(given))))


def place_recalled(memory: MemoryModel, recalled: Tensor) -> Tensor:
    """Recalled voices (B, D) -> their directions from the mean of the slots, (B, D) of unit length."""
    middle = F.normalize(memory.get_slot_values(), dim=-1).mean(0)
    return F.normalize(F.normalize(recalled, dim=-1) - middle, dim=-1)


def check_matching(checkpoint: Checkpoint) -> None:
    """Raises FaceVCError if the model cannot compare faces with voices."""
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
