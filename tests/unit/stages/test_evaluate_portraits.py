"""stages/evaluate_portraits.py and its command: the figures that there are, and what is refused."""

import base64
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers.commands import call
from helpers.networks import FakeAnalyser, make_embedding
from helpers.pictures import save_grey
from helpers.reporters import Notes
from helpers.sounds import recording

from facevc_cli.conversion.card import save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation.association import embedding
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.stages.evaluate_portraits import PortraitsConfig, run

PEOPLE = ("ann", "bea", "carl")


class ByLength:
    def embed(self, wav):
        return np.random.default_rng(len(wav)).random(256).astype(np.float32)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Three voices with two imagined faces each, and a real face."""
    monkeypatch.setattr(embedding, "load_analyser", lambda reader: FakeAnalyser())
    monkeypatch.setattr(embedding, "load_voice_embedder", lambda reader: ByLength())
    rows, pairs = [], []
    for i, person in enumerate(PEOPLE):
        recording(tmp_path / f"{person}.wav", 0.2 + 0.1 * i)
        save_grey(tmp_path / f"{person}.png", 200 + i)
        pairs.append({"face": f"{person}.png", "voice": f"{person}.wav", "person": person, "gender": "f"})
        for n in (1, 2):
            save_grey(tmp_path / "out" / f"{person}__{n}.png", 40 * (i + 1) + n)
            row = {"portrait": f"{person}__{n}.png", "status": "done", "voice": f"../{person}.wav", "key": "1"}
            rows.append({**row, "sample": str(n), "fits_register": "1", "looks_age": "40", "age": "37"})
    write_table(tmp_path / "out/portraits.csv", rows)
    write_table(tmp_path / "pairs.csv", pairs)
    return tmp_path / "out" / "portraits.csv"


def test_what_is_refused(table, model, toy_model, tmp_path):
    with pytest.raises(FaceVCError, match=r"portraits\.csv could not be written"):  # before any model is loaded
        run(PortraitsConfig(table=table, output=table, checkpoint=tmp_path / "absent"))
    with pytest.raises(FaceVCError, match="recalls no voice that can be read"):
        run(PortraitsConfig(table=table, checkpoint=toy_model, device="cpu"))
    with pytest.raises(FaceVCError, match="expected pictures of at least two voices, found 1"):
        run(PortraitsConfig(table=table, checkpoint=model, device="cpu", limit=2))
    pairs = [{"face": "ann.png", "voice": "other.wav", "person": "ann"}]
    write_table(tmp_path / "wrong.csv", pairs)
    with pytest.raises(FaceVCError, match="expected the voices that the pictures were imagined for"):
        run(PortraitsConfig(table=table, pairs=tmp_path / "wrong.csv", checkpoint=model, device="cpu"))


def test_figures_of_imagined_faces_beside_their_controls(table, model, tmp_path):
    config = PortraitsConfig(
        table=table.parent, pairs=tmp_path / "pairs.csv", checkpoint=model, output=tmp_path / "report", device="cpu"
    )
    data = run(config).data
    assert (data["portraits"], data["voices"]) == (6, 3)
    trip = data["groups"]["round trip"]
    assert trip["imagined"]["seen as the register"] == {"value": 1.0, "n": 6, "low": 1.0, "high": 1.0}
    assert trip["imagined"]["age seen"]["value"] == 3.0
    assert set(trip["shuffled"]) == {"register agrees", "age difference", "cosine"}
    variety = data["groups"]["variety"]
    assert variety["imagined"]["distance"]["n"] == 12 and variety["imagined"]["distance, one voice"]["n"] == 3
    assert variety["imagined"]["cosine of voices"]["n"] == 3
    assert variety["real faces"]["distance"]["n"] == 3 and variety["imagined"]["Frechet distance"]["value"] > 0
    pairs = data["groups"]["real pairs, all"]["imagined"]
    assert pairs["1:2 portrait to face"]["n"] == 12 and data["better"]["1:2 portrait to face"] == "higher"
    assert "real pairs, same gender" in data["groups"]
    assert json.loads((tmp_path / "report/portraits.json").read_text()) == json.loads(json.dumps(data))
    rows = read_table(tmp_path / "report/portraits_figures.csv")
    assert {row["system"] for row in rows} == {"imagined", "shuffled", "real faces"}


def test_a_card_is_compared_by_the_voice_in_it(table, model, tmp_path):
    converter = Converter(model, "griffin-lim", "cpu")
    target = converter.target_from_embedding(make_embedding(converter, 0.1))
    save_card(tmp_path / "out/card.safetensors", converter.make_card(target, []))
    rows = read_table(table)
    rows[0]["voice"] = "card.safetensors"
    write_table(table, rows)
    data = run(PortraitsConfig(table=table, checkpoint=model, device="cpu")).data
    assert (data["portraits"], data["voices"]) == (6, 4)


def read_test(page):
    text = page.read_text(encoding="utf-8")
    found = json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', text, re.S)[1])
    return text, found, json.loads(base64.b64decode(found["names"]))


def test_people_are_asked_and_their_answers_are_figures(table, model, tmp_path):
    page = tmp_path / "ask.html"
    config = PortraitsConfig(table=table, checkpoint=model, device="cpu", listening_test=page)
    run(config)
    text, test, names = read_test(page)
    assert Counter(trial["kind"] for trial in test["trials"]) == {"CPR": 6, "CPR faces": 6}
    assert test["forced"] and "the faces were made by a computer" in text and "How natural does it sound" not in text
    for trial in test["trials"]:
        assert sorted((len(trial["recordings"]), len(trial["faces"]))) == [1, 2]
        assert names[trial["item"]][0] == "imagined" and names[trial["item"]][3].startswith("../")
    rows = [
        ["ana", i, trial["kind"], trial["item"], *names[trial["item"]], "system" if "ann" in target else "other", 2.0]
        for i, trial in enumerate(test["trials"], 1)
        if (target := names[trial["item"]][3]) and (trial["kind"] == "CPR faces" or "ann" in target)
    ]
    write_table(tmp_path / "ana.csv", [dict(zip(test["columns"], row, strict=True)) for row in rows])
    data = run(replace(config, listening_test=None, answers=(tmp_path / "ana.csv",))).data
    figures = data["groups"]["listeners"]["imagined"]
    assert (figures["CPR faces"]["value"], figures["CPR faces"]["n"]) == (pytest.approx(1 / 3), 6)
    assert figures["CPR faces"]["low"] < 1 / 3 < figures["CPR faces"]["high"]
    assert (figures["CPR"]["value"], figures["CPR"]["n"], data["better"]["CPR"]) == (1.0, 2, "higher")
    with pytest.raises(UsageError, match="--question naturalness"):
        run(replace(config, questions=("naturalness",)))


def test_a_card_is_heard_by_its_line(table, model, tmp_path):
    converter = Converter(model, "griffin-lim", "cpu")
    card = converter.make_card(converter.target_from_embedding(make_embedding(converter, 0.1)), [])
    rows = read_table(table)
    for row, name in zip(rows, ("said", "silent"), strict=False):
        save_card(table.parent / f"{name}.safetensors", card)
        row["voice"] = f"{name}.safetensors"
    write_table(table, rows)
    recording(table.parent / "line.wav", 0.3)
    line = {"converted": "line.wav", "status": "done", "source_id": "hello", "target": "said"}
    write_table(table.parent / "manifest.csv", [{**line, "face": "said.safetensors", "source": ""}])
    page, reporter = tmp_path / "ask.html", Notes()
    config = PortraitsConfig(table=table, checkpoint=model, device="cpu", listening_test=page, questions=("faces",))
    run(config, reporter)
    targets = {row[3] for row in read_test(page)[2].values()}
    assert "said.safetensors" in targets and "silent.safetensors" not in targets
    assert any("without a line in manifest.csv are left out: 1" in note for note in reporter.notes)


def test_the_command_shows_tables(table, model):
    result = call("evaluate", "--portraits", table, "--system", model, "-q")
    assert result.exit_code == 0, result.stderr
    assert "imagined faces, round trip" in result.stdout and "6 portraits of 3 voices" in result.stdout
    assert call("evaluate", "x", "--portraits", table).exit_code == 2
    assert call("evaluate", "--portraits", table, "--system", "a=b", "--system", "c=d").exit_code == 2
