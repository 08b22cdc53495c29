"""evaluation/report/plots.py and svg.py: the plots hold what was measured, and stay away where it was not."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from helpers.small_evaluation import HOSTILE, PEOPLE, evaluation, full_evaluation, rows
from safetensors.numpy import save_file

from facevc_cli.evaluation.report import plots
from facevc_cli.evaluation.report.addresses import Addresses, read_addresses
from facevc_cli.evaluation.report.plots import (
    draw_address_map,
    draw_f0_scatter,
    draw_identity_map,
    draw_similarities,
    select_plain_systems,
)
from facevc_cli.evaluation.report.svg import open_figure, shorten_label, to_svg


def texts(svg: str | None) -> list[str]:
    """What is written in a drawing; that it is well-formed goes with it."""
    assert svg is not None
    return [
        "".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")
    ]


def test_similarities_by_kind_are_those_of_the_world(tmp_path):
    found, voices = rows(tmp_path)
    kinds = plots._measure_similarities(found, voices)
    sizes_and_means = {kind: (len(values), round(float(values.mean()), 6)) for kind, values in kinds.items()}
    # two sources; four people with two images: 4 same pairs a source, C(8, 2) - 4 = 24 different ones, of which 2 * 4
    # in a gender
    assert sizes_and_means == {
        "same person, other image": (8, 1.0),
        "other person, same gender": (16, 0.36),
        "other person, other gender": (32, 0.36),
        "to own real voice": (16, 0.8),
        "to others' real voices": (48, 0.0),
    }
    written = texts(draw_similarities(evaluation(found, voices)))
    assert {"ours", "θ = 0.70", "mean 0.80, n 16", "to own real voice", "cosine"} <= set(written)
    assert not any("θ" in text for text in texts(draw_similarities(evaluation(found, voices, theta=None))))


def test_the_identity_map_is_sorted_by_gender_and_counts_who_is_nearest(tmp_path):
    found, voices = rows(tmp_path)
    written = texts(draw_identity_map(evaluation(found, voices)))
    assert "own real voice nearest: 4 of 4 (by chance 1)" in written
    order = [text for text in written if text in ("anna", "carl", "dave") or text.startswith("<script")]
    assert order[:4] == [
        shorten_label(HOSTILE, 16),
        "anna",
        "carl",
        "dave",
    ]  # '<' comes before letters, women before men
    assert (written.count(".80"), written.count(".00")) == (4, 12)


def test_without_real_recordings_the_map_compares_conversions(tmp_path):
    found, voices = rows(tmp_path)
    bare = [replace(c, references=()) for c in found]
    written = texts(draw_identity_map(evaluation(bare, voices)))
    assert (written.count("1.00"), written.count(".36")) == (4, 12)
    assert "another conversion, to" in written
    cells = plots._compare_with_conversions([c for c in bare if c.face.endswith("-0.png")], voices, list(PEOPLE))
    assert np.isnan(np.diag(cells)).all()  # one image each: nobody's pair with himself
    assert cells[0, 1] == pytest.approx(0.36)


def test_f0_medians_by_gender(tmp_path):
    found, voices = rows(tmp_path)
    written = texts(draw_f0_scatter(evaluation(found, voices)))
    assert {"female target, median 210 Hz", "male target, median 120 Hz", "unchanged"} <= set(written)
    unknown = [replace(c, gender="") for c in found]
    assert "unknown target, median 165 Hz" in texts(draw_f0_scatter(evaluation(unknown, voices)))


def test_a_face_stands_where_its_address_says(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        plots, "_draw_faces", lambda axes, points, genders, size: drawn.update(points=points, genders=genders)
    )
    # axes of the plane: the first, then the second
    slots = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]], np.float32)
    address = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0.5, 0, 0.5, 0]], np.float32)
    assert (
        draw_address_map(Addresses(("m.png", "f.png", "x.png"), address, slots), {"m.png": "male", "f.png": "female"})
        is not None
    )
    assert drawn["genders"] == ["female", "male", ""]
    assert np.abs(drawn["points"]) == pytest.approx(np.array([[3, 0], [3, 0], [1.5, 0.5]]), abs=1e-6)
    assert drawn["points"][0, 0] == -drawn["points"][1, 0]


def test_the_address_file_is_read_and_a_bad_one_left_out(tmp_path):
    path = tmp_path / "addresses.safetensors"
    address, slots = np.full((2, 4), 0.25, np.float32), np.eye(4, 3, dtype=np.float32)
    save_file({"address": address, "slots": slots}, path, {"faces": json.dumps(["a.png", HOSTILE])})
    found = read_addresses(path)
    assert found is not None
    assert found.faces == ("a.png", HOSTILE)
    assert np.array_equal(found.address, address)
    assert "Addresses (2 faces × 4 slots)" in texts(draw_address_map(found, {}))
    assert read_addresses(None) is read_addresses(tmp_path / "gone") is None
    for tensors, faces in (
        ({"address": address}, ["a", "b"]),
        ({"address": address, "slots": slots}, ["a"]),
        ({"address": address[:, :3], "slots": slots}, ["a", "b"]),
    ):
        save_file(tensors, path, {"faces": json.dumps(faces)})
        assert read_addresses(path) is None
    path.write_bytes(b"no tensors")
    assert read_addresses(path) is None
    assert draw_address_map(None, {}) is None


def test_missing_material_gives_no_plot(tmp_path):
    found, voices = rows(tmp_path, images=1)
    one = [replace(found[0], references=())]
    alone = evaluation(one, voices)
    assert draw_similarities(alone) is draw_identity_map(alone) is None
    assert draw_f0_scatter(evaluation([replace(c, source="") for c in found], voices)) is None
    silent = {name: replace(heard, mean_f0_hz=float("nan")) for name, heard in voices.items()}
    assert draw_f0_scatter(evaluation(found, silent)) is None
    only_baselines = evaluation([replace(c, baseline="mean-face") for c in found], voices)
    assert select_plain_systems(only_baselines) == {}
    assert (
        draw_similarities(only_baselines)
        is draw_identity_map(only_baselines)
        is draw_f0_scatter(only_baselines)
        is None
    )


def test_plain_systems_stand_side_by_side_and_no_more_than_three(tmp_path):
    found, voices = rows(tmp_path)
    assert list(select_plain_systems(full_evaluation(tmp_path))) == ["ours", "theirs"]
    four = [replace(c, system=name, base=name) for name in ("a1", "b1", "c1", "d1") for c in found]
    written = texts(draw_f0_scatter(evaluation(four, voices)))
    assert [name for name in ("a1", "b1", "c1", "d1") if name in written] == ["a1", "b1", "c1"]


def test_many_identities_lose_their_names_not_their_map(tmp_path):
    found, voices = rows(tmp_path)
    crowd = [replace(c, target=f"{c.target}{i}") for i in range(13) for c in found]
    written = texts(draw_identity_map(evaluation(crowd, voices)))
    assert "female" in written and "male" in written
    assert "anna0" not in written


def test_drawings_leave_nothing_behind_and_follow_the_page():
    before = dict(matplotlib.rcParams)
    with open_figure(2, 1) as figure:
        figure.subplots().set_title("$x^2$ <b> & ü")
        svg = to_svg(figure, 'a "plot" <of> x')
    assert dict(matplotlib.rcParams) == before
    assert texts(svg).count("$x^2$ <b> & ü") == 1
    assert svg.startswith('<svg role="img" aria-label="a &quot;plot&quot; &lt;of&gt; x"')
    assert "currentColor" in svg and "var(--line" in svg
    assert not re.search(r"#0[1-8]0[1-8]0[1-8]|<metadata|<!DOCTYPE|http(?!://www\.w3\.org)", svg)
    ids = re.findall(r' id="([^"]+)"', svg)
    assert not [name for name in ids if re.match("(figure|axes|patch|text)_", name)]


def test_labels_can_be_drawn():
    assert shorten_label("short") == "short"
    assert shorten_label("a" * 30 + "z" * 30, 11) == "aaaaa…zzzzz"
    assert shorten_label("a\nb\x00c\udcffd") == "a?b?c?d"
