"""Face embedders of other packages."""

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.plugins import Plugins
from facevc_cli.faces.crops import level_crop


class PackagedEmbedder:
    """A face embedder of another package, from the entry points facevc.face_embedders.

    The package's object has embed(crop (side, side, 3) uint8 RGB) -> (D,). It may have two more attributes:
    crop(image (H, W, 3) uint8, box (4,) px) makes the crop, in place of a level face of 150 px.
    weights is a text that identifies the network, in place of the package's name and version. A model finds its
    embedder by it.
    """

    def __init__(self, name: str, plugins: Plugins):
        self._name, self._made = name, plugins.make(name)
        self._crop = getattr(self._made, "crop", level_crop)
        self.weights = str(getattr(self._made, "weights", "") or plugins.describe_release(name))

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            crop = np.asarray(self._crop(image, box))
            embedding = np.asarray(self._made.embed(crop), dtype=np.float32)
        except FaceVCError:
            raise
        except Exception as error:  # any error of another package about one picture must not end the run
            raise FaceVCError(
                f"the face embedder {self._name} failed on this face ({type(error).__name__}: {error})."
            ) from error
        if embedding.ndim != 1 or not embedding.size or not np.isfinite(embedding).all():
            raise FaceVCError(
                f"the face embedder {self._name}: expected one embedding (D,) of finite numbers, found the shape "
                f"{embedding.shape}{'' if np.isfinite(embedding).all() else ' with NaN or infinity'}."
            )
        return embedding, crop
