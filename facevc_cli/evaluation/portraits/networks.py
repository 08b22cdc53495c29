"""Networks of the user's that compare pictures, as ONNX files: for FID and LPIPS.

Both figures belong to published weights, which facevc does not bring. So they are computed where these are given.

| figure | the network | its pictures |
| --- | --- | --- |
| FID | pictures -> features (n, d), such as Inception's 2,048 (Heusel et al. 2017) | from 0 to 255 |
| LPIPS | two batches of pictures -> distances (Zhang et al. 2018) | from -1 to 1 |

A batch is (n, 3, H, W) float32 RGB, and n must be open. H and W are those of the file, or 299 and 256 if they are open.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.portraits.figures import average_pairs, measure_frechet
from facevc_cli.files.image import load_image

FID_PX, LPIPS_PX = 299, 256
BATCH = 16
MOST_PAIRS = 1000  # of pictures; more are drawn from


class PictureNetwork:
    """An ONNX file that takes `inputs` batches of pictures. FaceVCError if it does not."""

    def __init__(self, path: Path, inputs: int, size_px: int):
        try:
            from onnxruntime import InferenceSession, SessionOptions
        except ImportError as error:
            raise FaceVCError(
                f"{path}: an ONNX file needs onnxruntime, which does not import here ({error}). Install it with "
                f"{install_command('eval')}."
            ) from error
        alone = SessionOptions()
        alone.intra_op_num_threads = 1
        self.path = path
        try:
            self._session = InferenceSession(str(path), alone, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a dozen kinds of its own
            raise FaceVCError(f"{path}: expected a network as an ONNX file, found another: {error}") from error
        found = self._session.get_inputs()
        if len(found) != inputs or any(len(one.shape) != 4 for one in found):
            shapes = ", ".join(str(one.shape) for one in found)
            raise FaceVCError(
                f"{path}: expected a network with inputs of the shape (n, 3, H, W): {inputs}, found {shapes}."
            )
        self._names = [one.name for one in found]
        height, width = (n if isinstance(n, int) else size_px for n in found[0].shape[2:])
        self.size = (height, width)

    def read(self, path: Path) -> np.ndarray:
        """Returns a picture (3, H, W) float32 from 0 to 255. FaceVCError if it cannot be read."""
        image = Image.fromarray(load_image(path)).resize(self.size[::-1], Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1))

    def run(self, *pictures: np.ndarray) -> np.ndarray:
        """Batches (n, 3, H, W) -> the first output (n, d). FaceVCError if the network fails on them."""
        parts = []
        for start in range(0, len(pictures[0]), BATCH):
            given = {name: x[start : start + BATCH] for name, x in zip(self._names, pictures, strict=True)}
            try:
                made = np.asarray(self._session.run(None, given)[0])
            except Exception as error:
                raise FaceVCError(f"{self.path}: the network fails on pictures of {self.size} px: {error}") from error
            count = len(given[self._names[0]])
            if made.shape[:1] != (count,) or not np.isfinite(made).all():
                raise FaceVCError(
                    f"{self.path}: expected finite numbers for each of {count} pictures, found the shape {made.shape}."
                )
            parts.append(made.reshape(count, -1))
        return np.concatenate(parts)


def measure_fid(network: PictureNetwork, drawn: Sequence[Path], real: Sequence[Path]) -> Figure:
    """Frechet distance of the features of drawn and real pictures."""
    a, b = (network.run(np.stack([network.read(path) for path in paths])) for paths in (drawn, real))
    return measure_frechet(a, b)


def measure_lpips(
    network: PictureNetwork, paths: Sequence[Path], owners: np.ndarray, seed: int = 0
) -> dict[str, Figure]:
    """Mean distance between pictures of two owners, over at most 1,000 pairs. Empty if there is one owner."""
    first, second = np.triu_indices(len(paths), 1)
    apart = np.flatnonzero(owners[first] != owners[second])
    if not len(apart):
        return {}
    chosen = np.sort(np.random.default_rng(seed).permutation(apart)[:MOST_PAIRS])
    first, second = first[chosen], second[chosen]
    pictures = np.stack([network.read(path) for path in paths]) / np.float32(127.5) - 1
    values = network.run(pictures[first], pictures[second]).astype(float)
    if values.shape[1] != 1:
        raise FaceVCError(f"{network.path}: expected one distance for each pair of pictures, found {values.shape[1]}.")
    return {"LPIPS": average_pairs(values[:, 0], owners[first], owners[second], seed)}
