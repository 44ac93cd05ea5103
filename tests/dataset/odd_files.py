"""A folder of more than forty odd and hostile files, each with the finding it must get."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

from PIL import Image

from tests.dataset import make


def corpus(root: Path) -> dict[str, str]:
    """Builds the folder; name of an image → the code the doctor must give it ("" for nothing about the file)."""
    root.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, str] = {}

    def add(name: str, code: str, data: bytes | None = None) -> Path:
        wanted[name] = code
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is not None:
            path.write_bytes(data)
        return path

    for suffix, kind in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP")):
        whole = make.encoded(kind, 96, 80 + len(suffix))
        add(f"empty{suffix}", "image_unreadable", b"")
        add(f"one-byte{suffix}", "image_unreadable", whole[:1])
        add(f"header{suffix}", "image_unreadable", whole[:24])
        add(f"half{suffix}", "image_unreadable", whole[: len(whole) // 2])
        add(f"text{suffix}", "image_unreadable", b"<html>404</html>" * 20)
        add(f"gif{suffix}", "image_unreadable", make.encoded("GIF"))
        add(f"bmp{suffix}", "image_unreadable", make.encoded("BMP"))
        add(f"zeros{suffix}", "image_unreadable", bytes(5000))
    # Damage in the middle, which no header and no file end shows.
    wave = bytearray(make.encoded("PNG", 200, 160))
    wave[len(wave) // 2 : len(wave) // 2 + 40] = bytes(40)
    add("middle.png", "image_damaged", bytes(wave))
    # Cut in the middle, and closed again: only its pixels tell.
    for number, how in enumerate(({}, {"progressive": True})):
        photo = io.BytesIO()
        make.gradient(320, 240 + number).effect_spread(9).save(photo, "JPEG", quality=90, **how)
        add(f"cut-{number}.jpg", "image_cut", photo.getvalue()[: len(photo.getvalue()) * 4 // 5] + b"\xff\xd9")
    add("bomb.png", "image_too_large", make.png_of_size(60000, 60000))
    add("huge-claim.png", "image_unreadable", make.png_of_size(4000, 3000))
    add("zero-size.png", "image_unreadable", make.png_of_size(0, 10))
    add("png.jpg", "image_extension", make.encoded("PNG", 96, 96))
    add("jpg.png", "image_extension", make.encoded("JPEG", 96, 97))
    add("webp.jpeg", "image_extension", make.encoded("WEBP", 96, 98))
    add("UPPER.JPG", "", make.encoded("JPEG", 96, 99))
    for turn in (2, 3, 5, 6, 8):
        make.rotated(add(f"turned-{turn}.jpg", "image_rotated"), 90, 60 + turn, turn)
    Image.new("RGBA", (80, 81), (200, 30, 30, 90)).save(add("glass.png", "image_alpha"))
    Image.new("RGBA", (80, 82), (200, 130, 30, 255)).save(add("opaque.png", ""))
    Image.new("LA", (80, 83), (90, 10)).save(add("grey-glass.png", "image_alpha"))
    make.gradient(80, 84).quantize(16).save(add("palette-glass.png", "image_alpha"), transparency=3)
    make.gradient(80, 85).convert("CMYK").save(add("print.jpg", "image_mode"))
    Image.new("I;16", (80, 86), 40000).save(add("deep.png", "image_mode"))
    make.gradient(80, 87).convert("L").save(add("grey.png", "image_grey"))
    make.gradient(80, 88).convert("1").save(add("bits.png", "image_grey"))
    film = [make.gradient(80, 89).rotate(90 * n) for n in (1, 2)]
    make.gradient(80, 89).save(add("film.webp", "image_animated"), save_all=True, append_images=film)
    make.gradient(80, 90).save(add("film.png", "image_animated"), save_all=True, append_images=film)
    make.image(add("tiny.png", "image_tiny"), 9, 8)
    make.image(add("strip.png", "image_extreme"), 640, 100)
    make.image(add("a b '米拉' \x1b[31m \n.png", ""), 91, 90)
    make.image(add("deep/" * 20 + "down.png", ""), 92, 90)
    make.image(add("10_mira/.keep/../kept.png".replace(".keep/../", ""), ""), 93, 90)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.txt")
    shutil.copy(make.image(add("twin-a.png", ""), 94, 90), add("twin-b.png", "image_duplicate"))
    make.image(add("twin-c.jpg", "image_similar"), 94, 90)
    return wanted
