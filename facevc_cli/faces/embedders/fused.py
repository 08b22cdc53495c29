"""The descriptor `fused`: dlib's 128 numbers, and what two small networks see in the same face."""

from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.faces import reading
from facevc_cli.faces.crops import cut_level, find_landmarks
from facevc_cli.faces.detection import resolve_torch_device
from facevc_cli.faces.embedders.dlib import DlibEmbedder
from facevc_cli.files.packaged import find_packaged_file

if TYPE_CHECKING:
    from facevc_cli.faces.networks.fused import FusedNetwork

WEIGHTS = "assets/faces/fused.safetensors"  # made by recipes/faces
WEIGHTS_SHA256 = "47170fbf91e57359eed6d9ce849ea2abc90997b76118e089b2c3cb367534fd46"
# Faceres was trained on 224 px. A level face that fills two thirds of 160 px has the size that it knows best, and costs
# half as much.
CROP_PX = 160
SMALL_CROP_PX, SMALL_PADDING = 32, 0.2  # of gender-v1


class FusedEmbedder:
    """A level face -> (162,): dlib's descriptor, 32 numbers of faceres, the register and the age.

    The two small networks look at the face and its mirror image. `faces.reading` reads the last two numbers.
    """

    weights = WEIGHTS_SHA256[:16]

    def __init__(self, device: str = "cpu"):
        self._dlib, self._device = DlibEmbedder(), resolve_torch_device(device)
        self._network = load_fused_network(self._device)

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        landmarks = find_landmarks(image, box)
        crop = cut_level(image, landmarks)
        descriptor = self._dlib.describe(crop)
        crops = _make_pair(cut_level(image, landmarks, CROP_PX))
        small_crops = _make_pair(cut_level(image, landmarks, SMALL_CROP_PX, SMALL_PADDING))
        with torch.inference_mode():
            seen = self._network(*(torch.from_numpy(x).to(self._device) for x in (descriptor, crops, small_crops)))
        *projection, register, years = seen.cpu().numpy()
        return reading.pack(descriptor, np.array(projection, np.float32), float(register), float(years)), crop


def _make_pair(crop: np.ndarray) -> np.ndarray:
    """(side, side, 3) uint8 -> (2, 3, side, side) float32: the crop and its mirror image."""
    pair = np.stack([crop, crop[:, ::-1]]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pair, dtype=np.float32)


def load_fused_network(device: str = "cpu") -> "FusedNetwork":
    """Loads the networks for inference. FaceVCError if their weights are missing or damaged."""
    from safetensors.torch import load_file

    from facevc_cli.faces.networks.fused import FusedNetwork

    path = find_packaged_file("facevc_cli", WEIGHTS, WEIGHTS_SHA256, "the weights of the face embedder fused", "facevc")
    with skip_weight_init():
        network = FusedNetwork()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return network.to(device).eval().requires_grad_(False)
