"""The directions of imports, held by parsing every file; and that training machines need no audio or vision library."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import facevc_cli

ROOT = Path(facevc_cli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
OWN_FAMILIES = sorted(path.parent.name for path in (ROOT / "families").glob("*/family.py"))

# From the bottom up; a file may import from its own folder and from the layers below.
LAYERS = (
    {"core"},
    {"dsp"},
    {"files"},
    {"vocoders", "faces", "voices", "provenance", "corpus", "manifest"},
    {"training", "synthesis", "portraits"},
    {"families"},
    {"conversion"},
    {"batch", "speaking", "imagining", "live", "export"},
    {"page", "benchmark", "evaluation"},
    {"stages"},
    {"cli"},
)
ONLY_CLI = {"typer", "rich", "click"}
TRAINING_NEEDS = {"torch", "h5py", "accelerate", "safetensors", "numpy", "yaml", "matplotlib"}
BLOCKED = (
    "librosa",
    "soundfile",
    "soxr",
    "pyworld",
    "av",
    "dlib",
    "PIL",
    "resemblyzer",
    "scipy",
    "torchaudio",
    "torchvision",
)


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path, *, top_level: bool = False) -> list[str]:
    return list(find_imports(path, top_level))


def find_imports(path: Path, top_level: bool) -> Iterator[str]:
    """Full names of the modules that a file imports, also inside functions unless `top_level`; not what only types
    need.
    """
    tree = parse(path)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in tree.body if top_level else ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package(path: Path) -> str:
    """'stages' of .../stages/convert.py, 'config' of .../config.py."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def own(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(name.split(".")[1:]) for name in names if name.startswith("facevc_cli."))


def layer(name: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


def outside(path: Path, *, top_level: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imported(path, top_level=top_level)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    if package(path) in ("__init__", "__main__", "presets", "assets"):
        return
    here = layer(package(path))
    assert here is not None, f"{package(path)} has no place in LAYERS"
    for parts in own(imported(path)):
        there = layer(parts[0])
        if there is None:  # the package's own names, such as __version__
            assert parts[0].startswith("__"), parts
            continue
        assert there <= here, f"{path.name} imports {'.'.join(parts)}, which lies above it"
        assert there < here or parts[0] == package(path), f"{path.name} imports {'.'.join(parts)}, which lies beside it"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda p: p.name)
def test_stages_meet_in_files_only(path):
    assert not [parts for parts in own(imported(path)) if parts[0] == "stages"]


def test_only_the_command_line_imports_typer_and_rich():
    assert not [p for p in FILES if package(p) != "cli" and outside(p) & ONLY_CLI]
    assert any(outside(p) & ONLY_CLI for p in FILES)


@pytest.mark.parametrize("family", OWN_FAMILIES)
def test_one_family_is_known_to_itself_alone(family):
    """All others know families by `base`, `checkpoint`, `presets` and `registry`."""
    for path in FILES:
        if family in path.parts:
            continue
        assert not [parts for parts in own(imported(path)) if parts[0] == "families" and family in parts], path


def test_commands_import_nothing_heavy_at_the_top():
    light = {"facevc_cli", "typer", *sys.stdlib_module_names}
    for path in sorted((ROOT / "cli").glob("*.py")):
        assert outside(path, top_level=True) <= light, path.name
        for parts in own(imported(path, top_level=True)):
            light_core = {("core", "errors"), ("core", "progress"), ("core", "choices")}
            assert parts[0] in ("__version__", "cli") or parts[:2] in light_core, (path.name, parts)


def test_networks_and_losses_know_no_files():
    reads_files = {"config", "family", "import_published", "pairs", "published", "training_inputs", "trainings"}
    networks = [p for family in OWN_FAMILIES for p in (ROOT / "families" / family).glob("*.py")]
    networks = [p for p in networks if p.stem not in reads_files]
    assert len(networks) > 18
    for path in [
        *networks,
        *(ROOT / "dsp").glob("*.py"),
        *(ROOT / "conversion" / "transfer").glob("*.py"),
        ROOT / "voices" / "whisper.py",
    ]:
        assert not outside(path) & {"h5py", "pathlib", "os", "io", "safetensors", "yaml", "soundfile", "av"}, path.name


def test_files_and_stores_know_no_torch():
    for path in [*(ROOT / "files").glob("*.py"), *(ROOT / "corpus").glob("store*.py")]:
        assert "torch" not in outside(path), path.name
    assert _alone("import sys, facevc_cli.corpus.store; assert 'torch' not in sys.modules") == ""


def test_modules_and_commands_stay_small():
    assert not [p.name for p in FILES if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    shared = {"options.py", "report.py", "app.py"}
    commands = [p for p in (ROOT / "cli").glob("*.py") if p.name not in shared]
    assert not [p.name for p in commands if len(p.read_text(encoding="utf-8").splitlines()) > 130]


def test_each_folder_of_unit_tests_is_a_folder_of_the_package():
    unit = Path(__file__).parent
    folders = {path.parent.relative_to(unit) for path in unit.rglob("*.py")}
    assert len(folders) > 15
    assert not [
        str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file() and folder != Path("assets")
    ]


def test_nothing_prints_asserts_or_exits():
    """Library code raises and reports; `cli` alone writes, and nothing checks what users give with `assert`."""
    for path in FILES:
        for node in ast.walk(parse(path)):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.exit", "exit", "quit"), f"{path}:{node.lineno}"
                assert not called.startswith(("pickle.load", "pickle.dump")), f"{path}:{node.lineno}"
                if called == "torch.load":
                    assert "weights_only=True" in ast.unparse(node), f"{path}:{node.lineno}"


def _alone(code: str) -> str:
    """What a new process writes to stderr while it runs `code`."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    ).stderr


@pytest.mark.slow
def test_training_needs_no_audio_or_vision_library():
    code = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None  # importing it raises ImportError
import facevc_cli.stages.pretrain, facevc_cli.stages.train
"""
    assert _alone(code) == ""


def test_training_imports_the_packages_it_may():
    """Followed through our own files: what importing pretrain and train takes."""
    reached, waiting = (
        set(),
        [ROOT / "stages/pretrain.py", ROOT / "stages/train.py", ROOT / "cli/pretrain.py", ROOT / "cli/train.py"],
    )
    found: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        found |= outside(path, top_level=True)
        for parts in own(imported(path, top_level=True)):
            candidates = [ROOT.joinpath(*parts[:n]).with_suffix(".py") for n in range(1, len(parts) + 1)]
            waiting += [p for p in candidates if p.is_file()]
    foreign = {name for name in found if name not in sys.stdlib_module_names and name != "facevc_cli"}
    assert foreign <= TRAINING_NEEDS | {"typer", "rich"}
    assert {"torch", "h5py", "accelerate"} <= foreign
