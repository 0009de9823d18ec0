import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from common import picture_files
from common.ink import ink_of
from common.picture_files import read_pixels
from common.pictures import find_digits
from common.user_error import UserError
from tests.handwriting import draw_digit

GREY = Image.fromarray(draw_digit(2))


def save(picture, path, **options):
    picture.save(path, **options)
    return path


def transparent(light):
    """A drawing in black (or white) ink on nothing."""
    colour = 255 if light else 0
    pixels = np.full((200, 200, 4), colour, "uint8")
    pixels[..., 3] = 255 - draw_digit(2, ink=0, paper=255)
    return Image.fromarray(pixels, "RGBA")


VARIANTS = {
    "grey.png": (GREY, {}),
    "colour.jpg": (GREY.convert("RGB"), {"quality": 80}),
    "lossy.webp": (GREY.convert("RGB"), {}),
    "one_bit.png": (Image.fromarray(draw_digit(2) > 128), {}),
    "palette.gif": (GREY.convert("P"), {}),
    "palette.png": (GREY.quantize(8), {}),
    "cmyk.jpg": (GREY.convert("CMYK"), {}),
    "page.tiff": (GREY, {}),
    "bitmap.bmp": (GREY, {}),
    "grey.pgm": (GREY, {}),
    "grey_alpha.png": (GREY.convert("LA"), {}),
    "sixteen_bits.png": (Image.fromarray(draw_digit(2).astype("uint16") * 257), {}),
    "floats.tiff": (Image.fromarray(draw_digit(2).astype("float32") / 255), {}),
    "black_on_nothing.png": (transparent(light=False), {}),
    "white_on_nothing.png": (transparent(light=True), {}),
    "large.jpg": (GREY.resize((4000, 4000)), {}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_kind_of_picture_gives_the_same_digit(tmp_path, name):
    picture, options = VARIANTS[name]
    pixels = read_pixels(save(picture, tmp_path / name, **options))
    assert pixels.dtype == np.float32 and pixels.ndim == 3 and pixels.shape[2] in (1, 3)
    assert pixels.min() >= 0 and pixels.max() <= 1 and max(pixels.shape) <= 1600
    (digit,) = find_digits(ink_of(pixels))
    (expected,) = find_digits(ink_of(draw_digit(2)))
    assert np.abs(digit.image - expected.image).mean() < 0.02


def test_the_camera_says_which_side_is_up(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned = GREY.rotate(90, expand=True)
    pixels = read_pixels(save(turned, tmp_path / "turned.jpg", exif=exif, quality=95))
    assert np.abs(pixels[..., 0] - np.asarray(GREY) / 255).mean() < 0.02


@pytest.mark.parametrize("note", range(1, 9))
def test_all_notes_of_cameras_are_known(tmp_path, note):
    exif = Image.Exif()
    exif[0x0112] = note
    path = save(GREY.crop((20, 10, 170, 190)), tmp_path / "a.png", exif=exif)
    with Image.open(path) as picture:
        expected = ImageOps.exif_transpose(picture)
    np.testing.assert_allclose(read_pixels(path)[..., 0], np.asarray(expected) / 255, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_beside_a_large_picture_there_is_no_copy_of_it(tmp_path, mode, monkeypatch):
    """120 million pixels take half a gigabyte each time."""
    side, sizes = 1400, []
    exif = Image.Exif()
    exif[0x0112] = 3
    large = GREY.resize((side, side))
    deep = Image.fromarray(np.asarray(large).astype("uint16") * 257)
    picture = deep if mode == "I;16" else large.convert(mode)
    path = save(picture, tmp_path / "large.png", exif=exif)

    def watch(original):
        def watched(self, *arguments, **options):
            sizes.append(self.width * self.height)
            return original(self, *arguments, **options)

        return watched

    for name in ("convert", "copy", "transpose", "resize", "reduce"):
        monkeypatch.setattr(Image.Image, name, watch(getattr(Image.Image, name)))
    monkeypatch.setattr(picture_files, "LONGEST_SIDE", 200)
    monkeypatch.setattr(picture_files, "ROWS_AT_ONCE", 50)
    pixels = read_pixels(path)
    assert sizes and max(sizes) <= side**2 / 4
    expected = np.asarray(GREY.rotate(180)) / 255
    assert pixels.shape[:2] == (200, 200)
    assert np.abs(pixels.mean(axis=2) - expected).mean() < 0.05


def test_a_photo_with_an_appended_preview_is_its_first_picture(tmp_path):
    path = tmp_path / "phone.jpg"
    GREY.save(path, "MPO", save_all=True, append_images=[GREY.rotate(90)], quality=95)
    assert np.abs(read_pixels(path)[..., 0] - np.asarray(GREY) / 255).mean() < 0.02


def png_head(width, height):
    """The beginning of a PNG file that announces a size."""
    data = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(data)) + b"IHDR" + data
    chunk += struct.pack(">I", zlib.crc32(b"IHDR" + data))
    body = zlib.compress(b"\0" * 1000)
    end = (
        struct.pack(">I", len(body))
        + b"IDAT"
        + body
        + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    )
    return b"\x89PNG\r\n\x1a\n" + chunk + end


def animation():
    frames, file = [GREY, GREY.rotate(5)], io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def truncated(kind):
    file = io.BytesIO()
    GREY.convert("RGB").save(file, kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bomb.png", png_head(60_000, 60_000), "unpacks to more than 120 million pixels"),
        ("large.png", png_head(12_000, 12_000), "unpacks to more than 120 million pixels"),
        ("stripe.png", png_head(1, 100_000_000), "which is no photo"),
        ("half.png", truncated("PNG"), "is damaged, only a part of a picture, or of a rare"),
        ("half.jpg", truncated("JPEG"), "is damaged, only a part of a picture, or of a rare"),
        ("text.png", b"a text with another name\n" * 9, "not a picture that can be read"),
        ("page.png", b"<!doctype html><html>", "is a web page"),
        ("drawing.svg", b'<?xml version="1.0"?><svg width="9"/>', "is an SVG drawing"),
        ("phone.heic", b"\0\0\0\x18ftypheic" + bytes(50), "is a HEIC or AVIF picture"),
        ("moving.gif", animation(), "has 2 frames or pages"),
        ("empty.png", b"", "is empty"),
        ("script.ps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused_with_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_pixels(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_messages_on_damaged_files_are_in_words_for_those_who_have_only_the_picture(tmp_path, kind):
    """Neither a library's jargon nor the address of an object."""
    file, draw = io.BytesIO(), np.random.default_rng(0)
    GREY.save(file, kind)
    path = tmp_path / "damaged"
    for _ in range(30):
        content = np.frombuffer(file.getvalue(), "uint8").copy()
        content[draw.integers(2, 100, 5)] = draw.integers(0, 256, 5)
        path.write_bytes(content.tobytes())
        try:
            read_pixels(path)
        except UserError as error:
            words = str(error).replace(str(path), "")
            assert " 0x" not in words and "b'" not in words and "decoder" not in words, error


def test_a_file_of_many_bytes_is_not_opened(tmp_path, monkeypatch):
    path = save(GREY, tmp_path / "grey.png")
    monkeypatch.setattr(picture_files, "MAX_BYTES", 100)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(UserError, match="Save it smaller"):
        read_pixels(path)


def test_a_folder_and_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        read_pixels(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        read_pixels(tmp_path / "none.png")
