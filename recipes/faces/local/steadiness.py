"""steadiness.py DATA [--count N]: whether `fused` reads a changed picture of a face as it reads the picture; its time.

It takes N faces of the held-out list, through the installed embedders. A mirror image, and a picture that is tilted,
darker or smaller (augment.py), should give the same register, nearly the same age and a near embedding: nearer than
other faces are.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from augment import augment
from tables import read_faces

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceAnalyser
from facevc_cli.faces.reading import read_age, read_register
from facevc_cli.files.image import load_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=150)
    given = parser.parse_args()
    faces = read_faces(given.data)["held_out"]
    chosen = [faces[i] for i in np.random.default_rng(0).permutation(len(faces))[: given.count]]
    dlib, fused = FaceAnalyser(), FaceAnalyser(embedder="fused")
    seconds: dict[str, list[float]] = {"dlib": [], "fused": []}
    kept, mirrored, changed = [], [], []
    for i, face in enumerate(chosen):
        image = load_image(face.path)
        try:
            seen = measure_time(fused, image, seconds["fused"])
            other, _ = augment(image, seen.box, np.random.default_rng([i, 9]))
            pair = [fused.analyse(np.ascontiguousarray(picture)).embedding for picture in (image[:, ::-1], other)]
        except FaceVCError:
            continue
        if i % 5 == 0:
            measure_time(dlib, image, seconds["dlib"])
            measure_time(fused, image, seconds["fused"])
        kept.append(seen.embedding)
        mirrored.append(pair[0])
        changed.append(pair[1])
    picture, spread = np.stack(kept), np.stack(kept).std(0)
    print(f"| {len(kept)} held-out faces | same register | age apart, years | nearest to its own picture |")
    print("| --- | --- | --- | --- |")
    for label, others in (("mirror image", np.stack(mirrored)), ("tilted, darker, smaller", np.stack(changed))):
        same = np.mean((read_register(others) > 0.5) == (read_register(picture) > 0.5))
        years = np.mean(np.abs(read_age(others) - read_age(picture)))
        apart = np.linalg.norm((others[:, None] - picture[None]) / spread, axis=2)
        own = np.mean(apart.argmin(1) == np.arange(len(kept)))
        print(f"| {label} | {same:.3f} | {years:.1f} | {own:.3f} |")
    for name, times in seconds.items():
        print(f"{name}: {1000 * np.median(times):.0f} ms of CPU for one face, with finding it")


def measure_time(analyser: FaceAnalyser, image: np.ndarray, seconds: list[float]):
    start = time.process_time()
    found = analyser.analyse(image)
    seconds.append(time.process_time() - start)
    return found


if __name__ == "__main__":
    main()
