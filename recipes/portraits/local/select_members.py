"""select_members.py DATA FACES.h5 SURVEY.npz OUT.json [--composites N] [--members N]: who is averaged with whom.

Faces are kept if they are seen from the front, sharp, well lit, without glasses and with the mouth nearly closed. Each
composite begins with a face that is far from those chosen before, in its register and age bin. Its members are the
nearest ones by dlib's descriptor, of the same labels where there are enough.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from faces import AGES, Face, read_adults

from facevc_cli.corpus.store import Store

# measure: least, most
LIMITS = {
    "confidence": (0.95, 1),
    "disagreement": (0, 0.11),
    "yaw": (-20, 20),
    "pitch": (-24, 14),
    "pixels": (58, 1e3),
    "brightness": (48, 200),
    "overexposed": (0, 0.03),
    "lopsided": (0, 0.5),
    "contrast": (0.1, 0.62),
    "sharpness": (0.022, 0.12),
    "warmth": (0.15, 1.2),
    "mouth_open": (-1, 0.15),
    "bridge": (0, 0.16),
    "rims": (0, 0.3),
}
MOST_SHARED = 0.55  # of the members of two composites
GROUP, AGE, SMILE, POSE = 0.12, 0.05, 0.02, 0.02  # costs beside the squared distance


def read_table(data: Path, store: Path, survey: Path) -> tuple[list[Face], np.ndarray, dict[str, np.ndarray]]:
    """Returns the surveyed faces, their descriptors (n, 162) and their measures."""
    seen = np.load(survey)
    faces = {face.name: face for face in read_adults(data)}
    chosen = [faces[name] for name in seen["names"]]
    with Store(store) as found:
        rows = {Path(path).stem: i for i, path in enumerate(found.read_column("path"))}
        vectors = found.read_vectors("embedding")
    descriptors = np.stack([vectors[rows[face.path.stem]] for face in chosen])
    return chosen, descriptors, dict(zip(seen["columns"], seen["measures"].T, strict=True))


def keep_usable(measures: dict[str, np.ndarray]) -> np.ndarray:
    """Returns which faces are within the limits, and prints how many each limit leaves out."""
    kept = np.ones(len(measures["yaw"]), bool)
    for name, (least, most) in LIMITS.items():
        within = (measures[name] >= least) & (measures[name] <= most)
        print(f"{name}: {int((~within).sum())} of {len(within)} outside {least} to {most}")
        kept &= within
    print(f"{int(kept.sum())} faces are usable")
    return kept


def group_faces(
    faces: list[Face], descriptors: np.ndarray, measures: dict[str, np.ndarray], composites: int, members: int
) -> list[dict[str, object]]:
    years = np.array([min(face.years, 65.0) for face in faces])
    women = np.array([face.gender == "female" for face in faces])
    groups = np.array([face.group for face in faces])
    identity = descriptors[:, :128]
    bins = sorted({min(age, 65.0) for age in AGES.values()})
    per_bin = composites // (2 * len(bins))
    made: list[dict[str, object]] = []
    for woman in (True, False):
        for age in bins:
            pool = np.flatnonzero((women == woman) & (years == age))
            near = np.flatnonzero((women == woman) & (np.abs(years - age) <= 10))
            if not len(pool):
                continue
            used: list[set[int]] = []
            distance = np.full(len(pool), np.inf)
            seed = int(np.argmin(((identity[pool] - identity[pool].mean(0)) ** 2).sum(1)))
            for _ in range(4 * per_bin):
                if len(used) == per_bin:
                    break
                face = pool[seed]
                cost = ((identity[near] - identity[face]) ** 2).sum(1) + GROUP * (groups[near] != groups[face])
                cost += AGE * ((years[near] - age) / 10) ** 2
                cost += SMILE * ((measures["smile"][near] - np.median(measures["smile"])) / 0.06) ** 2
                cost += POSE * ((measures["yaw"][near] ** 2 + measures["pitch"][near] ** 2) / 100)
                chosen = near[np.argsort(cost, kind="stable")[:members]]
                if all(len(set(chosen) & other) <= MOST_SHARED * members for other in used):
                    used.append(set(chosen))
                    made.append(
                        {
                            "register": "female" if woman else "male",
                            "age": float(np.mean([faces[i].years for i in chosen])),
                            "group": str(groups[face]),
                            "members": [faces[i].name for i in chosen],
                        }
                    )
                    centre = identity[chosen].mean(0)
                    distance = np.minimum(distance, ((identity[pool] - centre) ** 2).sum(1))
                distance[seed] = -1
                seed = int(np.argmax(distance))
            print(f"{'women' if woman else 'men'} of {age:.0f}: {len(pool)} faces, {len(used)} composites")
    return made


def main(arguments: argparse.Namespace) -> None:
    faces, descriptors, measures = read_table(arguments.data, arguments.store, arguments.survey)
    kept = np.flatnonzero(keep_usable(measures))
    made = group_faces(
        [faces[i] for i in kept],
        descriptors[kept],
        {name: values[kept] for name, values in measures.items()},
        arguments.composites,
        arguments.members,
    )
    arguments.out.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("data", "store", "survey", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--composites", type=int, default=160)
    parser.add_argument("--members", type=int, default=13)
    main(parser.parse_args())
