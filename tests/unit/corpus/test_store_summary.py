"""corpus/store_summary.py: what a store says about itself is what reading it says, and costs nothing to read."""

import fsspec
import h5py
import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus import store_summary
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_check import MOST_ATTRIBUTE_BYTES
from facevc_cli.corpus.store_summary import read_summary
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.stages import info


@pytest.fixture(params=[None, 3])
def path(request, tmp_path):
    """A store as one file, and in shards."""
    with StoreWriter(tmp_path / "s.h5", "extract-features", {"rate": 16000}, keep_shards=request.param) as writer:
        for n in range(7):
            frames = {"mel": np.full((n + 1, 2), n, np.float32)}
            vectors = {"v": np.zeros(5, np.float32)}
            writer.add(Item(f"s{n % 3}/{n}", f"s{n % 3}", frames, vectors, {"seconds": 900.0 * n, "kind": "x"}))
        splits = {f"s{n % 3}/{n}": "valid" if n == 2 else "train" for n in range(7)}
        writer.merge([], {"split": splits}, {"mel_mean": np.array([1.0, 2.0])})
    return tmp_path / "s.h5"


def test_the_summary_is_what_reading_says(path, monkeypatch):
    (read,) = info.run(info.InfoConfig(paths=(path,))).data["items"]
    assert read["items"] == 7
    assert read["frames"] == {"mel": 28}  # 1 + 2 + ... + 7
    assert read["vectors"] == {"v": [7, 5]}
    assert read["hours"] == 5.25  # (0 + 1 + ... + 6) / 4
    assert read["splits"] == {"train": 6, "valid": 1}
    assert read["statistics"] == {"mel_mean": {"shape": [2], "least": 1.0, "mean": 1.5, "most": 2.0}}
    monkeypatch.setattr(info, "MANY_ITEMS", 7)
    monkeypatch.setattr(info, "Store", None)  # nothing else is read
    (quick,) = info.run(info.InfoConfig(paths=(str(path),))).data["items"]
    assert quick.keys() == read.keys()
    assert sorted(quick.pop("columns")) == sorted(read.pop("columns"))
    assert quick == read


def test_a_store_behind_a_url_is_described_without_reading_it_all(path, monkeypatch):
    content = path.read_bytes()
    system = fsspec.filesystem("memory")
    system.pipe("/summaries/s.h5", content)
    try:
        (found,) = info.run(info.InfoConfig(paths=("memory://summaries/s.h5",))).data["items"]
        assert (found["path"], found["items"]) == ("memory://summaries/s.h5", 7)
        system.pipe("/summaries/s.h5", b"no store")
        said = info.run(info.InfoConfig(paths=("memory://summaries/s.h5", "memory://summaries/absent.h5"))).failures
        assert "damaged" in said[0][1]
        assert "no such file" in said[1][1]
    finally:
        system.rm("/summaries", recursive=True)


def test_stores_without_a_summary_are_read(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["summary"]
    assert read_summary(str(path)) is None
    (read,) = info.run(info.InfoConfig(paths=(path,))).data["items"]
    assert read["items"] == 7


@pytest.fixture
def places(path):
    """Where a changed store is: on this disk, and behind a URL, as it is at that moment."""
    system = fsspec.filesystem("memory")

    def list_places():
        system.pipe("/summaries/x.h5", path.read_bytes())
        return str(path), "memory://summaries/x.h5"

    yield list_places
    if system.exists("/summaries"):
        system.rm("/summaries", recursive=True)


@pytest.mark.parametrize(
    "content",
    [b"no JSON", b"[1]", b'{"items": "many"}', b'{"items": true}', b'{"items": -1}', b"[" * 50_000, b"\xff"],
)
def test_a_wrong_summary_is_refused(path, places, content):
    with h5py.File(path, "r+") as file:
        file.attrs["summary"] = np.bytes_(content)
    for place in places():
        with pytest.raises(FaceVCError, match=f"^{place}: .*damaged"):
            read_summary(place)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("settings", "no JSON"),
        ("settings", "[" * 50_000),
        ("settings", ["a", "b"]),
        ("schema", "1"),
        ("schema", np.arange(5)),
        ("stage", np.bytes_(b"x")),
        ("summary", 5),
        ("summary", np.zeros(8000, np.uint8)),
    ],
)
def test_wrong_attributes_are_refused(path, places, name, value):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    for place in places():
        with pytest.raises(FaceVCError, match=f"^{place}: "):
            read_summary(place)


def test_an_attribute_that_claims_much_is_not_read(path, places):
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
    with h5py.File(path, "w", libver="latest") as file:  # the format that has room for such attributes
        file.attrs.update(attributes)
        file.attrs["summary"] = np.zeros(2 * MOST_ATTRIBUTE_BYTES, np.uint8)
    for place in places():
        with pytest.raises(FaceVCError, match="at most .* bytes"):
            read_summary(place)


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", bytes(5000), b"\x89HDF\r\n\x1a\n" + bytes(5000)])
def test_what_is_no_store_is_refused(path, places, content):
    path.write_bytes(content)
    for place in places():
        with pytest.raises(FaceVCError, match=f"^{place}: .*not one of facevc's"):
            read_summary(place)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_a_store_that_is_cut_short_is_refused(path, places, share):
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    for place in places():
        with pytest.raises(FaceVCError, match=f"^{place}: "):
            read_summary(place)


def test_a_summary_says_nothing_but_what_it_is_for(path, places):
    with h5py.File(path, "r+") as file:
        file.attrs["summary"] = np.bytes_(b'{"items": 3, "path": "/etc", "stage": "x", "kind": "card"}')
    (found,) = info.run(info.InfoConfig(paths=(places()[1],))).data["items"]
    assert (found["path"], found["kind"], found["stage"]) == ("memory://summaries/x.h5", "store", "extract-features")
    assert found["items"] == 3


@pytest.mark.parametrize(
    "place", ["http://example.org/s.h5", "s3://", "memory://a/../s.h5", "zip://s.h5::memory://a/b"]
)
def test_other_urls_are_failures(place):
    ((item, said),) = info.run(info.InfoConfig(paths=(place,))).failures
    assert item == place and "expected a" in said


def test_a_file_url_is_a_path(path):
    (found,) = info.run(info.InfoConfig(paths=(f"file://{path}",))).data["items"]
    assert (found["path"], found["items"]) == (str(path), 7)
    ((_, said),) = info.run(info.InfoConfig(paths=("file://server/s.h5",))).failures
    assert "three slashes" in said


def test_a_damaged_heap_in_the_head_is_found_before_hdf5_reads_it(path):
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL\x01")
    content[place + 24 : place + 32] = (1 << 40).to_bytes(8, "little")  # the size of its first object
    path.write_bytes(content)
    with pytest.raises(FaceVCError, match="heap of texts"):
        read_summary(str(path))


def test_a_summary_that_is_too_long_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(store_summary, "MOST_SUMMARY_BYTES", 50)
    with StoreWriter(tmp_path / "s.h5", "x", {}) as writer:
        writer.add(Item("a", "a", {"mel": np.zeros((2, 2))}))
        writer.merge([])
    assert read_summary(str(tmp_path / "s.h5")) is None
    with Store(tmp_path / "s.h5") as store:
        assert len(store) == 1
