"""facevc imagine and facevc sample: options and exit codes."""

import json

import pytest
from helpers.commands import call
from helpers.portraits import replace_portraits
from helpers.sounds import recording


@pytest.fixture
def imagine(tmp_path, monkeypatch, voice_embedder, model):
    monkeypatch.chdir(tmp_path)
    replace_portraits(monkeypatch)
    recording(tmp_path / "a.wav", 0.5)
    return lambda *words: call("imagine", *words, "--checkpoint", model)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "out"), "needs a voice"),
        (("a.wav", "-o", "out", "--samples", "0"), "--samples"),
        (("a.wav", "-o", "out", "--size", "5"), "--size 5"),
        (("a.wav", "-o", "out", "--age", "5"), "--age '5'"),
        (("a.wav", "-o", "out", "--device", "gpu"), "expected auto"),
        (("a.wav", "-o", "out.gif"), "expected a folder"),
    ],
)
def test_wrong_values_exit_2(imagine, words, said):
    result = imagine(*words)
    assert result.exit_code == 2 and said in result.stderr


def test_a_missing_voice_exits_1(imagine):
    assert imagine("none.wav", "-o", "out").exit_code == 1


def test_items_and_the_summary_as_json(imagine, tmp_path):
    result = imagine("a.wav", "-o", "out", "--samples", "2", "--json")
    assert result.exit_code == 0, result.stderr
    *items, summary = map(json.loads, result.stdout.splitlines())
    assert [(one["type"], one["portrait"], one["status"]) for one in items] == [
        ("item", f"out/a__0{i}.png", "done") for i in (1, 2)
    ]
    assert (summary["type"], summary["done"]) == ("summary", 2)
    assert (tmp_path / "out/a__sheet.png").is_file()


def test_a_dry_run_lists_what_would_be_drawn(imagine, tmp_path):
    result = imagine("a.wav", "-o", "out", "-n")
    assert (result.exit_code, result.stdout) == (0, "a.wav -> out/a.png\n") and not (tmp_path / "out").exists()


def test_sample_lists_what_it_would_draw(tmp_path):
    result = call("sample", "--seed", 3, "--count", 2, "-o", tmp_path / "pairs", "-n")
    assert result.exit_code == 0 and result.stdout.splitlines()[1].startswith(f"{tmp_path}/pairs/3-002.safetensors, ")
    assert call("sample", "-o", tmp_path / "a.png").exit_code == 2
    assert call("sample", "-o", tmp_path / "a", "--engine", "nobody").exit_code == 2
