"""The listening test: what is asked, that nothing gives it away, and what the answers add up to."""

import base64
import html
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation.listening_items import CPR, CPR_FACES, MOS, choose_kinds, share_out
from facevc_cli.evaluation.listening_study import COLUMNS, read_answers, write_listening_test
from facevc_cli.files.audio import save_audio
from facevc_cli.files.image import save_image
from facevc_cli.files.tables import write_table
from facevc_cli.manifest.conversion import Conversion, make_label

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
HOSTILE = '</script><img src=x onerror=alert(1)>, "q"\n{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(folder, a function that gives a recording of a name, a function that gives a face)."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)

    def sound(name: str) -> str:
        path = folder / f"{name}.wav"
        if not path.exists():
            save_audio(path, rng.uniform(-0.3, 0.3, 2400), 16000)
        return str(path)

    def face(name: str) -> str:
        path = folder / f"{name}.png"
        if not path.exists():
            save_image(path, rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        return str(path)

    return sound, face


def converted(files, base="a", baseline="", sources=4, targets=6, degradation="", file="") -> list[Conversion]:
    sound, face = files
    return [
        Conversion(
            system=make_label(base, baseline, degradation),
            converted=sound(
                f"{file or re.sub(r'[^a-z]', '', base)}-{baseline}{degradation.replace('=', '')}-s{s}-t{t}"
            ),
            source_id=f"s{s}",
            target=f"t{t}",
            face=face(f"face-t{t}"),
            source=sound(f"real-s{s}"),
            base=base,
            baseline=baseline,
            degradation=degradation,
        )
        for s in range(sources)
        for t in range(targets)
    ]


def join(*conversions: list[Conversion]) -> list[Conversion]:
    return [c for several in conversions for c in several]


def written(found: list[Conversion], path: Path, items: int, seed: int = 0, **options):
    """(the page, its trials, item -> [system, other, source_id, target])."""
    write_listening_test(found, path, items=items, seed=seed, **options)
    page = path.read_text(encoding="utf-8")
    test = json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', page, re.S)[1])
    return page, test["trials"], json.loads(base64.b64decode(test["names"]))


def answered(path: Path, found: list[Conversion], page: Path, reply, listener: str = "ana", **options) -> Path:
    """A CSV as the page saves it: reply(kind, system, other, source_id, target) -> answer, None to skip."""
    _, trials, names = written(found, page, 100, **options)
    rows = []
    for i, trial in enumerate(trials, 1):
        answer = reply(trial["kind"], *names[trial["item"]])
        if answer is not None:
            cells = (listener, i, trial["kind"], trial["item"], *names[trial["item"]], answer, 3.2)
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    write_table(path, rows, COLUMNS)
    return path


def test_items_are_shared_out_alike_as_far_as_they_go():
    assert share_out([10, 10, 10], 9) == [3, 3, 3]
    assert share_out([10, 1, 10], 8) == [4, 1, 3]
    assert share_out([2, 1], 9) == [2, 1]
    assert share_out([5, 5], 1) == [1, 0]


def test_draw_is_balanced_over_systems_sources_and_targets(files, tmp_path):
    _, trials, names = written(join(converted(files), converted(files, "b")), tmp_path / "test.html", 12)
    asked = Counter((trial["kind"], *names[trial["item"]][:2]) for trial in trials)
    assert asked == {
        ("MOS", "a", ""): 4,
        ("MOS", "b", ""): 4,
        ("MOS", "source", ""): 4,
        ("CPR", "a", "b"): 4,
        ("CPR", "a", "a/shuffled-faces"): 4,
        ("CPR", "b", "b/shuffled-faces"): 4,
    }
    for group in asked:
        cells = [names[t["item"]][2:] for t in trials if (t["kind"], *names[t["item"]][:2]) == group]
        assert Counter(source for source, _ in cells) == {"s0": 1, "s1": 1, "s2": 1, "s3": 1}
        assert len({target for _, target in cells}) == 4

    def rated(system):
        return {tuple(names[t["item"]][2:]) for t in trials if t["kind"] == "MOS" and names[t["item"]][0] == system}

    assert rated("a") == rated("b")  # on the same sentences and people


def test_real_sources_are_hidden_among_the_rated(files, tmp_path):
    _, trials, names = written(join(converted(files)), tmp_path / "test.html", 6)
    anchors = [t for t in trials if names[t["item"]][0] == "source"]
    others = [t for t in trials if t["kind"] == "MOS" and t not in anchors]
    assert len(anchors) == len(others) == 3
    assert {tuple(t) for t in anchors} == {tuple(t) for t in others}  # the same fields, all opaque
    assert all(re.fullmatch("[0-9a-f]{12}", t["item"]) and re.fullmatch("r[0-9]+", t["recordings"][0]) for t in trials)
    assert [t["item"] for t in trials] == sorted(t["item"] for t in trials)  # no order that tells them apart


def test_same_seed_same_page(files, tmp_path):
    found = join(converted(files))
    first, again, other = (written(found, tmp_path / f"{i}.html", 6, seed)[0] for i, seed in enumerate((1, 1, 2)))
    assert first == again != other


def test_page_shows_no_names_and_needs_no_network(files, tmp_path):
    conversions = [replace(c, source_id="secret-source", target="secret-target") for c in converted(files, HOSTILE)]
    others = [
        replace(c, source_id="secret-source", target="secret-other") for c in converted(files, HOSTILE, file="another")
    ]
    page, trials, names = written(join(conversions, others), tmp_path / "test.html", 4)
    assert {t["kind"] for t in trials} == {"MOS", "CPR"} and any(row[0] == HOSTILE for row in names.values())
    for hidden in ("<img src=x", "secret", "alert(1)", Path(files[0]("x")).parent.name, "face-t", "shuffled-"):
        assert hidden not in re.sub(r'data:[^"]*|"names": "[^"]*"|"id": "[^"]*"|"item": "[^"]*"', "", page), hidden
    assert not re.search(r"https?://|src=\"[^\"d]", page)
    assert "default-src 'none'" in page


def test_own_conversions_for_others_stand_in_for_the_shuffled_baseline(files, tmp_path):
    found = join(converted(files))
    _, trials, names = written(found, tmp_path / "test.html", 100)
    compared = [names[t["item"]] for t in trials if t["kind"] == "CPR"]
    assert len(compared) == 24 and {row[1] for row in compared} == {"a/shuffled-faces"}
    assert all(len(set(t["recordings"])) == 2 for t in trials if t["kind"] == "CPR")
    assert all(
        count == 2 for count in Counter(r for t in trials if t["kind"] == "CPR" for r in t["recordings"]).values()
    )

    real = join(converted(files), converted(files, "a", "shuffled-faces"), converted(files, "a", "mean-face"))
    _, trials, names = written(real, tmp_path / "real.html", 1000)
    assert Counter(names[t["item"]][1] for t in trials if t["kind"] == "CPR") == {
        "a/shuffled-faces": 24,
        "a/mean-face": 24,
    }
    assert {names[t["item"]][0] for t in trials if t["kind"] == "MOS"} == {"a", "source"}  # the baselines speak alike


def test_what_cannot_be_asked_is_left_out_and_said(files, tmp_path):
    same = [replace(c, system="a/shuffled-faces", baseline="shuffled-faces") for c in converted(files)]
    notes = write_listening_test(join(converted(files), same), tmp_path / "test.html", items=4, seed=0)
    assert len(notes) == 1 and "CPR is off" in notes[0]  # one recording cannot be compared with itself
    page = (tmp_path / "test.html").read_text(encoding="utf-8")
    assert "Which voice fits the face better" not in page and "Part 1:" not in page

    silent = [replace(c, source="", face="voice.wav") for c in converted(files)]
    notes = write_listening_test(
        join(silent, converted(files, degradation="blur=4")), tmp_path / "test.html", items=4, seed=0
    )
    assert [note.split(":")[1][:22] for note in notes] == [" CPR is off", " conversions by degrad"]
    faceless = [replace(c, face="gone.png") for c in converted(files)]
    assert "CPR is off" in write_listening_test(join(faceless), tmp_path / "test.html", items=4, seed=0)[0]
    notes = write_listening_test(join(silent), tmp_path / "test.html", items=4, seed=0)
    assert "no real speech" in notes[0] and "real speech" not in (tmp_path / "test.html").read_text(encoding="utf-8")
    notes = write_listening_test(join(converted(files), converted(files, "b")), tmp_path / "test.html", items=2, seed=0)
    assert notes == ["listening test: too few items to ask about source, b against b/shuffled-faces"]


def test_mos_and_cpr_by_hand(files, tmp_path):
    found = join(converted(files, sources=1, targets=3), converted(files, "a", "mean-face", sources=1, targets=3))
    ratings = {"t0": "5", "t1": "4", "t2": "3"}
    choices = {("a/mean-face", "t0"): "system", ("a/mean-face", "t1"): "none", ("a/mean-face", "t2"): "other"}

    def ana(kind, system, other, source_id, target):
        return (
            choices.get((other, target), "system") if kind == "CPR" else "5" if system == "source" else ratings[target]
        )

    def ben(kind, system, other, source_id, target):
        return "1" if (kind, system, target) == ("MOS", "a", "t0") else None

    page = tmp_path / "test.html"
    paths = [answered(tmp_path / "ana.csv", found, page, ana), answered(tmp_path / "ben.csv", found, page, ben, "ben")]
    found = [replace(c, face=f"moved/{c.target}.png") for c in found]
    figures = read_answers(paths, found)  # which needs no pictures
    assert list(figures) == ["a", "a/mean-face", "source", "a/shuffled-faces"]
    assert (figures["a"]["MOS"].value, figures["a"]["MOS"].n) == (pytest.approx((5 + 4 + 3 + 1) / 4), 4)
    assert (figures["source"]["MOS"].value, figures["source"]["MOS"].n) == (5, 1)
    # 1 + .5 + 0 against the mean face, 1 + 1 + 1 against shuffled faces
    assert (figures["a"]["CPR"].value, figures["a"]["CPR"].n) == (pytest.approx(4.5 / 6), 6)
    assert (figures["a/mean-face"]["CPR"].value, figures["a/mean-face"]["CPR"].n) == (pytest.approx(0.5), 3)
    assert figures["a/shuffled-faces"]["CPR"].value == 0
    assert set(figures["source"]) == {"MOS"} and set(figures["a/mean-face"]) == {"CPR"}
    # all draws of t0 (5 and 1: mean 3) or of t2 (3) give 3, of t1 4; with whole identities no draw leaves [3, 4]
    assert figures["a"]["MOS"].low == 3 and figures["a"]["MOS"].high == 4
    assert figures["source"]["MOS"].low is None  # one source tells nothing about others


def test_last_answer_of_a_listener_counts(files, tmp_path):
    found = join(converted(files, sources=1, targets=3))
    page = tmp_path / "test.html"
    first = answered(
        tmp_path / "1.csv", found, page, lambda kind, system, *_: "1" if (kind, system) == ("MOS", "a") else None
    )
    later = answered(
        tmp_path / "2.csv", found, page, lambda kind, system, *_: "4" if (kind, system) == ("MOS", "a") else None
    )
    for paths, value in (([first, later], 4), ([later, first], 1)):
        figures = read_answers(paths, found)
        assert (figures["a"]["MOS"].value, figures["a"]["MOS"].n) == (value, 3)


def test_questions_are_chosen_by_name():
    assert choose_kinds(()) == (MOS, CPR) and choose_kinds((), ("voices", "faces")) == (CPR, CPR_FACES)
    assert choose_kinds(("faces", "naturalness")) == (MOS, CPR_FACES)
    with pytest.raises(UsageError, match="--question looks: expected naturalness, voices, faces"):
        choose_kinds(("looks",))


def test_a_voice_and_two_faces(files, tmp_path):
    found = join(converted(files, sources=2, targets=3), converted(files, "a", "shuffled-faces", sources=2, targets=3))
    page, trials, names = written(found, tmp_path / "test.html", 100, kinds=(CPR_FACES,))
    assert "Which face fits the voice better?" in page and "Part 1" not in page and "Which voice fits the" not in page
    assert {(t["kind"], *names[t["item"]][:2]) for t in trials} == {(CPR_FACES, "a", "a/shuffled-faces")}
    assert len(trials) == 6 and all(len(t["recordings"]) == 1 and len(set(t["faces"])) == 2 for t in trials)
    shown = Counter(face for t in trials for face in t["faces"])
    assert set(shown.values()) == {4}  # 2 sources x (its own, and another's): each face is right as often as wrong
    silent = [replace(c, face="voice.wav") for c in converted(files)]
    notes = write_listening_test(silent, tmp_path / "test.html", items=4, seed=0, kinds=(MOS, CPR_FACES))
    assert len(notes) == 1 and "CPR faces is off" in notes[0]


def test_choices_of_faces_by_hand(files, tmp_path):
    found = converted(files, sources=1, targets=4)
    right = {"t0", "t1", "t2"}
    page = tmp_path / "test.html"

    def ana(kind, system, other, source_id, target):
        return "system" if target in right else "other"

    path = answered(tmp_path / "ana.csv", found, page, ana, kinds=(CPR, CPR_FACES), imagined=True)
    figures = read_answers([path], found)["a"]
    assert (figures[CPR_FACES].value, figures[CPR_FACES].n) == (pytest.approx(0.75), 4)
    assert (figures[CPR].value, figures[CPR].n) == (pytest.approx(0.75), 4)
    assert 0 <= figures[CPR_FACES].low < 0.75 < figures[CPR_FACES].high <= 1
    assert read_answers([path], found)["a/shuffled-faces"][CPR_FACES].value == pytest.approx(0.25)
    lines = path.read_text(encoding="utf-8").replace(",system,3.2", ",none,3.2")
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(FaceVCError, match="one of system, other, found 'none'"):
        read_answers([path], found)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("answer", "6", "one of 1, 2, 3, 4, 5, found '6'"),
        ("answer", "", "found ''"),
        ("answer", "system", "found 'system'"),
        ("listener", " ", "listener's name or code"),
        ("kind", "mos", "conversion of this manifest"),
        ("item", "0123456789ab", "conversion of this manifest"),
        ("system", "b", "conversion of this manifest"),
        ("target", "t9", "conversion of this manifest"),
    ],
)
def test_malformed_answers_are_named(files, tmp_path, column, value, message):
    found = join(converted(files, sources=1, targets=3))
    path = answered(
        tmp_path / "ana.csv", found, tmp_path / "test.html", lambda kind, *_: "3" if kind == "MOS" else None
    )
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[2].split(",")
    cells[COLUMNS.index(column)] = value
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n", encoding="utf-8")
    with pytest.raises(FaceVCError, match=message) as error:
        read_answers([path], found)
    assert "ana.csv, row 2:" in str(error.value)


def test_answers_to_another_manifest_no_answers_and_missing_columns(files, tmp_path):
    found = join(converted(files, sources=1, targets=3))
    path = answered(
        tmp_path / "ana.csv", found, tmp_path / "test.html", lambda kind, *_: "3" if kind == "MOS" else None
    )
    with pytest.raises(FaceVCError, match="Give the manifest that the page was made from"):
        read_answers([path], join(converted(files, "b", sources=1, targets=3)))
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    with pytest.raises(FaceVCError, match="expected a listener's answers, found none"):
        read_answers([path], found)
    path.write_text("listener,answer\nana,3\n", encoding="utf-8")
    with pytest.raises(FaceVCError, match="seconds are missing"):
        read_answers([path], found)


def test_nothing_to_ask_is_an_error(files, tmp_path):
    page = tmp_path / "test.html"
    with pytest.raises(FaceVCError, match="one item or more, found 0"):
        write_listening_test(join(converted(files)), page, items=0, seed=0)
    with pytest.raises(FaceVCError, match="a system is called 'source'"):
        write_listening_test(join(converted(files, "source")), page, items=3, seed=0)
    with pytest.raises(FaceVCError, match="nothing to judge"):
        write_listening_test(
            join([replace(c, source="") for c in converted(files, degradation="blur=4")]), page, items=3, seed=0
        )
    with pytest.raises(FaceVCError, match="no such audio file"):
        write_listening_test(join([replace(c, converted="gone.wav") for c in converted(files)]), page, items=3, seed=0)
    assert not page.exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_gives_answers_that_can_be_read(files, tmp_path):
    """The page's own script, in a browser: each recording is taken as heard, the first of two voices is
    always chosen.
    """
    found = join(converted(files, 'a "b", </script>', sources=2, targets=4))
    page, _, _ = written(found, tmp_path / "test.html", 8, kinds=(MOS, CPR, CPR_FACES))
    listener = """<script>
      begin("Ana, é");
      const early = $("next").disabled && [...$("answers").children].every((button) => button.disabled);
      const shown = new Set();
      while (!$("trial").hidden) {
        shown.add($("faces").querySelectorAll("img").length);
        players.forEach((p) => p.audio.onended());
        $("answers").children[order[state.at].kind === "MOS" ? 3 : 0].click();
        $("next").click();
      }
      const counts = `<p id="shown">${[...shown].join(" ")}</p>`;
      document.body.innerHTML = `<pre id="table"></pre><p id="early">${early}</p>${counts}`;
      $("table").textContent = table();
    </script></body>"""
    (tmp_path / "test.html").write_text(page.replace("</body>", listener), encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    ]
    dom = subprocess.run(
        [*command, (tmp_path / "test.html").as_uri()], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert '<p id="early">true</p>' in dom
    saved = tmp_path / "ana.csv"
    saved.write_text(html.unescape(re.search(r'<pre id="table">(.*?)</pre>', dom, re.S)[1]), encoding="utf-8")
    assert '\n"Ana, é",1,MOS,' in saved.read_text(encoding="utf-8")
    figures = read_answers([saved], found)
    label = 'a "b", </script>'
    assert (figures[label]["MOS"].value, figures[label]["MOS"].n + figures["source"]["MOS"].n) == (4, 8)
    assert (figures[label]["CPR"].value, figures[label]["CPR"].n) == (
        0.5,
        8,
    )  # the system's voice is A half of the time
    assert (figures[label][CPR_FACES].value, figures[label][CPR_FACES].n) == (0.5, 8)
    assert '<p id="shown">0 1 2</p>' in dom  # faces beside a rated recording, two voices, and one voice
