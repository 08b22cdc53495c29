"""pair.py FACES.h5 VOICES.h5 PEOPLE.csv OUT.csv: join faces with voices of other people, as pseudo-pairs.

The faces and the voices belong to different people, so no table can say which belong together. A face is joined with a
speaker of the same gender and, if both ages are known, of similar age. Within such a group the assignment is a
CONVENTION. Principal components of the face embeddings are mapped to principal components of the d-vectors, so that
similar faces get similar voices. A model can learn nothing about a real person's voice beyond gender and age.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from facevc_cli.corpus.store import Store

CLEAN = ("librispeech", "vctk", "speechocean762")  # a noisy voice would be a noisy target
COMPONENTS = 4
AGES = ("0-19", "20-39", "40-59", "60+")
AGE_PENALTY = 3.0  # for one bin of distance, in squared standard deviations


def whiten(vectors: np.ndarray) -> np.ndarray:
    """(n, d) -> (n, COMPONENTS) principal components of unit variance.

    The largest entry of each axis fixes its sign.
    """
    centred = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = (
        axes[:COMPONENTS]
        * np.sign(axes[:COMPONENTS][np.arange(COMPONENTS), np.abs(axes[:COMPONENTS]).argmax(1)])[:, None]
    )
    projected = centred @ axes.T
    return projected / projected.std(0)


def main(faces_file: Path, voices_file: Path, people_file: Path, out: Path) -> None:
    with open(people_file, newline="", encoding="utf-8") as file:
        people = {(row["kind"], row["name"]): row for row in csv.DictReader(file)}
    faces, voices = Store(faces_file, "extract-face"), Store(voices_file, "extract-spkemb")
    embeddings, dvectors = faces.read_vectors("embedding"), voices.read_vectors("dvector")
    rows = []
    for gender in ("female", "male"):
        shown = [i for i, name in enumerate(faces.ids) if people[("face", name)]["gender"] == gender]
        heard = sorted(
            {
                s
                for s in voices.speakers
                if people[("voice", s)]["gender"] == gender and people[("voice", s)]["corpus"] in CLEAN
            }
        )
        of_speaker = {s: dvectors[[i for i, t in enumerate(voices.speakers) if t == s]].mean(0) for s in heard}
        face_axes, voice_axes = whiten(embeddings[shown]), whiten(np.stack([of_speaker[s] for s in heard]))
        cost = ((face_axes[:, None] - voice_axes[None]) ** 2).sum(-1)
        for i, face in enumerate(shown):
            for j, speaker in enumerate(heard):
                ages = people[("face", faces.ids[face])]["age"], people[("voice", speaker)]["age"]
                if all(ages):
                    cost[i, j] += AGE_PENALTY * abs(AGES.index(ages[0]) - AGES.index(ages[1]))
        repeats = -(-len(shown) // len(heard))
        chosen_faces, chosen_voices = linear_sum_assignment(np.tile(cost, (1, repeats)))
        rows += [
            {"speaker": heard[j % len(heard)], "face": faces.ids[shown[i]]}
            for i, j in zip(chosen_faces, chosen_voices, strict=True)
        ]
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["speaker", "face"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
