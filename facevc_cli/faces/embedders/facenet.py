"""The paper's face embedding, of the package facenet-pytorch."""

import numpy as np

from facevc_cli.faces.crops import margin_crop
from facevc_cli.faces.detection import download_weights, import_package, resolve_torch_device

FACENET_CROP_PX = 128  # the paper's
FACENET_MARGIN_PX = 50  # the margin of the crop around the box, both sides together


class FacenetEmbedder:
    """A 128 px crop with margin -> the 512-D embedding of InceptionResnetV1 (VGGFace2); downloads its weights at first
    use.
    """

    weights = "vggface2"

    def __init__(self, device: str = "cpu"):
        facenet = import_package("facenet_pytorch", "--embedder facenet", "facenet")
        self._device = resolve_torch_device(device)
        self._network = (
            download_weights(lambda: facenet.InceptionResnetV1(pretrained="vggface2"), "--embedder facenet")
            .eval()
            .to(self._device)
        )

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        crop = margin_crop(image, box, FACENET_CROP_PX, FACENET_MARGIN_PX)
        pixels = torch.from_numpy(crop.astype(np.float32).transpose(2, 0, 1)[None]).to(self._device)
        with torch.inference_mode():
            embedding = self._network((pixels - 127.5) / 128.0)[0]  # the scale the network was trained at
        return embedding.float().cpu().numpy(), crop
