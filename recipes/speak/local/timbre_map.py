"""timbre_map.py PARALLEL ASSETS: learn which timbre of Kokoro is near a voice.

PARALLEL is the output folder of recipes/parallel, stages 1 and 2: pool.jsonl has timbres (blends of Kokoro's voices),
the d-vector of three seconds of each, and its predicted MOS. A ridge regression learns d-vector -> 128 numbers of
timbre. Writes ASSETS/timbre_map.safetensors (float16). Prints the share of the variance that it explains of timbres
that it did not learn from.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from voices import read_voices

from facevc_cli.synthesis.kokoro.model import TIMBRE_DIM

LEAST_MOS = 3.8  # worse timbres sound broken
RIDGE = 0.1
REFERENCE_TOKENS = 100
FOLDS = 5

Map = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_pool(parallel: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read unit d-vectors (n, 256) and timbres (n, 128)."""
    voices = read_voices(parallel / "packages" / "voices")
    timbres = {name: styles[REFERENCE_TOKENS, :TIMBRE_DIM] for name, styles in voices.items()}
    lines = (parallel / "pool.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if (row["mos"] or 0) >= LEAST_MOS]
    dvectors = np.array([row["dvector"] for row in rows])
    wanted = [sum(weight * timbres[name] for name, weight in row["weights"].items()) for row in rows]
    return dvectors / np.linalg.norm(dvectors, axis=1, keepdims=True), np.stack(wanted)


def fit(dvectors: np.ndarray, timbres: np.ndarray) -> Map:
    """Fit a ridge regression: the mean d-vector, the weight (256, 128), and the mean timbre."""
    middle, usual = dvectors.mean(0), timbres.mean(0)
    centred = dvectors - middle
    gram = centred.T @ centred + RIDGE * np.eye(centred.shape[1])
    return middle, np.linalg.solve(gram, centred.T @ (timbres - usual)), usual


def explain(dvectors: np.ndarray, timbres: np.ndarray) -> float:
    """Cross-validate: the share of the variance that is explained."""
    order = np.random.default_rng(0).permutation(len(dvectors))
    errors = 0.0
    for fold in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, fold)
        middle, weight, usual = fit(dvectors[rest], timbres[rest])
        errors += float(np.square((dvectors[fold] - middle) @ weight + usual - timbres[fold]).sum())
    return 1 - errors / float(np.square(timbres - timbres.mean(0)).sum())


def main(parallel: Path, assets: Path) -> None:
    dvectors, timbres = read_pool(parallel)
    middle, weight, usual = fit(dvectors, timbres)
    tensors = {"middle": middle, "weight": weight, "usual": usual}
    save_file({name: tensor.astype(np.float16) for name, tensor in tensors.items()}, assets / "timbre_map.safetensors")
    (assets / "timbre_map.safetensors").chmod(0o644)
    print(f"{len(dvectors)} timbres; explained of others: {explain(dvectors, timbres):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
