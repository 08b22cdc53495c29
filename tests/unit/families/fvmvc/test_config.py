"""families/fvmvc/config.py: precedence, and errors that name the key."""

import dataclasses
import typing
from importlib.resources import files

import pytest
import yaml

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.settings import from_dict, to_dict
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.fvmvc.config import LIMITS, Config, ModelConfig, upgrade_settings
from facevc_cli.families.presets import list_presets, load_config


def test_defaults_are_the_papers():
    config = load_config("fvmvc")
    assert config == Config()
    # a reader of the paper opens that file
    written = yaml.safe_load(files("facevc_cli.presets").joinpath("fvmvc.yaml").read_text())
    assert {"slots", "temperature", "z_dim", "face_dim"} <= written["model"].keys() and {
        "cpc",
        "vq",
        "mi_steps",
        "optimiser",
    } <= written["pretrain"].keys()
    assert {"recall", "address", "inter_speaker", "reconstruction", "optimiser"} <= written["train"].keys()
    assert (config.model.slots, config.model.temperature, config.model.content_encoder.codes) == (96, 1.0, 512)
    assert (config.pretrain.steps, config.train.optimiser.milestones) == (100_000, (0.4, 0.6, 0.8))


def test_every_preset_loads_and_survives_yaml():
    names = ["fvmvc", "starter", "toy"]
    assert set(names) < set(list_presets())
    for name in names:
        config = load_config(name)
        assert config.name == name
        assert from_dict(Config, yaml.safe_load(yaml.safe_dump(to_dict(config))), "test") == config


def test_flag_over_file_over_preset(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "model: {slots: 5, temperature: 2}\npretrain: {optimiser: {learning_rate: 1e-4}}\n"
    )
    flags = ("model.slots=7", "train.optimiser.gradient_clip=null", "train.optimiser.milestones=[0.5]")
    config = load_config("toy", tmp_path / "c.yaml", flags)
    assert (config.model.slots, config.model.temperature, config.model.face_dim) == (7, 2.0, 162)
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
    with pytest.raises(UsageError, match=fault):
        load_config("toy", None, (override,))


WRONG = [
    (
        "pretrain.optimiser.schedule",
        "cosin",
        "schedule 'cosin': expected one of milestones, cosine. Did you mean 'cosine'?",
    ),
    ("train.optimiser.schedule", "3", "schedule 3: expected one of milestones, cosine."),
    ("pretrain.reconstruction", "l2", "reconstruction 'l2': expected one of mse_l1, l1_delta."),
    ("train.init_memory", "kmean", "init_memory 'kmean': expected one of random, kmeans. Did you mean 'kmeans'?"),
    ("model.mel", "hifi", "mel 'hifi': expected one of fvmvc, hifigan, xfavot. Did you mean 'hifigan'?"),
    ("model.pitch", "null", "pitch None: expected one of normalised, comb."),
    (
        "model.speaker_encoder",
        "dvectors",
        "'dvectors': expected one of dvector, mel, identity. Did you mean 'dvector'?",
    ),
    ("model.content_encoder.kind", "[vq]", "kind ['vq']: expected one of vq, distilled."),
    (
        "model.decoder.kind",
        "recurent",
        "'recurent': expected one of recurrent, convolutional. Did you mean 'recurrent'?",
    ),
    ("pretrain.steps", "-5", "steps: expected a number from 1 to 2.14748e+09, found -5."),
    ("pretrain.cpc_steps", "0", "cpc_steps: expected a number from 1 to 2.14748e+09, found 0."),
    ("pretrain.optimiser.learning_rate", "0", "learning_rate: expected a number above 0, found 0.0."),
    ("pretrain.mi_learning_rate", "-1e-3", "mi_learning_rate: expected a number above 0, found -0.001."),
    ("train.optimiser.milestones", "[0.5, 1.5]", "milestones: expected a number from 0 to 1, found 1.5."),
    ("pretrain.distilled_from", "2", "distilled_from: expected a number from 0 to 1, found 2.0."),
    ("pretrain.adversarial_from", "1.1", "adversarial_from: expected a number from -1 to 1, found 1.1."),
    ("train.recall", "-1", "recall: expected at least 0, found -1.0."),
    ("train.reconstruction", "-0.1", "reconstruction: expected at least 0, found -0.1."),
]


@pytest.mark.parametrize(("key", "value", "fault"), WRONG)
def test_values_that_no_training_can_use(tmp_path, key, value, fault):
    with pytest.raises(UsageError) as told:
        load_config("toy", None, (f"{key}={value}",))
    assert str(told.value).startswith(f"--set {key}={value}: ") and str(told.value).endswith(fault)
    *groups, name = key.split(".")
    (tmp_path / "c.yaml").write_text("{" + ": {".join(groups) + f": {{{name}: {value}" + "}" * len(groups) + "}")
    with pytest.raises(FaceVCError) as told:
        load_config("toy", tmp_path / "c.yaml")
    assert str(told.value).startswith(f"{tmp_path / 'c.yaml'}: ") and str(told.value).endswith(fault)
    assert not isinstance(told.value, UsageError)  # a file is corrected, not the command


def test_every_weight_and_every_literal_is_checked():
    config = Config()
    for group in (
        config.pretrain,
        config.train,
        config.model,
        config.model.decoder,
        config.model.content_encoder,
        config.train.optimiser,
    ):
        for name, hint in typing.get_type_hints(type(group)).items():
            assert hint is not str, name  # a setting with few values is a Literal
            if hint is float and type(group) is not ModelConfig:
                assert name in LIMITS, name
    assert typing.get_args(typing.get_type_hints(ModelConfig)["mel"]) == tuple(MEL_DEFINITIONS)


def test_unknown_preset_and_unusable_files(tmp_path):
    with pytest.raises(FaceVCError, match="expected one of cmpc, cmpc-resnet, fvmvc, starter, toy, xfavot, xfavot-64"):
        load_config("../toy")
    with pytest.raises(FaceVCError, match="cannot be read"):
        load_config("toy", tmp_path / "absent.yaml")
    for text, fault in (
        ("- 1\n", "expected a YAML mapping"),
        ("a: [", "not YAML"),
        ("model:\n  slot: 1\n", "Did you mean 'slots'"),
    ):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(FaceVCError, match=fault):
            load_config("toy", tmp_path / "c.yaml")


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.slots = 3  # type: ignore[misc]


def test_removed_settings_are_dropped():
    decoder = {"blocks": 3, "voice_tokens": 0}
    assert upgrade_settings({"model": {"decoder": decoder}}) == {"model": {"decoder": {"blocks": 3}}}
    assert upgrade_settings({"model": {"decoder": None}}) == {"model": {"decoder": None}}
    tree = {"name": "starter", "pretrain": {"steps": 7, "verify_voice": 0.6, "perturb_voice": 0.8}}
    assert upgrade_settings(tree) == {"name": "starter", "pretrain": {"steps": 7}}
    assert upgrade_settings({"pretrain": None}) == {"pretrain": None}
