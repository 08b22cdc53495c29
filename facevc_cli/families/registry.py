"""Finds model families: the folders beside this file that have a `family.py`, and entry points of other packages."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.plugins import Plugins
from facevc_cli.families.base import Family, PublishedCheckpoint

OWN = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/family.py")))
FAMILIES = Plugins("facevc.families", "the family", "model family", OWN)


def find_family(name: str, where: str) -> Family:
    """Returns the family with this name. FaceVCError says `where` the name was found."""
    if name in OWN:
        family = import_module(f"facevc_cli.families.{name}.family").FAMILY
    else:
        try:
            family = FAMILIES.load(name)
        except FaceVCError as error:
            raise type(error)(f"{where}: {error}") from error
    if not isinstance(family, Family) or family.name != name:
        raise FaceVCError(
            f"the model family {name}: expected a Family of this name, found {type(family).__name__}. See its "
            "package's own notes."
        )
    return family


def iterate_families() -> Iterator[Family]:
    """Yields facevc's own families, then those of other packages.

    It loads each when it is reached and skips those that fail to load.
    """
    for name in OWN:
        yield find_family(name, name)
    for name in FAMILIES.find_installed():
        try:
            yield find_family(name, name)
        except FaceVCError:
            continue


def open_published(source: Path) -> PublishedCheckpoint:
    """Opens a published checkpoint with the first family that can import it.

    If none can, FaceVCError gives the reason of each.
    """
    reasons: list[str] = []
    for family in iterate_families():
        if family.import_published is None:
            continue
        try:
            return family.import_published(source)
        except FaceVCError as error:
            reasons.append(f"{family.name}: {error}")
    raise FaceVCError(
        f"{source}: no model family can import this file. {' '.join(reasons) or 'No installed family imports files.'}"
    )
