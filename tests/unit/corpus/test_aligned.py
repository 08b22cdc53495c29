import numpy as np
import pytest
from helpers.stores import make_stores

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.aligned import find_partners
from facevc_cli.corpus.crops import CropBatches, CropReader, join_voices
from facevc_cli.corpus.store import Store
from facevc_cli.files.tables import write_table

UTTERANCES = {f"{who}/{text}": (who, "train", 40 + int(text)) for who in "abc" for text in "12"} | {
    "d/3": ("d", "train", 30)
}


@pytest.fixture
def stores(tmp_path):
    return make_stores(tmp_path / "s", utterances=UTTERANCES)


def table(pairs):
    return [{"utterance": utterance, "text_id": text} for utterance, text in pairs.items()]


def test_utterances_of_one_text_are_partners(stores, tmp_path):
    features = Store(stores.features)
    rows = np.arange(len(features))
    texts = {name: name[-1] for name in UTTERANCES if name != "c/2"}
    found = find_partners(table(texts), features, rows, tmp_path / "t.csv")
    names = {features.ids[row]: sorted(features.ids[other] for other in others) for row, others in found.items()}
    assert names == {
        "a/1": ["b/1", "c/1"],
        "b/1": ["a/1", "c/1"],
        "c/1": ["a/1", "b/1"],
        "a/2": ["b/2"],
        "b/2": ["a/2"],
    }
    two = np.array([features.position[name] for name in ("a/1", "b/1")])
    assert len(find_partners(table(texts), features, two, tmp_path)) == 2  # partners of another split do not count


def test_what_is_not_aligned_is_an_error(stores, tmp_path):
    features = Store(stores.features)
    rows = np.arange(len(features))
    with pytest.raises(FaceVCError, match=r"'x' have 41 to 42 frames.*not aligned"):
        find_partners(table({"a/1": "x", "b/2": "x"}), features, rows, tmp_path)
    for texts in ({}, {"a/1": "x"}, {"a/1": "x", "nobody": "x"}, {"a/1": "", "b/1": ""}):
        with pytest.raises(FaceVCError, match="no two utterances"):
            find_partners(table(texts), features, rows, tmp_path)


def test_a_crop_and_its_partners_are_the_same_frames(stores, tmp_path):
    features, voices = Store(stores.features), Store(stores.voices)
    joined = join_voices(features, voices, "train")
    partners = find_partners(table({name: name[-1] for name in UTTERANCES}), features, joined.rows, tmp_path)
    reader = CropReader(features, 12, False)
    batch = CropBatches(reader, joined, 24, 0, partners=partners)[3]
    plain = CropBatches(reader, joined, 24, 0)[3]
    assert set(batch) - set(plain) == {"aligned_mel", "aligned_dvector", "aligned_level", "aligned"}
    whole = {
        name: (features.read_frames("mel", row, 0, 99) - reader.mean) / reader.std
        for name, row in features.position.items()
    }
    seen = set()
    parts = (batch[name].numpy() for name in ("mel", "aligned_mel", "aligned_dvector", "aligned"))
    for mel, other, dvector, is_aligned in zip(*parts, strict=True):
        name, first = find_crop(whole, mel)
        partner, place = find_crop(whole, other)
        assert place == first and partner[-1] == name[-1] and (partner != name) == bool(is_aligned)
        assert np.array_equal(dvector, voices.read_vectors("dvector")[voices.position[partner]])
        seen.add(is_aligned)
    assert seen == {0.0, 1.0}  # d/3 has no partner


def find_crop(whole, crop):
    """(utterance, first frame) of a crop."""
    for name, mel in whole.items():
        for first in range(len(mel) - len(crop) + 1):
            if np.allclose(mel[first : first + len(crop)], crop, atol=1e-5):
                return name, first
    raise AssertionError("no such crop")


def test_written_tables_are_read(stores, tmp_path):
    path = tmp_path / "aligned.csv"
    write_table(path, table({"a/1": "x", "b/1": "x"}))
    from facevc_cli.files.tables import read_table

    features = Store(stores.features)
    assert len(find_partners(read_table(path, ("utterance", "text_id")), features, np.arange(len(features)), path)) == 2
