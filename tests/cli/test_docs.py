"""The documentation holds: the reference is current, links lead somewhere, command lines and snippets are such as the
program takes.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from helpers.checkpoints import checkpoint
from helpers.pictures import draw_face
from helpers.plugins import install
from helpers.portraits import replace_portraits
from helpers.repository import ROOT, load_script
from helpers.sounds import recording
from helpers.speech_engines import replace_engine
from helpers.vocoders import write_hifigan
from typer.main import get_command
from typer.testing import CliRunner

from facevc_cli import __version__
from facevc_cli.cli.app import app
from facevc_cli.families.cmpc.config import Config as MatcherConfig
from facevc_cli.families.fvmvc.config import Config
from facevc_cli.families.xfavot.config import Config as StyleConfig
from facevc_cli.files.image import save_image
from facevc_cli.files.inputs import SpeakerRule
from facevc_cli.files.tables import write_table
from facevc_cli.vocoders.griffin_lim import GriffinLim
from facevc_cli.vocoders.load import load_vocoder

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    *DOCS,
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("recipes/**/README.md")),
    *sorted(ROOT.glob("[!.]*/README.md")),
]
PAGES = list(dict.fromkeys(PAGES))
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
# of pip, accelerate, recipes, docs/make_*.py
OTHERS = {"--no-compile", "--multi_gpu", "--no_python", "--out", "--stage", "--stop-stage", "--check"}

make_cli, make_metrics = (load_script(ROOT / "docs" / f"{name}.py") for name in ("make_cli", "make_metrics"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ---- the reference


def test_the_reference_is_current():
    assert make_cli.PAGE.read_text(encoding="utf-8") == make_cli.reference(), (
        "docs/cli.md is not current: run 'python docs/make_cli.py'"
    )


def test_the_table_of_metrics_is_current():
    text = make_metrics.PAGE.read_text(encoding="utf-8")
    assert "| SHO |" in text and text == make_metrics.page(text), (
        "docs/evaluation.md is not current: run 'python docs/make_metrics.py'"
    )


def test_the_reference_does_not_depend_on_the_terminal(monkeypatch):
    wide = make_cli.reference()
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    assert make_cli.reference() == wide


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_lacks_help(command):
    about = COMMANDS[command]
    assert make_cli.description(about)
    lines = list(make_cli.examples(about))
    assert any(f"facevc {command}" in line for line in lines)
    text = make_cli.reference()
    for parameter in about.params:
        if "--help" in parameter.opts:
            continue
        assert (parameter.help or "").strip(), f"{command}: {parameter.name}"
        assert all(f"`{option}`" in text for option in parameter.opts if option.startswith("-"))


# ---- links


def headings(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    titles = re.findall(r"^#{1,6} +(.+?)\s*$", plain, flags=re.M)
    anchors = [
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        for title in titles
    ]
    return {
        f"{anchor}-{anchors[:i].count(anchor)}" if anchor in anchors[:i] else anchor for i, anchor in enumerate(anchors)
    }


# inline, by reference, HTML
LINKS = (r"(?<!`)\[[^]]*\]\(([^)\s]+)[^)]*\)", r"^\[[^]]+\]: *(\S+)", r"<[^>]+\b(?:href|src)=\"([^\"]+)\"")


def links_of(page: Path) -> list[str]:
    """The relative links of a page, pictures among them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [link for kind in LINKS for link in re.findall(kind, text, flags=re.M) if not re.match(r"[a-z]+:", link)]


def broken_links(page: Path) -> Iterator[str]:
    """Links of a page that lead to no file, or to no heading of one."""
    for link in links_of(page):
        place, _, anchor = unquote(link).partition("#")
        target = page.parent / place if place else page
        if not target.exists() or (anchor and anchor not in headings(target.read_text(encoding="utf-8"))):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# A `b`: c\n\n## A `b`: c\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#a-b-c) [c](other.md#a-b-c-1) [d](gone.md) [e](other.md#gone) [f](#gone) [g](https://x.y/z)\n```\n[h](gone)\n```\n"
        '![i](gone.svg "title") <img src="gone.png"> [j]\n\n[j]: gone/\n'
    )
    assert list(broken_links(page)) == ["gone.md", "other.md#gone", "#gone", "gone.svg", "gone/", "gone.png"]


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        linked = {(page.parent / unquote(link).partition("#")[0]).resolve() for link in links_of(page)}
        waiting += [other for other in linked if other.suffix == ".md" and other not in reached]
    assert {name_of(page) for page in DOCS} - {name_of(page) for page in reached} == set()


# ---- tables


def find_crooked_rows(text: str) -> list[str]:
    """Rows of tables that have more or fewer cells than their header. A plain | ends a cell, also within backticks."""
    crooked, width = [], 0
    for line in re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).splitlines():
        bars = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        width = (width or bars) if bars else 0
        if bars != width:
            crooked.append(line)
    return crooked


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_rows_of_tables_fit_their_headers(page):
    text = page.read_text(encoding="utf-8")
    assert find_crooked_rows(text) == []
    if page != ROOT / "CHANGELOG.md":
        assert "\n| | |\n" not in text, "a header must say what a table holds"


def test_a_crooked_row_is_found():
    assert find_crooked_rows("| a | b |\n| - | - |\n| `x|y` | z |\n| `x\\|y` | z |\n\n| c |\n") == ["| `x|y` | z |"]


# ---- command lines


def code(text: str) -> Iterator[str]:
    """Lines of a page's code: fenced, indented, and between backticks; continued lines joined."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    blocks = [block for kind, block in fenced if kind in ("", "bash", "sh")] + re.findall(
        r"(?:^    .*\n?)+", rest, flags=re.M
    )
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", rest)


def calls(line: str) -> Iterator[tuple[str, list[str]]]:
    """(command, what follows it) for each `facevc COMMAND` in a line of code."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    for i, word in enumerate(words[:-1]):
        if word.rsplit("/", 1)[-1] == "facevc" and re.fullmatch(r"[a-z][a-z-]*", words[i + 1]):
            end = next((j for j, w in enumerate(words[i:], i) if w in ("|", "&&", "||", ";", ">", "2>")), len(words))
            yield words[i + 1], words[i + 2 : end]


def unknown(text: str) -> Iterator[str]:
    """What a page's command lines name and the program does not know."""
    for line in code(text):
        for command, rest in calls(line):
            if command not in COMMANDS:
                yield f"facevc {command}"
                continue
            known = {
                option
                for parameter in COMMANDS[command].params
                for option in (*parameter.opts, *parameter.secondary_opts)
            } | {"--help", "-h"}
            options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
            yield from (f"facevc {command} {option}" for option in options if option not in known)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_name_only_what_there_is(page):
    assert list(unknown(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=name_of)
def test_options_in_the_text_are_some_command_s(page):
    known = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    named = set(re.findall(r"`(--[a-z][a-z_-]*)", page.read_text(encoding="utf-8")))
    assert named - known - OTHERS - {"--help"} == set()


def test_an_unknown_option_is_found():
    text = "`facevc convert a --foo 1`\n\n"
    text += (
        "```bash\nA=1 facevc convrt x\nfacevc train a.h5 --faces f.h5 \\\n    --bar && ls --all  # facevc info "
        "--x\n```\n\n    .venv/bin/facevc info -z\n"
    )
    assert sorted(unknown(text)) == ["facevc convert --foo", "facevc convrt", "facevc info -z", "facevc train --bar"]


def whole_lines(text: str) -> Iterator[str]:
    """Lines of a page that somebody could copy: those of bash blocks, and between backticks those that name more than a
    command.
    """
    for block in re.findall(r"^```(?:bash|sh)\n(.*?)^```", text, flags=re.M | re.S):
        yield from block.replace("\\\n", " ").splitlines()
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    yield from (
        span for span in spans if re.match(r"(?:accelerate launch .* )?facevc [a-z-]+ \S", span) and "..." not in span
    )


def unparsed(text: str) -> Iterator[str]:
    """What click itself says against a page's command lines, and "" for each that it takes."""
    for line in whole_lines(text):
        for command, rest in calls(line):
            try:
                with COMMANDS[command].make_context(command, list(rest)):
                    yield ""
            except Exception as error:
                if not hasattr(error, "format_message"):  # click's, or typer's own copy of it
                    raise
                yield f"{line}: {error.format_message()}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS], ids=name_of)
def test_command_lines_are_complete(page):
    """What docs show can be typed: no argument is lacking, no value of the wrong kind."""
    assert list(filter(None, unparsed(page.read_text(encoding="utf-8")))) == []


def test_an_incomplete_line_is_found():
    text = "`facevc convert a.wav` `facevc convert` `facevc evaluate a --seed x`\n\n"
    text += "```bash\nfacevc pretrain f.h5 -o runs  # comment\nfacevc convert a -o b | facevc info\n```\n"
    found = list(unparsed(text))
    assert [line.partition(":")[0] for line in found] == [
        "facevc pretrain f.h5 -o runs  # comment",
        "",
        "",
        "facevc convert a.wav",
        "facevc evaluate a --seed x",
    ]
    assert sum(1 for page in DOCS for line in unparsed(page.read_text(encoding="utf-8")) if not line) > 60


# ---- settings and files that the pages name


def setting_exists(name: str) -> bool:
    """Whether model.slots and the like are settings."""
    return any(has_setting(config, name) for config in (Config(), MatcherConfig(), StyleConfig()))


def has_setting(kind: object, name: str) -> bool:
    for part in name.split("."):
        if not hasattr(kind, part):
            return False
        kind = getattr(kind, part)
    return True


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_and_modules_exist(page):
    text = page.read_text(encoding="utf-8")
    settings = set(re.findall(r"(?:`|--set )((?:model|conversion|pretrain|train)(?:\.[a-z]\w*)+)(?=[`=])", text))
    files = {"conversion.py", "model.json"}  # of benchmarks/ and of an export
    assert {name for name in settings - files if not setting_exists(name)} == set()
    modules = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))
    roots = (ROOT, ROOT / "facevc_cli", page.parent)
    assert {name for name in modules if not any((root / name).is_file() for root in roots)} == set()


def test_a_setting_that_there_is_not_is_found():
    assert setting_exists("model.content_encoder.window_s") and setting_exists("pretrain.steps")
    assert not setting_exists("model.slot") and not setting_exists("pretrain.model")


# ---- what the pages say about speakers


def test_speakers_of_the_corpora():
    text = (ROOT / "docs" / "own-corpus.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and line.count("|") == 6
    ]
    rows = [row for row in rows if row[0] != "corpus" and set(row[0]) != {"-"}]
    assert len(rows) >= 5
    for corpus, root, identifier, option, speaker in rows:
        pattern = shlex.split(option)[1] if option != "none" else None
        assert SpeakerRule(pattern).find_speaker(identifier, Path("/data") / root / f"{identifier}.mp4") == speaker, (
            corpus
        )


# ---- snippets


def blocks(page: str, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    return [block for of_kind, block in found if of_kind == kind]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with a recording, two faces and a trained run of random weights."""
    monkeypatch.chdir(tmp_path)
    recording(tmp_path / "speech.wav", 1.0)
    for i, name in enumerate(("face.jpg", "other.jpg")):
        save_image(tmp_path / name, draw_face(i))
    checkpoint(tmp_path / "runs" / "train", "starter")
    return tmp_path


def test_the_python_snippets_run(folder, quick_vocoder, capsys, monkeypatch):
    replace_engine(monkeypatch)
    names: dict[str, object] = {}
    for block in blocks("docs/python.md", "python"):
        exec(compile(block, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "nobody.jpg" in said and said.strip().endswith("1")
    assert {p.name for p in folder.glob("*.wav")} == {
        "speech.wav",
        "out.wav",
        "anna.wav",
        "bert.wav",
        "between.wav",
        "said.wav",
    }
    crop, mel = names["crop"], names["mel"]
    assert (
        isinstance(crop, np.ndarray)
        and isinstance(mel, np.ndarray)
        and (crop == mel[10:20]).all()
        and crop.shape == (10, 80)
    )


@pytest.fixture
def quick_vocoder(monkeypatch) -> None:
    monkeypatch.setattr(
        "facevc_cli.conversion.converter.load_vocoder", lambda spec, mel, device, reporter: GriffinLim(mel).to(device)
    )


@pytest.fixture
def light(folder, analyser, voice_embedder, quick_vocoder, monkeypatch) -> Path:
    """A working directory with short recordings in place of the examples', and random weights in place of the bundled
    ones.
    """
    monkeypatch.setattr("facevc_cli.families.checkpoint.find_bundled_checkpoint", lambda: folder / "runs" / "train")
    shutil.copytree(ROOT / "examples", folder / "examples")
    for i, path in enumerate(sorted((folder / "examples").glob("speech*"))):
        recording(path, 0.3 + 0.1 * i)
    return folder


def run_page(page: str) -> int:
    """Runs the bash blocks of a page from top to bottom, with the exit codes that they name. Returns their number."""
    count = 0
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            if line.startswith("pip ") or line == "facevc serve":
                continue
            wanted = int(found[1]) if (found := re.search(r"# exit code (\d)", line)) else 0
            plain, read, write = (
                re.sub(r" [<>] \S+", "", line),
                re.search(r"< (\S+)", line),
                re.search(r"> (\S+)", line),
            )
            if not line.startswith("facevc "):
                subprocess.run(["bash", "-ec", line], check=True)
                continue
            result = CliRunner().invoke(
                app, shlex.split(plain, comments=True)[1:], input=Path(read[1]).read_bytes() if read else None
            )
            assert result.exit_code == wanted, f"{line}: {result.stderr}"
            if write:
                Path(write[1]).write_bytes(result.stdout_bytes)
            count += 1
    return count


def shown_files(page: str) -> list[str]:
    return [name for block in blocks(page, "") for name in re.findall(r"^(\w+/\S+)", block, flags=re.M)]


def test_the_speaking_page_runs(light, monkeypatch):
    replace_engine(monkeypatch)
    assert run_page("docs/speaking.md") == 9
    shown = shown_files("docs/speaking.md")
    assert len(shown) == 7 and [name for name in shown if not Path(name).is_file()] == []


def test_the_export_page_runs(folder, analyser, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("facevc_cli.families.checkpoint.find_bundled_checkpoint", lambda: folder / "runs" / "train")
    shutil.copytree(ROOT / "examples", folder / "examples")
    vocoder = load_vocoder(write_hifigan(folder / "hifigan"), "hifigan")
    monkeypatch.setattr("facevc_cli.conversion.converter.load_vocoder", lambda *_: vocoder)
    assert run_page("docs/export.md") == 3
    (snippet,) = blocks("docs/export.md", "python")
    graph = pytest.importorskip("onnxruntime").InferenceSession("plugin/vocoder_stream.onnx")
    given = {"np": np, "graph": graph, "steps": [(np.zeros((4, 80), np.float32), np.zeros((9, 80), np.float32))] * 3}
    exec(compile(snippet, "docs/export.md", "exec"), given)
    assert given["wav"].shape == (4 * 256,) and given["past"].any()
    shown = shown_files("docs/export.md")
    assert len(shown) == 10 and [name for name in shown if not Path(name).is_file()] == []


def test_the_imagining_page_runs(light, analyser, monkeypatch):
    replace_portraits(monkeypatch)
    replace_engine(monkeypatch)
    monkeypatch.setattr("facevc_cli.evaluation.association.embedding.load_analyser", lambda reader: analyser)
    assert run_page("docs/imagining.md") >= 6
    (snippet,) = blocks("docs/imagining.md", "python")
    exec(compile(snippet, "docs/imagining.md", "exec"), {})
    shown = shown_files("docs/imagining.md")
    assert len(shown) >= 6 and [name for name in shown if not Path(name).is_file()] == []


def test_the_portraits_page_runs(folder, capsys):
    shutil.copytree(ROOT / "examples", folder / "examples")
    assert run_page("docs/portraits.md") == 5
    for block in blocks("docs/portraits.md", "python"):
        exec(compile(block, "docs/portraits.md", "exec"), {})
    assert "FaceReading(feminine=" in capsys.readouterr().out
    shown = ["restyled.png", "fits_the_voice.jpg", "older/restyled.csv", "restyled_from_python.png"]
    shown.append("measured/portraits.json")
    assert [name for name in shown if not Path(name).is_file()] == []


def test_the_converting_page_runs(light):
    """Also the files that the page shows are there."""
    assert run_page("docs/converting.md") > 20
    shown = shown_files("docs/converting.md")
    shown = [name for name in shown if name.partition("/")[0] not in ("wavs", "flac")]  # a dry run writes nothing
    assert len(shown) > 6 and [name for name in shown if not Path(name).is_file()] == []


def test_the_store_is_as_described(folder):
    from facevc_cli.corpus.store import Store

    assert CliRunner().invoke(app, ["extract-features", "speech.wav", "-o", "features.h5", "-j", "1"]).exit_code == 0
    names: dict[str, object] = {}
    (block,) = blocks("docs/store-format.md", "python")
    exec(compile(block, "docs/store-format.md", "exec"), names)
    with Store("features.h5") as store:
        assert np.array_equal(store.read_frames("mel", 0), names["mel"]) and np.array_equal(
            store.read_frames("f0", 0), names["f0"]
        )  # type: ignore[arg-type]
        source = ["source", "source_sha256", "source_stamp"]
        assert store.columns == ["log_f0_mean", "log_f0_std", "seconds", *source, "split", "voiced_share"]
        assert store.statistics_names == ["mel_mean", "mel_std"]
    described = (ROOT / "docs" / "store-format.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in described for name in [*store.columns, *store.statistics_names, *store.frame_names])


KINDS = ("face_embedders", "vocoders", "metrics", "speaker_judges", "synthesisers")


def test_the_additions_of_contributing_work(folder, monkeypatch):
    """CONTRIBUTING's own files, each with its one entry point, installed, through the commands that it shows."""
    (toml,) = blocks("CONTRIBUTING.md", "toml")
    groups, files = tomllib.loads(toml)["project"]["entry-points"], blocks("CONTRIBUTING.md", "python")
    names = {
        group: {name: target.partition(":")[2] for name, target in found.items()} for group, found in groups.items()
    }
    assert list(groups) == [f"facevc.{kind}" for kind in KINDS] and len(files) == len(KINDS)
    for i, ((group, found), code) in enumerate(zip(names.items(), files, strict=True)):
        assert code.startswith("# facevc_additions.py\n") and len(found) == 1
        install(folder / f"site{i}", monkeypatch, f"additions_{i}", code, group, found)
    embedder, vocoder, metric, judge, engine = (next(iter(found)) for found in names.values())

    def call(*arguments: str):
        found = CliRunner().invoke(app, [*arguments])
        assert found.exit_code == 0, found.stderr
        return found

    call("extract-face", "face.jpg", "other.jpg", "-o", "faces.h5", "--embedder", embedder, "-j", "1")
    from facevc_cli.corpus.store import Store

    with Store("faces.h5") as store:
        assert store.read_vectors("embedding").shape == (2, 64) and store.settings["weights"] == "none"
    call(
        "convert",
        "speech.wav",
        "--face",
        "face.jpg",
        "--face",
        "other.jpg",
        "-o",
        "converted",
        "--checkpoint",
        "runs/train",
        "--vocoder",
        vocoder,
    )
    rows = [
        {"file": "speech.wav", "speaker": "a"},
        {"file": "converted/speech__face.wav", "speaker": "b"},
        {"file": "speech.wav", "speaker": "a"},
    ]
    recording(folder / "second.wav", 0.7)
    write_table(folder / "real.csv", [*rows, {"file": "second.wav", "speaker": "a"}])
    quick = ["--recogniser", "none", "--no-naturalness", "--no-independent-judges", "--no-html", "--json"]
    found = call(
        "evaluate", "converted", "--metric", metric, "--speaker-judge", judge, "--calibrate", "real.csv", *quick
    ).stdout
    spoken = ("--engine", engine, "--checkpoint", "runs/train", "--vocoder", vocoder)
    call("speak", "one two", "--face", "face.jpg", "-o", "said.wav", *spoken)
    assert Path("said.wav").is_file()
    assert '"speaking time": {"value"' in found and '"speaker_judge": "spectrum-1.0"' in found


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (__version__, "MIT")
    assert [reference["identifiers"][0]["value"] for reference in cited["references"]] == [
        "arXiv:2309.09470",
        "arXiv:2106.10132",
    ]
