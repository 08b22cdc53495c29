"""core/parsing.py: YAML and JSON that would hang, overflow or fill the memory are refused at once."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import MOST_BYTES, dump_yaml, parse_json, parse_settings, parse_yaml, read_text, shorten
from facevc_cli.families.presets import load_config

NAMES = "abcdefghij"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(NAMES)
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (BOMB, r"it has the alias \*a"),
        ("a: &a [*a]", r"it has the alias \*a"),
        ("[" * 100_000, "nest"),
        ("{a: " * 100_000, "nested more than 64 deep"),
        ("- " * 100_000, "nested more than 64 deep"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' appears twice"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("!!bool maybe", "'maybe'"),
        ("!!int ''", "out of range"),
        ("2020-13-99", "month"),
        ("? [a]\n: 1", "unhashable key"),
        ("a: \x00", "control characters"),
        ("- a\n" * 110_000, "more than 100000 values"),
    ],
    ids=[
        "bomb",
        "itself",
        "lists",
        "mappings",
        "blocks",
        "twice",
        "python",
        "bool",
        "int",
        "date",
        "key",
        "nul",
        "many",
    ],
)
def test_yaml_that_is_refused_at_once(text: str, fault: str):
    started = time.monotonic()
    with pytest.raises(FaceVCError, match=f"^where: cannot be read .not YAML.*{fault}") as found:
        parse_yaml(text, "where")
    assert time.monotonic() - started < 5 and len(str(found.value)) < 400


def test_aliases_that_are_allowed_count_as_what_they_stand_for():
    assert parse_yaml("a: &a [1, 2]\nb: [*a, *a]\n", "f", aliases=True) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}
    with pytest.raises(FaceVCError, match="more than 100000 values"):
        parse_yaml(BOMB, "f", aliases=True)


def test_what_is_written_has_no_aliases():
    same = [1, 2]
    assert parse_settings(dump_yaml({"a": same, "b": same}), "f") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "{", "", b"\xff"],
    ids=["lists", "objects", "long", "open", "empty", "bytes"],
)
def test_json_that_is_refused(text: str | bytes):
    with pytest.raises(FaceVCError, match="^where: cannot be read .not JSON"):
        parse_json(text, "where")


def test_files_that_are_no_settings(tmp_path: Path):
    (tmp_path / "big.yaml").write_bytes(b"#" * (MOST_BYTES + 1))
    (tmp_path / "latin.yaml").write_bytes("a: é".encode("latin-1"))
    faults = {
        "big.yaml": "more than 1024 KB",
        "latin.yaml": "utf-8",
        "absent.yaml": "No such file",
        "a\0b.yaml": "null byte",
        "": "directory",
    }
    for name, fault in faults.items():
        with pytest.raises(FaceVCError, match=f"cannot be read .*{fault}"):
            read_text(tmp_path / name)
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfmodel: {slots: 5}")  # as Windows' editor saves it
    assert load_config("toy", tmp_path / "bom.yaml").model.slots == 5


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        (
            "model.decoder.channels=1099511627776",
            "decoder: channels: expected a number from 1 to 8192, found 1099511627776",
        ),
        ("model.slots=-4", "slots: expected a number from 1 to 8192, found -4"),
        ("model.slots=" + "9" * 5000, "slots: expected int, found '999"),
        ("model.slots=0x" + "f" * 5000, "slots: expected int, found '0xfff"),
        ("pretrain.optimiser.learning_rate=1e999", "learning_rate: expected a finite number, found inf"),
        ("pretrain.cpc=.nan", "cpc: expected a finite number, found nan"),
        ("pretrain.optimiser.betas=[0.9, 7]", "betas: expected a number from 0 to 0.999999, found 7"),
        ("pretrain.optimiser.betas=[0.9]", "betas: expected a list of 2"),
        ("pretrain.steps=0", "steps: expected a number from 1 to"),
        ("pretrain.log_every=true", "log_every: expected int, found True"),
        ("model.mel=[" + "x" * 100_000 + "]", r"mel \['xxx.*: expected one of fvmvc, hifigan"),
        ("1=2", "no setting '?1'?"),
    ],
)
def test_odd_numbers_name_their_key(override: str, fault: str):
    with pytest.raises(FaceVCError, match=fault) as found:
        load_config("toy", None, (override,))
    assert len(str(found.value)) < 300


def test_a_long_value_is_cut():
    assert len(shorten("x" * 10_000)) == 80 and len(shorten([["x" * 100] * 100] * 100)) == 80
    assert len(shorten(10**5000)) <= 80 and shorten(3) == "3"
