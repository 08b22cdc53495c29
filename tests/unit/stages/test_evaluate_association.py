"""stages/evaluate_association.py and its command: systems and controls side by side, caches, and what is refused."""

import json

import numpy as np
import pytest
from helpers.commands import call
from helpers.matchers import matcher_checkpoint, network_checkpoint
from helpers.networks import FakeAnalyser
from helpers.pictures import save_grey
from helpers.sounds import recording

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation.association import embedding
from facevc_cli.families.matching import Matcher
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.stages.evaluate_association import BUNDLED, AssociationConfig, parse_systems, run

PEOPLE = ("ann", "bea", "carl", "dan")


class ByLength:
    """Embeds a recording by its length. Counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    def embed(self, wav):
        self.asked += 1
        return np.random.default_rng(len(wav)).random(256).astype(np.float32)


@pytest.fixture
def heard(monkeypatch):
    """The networks that look and hear."""
    networks = FakeAnalyser(), ByLength()
    monkeypatch.setattr(embedding, "load_analyser", lambda reader: networks[0])
    monkeypatch.setattr(embedding, "load_voice_embedder", lambda reader: networks[1])
    return networks


@pytest.fixture
def table(tmp_path):
    """Two women and two men, with a face and a recording each."""
    rows = []
    for i, person in enumerate(PEOPLE):
        save_grey(tmp_path / f"{person}.png", 40 * (i + 1))
        recording(tmp_path / f"{person}.wav", 0.2 + 0.1 * i)
        gender = "f" if i < 2 else "m"
        rows.append(
            {"face": f"{person}.png", "voice": f"{person}.wav", "person": person, "gender": gender, "age": "30"}
        )
    write_table(tmp_path / "pairs.csv", rows)
    return tmp_path / "pairs.csv"


# what is refused


def test_wrong_systems():
    for texts, reason in (
        (("=runs/a",), "expected NAME=CHECKPOINT"),
        (("a=",), "expected NAME=CHECKPOINT"),
        (("runs/a", "other/a"), "another system is called 'a'"),
    ):
        with pytest.raises(UsageError, match=reason):
            parse_systems(texts)
    assert list(parse_systems(())) == [BUNDLED]


def test_a_checkpoint_without_faces(table, tmp_path):
    from helpers.checkpoints import checkpoint

    with pytest.raises(FaceVCError, match="never trained on faces"):
        Matcher(checkpoint(tmp_path / "voices", "toy", faces=False))


def test_an_output_that_is_a_file(table, tmp_path):
    with pytest.raises(FaceVCError, match=r"pairs\.csv could not be written: File exists\. A file has the name"):
        run(AssociationConfig(table=table, output=table, systems=(str(matcher_checkpoint(tmp_path / "m")),)))


def test_one_person_is_not_enough(table, heard, tmp_path):
    write_table(tmp_path / "one.csv", [{"face": "ann.png", "voice": "ann.wav", "person": "ann"}])
    with pytest.raises(FaceVCError, match="faces and voices of at least two people, found 1 of 1 faces"):
        run(AssociationConfig(table=tmp_path / "one.csv", systems=(str(matcher_checkpoint(tmp_path / "m")),)))


def test_options_of_conversions_are_refused(table, tmp_path):
    found = call("evaluate", tmp_path, "--association", table)
    assert found.exit_code == 2 and "Leave MANIFEST out" in found.stderr
    for given, reason in (
        (("--jobs", "1"), "needs a MANIFEST"),
        (("--system", "a=b"), "names a model for --association"),
    ):
        found = call("evaluate", *given)
        assert found.exit_code == 2 and reason in " ".join(found.stderr.split())


# what is measured


def test_two_families_side_by_side_with_controls(table, heard, tmp_path, model):
    one = matcher_checkpoint(tmp_path / "matcher")
    config = AssociationConfig(table=table, systems=(f"cmpc={one}", f"memory={model}"), output=tmp_path / "out", jobs=1)
    data = run(config).data
    assert list(data["systems"]) == ["cmpc", "cmpc/shuffled", "memory", "memory/shuffled", "gender alone"]
    assert (data["faces"], data["voices"], data["people"]) == (4, 4, 4)
    assert list(data["systems"]["cmpc"]) == ["all", "same gender", "same age", "same gender and age"]
    figures = data["systems"]["cmpc"]["all"]
    assert list(figures) == [
        "AUC",
        "EER",
        "1:2 voice to face",
        "1:2 face to voice",
        "mAP voice to face",
        "mAP face to voice",
    ]
    assert data["better"]["EER"] == "lower" and data["better"]["AUC"] == "higher"
    # equal genders score alike: of three others one ties and two are below
    assert data["systems"]["gender alone"]["all"]["1:2 voice to face"]["value"] == pytest.approx(2.5 / 3)
    rows = read_table(tmp_path / "out" / "association.csv")
    assert rows[0] == {
        "system": "cmpc",
        "group": "all",
        "figure": "AUC",
        "value": str(figures["AUC"]["value"]),
        "n": "16",
        "low": str(figures["AUC"]["low"]),
        "high": str(figures["AUC"]["high"]),
    }
    assert json.loads((tmp_path / "out" / "association.json").read_text()) == data


def test_embeddings_are_made_once_and_failures_are_listed(table, heard, tmp_path):
    save_grey(tmp_path / "dan.png", 0)  # no face in it
    config = AssociationConfig(table=table, systems=(str(matcher_checkpoint(tmp_path / "m")),), jobs=1)
    first = run(config)
    assert [item for item, _ in first.failures] == ["dan.png"] and first.data["faces"] == 3
    assert list(first.data["systems"]) == ["m", "m/shuffled", "gender alone"]
    asked = [network.asked for network in heard]
    again = run(config)
    assert heard[1].asked == asked[1] and heard[0].asked == asked[0] + 1  # the failed one is tried again
    assert again.data == first.data


def test_crops_and_log_mels_are_read_once_and_places_are_kept(table, heard, tmp_path):
    """Beside a model of embeddings: each takes what it needs, and another training of the networks is asked anew."""
    one, two = matcher_checkpoint(tmp_path / "m"), network_checkpoint(tmp_path / "networks")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    rows = [*read_table(table), {"face": "ann.png", "voice": "broken.wav", "person": "ann", "gender": "f", "age": "30"}]
    write_table(tmp_path / "more.csv", rows)
    config = AssociationConfig(table=tmp_path / "more.csv", systems=(str(one), str(two)), jobs=1)
    data = run(config).data
    assert list(data["systems"]) == ["m", "m/shuffled", "networks", "networks/shuffled", "gender alone"]
    assert data["voices"] == 4 and [name for name, _ in run(config).failures] == ["broken.wav"]  # reported once
    assert heard[0].asked == 8  # four embeddings and four crops; the second run asked for nothing
    matcher = Matcher(two, "cpu")
    crops = np.stack([load_image(tmp_path / f"{person}.png")[:32, :32] for person in PEOPLE])
    parts = np.stack([matcher.read_voice(tmp_path / f"{person}.wav") for person in PEOPLE])
    cosines = matcher.place_faces(crops) @ matcher.place_voices(parts).T
    own = cosines.diagonal()
    others = [cosines[i, j] for i in range(4) for j in range(4) if i != j]
    auc = np.mean([(a > b) + (a == b) / 2 for a in own for b in others])
    assert data["systems"]["networks"]["all"]["AUC"]["value"] == pytest.approx(auc, abs=1e-3)


def test_lists_of_trials(table, heard, tmp_path):
    (tmp_path / "veri.txt").write_text("1 ann.wav ann.png\n0 ann.wav bea.png\n1 bea.wav bea.png\n0 carl.wav bea.png\n")
    system = (str(matcher_checkpoint(tmp_path / "m")),)
    figures = run(AssociationConfig(table=tmp_path / "veri.txt", systems=system, jobs=1)).data["systems"]["m"]["all"]
    assert list(figures) == ["AUC", "EER"] and figures["AUC"]["n"] == 4
    (tmp_path / "match.txt").write_text("ann.wav ann.png bea.png carl.png\ncarl.wav carl.png dan.png bea.png\n")
    figures = run(AssociationConfig(table=tmp_path / "match.txt", systems=system, jobs=1)).data["systems"]["m"]["all"]
    assert list(figures) == ["1:3 voice to face"] and figures["1:3 voice to face"]["n"] == 2


def test_the_command(table, heard, tmp_path):
    one = matcher_checkpoint(tmp_path / "m")
    found = call("evaluate", "--association", table, "--system", f"cmpc={one}", "--jobs", "1")
    assert found.exit_code == 0, found.stderr
    assert "face and voice, same gender and age" in found.stdout and "4 faces and 4 voices of 4 people" in found.stdout
    found = call("evaluate", "--association", table, "--system", f"cmpc={one}", "--jobs", "1", "--json")
    assert json.loads(found.stdout)["people"] == 4
