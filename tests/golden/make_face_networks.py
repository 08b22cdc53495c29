"""make_face_networks.py PACKAGES: writes face_networks.npz, what the original graphs give on two drawn crops.

PACKAGES is as recipes/faces leaves it. gender-v1 needs onnxruntime.
"""

import sys
from pathlib import Path

import numpy as np

sys.path += [str(Path(__file__).parent.parent), str(Path(__file__).parents[2] / "recipes" / "faces" / "local")]
from helpers.pictures import draw_pattern
from originals import read_tfjs, run_onnx, run_tfjs


def main(packages: Path) -> None:
    crop = draw_pattern(160).astype(np.float32)
    given = crop[None, ..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    values = run_tfjs(*read_tfjs(packages / "faceres.json"), given)
    small = draw_pattern(32).astype(np.float32) / 8 + 100  # of little contrast, so that the network is not sure
    given = ((small - np.array([122.781998, 117.000999, 104.297997], np.float32)) / 256).transpose(2, 0, 1)[None]
    np.savez(
        Path(__file__).with_name("face_networks.npz"),
        faceres=values["global_pooling/Mean"][0],
        gender_v1=run_onnx(packages / "gender-v1.onnx", given)[0],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
