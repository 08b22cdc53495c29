"""families/fvmvc/config.py: precedence, and errors that name the key."""

import dataclasses
from importlib.resources import files

import pytest
import yaml

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.config import Config, from_dict, load_config, preset_names, to_dict


def test_defaults_are_the_papers():
    config = load_config("fvmvc")
    assert config == Config()
    written = yaml.safe_load(files("facevc_cli.presets").joinpath("fvmvc.yaml").read_text())  # a reader of the paper opens that file
    assert {"slots", "temperature", "z_dim", "face_dim"} <= written["model"].keys() and {"cpc", "vq", "mi_steps", "optimiser"} <= written["pretrain"].keys()
    assert {"recall", "address", "inter_speaker", "reconstruction", "optimiser"} <= written["train"].keys()
    assert (config.model.slots, config.model.temperature, config.model.content_encoder.codes) == (96, 1.0, 512)
    assert (config.pretrain.steps, config.train.optimiser.milestones) == (100_000, (0.4, 0.6, 0.8))


def test_every_preset_loads_and_survives_yaml():
    assert preset_names() == ["fvmvc", "starter", "toy"]
    for name in preset_names():
        config = load_config(name)
        assert config.name == name
        assert from_dict(Config, yaml.safe_load(yaml.safe_dump(to_dict(config))), "test") == config


def test_flag_over_file_over_preset(tmp_path):
    (tmp_path / "c.yaml").write_text("model: {slots: 5, temperature: 2}\npretrain: {optimiser: {learning_rate: 1e-4}}\n")
    flags = ("model.slots=7", "train.optimiser.gradient_clip=null", "train.optimiser.milestones=[0.5]")
    config = load_config("toy", tmp_path / "c.yaml", flags)
    assert (config.model.slots, config.model.temperature, config.model.face_dim) == (7, 2.0, 128)
    assert config.pretrain.optimiser.learning_rate == 1e-4  # YAML 1.1 reads it as text
    assert config.pretrain.optimiser.warmup_steps == 10  # the preset's, beside it
    assert (config.train.optimiser.gradient_clip, config.train.optimiser.milestones) == (None, (0.5,))


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("model.slotz=3", "'slotz'.*Did you mean 'slots'"),
        ("wholly.unknown=3", "no setting 'wholly'.*Known: name, model"),
        ("model.slots=many", "slots: expected int, found 'many'"),
        ("model.slots=true", "expected int, found True"),
        ("model.slots=1.5", "expected int, found 1.5"),
        ("model.temperature=warm", "expected float"),
        ("model.decoder=3", "expected a group of settings"),
        ("model.slots", "expected KEY.PATH=VALUE"),
        ("pretrain.optimiser.betas=0.9", "expected a list"),
        ("model.slots=[", "not YAML"),
    ],
)
def test_bad_settings_are_named(override, fault):
    with pytest.raises(FaceVCError, match=fault):
        load_config("toy", None, (override,))


def test_unknown_preset_and_unusable_files(tmp_path):
    with pytest.raises(FaceVCError, match="expected one of fvmvc, starter, toy"):
        load_config("../toy")
    with pytest.raises(FaceVCError, match="cannot be read"):
        load_config("toy", tmp_path / "absent.yaml")
    for text, fault in (("- 1\n", "expected a YAML mapping"), ("a: [", "not YAML"), ("model:\n  slot: 1\n", "Did you mean 'slots'")):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(FaceVCError, match=fault):
            load_config("toy", tmp_path / "c.yaml")


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.slots = 3  # type: ignore[misc]
