"""files/lhotse.py: manifests whose lines are hostile. test_packed_inputs.py has the usual ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from facevc_cli.batch.jobs import Naming
from facevc_cli.batch.plan import plan_conversions
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.inputs import AUDIO_SUFFIXES, Input
from facevc_cli.files.packed_inputs import find_all_inputs
from facevc_cli.stages import extract_wav

RATE = 8000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE, np.float32), RATE)
    return tmp_path


def describe(name: str = "r", *sources: Any) -> dict[str, Any]:
    return {"id": name, "sources": list(sources) or [{"type": "file", "channels": [0], "source": "a.wav"}]}


def cut(**changed: Any) -> dict[str, Any]:
    return {"id": "c", "start": 0, "duration": 0.5, "channel": 0, "recording": describe(), **changed}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def find(folder: Path, *rows: Any) -> list[Input]:
    return find_all_inputs([write(folder, *rows)], AUDIO_SUFFIXES)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (describe("r", "a.wav"), "lhotse's fields"),
        (describe("r", None), "lhotse's fields"),
        (describe("r", {"type": ["file"], "source": "a.wav"}), "lhotse's fields"),
        (describe("r", {"type": "file", "source": ["a.wav"]}), "text as source"),
        (describe("r", {"type": "file", "source": "a\0.wav"}), "text as source"),
        (describe("r", {"type": "file", "source": "a" * 5000}), "no such file"),
        (describe("r", {"type": "file", "source": "\udcff.wav"}), "no such file"),
        (describe("r", {"type": "file", "source": "."}), "no such file"),
        (describe("r", {"type": "file", "source": "/dev/zero"}), "--root"),
        (describe("r", {"type": "file", "source": "../a.wav"}), "--root"),
        (describe("r", {"type": "command", "source": "touch evil"}), "others are not opened"),
        (describe("r", {"type": "memory", "source": "UklGRg=="}), "others are not opened"),
        (describe("r", {"type": "url", "source": "http://127.0.0.1/a.wav"}), "a URL that begins with file"),
        (describe("r", {"type": "url", "source": "s3://bucket/a.wav"}), "--root"),
        (cut(recording=None), "lhotse's fields"),
        (cut(supervisions=[1]), "lhotse's fields"),
        (cut(supervisions=1), "lhotse's fields"),
        (cut(channel=1.5), "lhotse's fields"),
        (cut(channel="ab"), "channels"),
        (cut(start=1e308), "at most 10,000,000"),
        (cut(duration=1e308), "at most 10,000,000"),
        (cut(start=10**400), "lhotse's fields"),
        (cut(duration=0), "above 0"),
        (describe("\ud800"), "not UTF-8"),
        (cut(supervisions=[{"speaker": "\ud800"}]), "not UTF-8"),
        (cut(supervisions=[{"speaker": "a\0b"}]), "zero byte"),
    ],
)
def test_hostile_lines_are_refused(folder: Path, row: Any, said: str):
    with pytest.raises(FaceVCError, match=said) as caught:
        find(folder, row)
    str(caught.value).encode()  # it can be printed
    assert {path.name for path in folder.iterdir()} == {"a.wav", "x.jsonl"}


def test_a_link_to_itself(folder: Path):
    (folder / "loop.wav").symlink_to("loop.wav")
    with pytest.raises(FaceVCError, match="no such file"):
        find(folder, describe("r", {"type": "file", "source": "loop.wav"}))


def test_a_manifest_that_is_damaged_inside(folder: Path):
    packed = bytearray(gzip.compress(json.dumps(describe()).encode() * 50))
    packed[30:40] = b"\xff" * 10
    (folder / "x.jsonl.gz").write_bytes(packed)
    with pytest.raises(FaceVCError, match="the manifest cannot be read"):
        find_all_inputs([folder / "x.jsonl.gz"], AUDIO_SUFFIXES)


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/../../evil"])
def test_ids_of_a_manifest_do_not_name_files_elsewhere(folder: Path, name: str):
    manifest = write(folder, describe(name))
    voice = (folder / "a.wav",)
    with pytest.raises(FaceVCError, match="leads outside"):
        plan_conversions([manifest], [], voice, Naming(folder / "out"))
    config = extract_wav.ExtractWavConfig(sources=(manifest,), output=folder / "out", jobs=1)
    with pytest.raises(FaceVCError, match="leads outside"):
        extract_wav.run(config)
    assert not (folder / "out").exists()
