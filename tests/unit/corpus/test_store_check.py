"""corpus/store.py and corpus/store_check.py: damaged and hostile stores.

Each is refused in words, by its file and the place, or read in full.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.damage import mutate
from helpers.stores import Stores

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.files.steady import SteadyFile
from facevc_cli.stages.info import InfoConfig
from facevc_cli.stages.info import run as info

MUTATIONS, GROUPS_OF = 60, 3


def read_all(path: Path) -> None:
    """Everything that a command may ask of a store."""
    with Store(path) as store:
        for index in range(len(store)):
            store.read_item(index)
        for name in store.statistics_names:
            store.read_statistics(name)


@pytest.mark.parametrize("group", range(GROUPS_OF))
def test_damaged_copies(toy_stores: Stores, tmp_path, group):
    whole = (toy_stores.features, toy_stores.voices, toy_stores.faces)[group].read_bytes()
    path, refused = tmp_path / "s.h5", 0
    for seed in range(MUTATIONS // GROUPS_OF):
        path.write_bytes(mutate(whole, 1000 * group + seed))
        started = time.monotonic()
        found = info(InfoConfig(paths=(path,)))
        json.dumps(found.data, allow_nan=False)
        assert [name for name, _ in found.failures] in ([], [str(path)])
        try:
            read_all(path)
        except FaceVCError as error:
            assert str(path) in str(error)
            refused += 1
        assert time.monotonic() - started < 10
    assert refused >= MUTATIONS // GROUPS_OF // 4  # a good part of the damage is seen


def _replace(where: str, value: object, **how: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if where in file:
            del file[where]
        if value is not None:
            file.create_dataset(where, data=value, **how)

    return change


def _link(where: str, link: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if where in file:
            del file[where]
        file[where] = link

    return change


def _attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value

    return change


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 3))
    file.create_virtual_dataset("vectors/v", layout)


def _external(file: h5py.File) -> None:
    file.create_dataset("vectors/v", (3, 3), "f4", external=[("secret.raw", 0, 36)])


def _cycle(file: h5py.File) -> None:
    del file["vectors"]
    file["vectors"] = file["/"]


HOSTILE = {
    "a link to another file": (
        _link("vectors", h5py.ExternalLink("other.h5", "/vectors")),
        "/vectors.*a link to another file",
    ),
    "one deeper": (_link("vectors/w", h5py.ExternalLink("other.h5", "/x")), "vectors/w.*a link to another file"),
    "one for the offsets": (_link("index/offset/mel", h5py.ExternalLink("other.h5", "/x")), "index/offset/mel"),
    "one for the index": (_link("index", h5py.ExternalLink("other.h5", "/x")), "/index.*a link to another file"),
    "a soft link": (_link("index/id", h5py.SoftLink("/index/speaker")), "index/id.*a soft link"),
    "a soft link to itself": (_link("frames/mel", h5py.SoftLink("/frames/mel")), "frames/mel.*a soft link"),
    "a virtual array": (_virtual, "vectors/v.*data in another file"),
    "an external array": (_external, "vectors/v.*data in another file"),
    "a cycle": (_cycle, "vectors/attr?.*|vectors/frames.*expected an array, found a Group"),
    "a packed bomb": (_replace("vectors/v", None), ""),
    "no ids": (_replace("index/id", None), "index/id.*found none"),
    "ids that are numbers": (_replace("index/id", [1, 2, 3]), "index/id.*expected text"),
    "ids twice": (_replace("index/id", ["a/0", "a/1", "a/0"]), "'a/0' twice"),
    "ids that are not UTF-8": (_replace("index/id", np.array([b"a", b"\xff\xfe", b"c"])), "index/id"),
    "too few speakers": (_replace("index/speaker", ["a", "b"]), "index/speaker.*one value for each"),
    "an array for the index": (_replace("index", [1]), "At index: expected a group"),
    "a group for an array": (
        lambda file: (_replace("frames/mel", None)(file), file.create_group("frames/mel")),
        "frames/mel.*expected an array",
    ),
    "text for frames": (_replace("frames/mel", ["x"] * 9), "frames/mel.*expected numbers"),
    "a number for frames": (_replace("frames/mel", 1.0), "frames/mel"),
    "negative offsets": (_replace("index/offset/mel", [-1, 3, 6]), "index/offset/mel.*expected 0 to 9.*found -1"),
    "offsets beyond": (_replace("index/offset/mel", [0, 3, 7]), "index/offset/mel"),
    "huge lengths": (_replace("index/length/mel", np.array([3, 3, 2**63], np.uint64)), "index/length/mel"),
    "shared rows": (_replace("index/offset/mel", [0, 2, 6]), "no two items share"),
    "broken lengths": (_replace("index/length/mel", [3.5, 3.0, 3.0]), "index/length/mel.*integers"),
    "no lengths": (_replace("index/length/mel", None), "index/length/mel.*found none"),
    "a column of another size": (_replace("index/seconds", [1.0]), "index/seconds"),
    "seconds in words": (_replace("index/seconds", ["long", "short", "x"]), "index/seconds.*expected numbers"),
    "no schema": (_attribute("schema", None), "found schema none"),
    "schema of text": (_attribute("schema", "one"), "found schema one"),
    "schema of many": (_attribute("schema", [1, 1]), "found schema"),
    "no stage": (_attribute("stage", None), "attribute 'stage'"),
    "settings that are no JSON": (_attribute("settings", "{"), "attribute 'settings'.*JSON object"),
    "settings that nest": (_attribute("settings", "[" * 30_000), "attribute 'settings'.*JSON object"),
    "settings of another kind": (_attribute("settings", "[1]"), "attribute 'settings'.*JSON object"),
    "statistics of NaN": (_replace("statistics/mean", [1.0, np.nan]), "statistics/mean.*not finite"),
    "vectors of another size": (_replace("vectors/v", np.zeros((2, 4))), "vectors/v.*a row for each of 3 items"),
}
HOSTILE["a packed bomb"] = (
    _replace("vectors/v", np.zeros((3, 3 * 10**7), np.uint8), compression="gzip"),
    "vectors/v.*no more than a file of",
)


@pytest.fixture
def store(tmp_path) -> Path:
    with StoreWriter(tmp_path / "s.h5", "extract-x", {"a": 1}) as writer:
        for i in range(3):
            writer.add(Item(f"a/{i}", "a", {"mel": np.full((3, 2), i, np.float32)}, columns={"seconds": 1.0}))
        writer.merge([], statistics={"mean": np.ones(2)})
    (tmp_path / "secret.raw").write_bytes(b"s" * 36)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones((3, 3))
        file["vectors/v"] = np.ones((3, 3))
    return tmp_path / "s.h5"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_stores_are_refused_by_file_and_place(store, kind, monkeypatch):
    monkeypatch.chdir(store.parent)
    change, told = HOSTILE[kind]
    with h5py.File(store, "r+") as file:
        if "vectors" not in file:
            file.create_group("vectors")
        change(file)
    with pytest.raises(FaceVCError, match=f"(?s)s\\.h5.*({told})"):
        read_all(store)
    found = info(InfoConfig(paths=(store,)))
    assert found.done == 0 and [name for name, _ in found.failures] == [str(store)]


def test_never_written_arrays_are_no_way_to_fill_the_memory(store):
    with h5py.File(store, "r+") as file:
        file.create_dataset("vectors/v", (3, 10**12), "f8")  # a few bytes of the file
    with pytest.raises(FaceVCError, match=r"vectors/v: expected no more than a file of \d+ bytes can hold"):
        Store(store)


def test_one_long_text_named_by_all(store):
    """A heap's text counts once in the file, but once for each item in memory."""
    long, count = "x" * 60_000, 3000
    with h5py.File(store, "w") as file:
        file.attrs.update(schema=1, stage="x", version="1", settings_hash="0", settings="{}")
        file["index/speaker"] = ["a"] * count
        file.create_dataset("index/id", (count,), h5py.string_dtype())[0] = long
        place = file["index/id"].id.get_offset()
    with open(store, "r+b") as file:
        file.seek(place)
        pointer = file.read(16)
        file.seek(place)
        file.write(pointer * count)
    with pytest.raises(FaceVCError, match=r"index/id: expected texts that fit a file of"):
        Store(store)


def test_a_text_whose_length_lies(store):
    with h5py.File(store) as file:
        place = file["index/speaker"].id.get_offset()
    data = bytearray(store.read_bytes())
    data[place : place + 4] = (3 << 30).to_bytes(4, "little")  # HDF5 would take 3 GiB before it looks for the text
    store.write_bytes(data)
    with pytest.raises(
        FaceVCError, match=r"index/speaker: expected texts that fit a file of \d+ bytes, found 32212254\d\d bytes"
    ):
        Store(store)


HANGS = """
import sys
from pathlib import Path
from facevc_cli.corpus.store import Store
from facevc_cli.core.errors import FaceVCError
try:
    Store(Path(sys.argv[1]))
except FaceVCError as error:
    print(error)
"""


def test_a_heap_that_hdf5_would_read_for_ever(store):
    data = bytearray(store.read_bytes())
    first = data.index(b"GCOL\x01") + 16
    data[first + 8 : first + 16] = (2**64 - 16).to_bytes(
        8, "little"
    )  # the first text's size: the next begins where it begins
    store.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", HANGS, str(store)], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"At byte {first - 16}: expected a heap of texts in order" in done.stdout


def test_stores_packed_by_others_are_read(store):
    """As h5repack leaves them."""
    with h5py.File(store) as file, h5py.File(store.with_name("packed.h5"), "w") as packed:
        packed.attrs.update(dict(file.attrs))
        file.copy("index", packed)
        packed.create_dataset("frames/mel", data=file["frames/mel"][:], compression="gzip")
    read_all(store.with_name("packed.h5"))


FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Item
from facevc_cli.corpus.store_writer import StoreWriter
def fill(first, last):
    with StoreWriter(Path(sys.argv[1]), "x", {}, shard_items=8) as writer:
        for i in range(first, last):
            mel, vector = np.full((40, 8), i, np.float32), np.full(64, i, np.float32)
            writer.add(Item(f"a/{i:03}", "a", {"mel": mel}, {"v": vector}))
        writer.merge([])
fill(0, 10)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    fill(10, 60)
except FaceVCError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
@pytest.mark.parametrize("limit", [1, 2000, 4096, 9000, 13_001, 17_500, 30_000, 60_000])
def test_a_full_disk_is_one_clear_error_and_the_store_before_is_whole(tmp_path, limit):
    path = tmp_path / "s.h5"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "could not be written" in done.stderr, done.stderr
    with Store(path) as store:
        assert len(store) == 10 and store.read_frames("mel", 9)[0, 0] == 9
    assert not [p for p in tmp_path.rglob("*") if ".tmp" in p.name or "lock" in p.name]


def test_a_file_that_fails_goes_on_in_memory(tmp_path, monkeypatch):
    """What HDF5 reads back is what it wrote, before and after the failure."""
    with SteadyFile(tmp_path / "f") as file:
        file.write(b"0123456789")

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        file.seek(5)
        assert file.write(b"abcdefgh") == 8
        file.seek(7)
        file.write(b"XY")
        file.seek(0)
        assert file.read() == b"01234abXYefgh" and file.tell() == 13
        file.truncate(20)
        file.seek(10)
        assert file.read(10) == b"fgh" + bytes(7)
        with pytest.raises(OSError, match="No space left"):
            file.check()
