"""build.py DATA FACES.h5 SURVEY.npz GROUPS.json PACKAGES OUT [--every N]: average the members of each composite.

OUT gets the composites, a sheet to look at, and dropped.txt: those that the rules leave out, with the reason.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faces import EYES_PX, FRAME_PX, LUMINANCE, OVAL, cut_frame, read_adults
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import Delaunay
from select_members import read_table
from tflite import Interpreter, use_packages

from facevc_cli.faces.embedders.dlib import DlibEmbedder
from facevc_cli.faces.landmarks import LandmarkFinder
from facevc_cli.files.image import load_image
from facevc_cli.portraits.composites import CompositeSet, make_sheet, save_composites
from facevc_cli.portraits.mesh import add_border, rasterise, warp_picture

GROUND = np.array([214, 215, 217], np.float32)
LICENCE = "Averages of faces of FairFace (Karkkainen and Joo, 2021), CC BY 4.0."
NEAREST = 0.45  # dlib's distance; a composite that is nearer to a member could be taken for that person
SHARPENING, SHARPENING_PX = 0.7, 1.5
ODD = 45.0  # of 255: how far from the median a member's pixel still counts
HEAD = (127.5, 130.0, 108.0, 120.0)  # middle and half axes of the oval in which a head is shown
TAPER = 0.2  # how much narrower it is at the chin
SKIN = np.array([1.27, 1.0, 0.84], np.float32)  # the usual tint, per unit of green
TINT_SHARE, LIGHT_SHARE, BRIGHTNESS, CONTRAST = 0.6, 0.5, 130.0, 1.12
PATCH_PX, EVENED = 22.0, 0.75
FEATHER_PX = 10  # from the edge of a member's photo: it fades there, so that no line is seen
MOST_APART, MOST_UNEVEN = 0.06, 0.22
TWINS = 0.16  # dlib's distance of two composites that look the same
FEWEST = 11  # members of a composite after the nearest one was taken out
FACE_BOX = (0.18, 0.17, 0.82, 0.83)  # of a frame, for dlib's landmarks


def average(frames: np.ndarray, points: np.ndarray, seen: np.ndarray, person: np.ndarray, triangles: np.ndarray):
    """Warps frames (n, s, s, 3) to their mean shape, and averages what is seen of people.

    seen, person: (n, s, s) from 0 to 1: inside the picture; of a person. Returns the picture (s, s, 3), the share of
    people (s, s), the share that is seen (s, s), and the mean shape.
    """
    shape = points.mean(0)
    raster = rasterise(add_border(shape, FRAME_PX, FRAME_PX), triangles, FRAME_PX, FRAME_PX)
    layers = np.concatenate([match_colours(frames, points), seen[..., None], (seen * person)[..., None]], -1)
    warped = np.stack(
        [
            warp_picture(one, add_border(own, FRAME_PX, FRAME_PX), raster)
            for one, own in zip(layers, points, strict=True)
        ]
    )
    colours, inside, people = warped[..., :3], warped[..., 3], warped[..., 4]
    grey = colours @ LUMINANCE
    usual = np.median(np.where(inside > 0.5, grey, np.nan_to_num(np.median(grey, 0))), 0)
    # a hand, a strand of hair or a letter of one member is not averaged in
    like = gaussian_filter(np.exp(-(((grey - usual) / ODD) ** 2)), (0, 5, 5))
    weight = gaussian_filter(people + 0.02 * inside, (0, 2, 2)) * like**2 + 1e-3 * inside + 1e-6
    picture = (weight[..., None] * colours).sum(0) / weight.sum(0)[..., None]
    return picture, people.sum(0) / np.maximum(inside.sum(0), 0.5), inside.mean(0), shape


def level_light(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Takes out light that falls from one side: the slope of the logarithm of the brightness across the face."""
    rows, columns = np.nonzero(draw_oval(points))
    grey = np.log(np.maximum(frame[rows, columns].astype(np.float32) @ LUMINANCE, 8))
    across = (columns - columns.mean()) / EYES_PX
    slope = float(np.clip((across * grey).sum() / (across**2).sum(), -0.5, 0.5))
    gain = np.exp(-slope * (np.arange(FRAME_PX) - columns.mean()) / EYES_PX)
    return np.clip(frame * gain[None, :, None], 0, 255)


def match_colours(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Brings the mean colour and the contrast of the face to the median of the members."""
    frames = np.stack([level_light(frame, own) for frame, own in zip(frames, points, strict=True)])
    inside = [frame[draw_oval(own) > 0].astype(np.float32) for frame, own in zip(frames, points, strict=True)]
    means, spreads = (
        np.array([face.mean(0) for face in inside]),
        np.array([(face @ LUMINANCE).std() for face in inside]),
    )
    mean = np.median(means, 0)
    factors = np.clip(np.median(spreads) / np.maximum(spreads, 1), 0.6, 1.6)[:, None]
    matched = (frames.astype(np.float32) - means[:, None, None]) * factors[:, None, None] + mean
    return np.clip(matched, 0, 255)


def draw_oval(points: np.ndarray) -> np.ndarray:
    canvas = Image.new("L", (FRAME_PX, FRAME_PX))
    ImageDraw.Draw(canvas).polygon([tuple(map(float, p)) for p in points[list(OVAL)]], fill=255)
    return np.asarray(canvas)


def finish(picture: np.ndarray, people: np.ndarray, inside: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Brings light and tint nearer to the usual ones, sharpens with restraint, and lays the head on a plain ground."""
    picture = even_tint(picture, people * inside)
    mean = picture[draw_oval(shape) > 0].mean(0)
    tint = (mean[1] * SKIN / mean) ** TINT_SHARE
    light = (BRIGHTNESS / float(mean @ LUMINANCE)) ** LIGHT_SHARE
    lit = (picture - mean) * CONTRAST * light * tint + mean * light * tint
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(SHARPENING_PX)), np.float32)
    sharp = lit + SHARPENING * (lit - blurred)
    y, x = np.mgrid[:FRAME_PX, :FRAME_PX].astype(np.float32)
    low = np.maximum(y - HEAD[1], 0) / HEAD[3]
    within = 1 - _smooth_step(np.hypot((x - HEAD[0]) / (HEAD[2] * (1 - TAPER * low)), (y - HEAD[1]) / HEAD[3]), 0.82, 1)
    alpha = _smooth_step(gaussian_filter(people, 2), 0.4, 0.75) * _smooth_step(gaussian_filter(inside, 7), 0.3, 0.9)
    alpha = gaussian_filter(alpha * within, 1.5)[..., None]
    return np.clip(np.rint(alpha * sharp + (1 - alpha) * GROUND), 0, 255).astype(np.uint8)


def even_tint(picture: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Takes out broad patches of colour, which a few members' light leaves. Lips are small, and keep theirs."""
    grey = picture @ LUMINANCE
    tint = picture - grey[..., None]
    shared = gaussian_filter(weight, PATCH_PX) + 1e-3
    broad = np.stack([gaussian_filter(weight * tint[..., k], PATCH_PX) / shared for k in range(3)], -1)
    usual = (weight[..., None] * tint).sum((0, 1)) / weight.sum()
    return picture - EVENED * (broad - usual)


def _smooth_step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Builder:
    def __init__(self, data: Path, store: Path, survey: Path, packages: Path, out: Path):
        faces, self.descriptors, _ = read_table(data, store, survey)
        seen = np.load(survey)
        self.rows = {face.name: i for i, face in enumerate(faces)}
        self.landmarks, self.paths = seen["landmarks"], {face.name: face.path for face in read_adults(data)}
        use_packages(packages)
        self._folder = out / "averages"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._person, self._dlib = Interpreter(packages / "selfie_segmentation.tflite"), DlibEmbedder()
        self._finder = LandmarkFinder()

    def load_member(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        picture = load_image(self.paths[name])
        frame, points = cut_frame(picture, self.landmarks[self.rows[name]])
        seen, _ = cut_frame(np.full_like(picture, 255), self.landmarks[self.rows[name]])
        person = self._person.run(frame[None].astype(np.float32) / 255)[0][0, ..., 0]
        depth = distance_transform_edt(seen[..., 0] > 250)
        return frame, points, np.clip(depth / FEATHER_PX, 0, 1), person

    def build(self, members: list[str], triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Averages the members, or takes their average from the folder if an earlier run left it there."""
        key = hashlib.sha256(" ".join(members).encode()).hexdigest()[:16]
        kept = self._folder / f"{key}.npz"
        if kept.is_file():
            with np.load(kept) as found:
                made = tuple(found[name].astype(np.float32) for name in ("picture", "people", "inside", "shape"))
        else:
            frames, points, seen, person = (np.stack(one) for one in zip(*map(self.load_member, members), strict=True))
            made = average(frames, points, seen.astype(np.float32), person, triangles)
            names = ("picture", "people", "inside", "shape")
            np.savez(kept, **{name: one.astype(np.float32) for name, one in zip(names, made, strict=True)})
        return finish(*made), made[3]

    def judge(self, picture: np.ndarray, shape: np.ndarray, members: list[str]) -> "Verdict":
        box = np.array(FACE_BOX, np.float32) * FRAME_PX
        found = self._finder.find(picture, box)
        descriptor, _ = self._dlib(picture, box)
        apart = float(np.hypot(*(found.points - shape).T).mean()) / EYES_PX
        uneven = measure_unevenness(picture)
        if not found.is_plausible or apart > MOST_APART:
            return Verdict(f"landmarks are {apart:.3f} of the eyes' distance from the mean shape", "", descriptor)
        if uneven > MOST_UNEVEN:
            return Verdict(f"its halves differ by {uneven:.3f}", "", descriptor)
        rows = [self.rows[name] for name in members]
        distances = np.sqrt(((self.descriptors[rows, :128] - descriptor) ** 2).sum(1))
        nearest = int(np.argmin(distances))
        if distances[nearest] > NEAREST:
            return Verdict("", "", descriptor)
        return Verdict(f"the nearest member is {distances[nearest]:.3f} away", members[nearest], descriptor)

    def build_unlike(
        self, members: list[str], triangles: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[str], "Verdict"]:
        """Builds a composite. If it is too like a member, that one is taken out, and it is built again."""
        while True:
            picture, shape = self.build(members, triangles)
            verdict = self.judge(picture, shape, members)
            if not verdict.near or len(members) <= FEWEST:
                return picture, shape, members, verdict
            members = [name for name in members if name != verdict.near]


@dataclass(frozen=True, eq=False)
class Verdict:
    """reason: why a composite is dropped, or "". near: the member that is too near. descriptor: (128,), dlib's."""

    reason: str
    near: str
    descriptor: np.ndarray


def measure_unevenness(picture: np.ndarray) -> float:
    """Returns how much the halves of a head differ in brightness, where it is smooth: 0 for a symmetric one."""
    grey = gaussian_filter(picture.astype(np.float32) @ LUMINANCE, 6)
    y, x = np.mgrid[:FRAME_PX, :FRAME_PX]
    inside = np.hypot((x - HEAD[0]) / (0.75 * HEAD[2]), (y - HEAD[1]) / (0.8 * HEAD[3])) < 1
    return float(np.abs(grey - grey[:, ::-1])[inside].max()) / 255


def main(given: argparse.Namespace) -> None:
    builder = Builder(given.data, given.store, given.survey, given.packages, given.out)
    specs = json.loads(given.groups.read_text(encoding="utf-8"))[:: given.every]
    frames = [cut_frame(np.zeros((8, 8, 3), np.uint8), own)[1] for own in builder.landmarks]
    triangles = Delaunay(add_border(np.mean(frames, 0), FRAME_PX, FRAME_PX)).simplices
    kept, dropped = [], []
    seen: list[np.ndarray] = []
    for i, spec in enumerate(specs):
        picture, shape, spec["members"], verdict = builder.build_unlike(spec["members"], triangles)
        reason = verdict.reason
        if not reason and seen and (nearest := float(np.linalg.norm(seen - verdict.descriptor, axis=1).min())) < TWINS:
            reason = f"another composite is only {nearest:.3f} away"
        if not reason:
            seen.append(verdict.descriptor)
        (dropped if reason else kept).append((spec, picture, shape, reason))
        print(f"{i + 1} of {len(specs)}: {spec['register']} {spec['age']:.0f} {spec['group']} {reason}", flush=True)
    rows = [[builder.rows[name] for name in spec["members"]] for spec, *_ in kept]
    save_composites(
        given.out / "composites",
        CompositeSet(
            pictures=np.stack([picture for _, picture, *_ in kept]),
            landmarks=np.stack([shape for _, _, shape, _ in kept]).astype(np.float32),
            triangles=triangles,
            descriptors=np.stack([builder.descriptors[own].mean(0) for own in rows]).astype(np.float32),
            registers=np.array([spec["register"] == "female" for spec, *_ in kept], np.float32),
            ages=np.array([spec["age"] for spec, *_ in kept], np.float32),
            groups=tuple(spec["group"] for spec, *_ in kept),
            members=tuple(tuple(spec["members"]) for spec, *_ in kept),
            licence=LICENCE,
        ),
    )
    Image.fromarray(make_sheet([p for _, p, *_ in kept], 10)).save(given.out / "sheet.png")
    if dropped:
        Image.fromarray(make_sheet([p for _, p, *_ in dropped], 10)).save(given.out / "dropped.png")
    reasons = [f"{spec['register']} {spec['age']:.0f} {spec['group']}: {reason}" for spec, _, _, reason in dropped]
    (given.out / "dropped.txt").write_text("".join(f"{line}\n" for line in reasons), encoding="utf-8")
    print(f"{len(kept)} composites, {len(dropped)} dropped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("data", "store", "survey", "groups", "packages", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--every", type=int, default=1, help="build one of N composites only, to look at")
    main(parser.parse_args())
