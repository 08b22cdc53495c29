"""The figures of imagined faces, each with its 95 % interval over voices.

| figure | what it is |
| --- | --- |
| register agrees | share of faces whose recalled voice has the register of the voice that they were imagined for |
| age difference | between what is read in the two voices, in years |
| cosine | of the recalled voice's d-vector and the voice's own |
| seen as the register | share of pictures that gender-v1 takes for the voice's register |
| age seen | how far the age that `fused` sees in the picture is from the age that was heard, in years |
| distance | between faces of two voices, by dlib's descriptor |
| cosine of voices | between the voices themselves |
| CPR, CPR faces | share of choices for the right voice, or face, in a listening test |
| Frechet distance | between the normal distributions of dlib's descriptors of imagined and real faces. It is no FID. |
| FID, LPIPS | by the user's networks: `networks` |
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from facevc_cli.evaluation.association.measures import average
from facevc_cli.evaluation.bootstrap import DRAWS, Figure, draw_counts, find_interval
from facevc_cli.evaluation.portraits.table import DrawnPortrait
from facevc_cli.voices.traits import load_trait_reader

BETTER = {
    "register agrees": "higher",
    "age difference": "lower",
    "cosine": "higher",
    "seen as the register": "higher",
    "age seen": "lower",
    "distance": "as real",
    "distance, one voice": "",
    "cosine of voices": "as real",
    "Frechet distance": "lower",
    "FID": "lower",
    "LPIPS": "as real",
    "CPR": "higher",
    "CPR faces": "higher",
}
MIDDLE = 0.5


def measure_round_trip(
    recalled: np.ndarray, voices: np.ndarray, owners: np.ndarray, seed: int = 0
) -> dict[str, Figure]:
    """Compares the voices that faces recall, (n, 256), with the voices that they were imagined for, (n, 256).

    owners: (n,) numbers of the voices, which the intervals draw again.
    """
    reader = load_trait_reader()
    back, own = (reader.read_all(torch.from_numpy(np.ascontiguousarray(v))).numpy() for v in (recalled, voices))
    agrees = ((back[:, 0] > MIDDLE) == (own[:, 0] > MIDDLE)).astype(float)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (recalled, voices)]
    values = {
        "register agrees": agrees,
        "age difference": np.abs(back[:, 1] - own[:, 1]).astype(float),
        "cosine": (unit[0] * unit[1]).sum(1).astype(float),
    }
    return {name: average(found, owners, seed) for name, found in values.items()}


def shuffle_voices(owners: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns for each face a face of another voice: (n,) numbers. Voices change in a ring, so that none stays."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.unique(owners))
    following = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return np.array([int(rng.choice(np.flatnonzero(owners == following[owner]))) for owner in owners.tolist()])


def measure_looks(portraits: Sequence[DrawnPortrait], owners: np.ndarray, seed: int = 0) -> dict[str, Figure]:
    """Averages what the judge saw, if the table has it."""
    figures = {}
    seen: Mapping[str, list[float | None]] = {
        "seen as the register": [one.fits_register for one in portraits],
        "age seen": [one.age_error_years for one in portraits],
    }
    for name, values in seen.items():
        known = np.array([value is not None for value in values])
        if known.any():
            found = np.array([value for value in values if value is not None], dtype=float)
            figures[name] = average(found, owners[known], seed)
    return figures


def measure_variety(descriptors: np.ndarray, owners: np.ndarray, seed: int = 0) -> dict[str, Figure]:
    """Mean distance between faces (n, 128) of two voices, and between faces of one voice, if there are several."""
    first, second = np.triu_indices(len(descriptors), 1)
    distances = np.linalg.norm(descriptors[first] - descriptors[second], axis=1).astype(float)
    same = owners[first] == owners[second]
    figures = {}
    if same.any():
        figures["distance, one voice"] = average(distances[same], owners[first][same], seed)
    if (~same).any():
        figures["distance"] = average_pairs(distances[~same], owners[first][~same], owners[second][~same], seed)
    return figures


def measure_voice_spread(voices: np.ndarray, owners: np.ndarray, seed: int = 0) -> dict[str, Figure]:
    """Mean cosine between the voices (n, 256), each counted once."""
    present, places = np.unique(owners, return_index=True)
    unit = voices[places] / np.linalg.norm(voices[places], axis=1, keepdims=True)
    first, second = np.triu_indices(len(present), 1)
    cosines = (unit[first] * unit[second]).sum(1).astype(float)
    return {"cosine of voices": average_pairs(cosines, first, second, seed)} if len(cosines) else {}


def compute_frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of the normal distributions with the means and covariances of (n, D) and (m, D).

    |mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2)), as Heusel et al. (2017) compute it for another network.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    first, second = (np.atleast_2d(np.cov(x.T, bias=True)) for x in (a, b))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    difference = a.mean(0) - b.mean(0)
    return float(difference @ difference + np.trace(first) + np.trace(second) - 2 * cross)


def measure_frechet(a: np.ndarray, b: np.ndarray) -> Figure:
    """`compute_frechet_distance` without an interval: with fewer faces it is larger, so draws would mislead."""
    return Figure(compute_frechet_distance(a, b), len(a), None, None)


def average_pairs(values: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int) -> Figure:
    """The mean over pairs. A pair of voices drawn k and l times counts k * l times."""
    present, numbers = np.unique(np.stack([first, second]), return_inverse=True)
    numbers = numbers.reshape(2, -1)
    sums, totals = np.zeros((2, len(present), len(present)))
    np.add.at(sums, (numbers[0], numbers[1]), values)
    np.add.at(totals, (numbers[0], numbers[1]), 1.0)
    counts = draw_counts(len(present), seed, DRAWS)
    top, bottom = (((counts @ cells) * counts).sum(1) for cells in (sums, totals))
    drawn = np.divide(top, bottom, out=np.full(len(counts), np.nan), where=bottom > 0)
    return Figure(float(values.mean()), len(values), *find_interval(drawn, len(present), True))
