"""Caption files: reading, writing without loss, splitting into tags. What the trainer makes of them is `render`.

Tags are opaque text between commas: underscores, parentheses, backslashes and kaomoji are never touched.
"""

from __future__ import annotations

from pathlib import Path

from engine.dataset.names import inside, printable
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write

EXTENSIONS = (".txt", ".caption")
"""Where a caption may stand, the first existing one counts; new captions are `.txt`."""

MAX_BYTES = 64 * 1024
"""A longer file is no caption: a text encoder reads some hundred bytes of it."""

_BOM = b"\xef\xbb\xbf"


def caption_path(image: Path) -> Path:
    """The caption file of an image: the existing one, else the `.txt` that would be made.

    Pipes and devices would block a reader for ever, and a link out of the folder may lead to anything: neither is
    a caption.
    """
    candidates = [image.with_name(image.stem + extension) for extension in EXTENSIONS]
    return next((path for path in candidates if is_caption(path)), candidates[0])


def is_caption(path: Path) -> bool:
    """Whether `path` is an ordinary file, or a link to one in its own folder or below."""
    try:
        return path.is_file() and (not path.is_symlink() or inside(path.parent, path))
    except OSError:  # a name that the disk finds too long
        return False


def decode_caption(raw: bytes, file: str) -> str:
    """The text of a caption file: no byte-order mark, `\\n` as line end, no blank lines at the end.

    Raises EngineError `caption_undecodable` for bytes that are not UTF-8 text (no text holds a zero byte, UTF-16
    does), `caption_too_long` past `MAX_BYTES`.
    """
    if len(raw) > MAX_BYTES:
        raise EngineError("caption_too_long", file=file, limit=MAX_BYTES // 1024)
    if b"\0" in raw:
        raise EngineError("caption_undecodable", file=file)
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        raise EngineError("caption_undecodable", file=file) from None
    return text.replace("\r\n", "\n").rstrip("\r\n")


def read_caption(image: Path) -> str | None:
    """The caption of an image file, None when it has none.

    Raises EngineError `caption_undecodable`, `caption_too_long` or `dataset_unreadable`.
    """
    path = caption_path(image)
    raw = _bytes_of(path)
    return None if raw is None else decode_caption(raw, printable(path.name))


def write_caption(image: Path, text: str, *, expected: str | None) -> bool:
    """Give `image` the caption `text`; returns False when it was that already and no byte was written.

    `expected` is what the editor started from (None: no caption file). Byte-order mark, line ends and a final
    newline stay as they are. Raises EngineError `caption_changed` when the file says something else by now,
    `caption_undecodable` rather than overwrite bytes that nobody could read, `caption_too_long`, or
    `dataset_unwritable` when the folder refuses.
    """
    path = caption_path(image)
    raw = _bytes_of(path)
    current = None if raw is None else decode_caption(raw, printable(path.name))
    wanted = printable(text).replace("\r\n", "\n").rstrip("\r\n")
    if current == wanted:
        return False
    if current != expected:
        raise EngineError("caption_changed", file=printable(image.name))
    data = _encode(wanted, raw or b"")
    if len(data) > MAX_BYTES:
        raise EngineError("caption_too_long", file=printable(image.name), limit=MAX_BYTES // 1024)
    try:
        # Others read captions too, so a new one is no secret of ours: 0644, unlike LoRABake's own files.
        atomic_write(path, data, mode=None if raw is not None else 0o644)
    except OSError as error:
        raise EngineError(
            "dataset_unwritable", path=printable(str(path.parent)), reason=error.strerror or str(error)
        ) from None
    return True


def _bytes_of(path: Path) -> bytes | None:
    if not is_caption(path):
        return None
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(
            "dataset_unreadable", path=printable(str(path)), reason=error.strerror or str(error)
        ) from None


def _encode(text: str, before: bytes) -> bytes:
    crlf = b"\r\n" in before
    ending = "\n" if before.endswith(b"\n") else ""
    body = (text + ending).replace("\n", "\r\n" if crlf else "\n")
    return (_BOM if before.startswith(_BOM) else b"") + body.encode("utf-8")


def first_line(caption: str) -> str:
    """The only line that trains; kohya's rule without wildcards."""
    return caption.split("\n", 1)[0].strip()


def split_tags(caption: str) -> list[str]:
    """The tags of the first line, trimmed, without empty ones."""
    return [tag for part in first_line(caption).split(",") if (tag := part.strip())]


def join_tags(tags: list[str]) -> str:
    """Tags as one caption line."""
    return ", ".join(tags)
