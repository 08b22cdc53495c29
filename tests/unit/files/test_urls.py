"""files/urls.py against object storage: a server on this machine that answers as S3 does, and one that does not."""

import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.object_storage import Storage, make_etag, serve_objects

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.files.inputs import AUDIO_SUFFIXES, Input
from facevc_cli.files.packed import open_input
from facevc_cli.files.packed_inputs import find_all_inputs
from facevc_cli.files.urls import read_bytes
from facevc_cli.stages import extract_spkemb, info

s3fs = pytest.importorskip("s3fs")


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    import fsspec

    files = {"voices/anna/1.wav": b"one", "voices/bert/2 ü.flac": b"two", "voices/notes.txt": b"", "secret.wav": b"no"}
    with serve_objects({f"bucket/{name}": content for name, content in files.items()}) as storage:
        for name, value in {
            "AWS_ENDPOINT_URL": storage.address,
            "AWS_ACCESS_KEY_ID": "name",
            "AWS_SECRET_ACCESS_KEY": "password",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/absent",
            "AWS_SHARED_CREDENTIALS_FILE": "/absent",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 0.5}})
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        yield storage
        s3fs.S3FileSystem.clear_instance_cache()


def find(*sources: str | Path, **options: str) -> list[Input]:
    return find_all_inputs(sources, AUDIO_SUFFIXES, **options)  # type: ignore[arg-type]


def read(source: Input) -> bytes:
    with open_input(source) as local:
        return local.path.read_bytes()


def make_store(folder: Path, items: int = 3) -> bytes:
    with StoreWriter(folder / "s.h5", "extract-features", {"rate": 16000}) as writer:
        for n in range(items):
            writer.add(Item(f"anna/{n}", "anna", {"mel": np.full((2000, 80), n, np.float32)}, {}, {"seconds": 36.0}))
        writer.merge([])
    return (folder / "s.h5").read_bytes()


def make_tar(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return packed.getvalue()


def forbid(handler: BaseHTTPRequestHandler) -> bool:
    """Lists and describes files, but gives none."""
    if handler.command == "GET" and "list-type" not in handler.path:
        handler.reply(403, b"<Error><Code>AccessDenied</Code></Error>")  # type: ignore[attr-defined]
        return True
    return False


def break_off(handler: BaseHTTPRequestHandler) -> bool:
    """Loses the connection in the middle of a file."""
    if handler.command == "GET" and "list-type" not in handler.path:
        handler.send_response(206)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True
        return True
    return False


@pytest.mark.parametrize("answer", [forbid, break_off])
def test_a_file_that_cannot_be_read_is_not_called_damaged(storage: Storage, tmp_path: Path, answer):
    """The advice for damaged stores is to delete them."""
    storage.files |= {"bucket/s.h5": make_store(tmp_path), "bucket/x.tar": make_tar(("a.wav", b"1"))}
    (one,) = find("s3://bucket/voices/anna/1.wav")
    storage.answer = answer
    (said,) = info.run(info.InfoConfig(paths=("s3://bucket/s.h5",))).failures
    with pytest.raises(FaceVCError) as listing:
        find("s3://bucket/x.tar")
    with pytest.raises(FaceVCError) as copying:
        read(one)
    for text in (said[1], str(listing.value), str(copying.value)):
        assert "s3://bucket/" in text and "cannot be read" in text and "Check the URL, the network" in text
        assert "damaged" not in text


def test_a_connection_that_is_lost_while_hdf5_reads(storage: Storage, tmp_path: Path):
    storage.files["bucket/s.h5"] = make_store(tmp_path)
    begun: list[str] = []

    def lose(handler: BaseHTTPRequestHandler) -> bool:
        begun.extend(["part"] * (handler.command == "GET"))
        return len(begun) > 1 and break_off(handler)

    storage.answer = lose
    (said,) = info.run(info.InfoConfig(paths=("s3://bucket/s.h5",))).failures
    assert len(begun) > 1 and "cannot be read" in said[1] and "damaged" not in said[1]


def test_storage_that_answers_nothing(storage: Storage):
    over = threading.Event()
    storage.answer = lambda _: over.wait(30)
    for source in ("s3://bucket/voices/", "s3://bucket/x.tar", "s3://bucket/x.jsonl", "@s3://bucket/list.txt"):
        with pytest.raises(FaceVCError, match=r"s3://bucket/\S+: cannot be read"):
            find(source)
    over.set()


def test_nobody_listens(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(FaceVCError, match=r"s3://bucket/voices: cannot be read"):
        find("s3://bucket/voices")


def test_what_is_not_there(storage: Storage):
    for source in ("s3://bucket/absent", "s3://absent/voices", "s3://bucket/absent.tar", "s3://bucket/absent.jsonl"):
        with pytest.raises(FaceVCError, match=f"^{source}: no such file or folder"):
            find(source)


def test_a_list_and_a_manifest_name_nothing_outside(storage: Storage):
    storage.files["bucket/voices/list.txt"] = b"../secret.wav\n"
    storage.files["bucket/voices/x.jsonl"] = b'{"id":"r","sources":[{"type":"url","source":"s3://bucket/secret.wav"}]}'
    for source in ("@s3://bucket/voices/list.txt", "s3://bucket/voices/x.jsonl"):
        with pytest.raises(FaceVCError):
            find(source)
    assert not any("secret" in asked for asked in storage.requests)


def test_a_list_that_is_too_long_is_not_read(storage: Storage):
    with pytest.raises(FaceVCError, match="at most 2 bytes, found 3"):
        read_bytes("s3://bucket/voices/anna/1.wav", 2)
    assert storage.sent_bytes == 0


def test_a_file_that_became_shorter(storage: Storage):
    (one,) = find("s3://bucket/voices/anna/1.wav")
    storage.files["bucket/voices/anna/1.wav"] = b"o"
    with pytest.raises(FaceVCError, match=r"s3://bucket/voices/anna/1\.wav: expected 3 bytes from 0, found fewer"):
        read(one)


def test_folders_files_and_tar_files(storage: Storage):
    found = find("s3://bucket/voices/")
    assert [(one.id, one.speaker, read(one)) for one in found] == [
        ("anna/1", "anna", b"one"),
        ("bert/2 ü", "bert", b"two"),
    ]
    assert found[0].packed is not None and found[0].packed.stamp == f"3-{make_etag(b'one')}"
    (one,) = find("s3://bucket/voices/anna/1.wav")
    assert one.packed == found[0].packed  # a listing and a question tell the same version
    storage.files["bucket/x.tar"] = make_tar(("s/a.wav", b"a" * 700), ("s/b.txt", b"b"), ("s/c.wav", b"c" * 100_000))
    assert [(one.id, len(read(one))) for one in find("s3://bucket/x.tar")] == [("s/a", 700), ("s/c", 100_000)]


def test_an_item_is_done_until_its_version_changes(storage: Storage, tmp_path: Path):
    def write(name: str, pitch_hz: float) -> None:
        wav = io.BytesIO()
        soundfile.write(wav, 0.3 * np.sin(np.arange(16000) / 16000 * 2 * np.pi * pitch_hz), 16000, format="WAV")
        storage.files[f"bucket/w/{name}.wav"] = wav.getvalue()

    def extract() -> tuple[int, int]:
        s3fs.S3FileSystem.clear_instance_cache()  # as another process
        output = tmp_path / "v.h5"
        done = extract_spkemb.run(extract_spkemb.ExtractSpkembConfig(sources=("s3://bucket/w",), output=output, jobs=1))
        return done.done, done.skipped

    write("a", 150)
    write("b", 200)
    assert (extract(), extract()) == ((2, 0), (0, 2))
    write("b", 250)
    assert extract() == (1, 1)
    with Store(tmp_path / "v.h5") as store:
        assert store.read_column("source") == ["s3://bucket/w/a.wav", "s3://bucket/w/b.wav"]


def test_a_large_store_is_described_without_reading_it_all(storage: Storage, tmp_path: Path):
    storage.files["bucket/s.h5"] = make_store(tmp_path, items=8)
    (found,) = info.run(info.InfoConfig(paths=("s3://bucket/s.h5",))).data["items"]
    assert (found["path"], found["items"], found["hours"]) == ("s3://bucket/s.h5", 8, 0.08)
    assert len(storage.files["bucket/s.h5"]) > 5_000_000
    assert storage.sent_bytes < 400_000
