"""Brings a tagger of the catalogue onto this machine, through the Hugging Face hub or a mirror (HF_ENDPOINT)."""

from __future__ import annotations

import os
from pathlib import Path

from engine.dataset.names import printable
from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir
from engine.tagging.contracts import Tagger

ASKED_OFFLINE = "LORABAKE_ASKED_OFFLINE"
"""HF_HUB_OFFLINE as the person has set it: workers are offline unless they have something to download."""


def fetch(tagger: Tagger) -> None:
    """Download the files that are missing into the models folder; an interrupted download goes on where it was.

    Raises EngineError `tagger_absent`.
    """
    if tagger.present:
        return
    if not tagger.hub:
        raise _absent(tagger, "it has no address")
    if os.environ.get(ASKED_OFFLINE, "").lower() in ("1", "true", "yes", "on"):
        raise _absent(tagger, "HF_HUB_OFFLINE is set")
    os.environ["HF_HUB_OFFLINE"] = "0"  # read once, when the library is imported
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import hf_hub_download

    try:
        make_private_dir(tagger.folder)
        for name in tagger.wanted:
            if not (tagger.folder / name).is_file():
                hf_hub_download(tagger.hub, name, local_dir=tagger.folder)
    except Exception as error:  # the network fails in every way there is
        words = printable(str(error)).strip().splitlines()
        raise _absent(tagger, words[0][:200] if words else type(error).__name__) from None


def hub_folder(name: str, hub: str, folder: Path) -> None:
    """Download what transformers needs of a repository; raises EngineError `tagger_absent`."""
    files = "config.json, *.safetensors, …"
    told = {"name": name, "files": files, "hub": hub, "path": printable(str(folder))}
    if os.environ.get(ASKED_OFFLINE, "").lower() in ("1", "true", "yes", "on"):
        raise EngineError("tagger_absent", reason="HF_HUB_OFFLINE is set", **told)
    os.environ["HF_HUB_OFFLINE"] = "0"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import snapshot_download

    try:
        make_private_dir(folder)
        snapshot_download(hub, local_dir=folder, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"])
    except Exception as error:  # as above
        words = printable(str(error)).strip().splitlines()
        reason = (words[0][:200] if words else type(error).__name__).rstrip(".")
        raise EngineError("tagger_absent", reason=reason, **told) from None


def _absent(tagger: Tagger, reason: str) -> EngineError:
    return EngineError(
        "tagger_absent",
        name=tagger.name,
        reason=reason.rstrip(".") or "unknown",
        files=", ".join(tagger.wanted),
        hub=tagger.hub or "—",
        path=printable(str(tagger.folder)),
    )
