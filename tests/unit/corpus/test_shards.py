"""Stores in shards: the index reads as the merged store does, and opens nothing but its own shards."""

import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus import shards as shards_module
from facevc_cli.corpus.shard_index import join_texts, split_texts
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter

SETTINGS = {"rate": 16000}
IDS = [f"s{n % 3}/é {n}\n" for n in range(11)]


def item(name: str, seed: int = 0) -> Item:
    number = IDS.index(name)
    rng = np.random.default_rng([seed, number])
    return Item(
        name,
        name.split("/")[0],
        {
            "mel": rng.normal(size=(number + 2, 3)).astype(np.float32),
            "f0": rng.normal(size=number + 2).astype(np.float32),
        },
        {"vector": rng.normal(size=4).astype(np.float32)},
        {"seconds": number / 4, "kind": f"kind {number}", "source_sha256": f"{number:064x}"},
    )


def write(path, keep=None, ids=IDS, seed=0, **more):
    with StoreWriter(path, "extract-x", SETTINGS, keep_shards=keep, **more) as writer:
        for name in ids:
            if name not in writer.done or seed:
                writer.add(item(name, seed))
        writer.merge(
            sorted(IDS),
            {"split": {name: "valid" if name == IDS[4] else "train" for name in IDS}},
            {"mean": np.arange(3.0)},
            {"extra": "yes"},
        )


@pytest.fixture
def pair(tmp_path):
    """The same items as one file, and as four shards with an index."""
    write(tmp_path / "one.h5")
    write(tmp_path / "many.h5", 3)
    return tmp_path / "one.h5", tmp_path / "many.h5"


def change(path, edit):
    with h5py.File(path, "r+") as file:
        edit(file)


def put(name, values):
    def edit(file):
        del file[name]
        file[name] = values

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put("shards/file", join_texts(["../one.h5"] * 4)), "below the index's folder"),
        (put("shards/file", join_texts(["/etc/passwd"] * 4)), "below the index's folder"),
        (put("shards/file", join_texts(["a\\..\\b"] * 4)), "below the index's folder"),
        (put("shards/file", join_texts([""] * 4)), "below the index's folder"),
        (put("shards/content_sha256", join_texts(["0"])), "4 texts"),
        (put("shards/items", np.array([3, 3, 3])), "4 integers"),
        (put("index/shard", np.full(11, 4)), "0 to 3"),
        (put("index/shard", np.full(11, -1)), "0 to 3"),
        (put("index/row", np.full(11, 3)), "inside the shards"),
        (put("index/row", np.zeros(11)), "11 integers"),
        (put("index/length/mel", np.full(10, 1)), "11 integers"),
        (put("index/seconds", np.zeros(4)), "11 numbers"),
        (put("texts/id", np.frombuffer(b"a\0" * 11, np.uint8)), "differ"),
        (put("texts/id", np.frombuffer(b"a\0b", np.uint8)), "no end"),
        (put("texts/id", np.frombuffer(b"\xff\0", np.uint8)), "utf-8"),
        (put("texts/speaker", join_texts(["a"])), "11 texts"),
        (put("texts/id", np.zeros(3)), "bytes"),
        (lambda file: file.pop("texts"), "a group"),
        (lambda file: file.pop("index/row"), "one integer per item"),
        (lambda file: file.attrs.update(vector_names="[1]"), "JSON list"),
        (lambda file: file.attrs.update(shard_columns="{"), "JSON list"),
        (lambda file: file.update({"statistics/far": h5py.ExternalLink("one.h5", "/index/id")}), "link"),
    ],
)
def test_a_damaged_index_is_refused_on_opening(pair, edit, said):
    change(pair[1], edit)
    with pytest.raises(FaceVCError, match=said):
        Store(pair[1])


def test_a_shard_behind_a_link_that_leads_out_is_not_opened(pair, tmp_path):
    shard = sorted((tmp_path / "many.h5.shards").iterdir())[0]
    folder = tmp_path / "moved"
    folder.mkdir()
    index, parts = folder / "many.h5", folder / "many.h5.shards"
    shutil.copy(pair[1], index)
    shutil.copytree(tmp_path / "many.h5.shards", parts)
    (parts / shard.name).unlink()
    (parts / shard.name).symlink_to(shard)  # the very same content, but elsewhere
    with Store(index) as store, pytest.raises(FaceVCError, match="leads outside"):
        store.read_vectors("vector")


@pytest.mark.parametrize("how", ["lost", "other items", "other settings", "truncated"])
def test_a_shard_that_is_not_the_indexs_is_refused_when_it_is_read(pair, tmp_path, how):
    shard = sorted((tmp_path / "many.h5.shards").iterdir())[0]
    if how == "lost":
        shard.unlink()
    elif how == "truncated":
        os.truncate(shard, 500)
    elif how == "other items":
        write(tmp_path / "other.h5", ids=IDS[:3], seed=5)
        shutil.copy(tmp_path / "other.h5", shard)
    else:
        change(shard, lambda file: file.attrs.update(settings_hash="0" * 16))
    with Store(pair[1]) as store:  # opening the index opens no shard
        first, last = store.position[IDS[0]], store.position[IDS[10]]
        assert np.array_equal(store.read_frames("mel", last), item(IDS[10]).frames["mel"])
        with pytest.raises(FaceVCError, match=shard.name):
            store.read_frames("mel", first)


@pytest.mark.parametrize("kept_first", [True, False])
def test_one_file_and_shards_are_not_mixed(tmp_path, kept_first):
    path = tmp_path / "s.h5"
    write(path, 3 if kept_first else None, IDS[:4])
    if kept_first:  # a store that was begun in shards stays in shards
        write(path, None)
        with Store(path) as store:
            assert len(store.shard_files) == 3
            assert len(store) == 11
        return
    with pytest.raises(FaceVCError, match="without it"):
        write(path, 3)
    write(path, 3, overwrite=True)
    with Store(path) as store:
        assert len(store.shard_files) == 4


def test_parts_of_a_run_without_the_option_are_not_forgotten(tmp_path):
    with StoreWriter(tmp_path / "s.h5", "extract-x", SETTINGS) as writer:
        writer.add(item(IDS[0]))
    with pytest.raises(FaceVCError, match=r"s\.h5\.parts.*without it"):
        StoreWriter(tmp_path / "s.h5", "extract-x", SETTINGS, keep_shards=3)


def test_reads_as_the_merged_store_does(pair):
    with Store(pair[0], "extract-x") as one, Store(pair[1], "extract-x") as many:
        assert one.shard_files == []
        assert one.shard_numbers is None
        assert len(many.shard_files) == 4
        assert sorted(many.shard_numbers.tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
        assert many.ids == one.ids == sorted(IDS)
        assert many.speakers == one.speakers
        assert sorted(many.columns) == sorted(one.columns)
        for name in one.columns:
            assert many.read_column(name) == one.read_column(name), name
        assert many.frame_names == one.frame_names
        assert many.vector_names == one.vector_names
        assert np.array_equal(many.read_vectors("vector"), one.read_vectors("vector"))
        assert many.read_vectors("vector").dtype == np.float32
        assert many.statistics_names == ["mean"]
        assert np.array_equal(many.read_statistics("mean"), [0, 1, 2])
        assert many.attributes["extra"] == "yes"
        for name in one.frame_names:
            assert np.array_equal(many.read_lengths(name), one.read_lengths(name))
            for i in range(11):
                assert np.array_equal(many.read_frames(name, i), one.read_frames(name, i))
                assert np.array_equal(many.read_frames(name, i, 1, 99), one.read_frames(name, i, 1, 99))
        assert vars(many.read_item(4))["columns"] == vars(one.read_item(4))["columns"]


def test_few_shards_are_open_at_a_time_and_none_travels(pair, monkeypatch):
    monkeypatch.setattr(shards_module, "MOST_OPEN", 2)
    with Store(pair[1]) as store:
        opened = set()
        for i in [*range(11), *range(11)]:
            assert np.array_equal(store.read_frames("f0", i), item(store.ids[i]).frames["f0"])
            opened.add(store._shards.open_files)
        assert opened == {1, 2}
        copy = pickle.loads(pickle.dumps(store))
        assert copy._shards.open_files == 0
        assert np.array_equal(copy.read_frames("f0", 3), store.read_frames("f0", 3))
        copy.close()
        store.close()
        assert np.array_equal(store.read_vectors("vector")[3], item(store.ids[3]).vectors["vector"])  # opens again


def test_items_made_again_come_from_the_newest_shard_and_dead_shards_go(tmp_path):
    path = tmp_path / "s.h5"
    write(path, 3)
    before = set(os.listdir(tmp_path / "s.h5.shards"))
    with Store(path) as store:
        old = store.content_sha256
    write(path, 3, IDS[:4], seed=7)  # all of the first shard, and one of the second
    with Store(path) as store:
        assert store.content_sha256 != old
        for i, name in enumerate(store.ids):
            seed = 7 if name in IDS[:4] else 0
            assert np.array_equal(store.read_frames("mel", i), item(name, seed).frames["mel"])
    after = set(os.listdir(tmp_path / "s.h5.shards"))
    assert len(before - after) == 1
    assert len(after) == 5


def test_a_killed_run_goes_on_and_says_when_it_is_complete(tmp_path):
    path = tmp_path / "s.h5"
    writer = StoreWriter(path, "extract-x", SETTINGS, keep_shards=2)
    for name in IDS[:5]:
        writer.add(item(name))
    del writer  # killed: the fifth was not written yet
    with StoreWriter(path, "extract-x", SETTINGS, keep_shards=2) as writer:
        assert writer.done == set(IDS[:4])
        assert not writer.is_complete
        for name in IDS[4:]:
            writer.add(item(name))
        writer.merge(IDS)
        assert writer.is_complete
    with Store(path) as store:
        assert store.ids == IDS
        assert "split" not in store.columns


def test_columns_that_only_some_shards_have_are_filled(tmp_path):
    items = [item(name) for name in IDS[:4]]
    items[0].columns = {"seconds": 1, "kind": "a"}
    items[1].columns = {"count": 3}
    items[2].columns = {"seconds": 0.5}
    items[3].columns = {"seconds": 2}
    with StoreWriter(tmp_path / "s.h5", "extract-x", SETTINGS, keep_shards=1) as writer:
        for one in items:
            writer.add(one)
        writer.merge(IDS[:4])
    with Store(tmp_path / "s.h5") as store:
        assert store.read_column("seconds") == [1, 0, 0.5, 2]
        assert store.read_column("kind") == ["a", "", "", ""]
        assert store.read_column("count") == [0, 3, 0, 0]


@pytest.mark.parametrize("texts", [[], [""], ["", "a", ""], ["é\n", "漢"]])
def test_texts_come_back(texts):
    assert split_texts(join_texts(texts)) == texts
