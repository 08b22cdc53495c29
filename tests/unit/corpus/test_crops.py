"""Crops: what is read, how it is normalised, and that a step's batch depends on nothing but seed and step."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.stores import TEACHER_DIM, UTTERANCES, VOICE_DIM, Stores, make_stores

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import CropBatches, CropReader, Voices, join_voices, read_utterance_weights
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter


def _batches(stores: Stores, crop_frames: int = 16, seed: int = 0, **options) -> CropBatches:
    features = Store(stores.features)
    return CropBatches(
        CropReader(features, crop_frames, False),
        join_voices(features, Store(stores.voices), "train"),
        5,
        seed,
        **options,
    )


def test_shares_no_utterance(tmp_path: Path, toy_stores: Stores):
    other = make_stores(tmp_path, utterances={"zoe/z": ("zoe", "train", 20)})
    with pytest.raises(FaceVCError, match=r"share no utterance of the split 'train'.*Extract both"):
        join_voices(Store(toy_stores.features), Store(other.voices), "train")


def test_an_utterance_of_no_frames_is_refused(tmp_path: Path):
    stores = make_stores(tmp_path, utterances={"a/1": ("a", "train", 20), "a/2": ("a", "train", 0)})
    with pytest.raises(FaceVCError, match=r"no frames"):
        CropReader(Store(stores.features), 8, False).read(1, np.random.default_rng(0))


@pytest.mark.parametrize("row", [{"weight": "often"}, {"weight": "-1"}])
def test_weights_that_are_no_weights(toy_stores: Stores, row: dict):
    with pytest.raises(FaceVCError, match=r"w.csv: expected"):
        read_utterance_weights(
            [{"utterance": "anna/a_1", **row}], Store(toy_stores.features), np.arange(4), Path("w.csv")
        )


def test_joined_by_id_and_split(toy_stores: Stores):
    features, voices = Store(toy_stores.features), Store(toy_stores.voices)
    joined = join_voices(features, voices, "train")
    assert [features.ids[i] for i in joined.rows] == [i for i, (_, split, _) in UTTERANCES.items() if split == "train"]
    assert joined.dvectors.shape == (4, VOICE_DIM)
    assert np.array_equal(joined.dvectors[2], voices.read_vectors("dvector")[voices.position["bert/b 1"]])
    assert joined.speakers[0] == joined.speakers[1] != joined.speakers[2]


def test_without_voices_all_utterances_of_the_split_count(toy_stores: Stores):
    features = Store(toy_stores.features)
    alone, joined = join_voices(features, None, "train"), join_voices(features, Store(toy_stores.voices), "train")
    assert np.array_equal(alone.rows, joined.rows) and np.array_equal(alone.speakers, joined.speakers)
    assert alone.dvectors.shape == (4, 0)
    drawn = CropBatches(CropReader(features, 16, False), alone, 5, 0)[3]
    assert torch.equal(drawn["mel"], _batches(toy_stores)[3]["mel"])
    with pytest.raises(FaceVCError, match=r"holds no utterance of the split 'test', and \d in all"):
        join_voices(features, None, "test")


def test_a_crop_is_normalised_and_contiguous(toy_stores: Stores):
    store = Store(toy_stores.features)
    item = CropReader(store, 41, False).read(0, np.random.default_rng(0))
    raw, f0 = store.read_frames("mel", 0), store.read_frames("f0", 0)
    expected = (raw - store.read_statistics("mel_mean")) / (store.read_statistics("mel_std") + 1e-8)
    assert np.allclose(item["mel"], expected, atol=1e-6) and item["mel"].dtype == np.float32
    voiced = f0 > 0
    assert abs(item["lf0"][voiced].mean()) < 1e-5 and abs(item["lf0"][voiced].std() - 1) < 1e-3
    assert (item["lf0"][~voiced] == 0).all()
    assert np.allclose(item["level"], [np.log(f0[voiced]).mean(), np.log(f0[voiced]).std()], atol=1e-5)


def test_short_utterances_are_tiled(toy_stores: Stores):
    item = CropReader(Store(toy_stores.features), 20, False).read(1, np.random.default_rng(0))
    assert np.array_equal(item["mel"][:9], item["mel"][9:18]) and np.array_equal(item["mel"][18:], item["mel"][:2])


def test_crops_reach_both_ends(toy_stores: Stores):
    reader, rng = CropReader(Store(toy_stores.features), 40, False), np.random.default_rng(0)
    starts = {reader.read(0, rng)["mel"][0, 0] for _ in range(40)}
    whole = CropReader(Store(toy_stores.features), 41, False).read(0, rng)["mel"]
    assert starts == {whole[0, 0], whole[1, 0]}


def test_content_is_cut_where_the_mel_is(tmp_path: Path):
    """The teacher's content counts its own frames: the crop must start at the same second as the mel's."""
    stores = make_stores(tmp_path, utterances={"a/1": ("a", "train", 200)}, teacher_dim=TEACHER_DIM)
    path = tmp_path / "counting.h5"
    with Store(stores.features) as old, StoreWriter(path, "extract-features", old.settings) as writer:
        item = old.read_item(0)
        item.frames["content"] = np.repeat(np.arange(100, dtype=np.float16)[:, None], TEACHER_DIM, 1)
        item.frames["mel"] = np.repeat(np.arange(200, dtype=np.float32)[:, None], 80, 1)
        writer.add(Item(item.id, item.speaker, item.frames, columns=item.columns))
        writer.merge([], statistics={"mel_mean": np.zeros(80, np.float32), "mel_std": np.ones(80, np.float32)})
    reader, rng = CropReader(Store(path), 60, True), np.random.default_rng(0)
    for _ in range(50):
        read = reader.read(0, rng)
        assert read["content"].shape == (30, TEACHER_DIM)
        assert abs(read["content"][0, 0] - read["mel"][0, 0] / 2) <= 1  # 50 Hz against 100 Hz
        assert abs(read["content"][-1, 0] - read["mel"][-1, 0] / 2) <= 1


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_tiny_utterances_have_content(tmp_path: Path, frames: int):
    stores = make_stores(tmp_path, "hifigan", {"a/1": ("a", "train", frames)}, teacher_dim=TEACHER_DIM)
    item = CropReader(Store(stores.features), 16, True).read(0, np.random.default_rng(0))
    assert item["mel"].shape == (16, 80) and item["content"].shape == (9, TEACHER_DIM)


def test_unvoiced_and_monotone_stay_finite_and_small(tmp_path: Path):
    """One voiced frame, or one F0 throughout, has no spread to divide by: rounding must not be blown up."""
    store = Store(make_stores(tmp_path / "s", utterances={"a/1": ("a", "train", 12)}).features)
    reader = CropReader(store, 12, False)
    for hertz in np.random.default_rng(0).uniform(60, 400, 60):
        f0 = np.full(12, hertz, np.float32)
        reader.level[0] = np.log(f0.astype(np.float64)).mean(), 0.0
        reader.store.read_frames = lambda name, *_, f0=f0: f0 if name == "f0" else np.zeros((12, 80), np.float32)  # type: ignore[method-assign]
        assert np.abs(reader.read(0, np.random.default_rng(0))["lf0"]).max() < 1e-3
    silent = make_stores(tmp_path / "u", utterances={"a/1": ("a", "train", 12)}, unvoiced=("a/1",))
    item = CropReader(Store(silent.features), 12, False).read(0, np.random.default_rng(0))
    assert (item["lf0"] == 0).all() and np.isfinite(item["level"]).all()


def test_a_batch_depends_on_seed_step_and_rank_alone(toy_stores: Stores):
    batches = _batches(toy_stores)
    late, early = batches[7], batches[3]
    again = _batches(toy_stores)[7]
    assert all(torch.equal(late[k], again[k]) for k in late)
    assert late["mel"].shape == (5, 16, 80) and late["lf0"].shape == (5, 16) and late["dvector"].shape == (5, VOICE_DIM)
    for other in (early, _batches(toy_stores, seed=1)[7], _batches(toy_stores, rank=1)[7]):
        assert not torch.equal(late["mel"], other["mel"])


def test_batches_travel_to_worker_processes(toy_stores: Stores):
    batches = _batches(toy_stores)
    expected = batches[2]
    assert torch.equal(pickle.loads(pickle.dumps(batches))[2]["mel"], expected["mel"])


def test_weights_are_shares(toy_stores: Stores):
    features = Store(toy_stores.features)
    table = [
        {"utterance": "anna/a_1", "weight": "3"},
        {"utterance": "anna/a-2", "weight": "0"},
        {"utterance": "unknown", "weight": "9"},
    ]
    weights = read_utterance_weights(table, features, np.arange(4), Path("w.csv"))
    assert weights.tolist() == [3, 0, 1, 1]
    batches = _batches(toy_stores, weights=weights)
    drawn = torch.cat([batches[i]["dvector"] for i in range(200)])
    shares = [(drawn == torch.from_numpy(v)).all(1).float().mean().item() for v in batches.voices.dvectors]
    assert np.allclose(shares, [0.6, 0, 0.2, 0.2], atol=0.06)


def test_the_other_speaker_is_another(toy_stores: Stores):
    features = Store(toy_stores.features)
    voices = join_voices(features, Store(toy_stores.voices), "train")
    faces = [np.array([int(s)]) for s in voices.speakers]
    batches = CropBatches(
        CropReader(features, 16, False),
        voices,
        4,
        0,
        faces=faces,
        face_embeddings=np.eye(4, dtype=np.float32),
        other_mel=True,
    )
    for step in range(20):
        batch = batches[step]
        assert (batch["face"].argmax(1) != batch["other_face"].argmax(1)).all()
        assert not (batch["dvector"] == batch["other_dvector"]).all(1).any()
        assert batch["other_mel"].shape == batch["mel"].shape and batch["other_level"].shape == (4, 2)
    alone = Voices(voices.rows[:2], voices.dvectors[:2], voices.speakers[:2])
    one = CropBatches(
        CropReader(features, 16, False), alone, 4, 0, faces=faces[:2], face_embeddings=np.eye(4, dtype=np.float32)
    )
    assert torch.equal(one[0]["face"], one[0]["other_face"])  # a single speaker still trains


def test_the_other_speaker_is_drawn_as_from_a_list_of_all_others(toy_stores: Stores):
    """The lists of earlier versions, written out, because batches must not change."""
    with Store(toy_stores.features) as features:
        rng = np.random.default_rng(0)
        speakers = rng.integers(0, 7, 60)
        voices = Voices(np.arange(60), np.zeros((60, 4)), speakers)
        batches = CropBatches(CropReader(features, 16, False), voices, 4, 0)
        for i in range(60):
            one, other = np.random.default_rng(i), np.random.default_rng(i)
            for _ in range(5):
                assert batches._draw_other(i, one) == other.choice(np.flatnonzero(speakers != speakers[i]))
            assert batches._find_own(i).tolist() == np.flatnonzero(speakers == speakers[i]).tolist()


def test_without_frames_only_vectors_are_read(toy_stores):
    features = Store(toy_stores.features)
    voices = join_voices(features, Store(toy_stores.voices), "train")
    faces = [np.array([0])] * len(voices.rows)
    batch = CropBatches(
        CropReader(features, 16, False),
        voices,
        4,
        0,
        faces=faces,
        face_embeddings=np.eye(2, dtype=np.float32),
        frames=False,
    )[0]
    assert "mel" not in batch and "lf0" not in batch
    assert {"level", "dvector", "face", "other_face", "other_dvector"} <= batch.keys()


def test_references_are_other_utterances_of_the_same_speaker(tmp_path: Path):
    """The log-mel of each utterance is one number, and each speaker's numbers have one tens digit."""
    utterances = {f"{s}/{i}": (s, "train", 40) for s in "ab" for i in range(3)}
    stores = make_stores(tmp_path, utterances=utterances | {"c/0": ("c", "train", 40)})
    batches = _batches(stores, references=True, partners={0: np.array([3]), 1: np.array([6])})
    number = {u: 10 * "abc".index(u[0]) + int(u[-1]) for u in batches.reader.store.ids}
    ids = batches.reader.store.ids
    batches.reader.read_mel_at = lambda row, first: np.full((16, 80), number[ids[row]], np.float32)
    seen = set()
    for step in range(40):
        batch = batches[step]
        own, reference = batch["mel"][:, 0, 0], batch["reference_mel"][:, 0, 0]
        assert torch.equal(own // 10, reference // 10)
        seen |= {(int(a) % 10, int(b) % 10) for a, b in zip(own, reference, strict=True) if a < 20}
        other, its = batch["aligned_mel"][:, 0, 0], batch["aligned_reference_mel"][:, 0, 0]
        assert torch.equal(other // 10, its // 10)
        assert batch["alone"].dtype == torch.bool
        assert torch.equal(batch["alone"], (own == 20) | (other == 20))  # the third speaker has one utterance
    assert seen == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert "reference_mel" not in _batches(stores)[0]
