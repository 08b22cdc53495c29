"""corpus/store.py: what comes back is what was put in, whatever is killed, cut short or asked for wrongly."""

import os
import pickle
import resource

import h5py
import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.store import Item, Store, hash_settings
from facevc_cli.corpus.store_writer import StoreWriter

SETTINGS = {"mel": "fvmvc", "rate": 16000}


def item(name: str, frames: int, seed: int = 0) -> Item:
    rng = np.random.default_rng([seed, frames])
    return Item(
        name,
        name.split("/")[0],
        {"mel": rng.normal(size=(frames, 3)).astype(np.float32), "f0": rng.normal(size=frames).astype(np.float32)},
        {"vector": rng.normal(size=4).astype(np.float32)},
        {"seconds": frames / 100, "kind": "é", "seen": frames},
    )


def same(a: Item, b: Item) -> bool:
    arrays = [(a.frames[n], b.frames[n]) for n in a.frames] + [(a.vectors[n], b.vectors[n]) for n in a.vectors]
    return (a.id, a.speaker, a.columns) == (b.id, b.speaker, b.columns) and all(np.array_equal(x, y) for x, y in arrays)


ODD_IDS = ["a/1", "b/with space", "ç/ü_-,\"'", "d/x\ny\rz", "e/[bold]:cat:", "f/1.2.3"]


def test_round_trip_in_order_with_odd_ids_and_dtypes(tmp_path):
    items = [item(name, 3 + i) for i, name in enumerate(ODD_IDS)]
    with StoreWriter(tmp_path / "s.h5", "extract-x", SETTINGS, shard_items=2) as writer:
        for one in reversed(items):
            writer.add(one)
        writer.merge(ODD_IDS, {"split": dict.fromkeys(ODD_IDS, "train")}, {"mean": np.arange(3.0)}, {"extra": "yes"})
    assert os.listdir(tmp_path) == ["s.h5"]
    with Store(tmp_path / "s.h5", "extract-x") as store:
        assert store.ids == ODD_IDS
        assert (store.settings, store.attributes["extra"]) == (SETTINGS, "yes")
        for i, one in enumerate(items):
            assert same(Item(**{**vars(one), "columns": {**one.columns, "split": "train"}}), store.read_item(i))
        assert np.array_equal(store.read_frames("mel", 2, 1, 3), items[2].frames["mel"][1:3])
        assert len(store.read_frames("mel", 2, 1, 99)) == 4  # never the neighbour's
        assert store.read_lengths("mel").tolist() == [3, 4, 5, 6, 7, 8]
        assert store.read_vectors("vector").shape == (6, 4)
        assert store.statistics_names == ["mean"]
        assert store.read_statistics("mean").tolist() == [0, 1, 2]


def test_frames_are_contiguous_on_disk(tmp_path):
    with StoreWriter(tmp_path / "s.h5", "x", {}) as writer:
        writer.add(item("a/1", 5))
        writer.merge(["a/1"])
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["frames/mel"].chunks is None


def test_killed_run_keeps_full_shards_and_resumes(tmp_path):
    path = tmp_path / "s.h5"
    writer = StoreWriter(path, "x", SETTINGS, shard_items=2)
    for i in range(5):
        writer.add(item(f"a/{i}", 2 + i))
    del writer  # killed: no flush, no merge
    resumed = StoreWriter(path, "x", SETTINGS, shard_items=2)
    assert resumed.done == {"a/0", "a/1", "a/2", "a/3"}
    with resumed:
        resumed.add(item("a/4", 6))
        resumed.merge([f"a/{i}" for i in range(5)])
    assert Store(path).ids == [f"a/{i}" for i in range(5)]
    assert same(Store(path).read_item(4), item("a/4", 6))


def test_a_shard_is_written_when_its_arrays_are_large(tmp_path):
    with StoreWriter(tmp_path / "s.h5", "test", {}, shard_bytes=250) as writer:
        for i in range(3):
            writer.add(Item(str(i), "a", {"crop": np.full((1, 5, 5, 4), i, np.uint8)}))
            assert len(list(writer.parts.glob("*.h5"))) == (0, 0, 1)[i]  # of 100, 200 and 300 bytes
        writer.add(Item("3", "a", {"crop": np.full((1, 5, 5, 4), 3, np.uint8)}))
        assert len(list(writer.parts.glob("*.h5"))) == 1  # it counts from 0 again
        writer.merge(["0", "1", "2", "3"])
    with Store(tmp_path / "s.h5") as store:
        assert [int(store.read_frames("crop", i).max()) for i in range(4)] == [0, 1, 2, 3]
        assert store.read_frames("crop", 3).dtype == np.uint8


def test_left_over_temporary_files_are_ignored(tmp_path):
    path = tmp_path / "s.h5"
    writer = StoreWriter(path, "x", SETTINGS, shard_items=1)
    writer.add(item("a/0", 2))
    (writer.parts / ".part-1.abcd.tmp.h5").write_bytes(b"half a part")
    assert StoreWriter(path, "x", SETTINGS).done == {"a/0"}


def test_a_store_that_was_left_half_merged_goes_with_the_next_merge(tmp_path):
    left, young = tmp_path / ".s.h5.0d00a6fa.tmp.h5", tmp_path / ".s.h5.0d00a6fb.tmp.h5"
    for path in (left, young):
        path.write_bytes(b"half a store")
    os.utime(left, (0, 0))
    with StoreWriter(tmp_path / "s.h5", "x", SETTINGS) as writer:
        writer.add(item("a/0", 2))
        writer.merge(["a/0"])
    assert not left.exists() and young.exists()  # another process may be writing the young one


def test_other_settings_are_refused_by_name_and_overwritten_on_demand(tmp_path):
    path = tmp_path / "s.h5"
    with StoreWriter(path, "x", SETTINGS) as writer:
        writer.add(item("a/0", 2))
        writer.merge(["a/0"])
    with pytest.raises(FaceVCError, match=r"rate: 16000 there, 22050 now.*--overwrite"):
        StoreWriter(path, "x", {**SETTINGS, "rate": 22050})
    with pytest.raises(FaceVCError, match="expected a store made by y, found one made by x"):
        StoreWriter(path, "y", SETTINGS)
    assert StoreWriter(path, "x", {**SETTINGS, "rate": 22050}, overwrite=True).done == set()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"expected a file's name, such as .*\.h5, found a folder"):
            StoreWriter(tmp_path, "x", SETTINGS, overwrite=overwrite)


def test_settings_hash_tells_any_difference():
    assert hash_settings({"a": 1, "b": 2}) == hash_settings({"b": 2, "a": 1})
    assert hash_settings({"a": 1}) != hash_settings({"a": 2})


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"\x89HDF\r\n\x1a\n" + bytes(40)])
def test_files_of_another_kind_are_refused(tmp_path, content):
    (tmp_path / "s.h5").write_bytes(content)
    with pytest.raises(FaceVCError, match="expected an HDF5 store"):
        Store(tmp_path / "s.h5")


def test_truncated_foreign_and_missing_stores_are_refused(tmp_path):
    path = tmp_path / "s.h5"
    with StoreWriter(path, "x", SETTINGS) as writer:
        writer.add(item("a/0", 500))
        writer.merge(["a/0"])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FaceVCError, match="truncated"):
        Store(path)
    with pytest.raises(FaceVCError, match="truncated"):
        StoreWriter(path, "x", SETTINGS)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(FaceVCError, match="schema none"):
        Store(tmp_path / "foreign.h5")
    with pytest.raises(FaceVCError, match="no such store"):
        Store(tmp_path / "absent.h5")


def test_unknown_names_say_what_there_is(tmp_path):
    with StoreWriter(tmp_path / "s.h5", "x", {}) as writer:
        writer.add(item("a/0", 2))
        writer.merge([])
    with Store(tmp_path / "s.h5") as store:
        for call, known in (
            (store.read_column, "kind"),
            (store.read_vectors, "vector"),
            (store.read_lengths, "mel"),
            (store.read_statistics, "Run the"),
        ):
            with pytest.raises(FaceVCError, match=known):
                call("absent")


def test_item_without_an_array_of_the_others_is_refused(tmp_path):
    for missing in ("frames", "vectors"):
        bare = item("a/1", 3)
        setattr(bare, missing, {})
        writer = StoreWriter(tmp_path / f"{missing}.h5", "x", {})
        writer.add(item("a/0", 2))
        writer.add(bare)
        with pytest.raises(FaceVCError, match="missing from 1 items"):
            writer.flush()


def test_columns_that_only_some_items_have_are_filled(tmp_path):
    with StoreWriter(tmp_path / "s.h5", "x", {}) as writer:
        writer.add(Item("a", "s"))
        writer.add(Item("b", "s", columns={"note": "ü", "count": 3}))
        writer.add(Item("c", "s"))
        writer.merge(["a", "b", "c"])
    with Store(tmp_path / "s.h5") as store:
        assert (store.read_column("note"), store.read_column("count")) == (["", "ü", ""], [0, 3, 0])


def test_store_is_pickled_without_its_handle(tmp_path):
    with StoreWriter(tmp_path / "s.h5", "x", {}) as writer:
        writer.add(item("a/0", 2))
        writer.merge([])
    store = Store(tmp_path / "s.h5")
    other = pickle.loads(pickle.dumps(store))
    assert other._file is None
    assert np.array_equal(other.read_frames("mel", 0), store.read_frames("mel", 0))


def test_more_parts_than_a_process_may_open_are_merged(tmp_path):
    ids = [f"a/{i:03}" for i in range(150)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(used + 90, hard), hard))
    try:
        with StoreWriter(tmp_path / "s.h5", "x", {}, shard_items=1) as writer:
            for identifier in ids:
                writer.add(Item(identifier, "a", vectors={"v": np.zeros(1)}))
            assert len(writer.list_readers()) == 150
            writer.merge(ids)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Store(tmp_path / "s.h5").ids == ids


def test_full_disk_while_renaming_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "s.h5"
    writer = StoreWriter(path, "x", SETTINGS, shard_items=1)
    writer.add(item("a/0", 2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FaceVCError, match="No space left on device"):
        writer.merge(["a/0"])
    assert not path.exists()
    monkeypatch.undo()
    assert StoreWriter(path, "x", SETTINGS).done == {"a/0"}
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5.parts"]


def test_the_content_hash_depends_on_the_items_and_not_on_the_shards(tmp_path):
    def write(name: str, shard_items: int, change: float = 0.0, order: tuple[int, ...] = (0, 1, 2)) -> str:
        with StoreWriter(tmp_path / name, "stage", {}, shard_items=shard_items) as writer:
            for i in range(3):
                frames = {"mel": np.full((i + 1, 2), i + change * (i == 2), np.float32)}
                writer.add(Item(f"u{i}", "s", frames, {"d": np.ones(3, np.float32)}, {"seconds": np.float32(i)}))
            writer.merge([f"u{i}" for i in order])
        return Store(tmp_path / name).content_sha256

    whole = write("a.h5", 64)
    assert len(whole) == 64 and write("b.h5", 1) == whole
    assert write("c.h5", 64, change=1e-6) != whole and write("d.h5", 64, order=(1, 0, 2)) != whole
