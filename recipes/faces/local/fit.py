"""fit.py DATA FEATURES ORIGINALS.safetensors OUT.safetensors: fit what the embedder `fused` adds, write its weights.

- The register: a logistic regression on dlib's descriptor, faceres' pooled map and the hidden layer of gender-v1. Its
  slope and offset are fitted on faces of the other folds, so that its probabilities are true ones.
- The age: a ridge regression on the same.
- The projection: the directions of faceres that change least between copies of one face, and most between faces, which
  know gender and age best.

For the register, the groups (race and gender) count by the root of their size. Faces of the held-out list are not in
FEATURES/train.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from features import load_originals
from tables import LabelledFace, read_faces

from facevc_cli.evaluation.metrics.gender import fit as fit_logistic
from facevc_cli.faces.networks.faceres import Faceres
from facevc_cli.faces.networks.fused import FusedNetwork
from facevc_cli.faces.networks.gender_v1 import HIDDEN_DIM

COPIES = (0, 1, 2)
REGISTER_RIDGE, AGE_RIDGE = 170.0, 2500.0
FOLDS = 5
KIND_WEIGHT = 4.0  # how much the means of gender and age count beside all differences of faces
PROJECTION_STD = 0.1  # about that of dlib's numbers


@dataclass(frozen=True)
class SeenFaces:
    """Labelled faces, and their features (copies, faces, 128 + 1024 + 16)."""

    faces: list[LabelledFace]
    features: np.ndarray

    @property
    def mean_pair(self) -> np.ndarray:
        """(faces, D): the mean of the picture and its mirror image, as the embedder sees it."""
        return self.features[:2].mean(0)


def read_seen(
    faces: list[LabelledFace], folder: Path, name: str, copies: tuple[int, ...], network: Faceres
) -> SeenFaces:
    """Joins what features.py wrote, for the faces that dlib found."""
    found = np.load(folder / f"{name}.npz")
    if found["names"].tolist() != [face.name for face in faces]:
        raise SystemExit(f"{folder}/{name}.npz has other faces than the tables. Remove it and run stage 3 again.")
    known = np.flatnonzero(~np.isnan(found["descriptors"][:, 0]))
    parts = []
    for copy in copies:
        maps = np.load(folder / f"{name}-{copy}.maps.npy", mmap_mode="r")
        hidden = np.load(folder / f"{name}-{copy}.hidden.npy")[known, :HIDDEN_DIM]
        pooled = np.concatenate([_pool(network, maps[known[i : i + 64]]) for i in range(0, len(known), 64)])
        parts.append(np.hstack([found["descriptors"][known], pooled, hidden]))
    return SeenFaces([faces[i] for i in known], np.stack(parts))


def _pool(network: Faceres, maps: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network.blocks[-1](torch.from_numpy(np.asarray(maps, np.float32))).mean((2, 3)).numpy()


def weigh(faces: list[LabelledFace]) -> np.ndarray:
    """(faces,): the groups of race and gender count by the root of their size. The mean is 1."""
    groups = [(face.race, face.woman) for face in faces]
    weights = np.array([groups.count(group) ** -0.5 for group in groups])
    return weights / weights.mean()


def fit_register(seen: SeenFaces, which: np.ndarray) -> tuple[np.ndarray, float]:
    """Fits the log odds of a woman on all copies of some faces: weights (D,) and an offset."""
    copies = len(seen.features)
    rows = seen.features[:, which].reshape(-1, seen.features.shape[2]).astype(np.float64)
    woman = np.tile([float(seen.faces[i].woman) for i in which], copies)
    weights = np.tile(weigh([seen.faces[i] for i in which]) / copies, copies)
    judge = fit_logistic(rows, woman, weights, REGISTER_RIDGE)
    return judge.weight, judge.bias


def calibrate_register(seen: SeenFaces) -> tuple[float, float]:
    """Returns the slope and offset that make log odds true, from faces that each fit has not seen."""
    order = np.random.default_rng(0).permutation(len(seen.faces))
    odds, woman = np.zeros(len(order)), np.array([float(face.woman) for face in seen.faces])
    for fold in range(FOLDS):
        weights, bias = fit_register(seen, np.delete(order, np.s_[fold::FOLDS]))
        odds[order[fold::FOLDS]] = seen.mean_pair[order[fold::FOLDS]] @ weights + bias
    judge = fit_logistic(odds[:, None], woman, weigh(seen.faces), 1e-3)
    slope, offset = float(judge.weight[0]), judge.bias
    right, loss = (
        np.mean((odds > 0) == (woman > 0)),
        np.mean(np.logaddexp(0, -(slope * odds + offset) * (2 * woman - 1))),
    )
    print(f"register, {FOLDS} folds: {right:.4f} right, slope {slope:.2f}, offset {offset:.2f}, loss {loss:.3f}")
    return slope, offset


def fit_age(seen: SeenFaces) -> tuple[np.ndarray, float]:
    """Ridge regression of the years on all copies: weights (D,) and an offset."""
    rows = seen.features.reshape(-1, seen.features.shape[2]).astype(np.float64)
    years = np.tile([face.years for face in seen.faces], len(seen.features))
    mean, scale, middle = rows.mean(0), rows.std(0) + 1e-6, years.mean()
    design = (rows - mean) / scale
    gram = design.T @ design / len(seen.features) + AGE_RIDGE * np.eye(design.shape[1])
    slopes = np.linalg.solve(gram, design.T @ (years - middle) / len(seen.features)) / scale
    return slopes, float(middle - slopes @ mean)


def fit_projection(seen: SeenFaces, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (dim, 1024) and offsets (dim,) of numbers that vary by .1, most important first."""
    pooled = seen.features[:, :, 128:-HIDDEN_DIM].astype(np.float64)
    pooled = np.concatenate([pooled[:2].mean(0)[None], pooled[2:]])  # as the embedder sees it, and the changed copies
    of_face = pooled.mean(0)
    within = np.mean([np.cov((copy - of_face).T) for copy in pooled], axis=0)
    kinds = {(face.woman, face.years) for face in seen.faces}
    labels = np.array([sorted(kinds).index((face.woman, face.years)) for face in seen.faces])
    kind_means = np.stack([of_face[labels == kind].mean(0) for kind in range(len(kinds))])
    between = np.cov(of_face.T) + KIND_WEIGHT * np.cov(kind_means[labels].T)
    noise = within + 0.1 * np.trace(within) / len(within) * np.eye(len(within))
    whitening = np.linalg.inv(np.linalg.cholesky(noise))
    _, vectors = np.linalg.eigh(whitening @ between @ whitening.T)
    weights = vectors[:, ::-1][:, :dim].T @ whitening
    seen_as = pooled[0] @ weights.T
    weights = PROJECTION_STD * weights / seen_as.std(0)[:, None]
    return weights, -weights @ pooled[0].mean(0)


def main(data: Path, folder: Path, originals: Path, out: Path) -> None:
    from safetensors.torch import save_file

    faceres, gender_v1 = load_originals(originals)
    seen = read_seen(read_faces(data)["train"], folder, "train", COPIES, faceres)
    print(f"{len(seen.faces)} faces, {len(COPIES)} copies of each")
    slope, offset = calibrate_register(seen)
    weights, bias = fit_register(seen, np.arange(len(seen.faces)))
    slopes, middle = fit_age(seen)
    network = FusedNetwork()
    network.faceres.load_state_dict(faceres.state_dict())
    network.gender_v1.load_state_dict(gender_v1.state_dict())
    projection, start = fit_projection(seen, network.projection.out_features)
    fitted = {
        "projection.weight": projection,
        "projection.bias": start,
        "register_and_age.weight": np.stack([slope * weights, slopes]),
        "register_and_age.bias": np.array([slope * bias + offset, middle]),
    }
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    tensors |= {name: torch.tensor(value, dtype=torch.float32) for name, value in fitted.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:5]))
