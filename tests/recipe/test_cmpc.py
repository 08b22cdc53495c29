"""recipes/cmpc: its pseudo-pairs, and a run in miniature."""

import runpy
from pathlib import Path

import pytest
from helpers.recipes import list_stages, run_recipe, table
from helpers.repository import RECIPES
from helpers.stores import make_stores

from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.tables import write_table

PAIR = runpy.run_path(str(RECIPES / "cmpc" / "local" / "pair.py"), run_name="pair")


def about(kind: str, name: str, gender: str, age: str = "", corpus: str = "a") -> dict[tuple[str, str], dict[str, str]]:
    return {(kind, name): {"kind": kind, "name": name, "corpus": corpus, "gender": gender, "age": age}}


PEOPLE = {
    **about("face", "f1", "female", "20-39"),
    **about("face", "f2", "male"),
    **about("face", "f3", ""),
    **about("voice", "anna", "female", "20-39"),
    **about("voice", "bea", "female", "60+"),
    **about("voice", "cleo", "female"),
    **about("voice", "dan", "male", "60+"),
    **about("voice", "emil", "male"),
}


def test_a_face_gets_voices_of_its_gender_and_age_or_of_unknown_age() -> None:
    rows = PAIR["draw_pairs"](["f1", "f2", "f3"], ["anna", "bea", "cleo", "dan", "emil"], PEOPLE, 4, 0)
    assert rows == [
        {"speaker": "anna", "face": "f1"},
        {"speaker": "cleo", "face": "f1"},
        {"speaker": "emil", "face": "f2"},  # a face of unknown age says nothing about an old voice
    ]


def test_speakers_count_alike_and_groups_by_their_root() -> None:
    people = {**about("voice", "anna", "female"), **about("voice", "bea", "female"), **about("voice", "dan", "male")}
    utterances = [("a1", "anna"), ("a2", "anna"), ("b1", "bea"), ("d1", "dan")]
    rows = PAIR["weigh_utterances"](utterances, people)
    assert [float(row["weight"]) for row in rows] == pytest.approx([35.3553, 35.3553, 70.7107, 100])


def test_speakers_of_other_splits_are_held_out(tmp_path: Path) -> None:
    write_table(tmp_path / "splits.csv", [{"speaker": "anna", "split": "train"}, {"speaker": "bea", "split": "test"}])
    assert PAIR["find_held_out"](tmp_path / "splits.csv") == {"bea"} and PAIR["find_held_out"](None) == set()


def test_a_run_in_miniature(tmp_path: Path) -> None:
    utterances = {f"p{i}/u": (f"p{i}", "train", 20) for i in range(6)}
    stores = make_stores(tmp_path / "stores", utterances=utterances)
    people = [
        about(kind, name, "female" if i % 2 else "male")
        for i in range(6)
        for kind, name in (("face", f"p{i}/face"), ("voice", f"p{i}"))
    ]
    write_table(tmp_path / "people.csv", [row for found in people for row in found.values()])
    given = ("--faces", stores.faces, "--voices", stores.voices, "--out", tmp_path / "out")
    run = run_recipe("cmpc", *given, "--people", tmp_path / "people.csv", "--steps", 2, "--device", "cpu")
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, 3] and len(table(tmp_path / "out" / "pairs.csv")) == 6 * 3
    made = load_checkpoint(tmp_path / "out" / "matcher")
    assert made.config.model.face_dim == 12 and made.config.train.temperature == 0.2
    assert "it knows nothing else" in made.origin
