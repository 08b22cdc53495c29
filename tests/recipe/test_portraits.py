"""recipes/portraits: its options, which faces it keeps, who is averaged with whom, and the average itself."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.recipes import run_recipe
from helpers.repository import RECIPES, load_script

LOCAL = RECIPES / "portraits" / "local"
pytest.importorskip("scipy")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Loads a script of the recipe, which imports its neighbours."""
    monkeypatch.syspath_prepend(str(LOCAL))
    return lambda name: load_script(LOCAL / f"{name}.py")


def make_faces(load, women: int, men: int) -> list[SimpleNamespace]:
    face = load("faces").Face
    genders = ["female"] * women + ["male"] * men
    return [face(f"f{i}", Path(f"f{i}.jpg"), gender, 25.0, "a") for i, gender in enumerate(genders)]


def test_a_folder_without_a_table_is_refused(tmp_path):
    run = run_recipe("portraits", "--data", tmp_path)
    assert run.returncode == 2 and "expected a folder with faces.csv" in run.stderr


def test_faces_beyond_a_limit_are_left_out(load, capsys):
    script = load("select_members")
    middle = {name: (max(low, -5) + min(high, 100)) / 2 for name, (low, high) in script.LIMITS.items()}
    measures = {name: np.array([value] * 3) for name, value in middle.items()}
    measures["yaw"][1], measures["bridge"][2] = 40, 0.5  # turned away; with glasses
    assert script.keep_usable(measures).tolist() == [True, False, False]
    assert "yaw: 1 of 3" in capsys.readouterr().out


def test_members_have_one_register_and_composites_share_few(load, capsys):
    script, rng = load("select_members"), np.random.default_rng(0)
    faces = make_faces(load, 60, 60)
    descriptors = rng.normal(0, 0.1, (120, 162)).astype(np.float32)
    measures = {name: np.zeros(120) for name in ("smile", "yaw", "pitch")}
    made = script.group_faces(faces, descriptors, measures, 40, 12)
    genders = {face.name: face.gender for face in faces}
    assert {spec["register"] for spec in made} == {"female", "male"}
    for spec in made:
        assert len(set(spec["members"])) == 12
        assert {genders[name] for name in spec["members"]} == {spec["register"]}
    for i, one in enumerate(made):
        for other in made[:i]:
            assert len(set(one["members"]) & set(other["members"])) <= script.MOST_SHARED * 12


def test_an_average_leaves_out_what_one_member_has(load):
    """Nine grey frames of one shape; one has a white bar. The average is grey, also where the bar is."""
    script, frame = load("build"), load("faces").FRAME_PX
    rng = np.random.default_rng(3)
    angles = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    ring = np.stack([128 + 70 * np.cos(angles), 128 + 90 * np.sin(angles)], 1)
    points = np.repeat((ring + rng.normal(0, 1, ring.shape))[None], 9, 0).astype(np.float32)
    frames = np.full((9, frame, frame, 3), 120, np.uint8)
    frames[4, 100:130, 100:150] = 255
    ones = np.ones((9, frame, frame), np.float32)
    triangles = script.Delaunay(script.add_border(points[0], frame, frame)).simplices
    picture, people, inside, shape = script.average(frames, points, ones, ones, triangles)
    assert np.abs(picture[110:120, 110:140] - 120).max() < 8  # a plain mean would be 15 lighter
    assert people[128, 128] == pytest.approx(1, abs=0.01) and inside[128, 128] == pytest.approx(1, abs=0.01)
    assert shape == pytest.approx(points[0], abs=1e-3)


def test_the_halves_of_a_head_are_compared(load):
    script, frame = load("build"), load("faces").FRAME_PX
    even = np.full((frame, frame, 3), 100, np.uint8)
    dark = even.copy()
    dark[:, : frame // 2] = 49
    assert script.measure_unevenness(even) == 0
    assert script.measure_unevenness(dark) == pytest.approx(0.2, abs=0.01)
