"""The face detectors that are known by name, where they lie in the models folder, and how they get there."""

from __future__ import annotations

import contextlib
import os
import textwrap
from pathlib import Path

import msgspec

from engine import home
from engine.dataset.names import printable
from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir
from engine.protocol.records import ModelRow

_ANSWER_SECONDS = 5.0


class Known(msgspec.Struct, frozen=True):
    """A detector of the hub: its repository and file there, and what a person should know before taking it."""

    title: str
    hub: str
    file: str
    bytes: int
    licence: str
    note: str = ""


KNOWN = {
    "yunet": Known(
        "YuNet, faces of photographs",
        "opencv/face_detection_yunet",
        "face_detection_yunet_2023mar.onnx",
        232_589,
        "mit",
    ),
    "anime-face": Known(
        "Anime faces (YOLOv8 s)",
        "deepghs/anime_face_detection",
        "face_detect_v1.4_s/model.onnx",
        44_700_000,
        "mit",
        "The network is YOLOv8, whose makers ask for AGPL-3.0.",
    ),
}


def rows() -> list[ModelRow]:
    """The known detectors for a list of models."""
    return [
        ModelRow(
            name=name,
            kind="detector",
            title=one.title,
            path=str(_place(name)),
            present=_place(name).is_file(),
            bytes=_place(name).stat().st_size if _place(name).is_file() else one.bytes,
            licence=one.licence,
            source=one.hub,
            note=one.note,
        )
        for name, one in KNOWN.items()
    ]


def locate(name_or_path: str) -> Path:
    """The file of a detector: a name of the catalogue, downloaded where it is missing, or a path.

    Raises EngineError `face_model_absent` for a name whose file can neither be found nor fetched.
    """
    known = KNOWN.get(name_or_path)
    if known is None:
        return Path(os.path.abspath(os.path.expanduser(name_or_path)))
    path = _place(name_or_path)
    if not path.is_file():
        _fetch(name_or_path, known)
    return path


def _place(name: str) -> Path:
    return home.models_dir() / name / KNOWN[name].file


def _answers(hub: str) -> None:
    """Raises ConnectionError, in words, for a hub that cannot be reached: the hub's own client asks for half a minute
    before it says so."""
    import urllib.error
    import urllib.request

    try:
        asked = urllib.request.Request(hub, method="HEAD")
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=_ANSWER_SECONDS):
            return  # whatever it answers, there is somebody
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        why = getattr(reason, "strerror", None) or str(reason)
        raise ConnectionError(f"{hub} does not answer ({why})") from None


def _fetch(name: str, known: Known) -> None:
    folder = home.models_dir() / name
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            raise ConnectionError("HF_HUB_OFFLINE is set")
        _answers(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        from huggingface_hub import hf_hub_download

        make_private_dir(folder)
        hf_hub_download(known.hub, known.file, local_dir=folder)
    except Exception as error:  # the network fails in every way there is
        words = printable(str(error)).strip().splitlines()
        raise EngineError(
            "face_model_absent",
            name=name,
            reason=textwrap.shorten(words[0] if words else type(error).__name__, 160, placeholder=" …").rstrip("."),
            hub=known.hub,
            file=known.file,
            path=printable(str(folder)),
        ) from None
