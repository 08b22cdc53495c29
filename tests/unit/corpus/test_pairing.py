"""Which faces go with which utterances."""

from pathlib import Path

import numpy as np
import pytest
from helpers.folders import NFC, NFD
from helpers.stores import FACE_DIM, Stores, make_faces

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.pairing import pair_faces
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter

ROWS = np.arange(4)


def _faces(path: Path, people: list[str]) -> Store:
    make_faces(path, people, FACE_DIM, np.random.default_rng(0))
    return Store(path)


def test_strangers_are_refused_with_advice(tmp_path: Path, toy_stores: Stores):
    features, faces = Store(toy_stores.features), _faces(tmp_path / "f.h5", ["zoe"])
    with pytest.raises(FaceVCError, match=r"no utterance has a face.*'anna/a_1'.*'zoe/face'.*Pass --pairs"):
        pair_faces(features, ROWS, faces, None)
    with pytest.raises(FaceVCError, match=r"names faces that the store lacks, such as 'nobody'"):
        pair_faces(features, ROWS, faces, [{"speaker": "anna", "face": "nobody"}])
    with pytest.raises(FaceVCError, match=r"names none of these utterances or their speakers but, for example, 'ann'"):
        pair_faces(features, ROWS, faces, [{"speaker": "ann", "face": "zoe"}])


def test_the_same_person(toy_stores: Stores):
    features, faces = Store(toy_stores.features), Store(toy_stores.faces)
    pairs = pair_faces(features, ROWS, faces, None)
    assert {features.ids[r]: [faces.ids[f] for f in found] for r, found in pairs.items()} == {
        "anna/a_1": ["anna/face"],
        "anna/a-2": ["anna/face"],
        "bert/b 1": ["bert/face"],
        "cleo/ç.1": ["cleo/face"],
    }


def test_the_same_clip_comes_first(tmp_path: Path, toy_stores: Stores):
    with StoreWriter(tmp_path / "f.h5", "extract-face", {}) as writer:
        for name in ("anna/a_1", "anna/other"):
            writer.add(Item(name, "anna", vectors={"embedding": np.zeros(FACE_DIM, np.float32)}))
        writer.merge([])
    faces = Store(tmp_path / "f.h5")
    pairs = pair_faces(Store(toy_stores.features), ROWS, faces, None)
    assert [faces.ids[i] for i in pairs[0]] == ["anna/a_1"]
    assert sorted(faces.ids[i] for i in pairs[1]) == ["anna/a_1", "anna/other"]
    assert set(pairs) == {0, 1}  # those without a face are left out


def test_a_table_joins_what_is_not_the_same(tmp_path: Path, toy_stores: Stores):
    features, faces = Store(toy_stores.features), _faces(tmp_path / "f.h5", ["x", "y"])
    table = [
        {"utterance": "anna/a_1", "speaker": "", "face": "x/face"},
        {"utterance": "", "speaker": "anna", "face": "y"},
        {"utterance": "", "speaker": "bert", "face": "x"},
        {"utterance": "", "speaker": "bert", "face": "y/face"},
    ]
    pairs = pair_faces(features, ROWS, faces, table)
    assert {r: [faces.ids[i] for i in found] for r, found in pairs.items()} == {
        0: ["x/face"],
        1: ["y/face"],
        2: ["x/face", "y/face"],
    }


def test_stores_of_two_systems_are_joined_by_names_that_look_the_same(tmp_path):
    for name, written in (("features", NFD), ("faces", NFC)):
        with StoreWriter(tmp_path / f"{name}.h5", name, {}) as writer:
            writer.add(Item(f"{written}/1", written, vectors={"embedding": np.zeros(2)}))
            writer.merge([])
    with Store(tmp_path / "features.h5") as features, Store(tmp_path / "faces.h5") as faces:
        assert features.ids == faces.ids == [f"{NFC}/1"]
        for table in (None, [{"face": NFD, "speaker": NFC}], [{"face": f" {NFD}/1", "utterance": f"{NFC}/1 "}]):
            assert {row: found.tolist() for row, found in pair_faces(features, np.arange(1), faces, table).items()} == {
                0: [0]
            }


def test_a_clip_with_a_picture_beside_it_keeps_its_faces(tmp_path):
    with StoreWriter(tmp_path / "features.h5", "features", {}) as writer:
        for name in ("IMG_1", "IMG_2", "IMG_3"):
            writer.add(Item(f"ann/{name}", "ann", vectors={"x": np.zeros(2)}))
        writer.merge([])
    with StoreWriter(tmp_path / "faces.h5", "faces", {}) as writer:
        for name in ("IMG_1.heic", "IMG_1.mov", "IMG_2"):
            writer.add(Item(f"ann/{name}", "ann", vectors={"embedding": np.zeros(2)}))
        writer.merge([])
    with Store(tmp_path / "features.h5") as features, Store(tmp_path / "faces.h5") as faces:
        pairs = pair_faces(features, np.arange(3), faces, None)
        assert {features.ids[row]: [faces.ids[i] for i in found.tolist()] for row, found in pairs.items()} == {
            "ann/IMG_1": ["ann/IMG_1.heic", "ann/IMG_1.mov"],
            "ann/IMG_2": ["ann/IMG_2"],
            "ann/IMG_3": ["ann/IMG_1.heic", "ann/IMG_1.mov", "ann/IMG_2"],
        }
