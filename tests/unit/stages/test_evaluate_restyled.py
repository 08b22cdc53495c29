"""stages/evaluate_restyled.py and its command."""

import json

import pytest
from helpers.commands import call
from helpers.pictures import save_grey
from helpers.portraits import FakeJudge

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.stages import evaluate_restyled
from facevc_cli.stages.evaluate_restyled import RestyledConfig, run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two photos and a restyled picture of each. A FakeJudge takes each for what was asked, .25 from its photo."""
    judge = FakeJudge()
    monkeypatch.setattr(evaluate_restyled, "PictureJudge", lambda: judge)
    rows = []
    for name in ("a", "b"):
        save_grey(tmp_path / f"{name}.png", 100)
        save_grey(tmp_path / "out" / f"{name}__restyled.png", 120)
        row = {"picture": f"{name}__restyled.png", "photo": f"../{name}.png", "status": "done", "key": "1"}
        rows.append({**row, "register_asked": "1.00", "age_asked": "50", "strength": "1"})
    write_table(tmp_path / "out/restyled.csv", rows)
    return tmp_path / "out"


def test_the_figures_are_shown_and_saved(folder, tmp_path):
    result = call("evaluate", "--portraits", folder, "-o", tmp_path / "report", "-q")
    assert result.exit_code == 0, result.stderr
    assert "restyled photos, strength 1" in result.stdout and "2 pictures of 2 photos" in result.stdout
    data = json.loads((tmp_path / "report/portraits.json").read_text())
    made = data["groups"]["strength 1"]["restyled"]
    assert made["distance to the photo"]["value"] == 0.25 and made["years from the asked age"]["value"] == 10.0
    assert {row["system"] for row in read_table(tmp_path / "report/portraits_figures.csv")} == {"restyled", "photos"}


def test_a_picture_that_is_gone_is_a_failure(folder):
    (folder / "a__restyled.png").unlink()
    summary = run(RestyledConfig(table=folder / "restyled.csv"))
    assert summary.data["pictures"] == 1 and summary.failures[0][0] == str(folder / "a__restyled.png")
    (folder / "b__restyled.png").unlink()
    with pytest.raises(FaceVCError, match=r"expected pictures with faces, found none. The first: .*a__restyled\.png"):
        run(RestyledConfig(table=folder / "restyled.csv"))


def test_what_only_imagined_faces_have_is_refused(folder):
    for option in ("--association", "--listening-test", "--fid-network"):
        result = call("evaluate", "--portraits", folder, option, folder / "file")
        assert result.exit_code == 2 and f"not imagined faces. Leave {option} out." in " ".join(result.stderr.split())
    assert call("evaluate", "x", "--fid-network", "n.onnx").exit_code == 2
