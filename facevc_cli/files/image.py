"""Image files. Reads the usual kinds of pictures as upright RGB."""

import importlib
import io
import math
import struct
import warnings
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, UnidentifiedImageError

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.image_headers import check_header, check_scans, is_costly_exif, is_heif, is_jpeg, read_start
from facevc_cli.files.kinds import name_kind

# Only formats that this process decodes itself. Pillow has others, and starts Ghostscript for files that look like
# PostScript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "MPO", "AVIF", "JPEG2000")
PLUGINS = {
    "PNG": "Png",
    "GIF": "Gif",
    "BMP": "Bmp",
    "PPM": "Ppm",
    "WEBP": "WebP",
    "TIFF": "Tiff",
    "MPO": "Mpo",
    "AVIF": "Avif",
    "JPEG2000": "Jpeg2K",
}

MOST_PIXELS = 250_000_000  # phones make JPEGs of 200 million pixels, which are halved while they are decoded
MOST_WHOLE_PIXELS = 100_000_000  # for kinds that are not halved; a PNG of this size takes about 4 s
LARGEST_FILE_BYTES = 300_000_000  # WebP and AVIF are read whole
LONGEST_SIDE_PX = 100_000  # Pillow keeps a pointer for each row
LARGEST_DECODED_BYTES = 800_000_000
# measured largest memory per pixel of the decoders of compressed kinds; the others fill only the picture
DECODER_BYTES = {"WEBP": 16, "AVIF": 16, "HEIF": 16, "JPEG2000": 20}
KEPT_PIXELS = 25_000_000  # a larger picture is halved until it is smaller; a face needs only 150 px
STRIP_PIXELS = 1 << 20
MOST_SLOW_PIXELS = 4_000_000  # for PPM as text, or with odd maxima, because Pillow decodes them in Python
LARGEST_MISSING_SHARE = 0.2  # largest missing share of the rows of a picture that was cut short
FEWEST_SCANS = {1: 4, 3: 6}  # of a progressive JPEG that was cut short, by its channels: of 6 and 10
END_OF_JPEG = b"\xff\xd9"
ORIENTATION = 0x0112
LARGEST_TEXT_EXIF = 1 << 17  # in old PNGs as text, two letters a byte
# Pillow's decoders raise these on damaged data
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, struct.error, zlib.error)


def load_image(path: Path | str, *, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Reads a picture as (H, W, 3) uint8 RGB: the first frame, upright by its EXIF orientation, with transparent parts
    white.

    Grey, palette, CMYK and 16-bit pictures are converted. A picture of more than 25 million pixels is halved while it
    is decoded, until it has fewer. A picture that was cut short is used if at most a fifth of its rows is missing; the
    missing rows are grey or black. FaceVCError if the file is missing, empty, broken, truncated or no picture, has more
    than `most_pixels`, or needs too much memory.
    """
    path = Path(path)
    if not path.is_file():
        raise FaceVCError(f"{path}: no such image file. Check the path.")
    size = path.stat().st_size
    if size == 0:
        raise FaceVCError(f"{path}: the file is empty (zero bytes). Copy or save it again.")
    if size > LARGEST_FILE_BYTES:
        raise FaceVCError(
            f"{path}: expected an image file of at most {LARGEST_FILE_BYTES // 10**6} MB, found {size // 10**6} MB. "
            "Save it as JPEG."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb limit is below ours; EXIF oddities do not matter here
            start = read_start(path)
            check_header(path, start)
            with _open(path, start) as image:
                halvings = _check_size(path, image, min(most_pixels, MOST_PIXELS))
                return _decode(path, image, halvings)
    except Image.DecompressionBombError as error:
        raise _make_size_error(path, "far more", MOST_WHOLE_PIXELS) from error
    except UnidentifiedImageError as error:
        found = name_kind(path).replace("a picture", "") or "something else"
        raise FaceVCError(
            f"{path}: expected an image (JPEG, PNG, WebP, TIFF, ...), found {found}. Check the file."
        ) from error
    except PermissionError as error:
        raise FaceVCError(f"{path}: the image cannot be read ({error.strerror}). Check its permissions.") from error
    except MemoryError as error:
        raise FaceVCError(f"{path}: there is not enough memory for this picture. Scale it down first.") from error
    except BROKEN as error:
        raise FaceVCError(f"{path}: the image is damaged or cut short ({error}). Copy or save it again.") from error


def read_colour_profile(path: Path | str) -> bytes | None:
    """Returns the ICC profile of an RGB picture. None if it has none, or cannot be opened."""
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP", "TIFF")) as image:
            profile = image.info.get("icc_profile")
    except (Image.DecompressionBombError, *BROKEN):
        return None
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def save_image(path: Path | str, image: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB, atomically. The suffix gives the format."""
    path = Path(path)
    if path.suffix.lower() not in Image.registered_extensions():
        raise FaceVCError(f"{path}: no image format ends in {path.suffix!r}. Use .png or .jpg.")
    with atomic_path(path, durable=False) as temporary:
        Image.fromarray(image).save(temporary)


def _open(path: Path, start: bytes) -> Any:
    """Opens a picture and reads its header. The first bytes decide the format, not the suffix."""
    if is_jpeg(start):
        return JpegImagePlugin.JpegImageFile(path)  # the first picture of an MPO; Image.open refuses 200 million pixels
    if is_heif(start):
        _register_heif(path)
        return Image.open(path, formats=("HEIF",))
    return Image.open(path, formats=_list_formats())


@lru_cache(maxsize=1)
def _list_formats() -> tuple[str, ...]:
    """Lists the members of FORMATS that this version of Pillow can read."""
    for name in PLUGINS.values():
        try:
            importlib.import_module(f"PIL.{name}ImagePlugin")
        except ImportError:  # AVIF came with Pillow 11.3
            continue
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise FaceVCError(
            f"{path}: this is a HEIC picture, as iPhones take them, and needs the package pillow-heif. "
            f"Install it with {install_command('heic')}, or export the picture as JPEG."
        ) from error
    pillow_heif.register_heif_opener()


def _make_size_error(path: Path, found: str, most_pixels: int) -> FaceVCError:
    return FaceVCError(
        f"{path}: expected at most {most_pixels / 1e6:.0f} million pixels, found {found}. Scale the picture down first."
    )


def _check_size(path: Path, image: Any, most_pixels: int) -> int:
    """Returns how often to halve the picture, from its header. FaceVCError if decoding would need too much memory."""
    width, height = image.size
    pixels, found = width * height, f"{width} x {height}"
    if image.format not in ("JPEG", "JPEG2000"):
        most_pixels = min(most_pixels, MOST_WHOLE_PIXELS)
    if pixels > most_pixels or max(width, height) > LONGEST_SIDE_PX:
        raise _make_size_error(path, found, most_pixels)
    if image.tile and image.tile[0][0] in ("ppm", "ppm_plain") and pixels > MOST_SLOW_PIXELS:
        raise _make_size_error(path, f"{found} in a slow kind of PPM", MOST_SLOW_PIXELS)
    halvings = max(0, math.ceil(math.log(pixels / KEPT_PIXELS, 4)))
    if image.format == "JPEG":
        _, buffered = check_scans(
            path, width, height, [(h, v) for _, h, v, _ in image.layer], "progressive" in image.info
        )
        needed = buffered + 4 * pixels / 4 ** min(halvings, 3)
    elif image.format == "JPEG2000":
        needed = DECODER_BYTES["JPEG2000"] * pixels / 4 ** _count_wavelet_halvings(image.size, halvings)
    else:
        filled = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}.get(image.mode, 4)
        # Pillow turns a TIFF as a whole
        copies = 2 if image.format == "TIFF" and image.getexif().get(ORIENTATION, 1) != 1 else 1
        needed = DECODER_BYTES.get(image.format, filled * copies) * pixels
    if needed > LARGEST_DECODED_BYTES:
        raise _make_size_error(path, f"{found} ({image.format})", int(pixels * LARGEST_DECODED_BYTES / needed))
    return halvings


def _decode(path: Path, image: Any, halvings: int) -> np.ndarray:
    """Decodes an opened file to an upright picture.

    JPEG and JPEG 2000 are halved by their decoders, others in strips.
    """
    width = image.width
    _ask_for_less(image, halvings)
    try:
        image.load()
    except OSError as error:
        rescued = _rescue_part(path, image, halvings)
        if rescued is None:
            raise error
        image = rescued
    factor = max(1, 2**halvings // round(width / image.width)) if image.format in ("JPEG", "JPEG2000") else 2**halvings
    picture = _turn_upright(image, _convert_to_rgb(image, factor))
    return np.array(picture)


def _ask_for_less(image: Any, halvings: int) -> None:
    if halvings and image.format == "JPEG":
        image.draft(None, tuple(max(1, side >> halvings) for side in image.size))
    elif halvings and image.format == "JPEG2000":
        image.reduce = _count_wavelet_halvings(image.size, halvings)


def _count_wavelet_halvings(size: tuple[int, int], halvings: int) -> int:
    """Counts the halvings that OpenJPEG can do.

    It rounds up, and Pillow rounds to the nearest, and fails if they differ.
    """
    return max(k for k in range(halvings + 1) if all(-(-side >> k) == (side + (1 << k >> 1)) >> k for side in size))


def _rescue_part(path: Path, image: Any, halvings: int) -> Any:
    """Returns the remaining part of a JPEG or PNG that was cut short. None if too much is missing.

    Picture viewers show it, too.

    Pillow's own switch, ImageFile.LOAD_TRUNCATED_IMAGES, would change the whole process.
    """
    if image.format == "PNG" and not image.info.get("interlace"):
        image.tile = []  # nothing more is decoded; the picture has the rows that were decoded before
        image.load()
        return image if _empty_rows(image) <= LARGEST_MISSING_SHARE * image.height else None
    if image.format != "JPEG":
        return None
    image.tile = []
    image.load()
    missing, progressive = _empty_rows(image), "progressive" in image.info
    whole = JpegImagePlugin.JpegImageFile(io.BytesIO(path.read_bytes() + END_OF_JPEG))
    _ask_for_less(whole, halvings)
    whole.load()
    if progressive:
        scans, _ = check_scans(path, image.width, image.height, [(1, 1)] * len(image.layer), True)
        return whole if scans >= FEWEST_SCANS.get(len(image.layer), 6) else None
    # real black rows look like missing ones, and the result is the same
    missing -= int((np.asarray(whole)[image.height - missing :].reshape(missing, -1).max(axis=1, initial=0) == 0).sum())
    return whole if missing <= LARGEST_MISSING_SHARE * image.height else None


def _empty_rows(image: Any) -> int:
    """Counts the rows at the bottom that were never written."""
    box = image.getbbox(alpha_only=False)
    return image.height - (box[3] if box else 0)


def _turn_upright(image: Any, picture: Image.Image) -> Image.Image:
    """Turns the RGB picture by the file's EXIF orientation. A damaged EXIF block is ignored."""
    exif = image.info.get("exif") or b""
    if is_costly_exif(exif) or len(image.info.get("Raw profile type exif", "")) > LARGEST_TEXT_EXIF:
        return picture
    try:
        picture.getexif()[ORIENTATION] = int(image.getexif().get(ORIENTATION, 1))
        return ImageOps.exif_transpose(picture) or picture
    except BROKEN:
        return picture


def _convert_to_rgb(image: Any, factor: int) -> Image.Image:
    """Converts a decoded picture of any mode to RGB, scaled down by a whole number.

    It works in strips to save memory.
    """
    if image.mode == "RGB" and factor == 1 and "transparency" not in image.info:
        return image
    width, height = image.size
    scale = _find_scale(image)
    picture = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = max(1, STRIP_PIXELS // (width * factor)) * factor
    for top in range(0, height, rows):
        strip = _strip(image.crop((0, top, width, min(top + rows, height))), scale)
        picture.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return picture


def _strip(image: Image.Image, scale: float) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(_scale_to_eight_bits(np.arange(65536), scale)[np.asarray(image)]).convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(
            _scale_to_eight_bits(np.nan_to_num(np.asarray(image).astype(np.float64)), scale)
        ).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB")) or image
    return image.convert("RGB")


def _scale_to_eight_bits(values: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.round(values * scale), 0, 255).astype(np.uint8)


def _find_scale(image: Any) -> float:
    """Returns the factor that brings a picture's integers or floats to 0..255, from the smallest usual range that holds
    its largest value.
    """
    if image.mode == "F":
        ranges: tuple[float, ...] = (1.0, 255.0, 65535.0)
    elif image.mode == "I":
        ranges = (255.0, 65535.0)
    else:
        return 255.0 / 65535.0
    largest = max(
        (float(np.nan_to_num(np.asarray(image.crop((0, y, image.width, y + 1)))).max()) for y in range(image.height)),
        default=1.0,
    )
    return 255.0 / next((top for top in ranges if largest <= top), largest)
