"""Opening the picture files that people bring, of any kind, size and colour, and hostile ones.

A picture becomes an array of pixels as one looks at it: turned as the camera says, transparent
parts on paper, no larger than needed. Whatever is wrong with a file is one line, a UserError.
"""

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from common.data_files import cannot_read, refuse_no_data, type_of
from common.user_error import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
PICTURE_ENDS = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".pbm", ".ppm")
)
MAX_BYTES = 50_000_000  # of a file: the largest photos of phones have some 30 MB
MAX_PIXELS = 120_000_000  # announced in the file's head: 108 megapixels is the most in phones
MAX_SIDE = 20_000  # pixels
LONGEST_SIDE = 1600  # pixels; more shows grain of the paper, not more of a digit
ROWS_AT_ONCE = 256  # of the reduced picture
SAVE_AS = "Save it as PNG or JPEG."
TURNS = {  # what brings a picture upright, by the camera's note (EXIF 2.3, table 6)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_pixels(path: Path) -> np.ndarray:
    """Return the pixels of a picture file.

    Returns:
        float32 (height, width, channels) in [0, 1], 1 or 3 channels, the longer side at most
        LONGEST_SIDE.

    Raises:
        UserError: no picture, a damaged or too large one, or one of several frames.
    """
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures and odd notes of cameras
            with Image.open(path, formats=FORMATS) as picture:
                _check_announced(picture, path)
                picture.draft(None, (LONGEST_SIDE, LONGEST_SIDE))  # lets large JPEGs load fast
                picture.load()
                return _as_array(picture)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not a picture that can be read. {SAVE_AS}") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise _too_many_pixels(path) from error
    # Pillow's decoders raise many kinds of errors for damaged files, none of them documented, and
    # in words that help nobody who has only the picture ("could not create decoder object").
    except Exception as error:
        raise UserError(
            f"{path} is damaged, only a part of a picture, or of a rare kind. {SAVE_AS}"
        ) from error


def _check_file(path: Path) -> None:
    """Refuse what is no picture by its size and its first bytes, with what it is instead."""
    if type_of(path) == "folder":
        raise UserError(f"{path} is a folder, expected a picture.")
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise UserError(
                f"{path} has {n_bytes / 1e6:,.0f} MB, more than {MAX_BYTES / 1e6:.0f}. Save it "
                "smaller: a digit needs no more than some hundred pixels."
            )
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise cannot_read(path, error) from error
    if b"<svg" in head:
        raise UserError(f"{path} is an SVG drawing, which is not read. {SAVE_AS}")
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif", b"ftypheif"):
        raise UserError(f"{path} is a HEIC or AVIF picture, which is not read. {SAVE_AS}")
    refuse_no_data(head, path)


def _check_announced(picture: Image.Image, path: Path) -> None:
    """Refuse what the head announces, before any pixel is unpacked."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(path)
    if max(width, height) > MAX_SIDE:
        raise UserError(f"{path} is {width:,} by {height:,} pixels, which is no photo. Cut it.")
    # Phones append a preview or a second view to a photo (MPO): the first is the photo.
    n_frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if n_frames > 1:
        raise UserError(f"{path} has {n_frames} frames or pages. Save one of them as PNG.")


def _too_many_pixels(path: Path) -> UserError:
    """Return (not raise) the error for a picture that would unpack to too much."""
    return UserError(
        f"{path} unpacks to more than {MAX_PIXELS / 1e6:.0f} million pixels. Save it smaller."
    )


def _as_array(picture: Image.Image) -> np.ndarray:
    """Return a loaded picture as float32 (height, width, channels) in [0, 1]."""
    is_grey = picture.mode in ("1", "L")
    is_deep = picture.mode.startswith(("I", "F"))  # 16 or 32 bits a pixel
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    reduced = _reduced(picture, "F" if is_grey or is_deep else "RGBA" if has_alpha else "RGB")
    turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    pixels = np.asarray(reduced if turn is None else reduced.transpose(turn), "float32")
    if is_deep:
        return _scaled(pixels)[..., None]
    if is_grey:
        return pixels[..., None] / 255
    return _on_paper(pixels / 255) if has_alpha else pixels / 255


def _reduced(picture: Image.Image, mode: str) -> Image.Image:
    """Return a loaded picture in another mode, averaged until LONGEST_SIDE holds it.

    First by a whole factor and in strips: beside a large picture there is no room for another.
    """
    width, height = picture.size
    factor = max(1, max(width, height) // (2 * LONGEST_SIDE))
    reduced = Image.new(mode, (-(-width // factor), -(-height // factor)))
    step = factor * ROWS_AT_ONCE
    for top in range(0, height, step):
        strip = picture.crop((0, top, width, min(top + step, height)))
        if mode == "F":
            values = np.asarray(strip, "float32") * (255 if strip.mode == "1" else 1)
            strip = Image.fromarray(np.nan_to_num(values, posinf=0, neginf=0))
        reduced.paste(strip.convert(mode).reduce(factor), (0, top // factor))
    reduced.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return reduced


def _scaled(grey: np.ndarray) -> np.ndarray:
    """Return grey values of more than 8 bits in [0, 1]: by the nearest range that holds them."""
    top = next((top for top in (1, 255, 65535) if grey.max() <= top), grey.max())
    return np.clip(grey / top, 0, 1)


def _on_paper(pixels: np.ndarray) -> np.ndarray:
    """Lay pixels with alpha, (height, width, 4), on white paper; on black if they are light."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    weight = alpha.sum()
    is_light = weight > 0 and (colour * alpha).sum() / (3 * weight) > 0.5
    return colour * alpha + (1 - alpha) * (0.0 if is_light and alpha.min() < 0.5 else 1.0)
