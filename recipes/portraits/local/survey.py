"""survey.py DATA FACES.h5 OUT.npz MOST: landmarks and measures of adults of DATA/faces.csv that training may see.

MOST: of each register and age bin.

FACES.h5 has the face embeddings by `fused`. The pictures are cut to a face as FairFace's are, so none is searched.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
from faces import Face, cut_frame, measure_face, read_adults

from facevc_cli.corpus.store import Store
from facevc_cli.faces.landmarks import LandmarkFinder
from facevc_cli.files.image import load_image

BATCH = 16
BOX = (0.07, 0.07, 0.87, 0.87)  # of FairFace's crops: where the face is, as a share of the picture


def choose_faces(faces: list[Face], most: int) -> list[Face]:
    """Returns the first `most` faces of each register and age bin."""
    counts: Counter[tuple[str, float]] = Counter()
    chosen = []
    for face in faces:
        counts[face.gender, face.years] += 1
        if counts[face.gender, face.years] <= most:
            chosen.append(face)
    return chosen


def main(data: Path, store: Path, out: Path, most: int) -> None:
    with Store(store) as faces:
        known = {Path(path).stem for path in faces.read_column("path")}
    finder, adults = LandmarkFinder(), read_adults(data)
    chosen = choose_faces([face for face in adults if face.path.stem in known], most)
    names, landmarks, rows = [], [], []
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        pictures = [load_image(face.path) for face in batch]
        boxes = [np.array(BOX, np.float32) * (2 * picture.shape[1::-1]) for picture in pictures]
        for face, picture, found in zip(batch, pictures, finder.find_many(pictures, boxes), strict=True):
            frame, points = cut_frame(picture, found.points)
            measures = measure_face(frame, points, found)
            names.append(face.name)
            landmarks.append(found.points)
            rows.append(list(measures.values()))
        if start % 320 == 0:
            print(f"{start} of {len(chosen)} faces", file=sys.stderr, flush=True)
    np.savez(
        out,
        names=np.array(names),
        landmarks=np.array(landmarks, np.float32),
        measures=np.array(rows, np.float32),
        columns=np.array(list(measures)),
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]))
