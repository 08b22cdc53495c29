"""Which faces go with which utterances."""

from pathlib import Path

import numpy as np
import pytest
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
