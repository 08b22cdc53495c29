"""evaluation/report/page.py and grid.py: the page says what the evaluation says, in one file that trusts no name."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers.small_evaluation import HOSTILE, evaluation, full_evaluation, rows

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.metrics.registry import METRICS
from facevc_cli.evaluation.report import page as page_module
from facevc_cli.evaluation.report.grid import _choose_evenly, list_clean_labels, make_grid
from facevc_cli.evaluation.report.media import MediaTable
from facevc_cli.evaluation.report.page import format_value, render, write_page

NBSP = "\N{NO-BREAK SPACE}"


VOID = {"meta", "link", "img", "br", "input"}  # elements that are never closed


class Page(HTMLParser):
    """Elements with their attributes, the text of each table's cells, and whether every tag was closed."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts.append(data)
        elif "style" not in self._open:
            self.text += data
            if "td" in self._open or "th" in self._open:
                self.tables[-1][-1][-1] += " ".join(data.split()) + " " if data.strip() else ""

    def named(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    def row(self, table: int, name: str) -> list[str]:
        return next(row for row in self.tables[table] if row[0].startswith(name))

    @property
    def recordings(self) -> dict[str, str]:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    found = full_evaluation(folder, notes=[f"leakage is off: {HOSTILE}"])
    html = render(found, title=f"About {HOSTILE}", grid=4)
    return found, html, Page(html)


def test_the_page_is_one_file_that_asks_for_nothing(everything):
    _, html, page = everything
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            value = attributes.get(name, "")
            assert value == "" or value.startswith(("data:", "#")), (tag, name, value[:40])
    assert not re.search(r"url\((?!#)|@import", html)
    policy = page.named("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy  # the page's own script, and no other, may run
    assert len(page.named("script")) == 2


def test_names_are_text_and_nothing_else(everything):
    _, html, page = everything
    assert html.count("<script") == 2 and '<script>alert("x")' not in html
    assert page.text.count(HOSTILE) >= 3  # title, heading, note, grid
    assert page.named("img", alt=f"Face of {HOSTILE}")


def test_headline_figures_are_the_evaluations_own(everything):
    found, _, page = everything
    table = page.tables[0]
    assert [name.strip() for name in table[0]] == [
        "Metric",
        "ours",
        "ours/shuffled-faces",
        "ours/source",
        "theirs",
    ]  # degraded ones apart
    assert [row[0].split()[0] for row in table[1:4]] == ["SHO", "SHR", "SDO"]
    sho, consistency = page.row(0, "SHO"), page.row(0, "consistency ↑")
    assert "↑ higher is better" in sho[0] and "↓ lower is better" in page.row(0, "SDO")[0]
    assert sho[1].startswith("1.000 1.000 to 1.000, n 8")
    assert [cell.split()[0] for cell in consistency[1:]] == ["0.800", "0.000", "0.000", "0.800"]
    figure = found.systems["ours"]["GA"]
    assert page.row(0, "GA")[1] == f"{100 * figure.value:.1f} % 100.0 to 100.0 %, n 16 "
    beside = [row for row in table if row[0].startswith("consistency control")]
    assert len(beside) == 1 and "better" not in beside[0][0]
    assert "made-up <people>" in page.text and "θ = 0.700" in page.text and "F0 alone" in page.text


def test_every_metric_is_defined_and_only_those_measured_are_explained(everything):
    found, _, page = everything
    assert all(metric.definition for metric in METRICS.values() if not metric.beside)
    assert METRICS["SHO"].definition in page.text and METRICS["MCD"].definition not in page.text
    assert set(found.systems["ours"]) >= {"SHO", "GA", "matching"}


def test_differences_say_which_way_is_better(everything):
    _, _, page = everything
    table = page.tables[1]
    assert [name.strip() for name in table[0]] == [
        "Metric",
        "ours/shuffled-faces − ours",
        "ours/source − ours",
        "ours − theirs",
    ]
    assert page.row(1, "consistency")[1].startswith("−0.800 worse")
    assert page.row(1, "F0")[2].startswith(
        "+50.0 Hz worse"
    )  # higher, and lower is better; the interval of the shuffled one holds zero
    assert page.row(1, "F0")[1].startswith("+45.0 Hz +0.0 to ")
    assert page.row(1, "consistency")[3].startswith("+0.000 ")
    assert not any("blur" in cell for row in table for cell in row)


def test_slices_by_gender_pair_and_column(tmp_path):
    found, voices = rows(tmp_path)
    aged = [replace(c, about={"age_bin": "20-29" if c.target == "anna" else "<40>"}) for c in found]
    page = Page(render(evaluation(aged, voices, by=["age_bin"]), title="x", grid=0))
    assert [[name.strip() for name in table[0]] for table in page.tables[1:]] == [
        ["Metric", "F>F", "F>M", "M>F", "M>M"],
        ["Metric", "20-29", "<40>"],
    ]
    assert page.row(1, "consistency")[1].endswith("n 4 ")
    assert page.row(2, "consistency")[1].startswith("0.800 no interval, n 4")  # one identity


def test_degraded_faces_stand_under_their_system_with_what_was_lost(everything):
    _, _, page = everything
    table = next(table for table in page.tables if table[0][0].startswith("Faces"))
    assert [row[0].strip() for row in table[1:]] == ["ours clean", "blur=4", "dark=0.9"]
    assert [row[-1].strip() for row in table[1:]] == ["0", "2", "16"]
    index = [name.strip() for name in table[0]].index("consistency")
    assert table[2][index].startswith("0.000") and table[2][index + 1].startswith("−0.800 worse")
    assert table[3][1:-1] == ["– "] * (len(table[0]) - 2)


def test_the_grid_holds_every_systems_take_with_sound(everything):
    _, _, page = everything
    options = page.named("option")
    assert len(options) == 3  # the source baseline is the source itself, and degraded faces are no system of their own
    takes = page.named("div", **{"class": "take"})
    assert [sum(take["data-system"] == str(i) for take in takes) for i in range(3)] == [
        8,
        8,
        6,
    ]  # 2 sources x 4 faces; theirs knows 3
    assert [("hidden" in take) == (take["data-system"] != "0") for take in takes].count(False) == 0
    players = page.named("button", **{"class": "play"})
    assert len(players) == 22 + 4 + 2
    assert all(page.recordings[button["data-recording"]].startswith("data:audio/mpeg;base64,") for button in players)
    assert all(button["aria-label"].startswith("Play ") for button in players)
    assert len(page.named("img")) == 4
    # 16 conversions of two images; half of them asked for, and shuffled ones are the same files; 4 people's and 2
    # sources' own
    assert len(page.recordings) == len(set(page.recordings)) == 8 + 4 + 2
    assert "0.80 female" in " ".join(" ".join(row) for row in page.tables[-1])
    assert "female ✗" in " ".join(
        " ".join(row) for row in page.tables[-1]
    )  # a shuffled face gave a man a woman's voice


def test_systems_come_before_their_baselines_and_baselines_are_explained(tmp_path, everything):
    found, _ = rows(tmp_path, images=1)
    one = found[0]
    named = [("a", "a/source", "source", ""), ("b", "b", "", ""), ("a", "a", "", ""), ("a", "a/blur=4", "", "blur=4")]
    several = [
        replace(one, base=base, system=name, baseline=baseline, degradation=changed)
        for base, name, baseline, changed in named
    ]
    assert list_clean_labels(several) == ["a", "a/source", "b"]
    text = everything[2].text
    assert (
        "source: the source itself, unconverted." in text
        and "shuffled-faces: driven by" in text
        and "mean-face" not in text
    )


def test_faces_and_sources_are_spread_over_genders():
    genders = {f"f{i}": "female" for i in range(10)} | {"m1": "male", "u1": "", "u2": ""}
    assert _choose_evenly(genders, 5) == ["f0", "f9", "m1", "u1", "u2"]
    assert _choose_evenly(genders, 1) == ["f0"]
    assert _choose_evenly(genders, 3) == ["f0", "m1", "u1"]
    assert sorted(_choose_evenly(genders, 99)) == sorted(genders)


def test_second_images_fill_the_grid_only_where_there_is_room(tmp_path):
    found, voices = rows(tmp_path)
    whole_grid = make_grid(evaluation(found, voices), 6, MediaTable())
    assert whole_grid is not None
    people = [face.target for face in whole_grid.faces]
    assert sorted(people.count(name) for name in set(people)) == [1, 1, 2, 2]
    assert whole_grid.of == (8, 2)
    small = make_grid(evaluation(found, voices), 2, MediaTable())
    assert small is not None
    assert [face.gender for face in small.faces] == ["female", "male"]
    assert make_grid(evaluation(found, voices), 0, MediaTable()) is None


def test_missing_media_are_marked_not_fatal(tmp_path):
    found, voices = rows(tmp_path, images=1)
    gone = found[0]
    for path in (gone.converted, gone.face, gone.references[0], gone.source):
        Path(path).unlink()
    page = Page(render(evaluation(found, voices), title="x", grid=4))
    assert (
        len(page.named("span", **{"class": "missing"})) == 2
    )  # the conversion and the source; the second reference serves
    assert "picture not found" in page.text
    assert page.text.count("Not on this page") == 4
    assert len(page.named("img")) == 3


def test_little_is_known(tmp_path):
    """No references, one target, no genders, no faces, no sources, no theta."""
    found, voices = rows(tmp_path, images=1)
    bare = [
        replace(c, references=(), gender="", source_gender="", face="", source="") for c in found if c.target == "anna"
    ]
    page = Page(render(evaluation(bare, voices, theta=None), title="bare"))
    assert len(page.named("button", **{"class": "play"})) == 2
    assert (
        page.named("section", id="plots")
        == page.named("section", id="differences")
        == page.named("section", id="degradations")
        == []
    )
    assert "θ = " not in page.text and "None" not in page.text and "nan" not in page.text


def test_a_voice_as_the_target_is_played_not_shown(tmp_path):
    found, voices = rows(tmp_path, images=1)
    spoken = [replace(c, face=c.references[0], references=()) for c in found]
    table = MediaTable()
    grid = make_grid(evaluation(spoken, voices), 4, table)
    assert grid is not None
    assert all(face.spoken and not face.picture for face in grid.faces)
    assert table.missing == {}


def test_a_system_that_names_faces_otherwise_is_in_the_same_cells(tmp_path):
    found, voices = rows(tmp_path, images=1)
    theirs = [replace(c, system="theirs", base="theirs", face=f"elsewhere/{Path(c.face).name}") for c in found]
    grid = make_grid(evaluation(found + theirs, voices), 4, MediaTable())
    assert grid is not None
    assert all(len(takes) == 2 for _, cells in grid.rows for takes in cells)


def test_numbers_and_scales():
    def shown(name: str, value: float, sign: bool = False) -> str:
        return format_value(METRICS[name].scale, value, sign)

    assert shown("GA", 0.5) == f"50.0{NBSP}%"
    assert shown("matching", -0.051, True) == f"−5.1{NBSP}pt"
    assert shown("F0 deviation source", 12.34) == f"12.3{NBSP}Hz"
    assert shown("consistency control", 0.12345) == "0.123"
    assert shown("naturalness", 3.456, True) == "+3.46"
    pitch = {
        "F0 deviation": Figure(20.0, 5, 10.0, 30.0),
        "F0 deviation source": Figure(50.0, 5, 40.0, 60.0),
        "MOS": Figure(3.0, 5, 2.0, 5.0),
    }
    table = page_module._make_table("", {"a": pitch, "b": {"SHO": Figure(0.5, 1, None, None)}}, METRICS)
    bars = {row.name: [cell and cell.bar for cell in row.cells] for row in table.rows}
    assert bars["F0 deviation"] == [
        (pytest.approx(100 / 6), pytest.approx(100 / 3), pytest.approx(100 / 3)),
        None,
    ]  # of 60 Hz, as is its baseline
    assert bars["F0 deviation source"][0] == (pytest.approx(200 / 3), pytest.approx(100 / 3), pytest.approx(500 / 6))
    assert bars["MOS"][0] == (25.0, 75.0, 50.0)
    assert bars["SHO"] == [None, None]
    assert [row.beside for row in table.rows] == [False, False, True, False]


def test_the_file_is_whole_or_not_there(tmp_path):
    found, voices = rows(tmp_path, images=1)
    # names that are not UTF-8
    odd = [replace(c, source_id="bad\udcff", face="bad\udcff.png") if c.source_id == "s1" else c for c in found]
    write_page(
        evaluation(odd, voices), tmp_path / "new" / "report.html", title="t", grid=2, addresses=tmp_path / "gone"
    )
    assert "bad?" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FaceVCError, match="could not be written"):
        write_page(evaluation(found, voices), tmp_path / "file" / "report.html", title="t", grid=0)
