"""What several test files share: tiny stores and pretrained runs, made once a session."""

import os
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side, and tiny models are quicker on one thread; read as torch is imported

from helpers.stores import TEACHER_DIM, Stores, make_stores, pretrain


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: starts several processes; leave out with -m 'not slow'")


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out: drawing one takes longer than the training it shows."""
    monkeypatch.setattr("facevc_cli.training.run_folder._plot", lambda table, picture: None)


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
        patch.setattr("facevc_cli.training.run_folder._plot", lambda table, picture: None)
        pretrain(toy_stores, folder, "toy", "pretrain.steps=4")
    return folder


@pytest.fixture(scope="session")
def starter_run(starter_stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pretraining of the shrunk preset starter; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "starter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facevc_cli.training.run_folder._plot", lambda table, picture: None)
        pretrain(starter_stores, folder, "starter", "pretrain.steps=4")
    return folder
