"""What many test files share: models and runs, made once a session, and the stand-in for the face networks."""

import functools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.testing
from typer.main import get_command

# tests run side by side, and tiny models are quicker on one thread; read as torch is imported
os.environ["OMP_NUM_THREADS"] = "1"

from helpers.checkpoints import checkpoint
from helpers.networks import FakeAnalyser, FakeEmbedder, replace_face_analyser, replace_voice_embedder
from helpers.reference import load_reference
from helpers.stores import TEACHER_DIM, Stores, make_stores, pretrain

# typer's runner builds all commands again for each call, which takes longer than most calls
typer.testing._get_command = functools.cache(get_command)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: starts several processes; leave out with -m 'not slow'")


def forbid_matplotlib(patch: pytest.MonkeyPatch) -> None:
    """As where it is not installed."""
    patch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out: drawing one takes longer than the training it shows."""
    forbid_matplotlib(monkeypatch)


@pytest.fixture
def analyser(monkeypatch: pytest.MonkeyPatch) -> FakeAnalyser:
    """Looks at all faces in place of dlib's networks, and counts them."""
    fake = FakeAnalyser()
    replace_face_analyser(monkeypatch, fake)
    return fake


@pytest.fixture
def voice_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeds all voices in place of Resemblyzer's network."""
    replace_voice_embedder(monkeypatch, FakeEmbedder())


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """Numbers of the published modules."""
    return load_reference()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the shrunken preset starter with random weights; not to be written to."""
    return checkpoint(tmp_path_factory.mktemp("model") / "starter", "starter")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for the preset toy."""
    return checkpoint(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="session")
def toy_stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return make_stores(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def starter_stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return make_stores(tmp_path_factory.mktemp("starter"), "hifigan", teacher_dim=TEACHER_DIM)


@pytest.fixture(scope="session")
def toy_run(toy_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pretraining of the shrunk preset toy; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        forbid_matplotlib(patch)
        pretrain(toy_stores, folder, "toy", "pretrain.steps=4")
    return folder


@pytest.fixture(scope="session")
def starter_run(starter_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pretraining of the shrunk preset starter; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "starter"
    with pytest.MonkeyPatch.context() as patch:
        forbid_matplotlib(patch)
        pretrain(starter_stores, folder, "starter", "pretrain.steps=4")
    return folder
