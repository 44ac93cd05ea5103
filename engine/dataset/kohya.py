"""A dataset as kohya's trainers want it: a folder per repeat with links, cropped pictures as files, and `dataset.toml`.

Opening such folders needs nothing of this: `listing` reads their repeats from the names.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tomli_w

from engine.dataset.augment import mirrored_file
from engine.dataset.buckets import bucket_range
from engine.dataset.crop import encoded
from engine.dataset.decode import open_image, orientation
from engine.dataset.encode import encode, plain
from engine.dataset.mirroring import mirrored_words
from engine.dataset.names import inside, printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tell import Tell, silent
from engine.protocol.datasets import ExportReport, GroupViews
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.files import atomic_write
from engine.protocol.params import BakeParams
from engine.protocol.records import Finding

_NAMED = 2000
_CAPTION = (
    "shuffle_caption",
    "keep_tokens",
    "keep_tokens_separator",
    "secondary_separator",
    "enable_wildcard",
    "caption_prefix",
    "caption_suffix",
    "caption_dropout_rate",
    "caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate",
    "token_warmup_min",
    "token_warmup_step",
    "flip_aug",
)
"""Parameters of ours that a subset of kohya's has under the same name."""


class _File(NamedTuple):
    """One picture to write: from which image, mirrored or not, into which folder under which stem."""

    image: ImageFile
    flip: bool
    folder: str
    stem: str


def export(
    dataset: Dataset,
    reg: Dataset | None,
    params: BakeParams,
    out: Path,
    *,
    how: Literal["link", "copy"] = "link",
    crops: bool = True,
    tell: Tell = silent,
) -> ExportReport:
    """Write everything that a bake with `params` would take into the new folder `out`.

    Pictures are linked where kohya's trainers see them as ours do; turned and transparent ones, crops and mirrored
    views become files. Raises EngineError `dataset_no_image`, `export_inside`, `export_exists` or `out_unwritable`;
    trouble with single files is in `failed`.
    """
    _check(dataset, reg, out)
    name = _safe(dataset.path.name)
    files = _files(dataset, params.repeat, "img", name)
    if not files:
        raise EngineError("dataset_no_image", path=printable(str(dataset.path)))
    files += _files(reg, 1, "reg", "reg") if reg else []
    failed: list[Finding] = []
    written: dict[str, int] = {}
    try:
        for folder in sorted({file.folder for file in files}):
            (out / folder).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            # The results have no name: ended early, they are let go, and what is not begun is not done.
            for number, (file, trouble) in enumerate(
                zip(files, pool.map(lambda file: _write(file, out, how, crops), files), strict=True), 1
            ):
                if trouble is None:
                    written[file.folder] = written.get(file.folder, 0) + 1
                else:
                    failed.append(_finding(file.image.name, trouble))
                tell(number, len(files))
        toml = out / "dataset.toml"
        # Last: who finds the description finds everything it describes.
        atomic_write(toml, tomli_w.dumps(_description(params, out, sorted(written), name)).encode(), mode=0o644)
    except OSError as error:
        raise _unwritable(out, error) from None
    return ExportReport(
        path=printable(str(dataset.path)),
        out=printable(str(out)),
        toml=printable(str(toml)),
        files=sum(written.values()),
        folders=[
            GroupViews(name=folder, images=count, views=count * _repeat(folder), repeat=_repeat(folder))
            for folder, count in sorted(written.items())
        ],
        failed=failed[:_NAMED],
    )


def _check(dataset: Dataset, reg: Dataset | None, out: Path) -> None:
    for root in [dataset.path, *([reg.path] if reg else [])]:
        if inside(root, out) or inside(out, root):
            raise EngineError("export_inside", path=printable(str(out)))
    try:
        if out.exists() and any(out.iterdir()):
            raise EngineError("export_exists", path=printable(str(out)))
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError) -> EngineError:
    return EngineError("out_unwritable", path=printable(str(out)), reason=error.strerror or str(error))


def _files(dataset: Dataset, default: int, top: str, name: str) -> list[_File]:
    """What is written, each with a stem of its own in its folder: kohya's trainers do not look into folders below."""
    files: list[_File] = []
    taken: set[tuple[str, str]] = set()
    for image in dataset.usable:
        repeat = default if image.set_repeat is None else image.set_repeat
        flipped = (repeat if image.flip_repeat is None else image.flip_repeat) if image.flip else 0
        for flip, views in ((False, repeat), (True, flipped if repeat else 0)):
            if views:
                folder = f"{top}/{views}_{name}"
                wanted = _safe(os.path.splitext(image.name)[0].replace("/", "__")) + "_mirror" * flip
                stem, count = wanted, 2
                while (folder, stem.casefold()) in taken:
                    stem, count = f"{wanted}-{count}", count + 1
                taken.add((folder, stem.casefold()))
                files.append(_File(image, flip, folder, stem))
    return files


def _safe(text: str) -> str:
    """A file name on any system; what cannot stand in one becomes an underscore."""
    kept = "".join("_" if ord(sign) < 32 or sign in '<>:"/\\|?*' else sign for sign in printable(text)).strip(" .")
    while len(kept.encode()) > 180:
        kept = kept[:-1]
    return kept or "images"


def _write(file: _File, out: Path, how: Literal["link", "copy"], crops: bool) -> ErrorInfo | None:
    image, folder = file.image, out / file.folder
    try:
        caption = image.caption
        if caption is not None:
            words = mirrored_words(caption) if file.flip else caption
            atomic_write(folder / f"{file.stem}.txt", words.encode() + b"\n", mode=0o644)
        crop = image.crop if crops else None
        ending = image.path.suffix.lower()
        if file.flip:
            data, ending = mirrored_file(image)
            if crop is not None:
                data = _cropped_mirror(image)
        elif crop is not None:
            data = encoded(image, crop)
        elif _seen_alike(image):
            _link(image.path, folder / f"{file.stem}{ending}", how)
            return None
        else:
            data = encode(*plain(image), name=image.name)
        atomic_write(folder / f"{file.stem}{ending}", data, mode=0o644)
    except EngineError as error:
        return error.info
    except OSError as error:
        return describe("out_unwritable", path=printable(str(out)), reason=error.strerror or str(error))
    return None


def _cropped_mirror(image: ImageFile) -> bytes:
    from PIL import Image
    from PIL.Image import Transpose

    from engine.dataset.crop import exact_fit
    from engine.dataset.pixels import load_rgb

    assert image.crop is not None
    rgb = Image.fromarray(load_rgb(image.path, exact_fit(image.crop), draft=True))
    return encode(rgb.transpose(Transpose.FLIP_LEFT_RIGHT), plain(image).kind, name=image.name)


def _seen_alike(image: ImageFile) -> bool:
    """Whether kohya's trainers, which turn nothing upright and drop transparency, train what ours train."""
    with open(image.path, "rb") as file:
        picture = open_image(file, image.name)
        alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
        return orientation(picture) == 1 and not alpha


def _link(path: Path, target: Path, how: Literal["link", "copy"]) -> None:
    if how == "link":
        with contextlib.suppress(OSError):
            os.link(path, target)
            return
        with contextlib.suppress(OSError):
            os.symlink(path, target)
            return
    temporary = target.with_name(f".{target.name[:100]}.part")
    shutil.copyfile(path, temporary)
    os.replace(temporary, target)


def _repeat(folder: str) -> int:
    return int(folder.rpartition("/")[2].partition("_")[0])


def _description(params: BakeParams, out: Path, folders: Sequence[str], name: str) -> dict[str, Any]:
    """The dataset configuration of kohya's trainers; values that say nothing there are left out."""
    limits = bucket_range(params)
    shared = {key: value for key in _CAPTION if (value := getattr(params, key)) not in (0, 0.0, "", False)}
    reg = [folder for folder in folders if folder.startswith("reg/")]
    subsets = [
        {
            "image_dir": str(out / folder),
            "num_repeats": _repeat(folder),
            "class_tokens": name if folder not in reg else "reg",
            **({"is_reg": True} if folder in reg else {}),
            **shared,
        }
        for folder in folders
    ]
    return {
        "general": {"caption_extension": ".txt"},
        "datasets": [
            {
                "resolution": params.resolution,
                "batch_size": params.batch_size,
                "enable_bucket": params.enable_bucket,
                "min_bucket_reso": limits.shortest,
                "max_bucket_reso": limits.longest,
                "bucket_reso_steps": limits.step,
                "bucket_no_upscale": params.bucket_no_upscale,
                "subsets": subsets,
            }
        ],
    }


def _finding(file: str, info: ErrorInfo) -> Finding:
    return Finding(file=file, code=info.code, message=info.message, hint=info.hint, args=info.args)
