"""features.py DATA OUT SET COPY...: what the frozen parts of the networks see in each face of a set.

SET is train, held_out or pairs. COPY 0 is the picture, 1 its mirror image, from 2 on changed pictures (augment.py).
OUT/SET.npz has names, boxes and dlib's descriptors; OUT/SET-COPY.maps.npy what faceres' last block gets; and
OUT/SET-COPY.hidden.npy the hidden layer and the logits of gender-v1. A face that was not found is NaN.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from augment import augment
from tables import LabelledFace, read_faces

from facevc_cli.faces.analyser import FaceAnalyser, NoFaceError
from facevc_cli.faces.crops import cut_level, find_landmarks
from facevc_cli.faces.embedders.fused import CROP_PX, SMALL_CROP_PX, SMALL_PADDING
from facevc_cli.faces.networks import faceres, gender_v1
from facevc_cli.files.image import load_image


def load_originals(path: Path) -> tuple[faceres.Faceres, gender_v1.GenderV1]:
    """Reads what convert.py wrote."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    networks = []
    for name, network in (("faceres", faceres.Faceres()), ("gender_v1", gender_v1.GenderV1())):
        state = {key[len(name) + 1 :]: value.float() for key, value in tensors.items() if key.startswith(f"{name}.")}
        network.load_state_dict(state)
        networks.append(network.eval().requires_grad_(False))
    return networks[0], networks[1]


def describe(faces: list[LabelledFace], path: Path) -> dict[str, np.ndarray]:
    """Finds and describes each face with dlib, or reads what an earlier call found."""
    if path.exists():
        return dict(np.load(path))
    analyser = FaceAnalyser()
    boxes, descriptors = np.full((len(faces), 4), np.nan, np.float32), np.full((len(faces), 128), np.nan, np.float32)
    for i, face in enumerate(faces):
        try:
            found = analyser.analyse(load_image(face.path))
        except NoFaceError:
            continue
        if found.turns == 0:
            boxes[i], descriptors[i] = found.box, found.embedding
    temporary = path.with_name(f".{path.name}")  # it ends in .npz, so numpy keeps the name
    np.savez(temporary, names=np.array([face.name for face in faces]), boxes=boxes, descriptors=descriptors)
    os.replace(temporary, path)
    return dict(np.load(path))


def see(faces: list[LabelledFace], boxes: np.ndarray, copy: int, out: Path, originals: Path) -> None:
    """Writes the maps and hidden layers of one copy of each face."""
    network, gender = load_originals(originals)
    side = CROP_PX // 32
    maps = np.full((len(faces), faceres.POOLED_DIM, side, side), np.nan, np.float16)
    hidden = np.full((len(faces), gender_v1.HIDDEN_DIM + 2), np.nan, np.float32)
    for i, (face, box) in enumerate(zip(faces, boxes, strict=True)):
        if np.isnan(box[0]):
            continue
        image = load_image(face.path)
        if copy > 1:
            image, box = augment(image, box, np.random.default_rng([i, copy]))
        landmarks = find_landmarks(image, box)
        crop = cut_level(image, landmarks, CROP_PX)
        small = cut_level(image, landmarks, SMALL_CROP_PX, SMALL_PADDING)
        if copy == 1:
            crop, small = crop[:, ::-1], small[:, ::-1]
        with torch.inference_mode():
            maps[i] = network.see_last_map(to_pixels(crop))[0].numpy()
            hidden[i] = torch.cat(gender(to_pixels(small)), 1)[0].numpy()
    np.save(f"{out}.maps.npy", maps)
    np.save(f"{out}.hidden.npy", hidden)


def to_pixels(crop: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32))


def main(data: Path, out: Path, name: str, copies: list[int]) -> None:
    faces = read_faces(data).get(name, [])
    boxes = describe(faces, out / f"{name}.npz")["boxes"]
    for copy in copies:
        if not (out / f"{name}-{copy}.hidden.npy").exists():
            see(faces, boxes, copy, out / f"{name}-{copy}", out.parent / "originals.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], [int(copy) for copy in sys.argv[4:]])
