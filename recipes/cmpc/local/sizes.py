"""sizes.py FACES.h5 VOICES.h5: the options of `facevc train` that say how large the stores' embeddings are."""

import sys
from pathlib import Path

from facevc_cli.corpus.store import Store


def main(faces_file: Path, voices_file: Path) -> None:
    with Store(faces_file, "extract-face") as faces, Store(voices_file, "extract-spkemb") as voices:
        face_dim, dvector_dim = faces.read_vectors("embedding").shape[1], voices.read_vectors("dvector").shape[1]
    sys.stdout.write(f"--set model.face_dim={face_dim} --set model.dvector_dim={dvector_dim}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
