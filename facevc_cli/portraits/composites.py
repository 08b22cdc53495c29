"""The composites: pictures averaged from many people's faces, so that each shows nobody.

A folder has three files: `pictures.webp`, a sheet of all pictures; `numbers.safetensors`; and `composites.json`, with
the groups, the members, the licence, and the sha256 of the other two. recipes/portraits makes the bundled one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import read_json
from facevc_cli.faces.reading import FUSED_DIM
from facevc_cli.files.hashes import hash_file
from facevc_cli.portraits.mesh import BORDER_POINTS

ASSETS = "assets/composites"
PICTURES, NUMBERS, DESCRIPTION = "pictures.webp", "numbers.safetensors", "composites.json"
COLUMNS = 12  # of the sheet
AGAIN = "Install facevc again, or make the folder again with recipes/portraits."


@dataclass(frozen=True, kw_only=True, eq=False)
class CompositeSet:
    """n composites of one size.

    pictures: (n, H, W, 3) uint8 RGB, square. landmarks: (n, p, 2) float32 x, y in pixels. triangles: (t, 3) int, over
    the landmarks and the border points of `mesh.add_border`. descriptors: (n, 162) float32, the mean of the members'
    face embeddings by `fused`. registers: (n,) float32, the share of the members that are labelled as women. ages: (n,)
    float32, years. groups: of each, as labelled by the source of the pictures. members: ids of the averaged pictures.
    """

    pictures: np.ndarray
    landmarks: np.ndarray
    triangles: np.ndarray
    descriptors: np.ndarray
    registers: np.ndarray
    ages: np.ndarray
    groups: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    licence: str
    sha256: str = ""  # of composites.json, which names the hashes of the rest

    def __len__(self) -> int:
        return len(self.pictures)


def load_composites(folder: Path | None = None) -> CompositeSet:
    """Reads the composites of a folder. None: the bundled ones, which are read once per process.

    FaceVCError if a file is missing or damaged, or the numbers do not fit the pictures.
    """
    return _load_bundled() if folder is None else _load(folder)


@lru_cache(maxsize=1)
def _load_bundled() -> CompositeSet:
    return _load(Path(str(files("facevc_cli") / ASSETS)))


def _load(folder: Path) -> CompositeSet:
    from safetensors.numpy import load

    described = read_json(folder / DESCRIPTION, advice=AGAIN)
    for name in (PICTURES, NUMBERS):
        expected, found = described.get("sha256", {}).get(name), hash_file(folder / name, AGAIN)
        if found != expected:
            raise FaceVCError(
                f"{folder / name}: expected sha256 {expected}, found {found}: the file is damaged or another one. "
                f"{AGAIN}"
            )
    try:
        numbers = load((folder / NUMBERS).read_bytes())
        size_px, count = int(described["size_px"]), len(described["members"])
        with Image.open(folder / PICTURES, formats=("WEBP",)) as sheet:
            pictures = _cut_sheet(np.asarray(sheet.convert("RGB")), size_px, count)
        found_set = CompositeSet(
            pictures=pictures,
            landmarks=numbers["mean_landmarks"] + numbers["landmark_offsets"].astype(np.float32),
            triangles=numbers["triangles"].astype(np.int64),
            descriptors=numbers["descriptors"],
            registers=numbers["registers"],
            ages=numbers["ages"],
            groups=tuple(map(str, described["groups"])),
            members=tuple(tuple(map(str, ids)) for ids in described["members"]),
            licence=str(described["licence"]),
            sha256=hash_file(folder / DESCRIPTION),
        )
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise FaceVCError(f"{folder}: these are no composites ({error}). {AGAIN}") from error
    _check(found_set, str(folder))
    return found_set


def save_composites(folder: Path, composites: CompositeSet, *, quality: int = 93) -> None:
    """Writes a folder that `load_composites` reads. quality: of the WebP sheet, from 0 to 100."""
    from safetensors.numpy import save_file

    _check(composites, str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    mean = composites.landmarks.mean(0)
    save_file(
        {
            "mean_landmarks": mean.astype(np.float32),
            "landmark_offsets": (composites.landmarks - mean).astype(np.float16),
            "triangles": composites.triangles.astype(np.int16),
            "descriptors": composites.descriptors.astype(np.float32),
            "registers": composites.registers.astype(np.float32),
            "ages": composites.ages.astype(np.float32),
        },
        folder / NUMBERS,
    )
    Image.fromarray(make_sheet(composites.pictures)).save(folder / PICTURES, quality=quality, method=6)
    described = {
        "licence": composites.licence,
        "size_px": composites.pictures.shape[1],
        "sha256": {name: hash_file(folder / name) for name in (PICTURES, NUMBERS)},
        "groups": composites.groups,
        "members": composites.members,
    }
    (folder / DESCRIPTION).write_text(json.dumps(described) + "\n", encoding="utf-8")


def make_sheet(pictures: Sequence[np.ndarray] | np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """n x (H, W, 3) -> one picture with all of them in rows, white where there is none."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    return sheet


def _cut_sheet(sheet: np.ndarray, size_px: int, count: int) -> np.ndarray:
    rows = -(-count // COLUMNS)
    if sheet.shape != (rows * size_px, COLUMNS * size_px, 3):
        raise ValueError(f"the sheet has {sheet.shape[1]} x {sheet.shape[0]} px for {count} pictures of {size_px} px")
    cut = sheet.reshape(rows, size_px, COLUMNS, size_px, 3).swapaxes(1, 2)
    return np.ascontiguousarray(cut.reshape(-1, size_px, size_px, 3)[:count])


def _check(given: CompositeSet, where: str) -> None:
    count, points = len(given.pictures), given.landmarks.shape[1]
    shapes = {
        "landmarks": (given.landmarks.shape, (count, points, 2)),
        "descriptors": (given.descriptors.shape, (count, FUSED_DIM)),
        "registers": (given.registers.shape, (count,)),
        "ages": (given.ages.shape, (count,)),
        "groups": ((len(given.groups),), (count,)),
        "members": ((len(given.members),), (count,)),
    }
    for name, (found, expected) in shapes.items():
        if found != expected:
            raise FaceVCError(f"{where}: expected {name} of the shape {expected}, found {found}. {AGAIN}")
    if count == 0 or given.triangles.min() < 0 or given.triangles.max() >= points + BORDER_POINTS:
        raise FaceVCError(f"{where}: expected composites, and triangles over their points. {AGAIN}")
