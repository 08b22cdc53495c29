"""Builds a model's settings from a preset, a file and single changes.

Precedence: --set on the command line, then --config FILE, then --preset NAME, then the family's defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facevc_cli.core.choices import name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.parsing import LONGEST_SHOWN, parse_settings, parse_yaml, read_text, shorten
from facevc_cli.core.settings import from_dict, to_dict
from facevc_cli.families.base import Family, FamilyConfig
from facevc_cli.families.registry import iterate_families


def list_presets() -> list[str]:
    """Lists the presets of all families."""
    return list(dict.fromkeys(name for family in iterate_families() for name in family.presets))


def find_preset_family(preset: str) -> Family:
    """Returns the first family that has the preset. If none has it, UsageError lists all presets."""
    for family in iterate_families():
        if preset in family.presets:
            return family
    raise UsageError(f"--preset {shorten(preset)}: {name_allowed(preset, list_presets())}")


def load_config(
    preset: str, file: Path | None = None, overrides: Sequence[str] = (), base: FamilyConfig | None = None
) -> Any:
    """Returns a preset's settings, changed by a YAML file and then by each `key.path=value`, as the family's class.

    base: its model and its conversion replace the preset's, before these changes.
    FaceVCError names what is wrong in the file. UsageError names an unknown preset or a wrong `key.path=value`. Each
    suggests a similar name.
    """
    family = find_preset_family(preset)
    tree = family.upgrade(parse_settings(family.presets[preset], f"preset {preset}"))
    tree["name"] = preset
    if base is not None:
        tree |= {"model": to_dict(base.model), "conversion": to_dict(base.conversion)}
    if file is not None:
        _merge(tree, family.upgrade(parse_settings(read_text(file), str(file))))
    for override in overrides:
        _merge(tree, _parse_override(family, override))
    return read_config(family, tree, str(file) if file else f"preset {preset}")


def load_later_config(
    family: Family,
    earlier: FamilyConfig,
    training: str,
    preset: str | None = None,
    file: Path | None = None,
    overrides: Sequence[str] = (),
) -> Any:
    """Returns the settings of a training that follows others: the model and the other trainings are the earlier ones'.

    preset: its model replaces the earlier one's; None: the earlier preset. Errors as in `load_config`.
    """
    name = earlier.name if earlier.name in family.presets else next(iter(family.presets))
    config = load_config(preset or name, file, overrides, None if preset else earlier)
    return replace(config, **{other: getattr(earlier, other) for other in family.trainings if other != training})


def read_config(family: Family, tree: Mapping[str, Any], where: str) -> Any:
    """Builds a family's settings from nested dicts, also those of earlier versions.

    FaceVCError names what does not fit.
    """
    return from_dict(family.config, family.upgrade(dict(tree)), where, family.limits)


def _parse_override(family: Family, override: str) -> dict[str, Any]:
    """Parses `key.path=value` to nested dicts.

    UsageError if the text has another form or names no setting of the family.
    """
    path, equals, value = override.partition("=")
    if not equals:
        raise UsageError(f"--set {shorten(override)}: expected KEY.PATH=VALUE, for example --set pretrain.steps=5000.")
    where = f"--set {override[:LONGEST_SHOWN]}"
    try:
        branch: Any = parse_yaml(value, where)
        for key in reversed(path.split(".")):
            branch = {key: branch}
        branch = family.upgrade(branch)
        read_config(family, branch, where)
    except FaceVCError as error:
        raise UsageError(str(error)) from error
    return dict(branch)


def _merge(tree: dict[str, Any], differences: Mapping[str, Any]) -> None:
    for key, value in differences.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value
