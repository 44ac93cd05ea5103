"""A dataset frozen at submit: content hashes, captions, repeats, so that a resumed bake is the same bake.

The plan decides what takes part; this file remembers it and finds out what changed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.dataset.buckets import bucket_sizes
from engine.dataset.names import locate, printable
from engine.dataset.plan import BakePlan, Item, assemble, fit_image
from engine.dataset.scan import Dataset, ImageFile
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import ManifestEntry, RegUse

_WORKERS = 4


def freeze(plan: BakePlan) -> list[ManifestEntry]:
    """One entry per item, in the plan's order, validation images last; reads every image once to hash it.

    Raises EngineError `image_missing` or `image_unreadable` for a file that went away or cannot be read.
    """
    rows = [(item, False) for item in plan.items] + [(item, True) for item in plan.validation]
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        hashes = list(pool.map(lambda row: file_sha256(row[0].image.path, row[0].image.name), rows))
    return [
        ManifestEntry(
            file=printable(str(item.image.path)),
            name=item.image.name,
            sha256=digest,
            caption=item.image.caption or "",
            repeat=item.repeat,
            width=item.image.width,
            height=item.image.height,
            reg=item.reg,
            validation=held,
            crop=item.image.crop,
            flip=item.flip,
        )
        for (item, held), digest in zip(rows, hashes, strict=True)
    ]


def thaw(manifest: Sequence[ManifestEntry], params: BakeParams) -> BakePlan:
    """The plan that was frozen: same items, order, captions and repeats, whatever the folder holds by now."""
    sizes = tuple(bucket_sizes(params))
    items: list[Item] = []
    validation: list[Item] = []
    for entry in manifest:
        image = ImageFile(
            name=entry.name or entry.file,
            path=image_path(entry),
            width=entry.width,
            height=entry.height,
            caption=entry.caption,
            own_repeat=entry.repeat,
            crop=entry.crop,
        )
        item = Item(
            image=image,
            repeat=entry.repeat,
            fit=fit_image(image, sizes, params),
            reg=entry.reg,
            flip=entry.flip,
        )
        (validation if entry.validation else items).append(item)
    reg = [item.repeat for item in items if item.reg]
    use = RegUse(used=len(reg), repeated=sum(n > 1 for n in reg), views=sum(reg))
    return assemble(items, validation, params, reg=use)


def verify(manifest: Sequence[ManifestEntry]) -> list[str]:
    """The files (as in `ManifestEntry.file`) whose content is not what was frozen, or that are gone."""

    def same(entry: ManifestEntry) -> bool:
        try:
            return file_sha256(image_path(entry), entry.file) == entry.sha256
        except EngineError:
            return False

    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        intact = list(pool.map(same, manifest))
    return [entry.file for entry, good in zip(manifest, intact, strict=True) if not good]


def edited(manifest: Sequence[ManifestEntry], dataset: Dataset, since: float) -> tuple[list[str], list[str]]:
    """The names of images whose caption is another by now, and of those that came to the folder after `since`."""
    frozen = {entry.file: entry.caption for entry in manifest if not entry.reg and not entry.flip}
    captions, new = [], []
    for image in dataset.images:
        file = printable(str(image.path))
        if file in frozen:
            if frozen[file] != (image.caption or ""):
                captions.append(image.name)
        elif image.usable and image.set_repeat != 0 and image.path.stat().st_ctime > since:
            new.append(image.name)
    return captions, new


def image_path(entry: ManifestEntry) -> Path:
    """Where the file of an entry is; a spelling that JSON cannot hold is found again part by part."""
    path = Path(entry.file)
    if path.exists():
        return path
    try:
        return locate(Path("/"), entry.file.lstrip("/"))
    except EngineError:
        return path


def file_sha256(path: Path, name: str) -> str:
    """The hash of a file's bytes; raises EngineError `image_missing` or `image_unreadable`."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise EngineError("image_missing", file=printable(name)) from None
    except OSError as error:
        raise EngineError("image_unreadable", file=printable(name), reason=error.strerror or str(error)) from None
