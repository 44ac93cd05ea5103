"""Measures the embedded demo: does the base obey its prompts, and do bakes on it learn what they should, no more.

The shipped tagger judges generated pictures; its score on real drawings of the same prompts is the ceiling. Bakes run
through the command line like a user's. Every sheet that was judged is saved beside the numbers.

    python -m tools.bench.demo_quality OUT [--skip-bakes] [--seeds 3] [--kinds character ...]
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.demo.paths import BASE, DATASET, REG, TAGGER, TRIGGER
from tools.demo_data import draw, render
from tools.demo_generate import Base, generate, load_base
from tools.demo_sample import write_style
from tools.demo_sheet import contact_sheet
from tools.demo_tags import CHARACTER_TRAITS, PIXEL_STYLE

THRESHOLD = 0.5
AQUA_SHARE = 0.04  # of the picture's pixels; drawings of the character have 0.10 and more, all others none
KINDS = ["character", "character with reg", "style"]


class Judge:
    """The shipped tagger, asked for tags of 64×64 pictures."""

    def __init__(self, folder: Path) -> None:
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        with open(folder / "selected_tags.csv", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        self.names = [row["name"].replace("_", " ") for row in rows]
        self.general = [i for i, row in enumerate(rows) if row["category"] == "0"]

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """[N, tags] of uint8 RGB pictures [N, 64, 64, 3]."""
        answers = []
        for start in range(0, len(pictures), 16):
            part = [
                Image.fromarray(p).resize((448, 448), Image.Resampling.BICUBIC) for p in pictures[start : start + 16]
            ]
            batch = np.stack([np.asarray(p, np.float32)[..., ::-1] for p in part])
            answers.append(self.session.run(None, {"input": np.ascontiguousarray(batch)})[0])
        return np.concatenate(answers)

    def share(self, pictures: np.ndarray, tag: str) -> np.ndarray:
        """Bool [N]: which pictures show `tag`."""
        return self.probabilities(pictures)[:, self.names.index(tag)] > THRESHOLD

    def f1(self, pictures: np.ndarray, captions: list[str]) -> float:
        """Micro F1 of the general tags seen against those in the captions."""
        seen = self.probabilities(pictures) > 0.35
        hits = guesses = wanted = 0
        for row, caption in zip(seen, captions, strict=True):
            found = {self.names[i] for i in self.general if row[i]}
            asked = set(caption.split(", ")) & {self.names[i] for i in self.general}
            hits, guesses, wanted = hits + len(found & asked), guesses + len(found), wanted + len(asked)
        return 2 * hits / max(1, guesses + wanted)


def aqua_share(pictures: np.ndarray) -> np.ndarray:
    """Float [N]: the share of pixels in the character's hair colour."""
    shares = []
    for picture in pictures:
        hue, saturation, value = np.asarray(Image.fromarray(picture).convert("HSV")).transpose(2, 0, 1)
        shares.append(((hue >= 118) & (hue <= 138) & (saturation > 110) & (value > 110)).mean())
    return np.array(shares)


def shows_character(judge: Judge, pictures: np.ndarray) -> np.ndarray:
    """Bool [N]: cat ears and aqua hair, by the tagger and by the hair's colour."""
    found = aqua_share(pictures) > AQUA_SHARE
    for trait in CHARACTER_TRAITS:
        found &= judge.share(pictures, trait)
    return found


def with_lora(base: Base, path: Path, weight: float = 1.0) -> Base:
    """A copy of the base with a LoRA in kohya's keys merged in."""
    tensors = {k: v.float() for k, v in load_file(path).items()}
    merged = Base(base.tokenizer, copy.deepcopy(base.text), base.vae, copy.deepcopy(base.unet), base.folder)
    targets = {f"lora_unet_{n.replace('.', '_')}": m for n, m in merged.unet.named_modules()}
    for name, module in merged.text.named_modules():
        plain = name.removeprefix("text_model.")
        targets[f"lora_te_text_model_{plain.replace('.', '_')}"] = module
    for key in {k.split(".")[0] for k in tensors}:
        down, up = tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"]
        scale = weight * float(tensors.get(f"{key}.alpha", torch.tensor(len(down)))) / len(down)
        change = (up.flatten(1) @ down.flatten(1)).reshape(targets[key].weight.shape)
        targets[key].weight.data += scale * change
    return merged


def bake(out: Path, dataset: Path, name: str, seed: int, extra: list[str]) -> dict:
    """Bake through the command line; {files: by epoch, seconds: of training}."""
    command = [sys.executable, "-m", "lorabake_tui", "bake", "--dataset", str(dataset), "--base", "demo"]
    command += ["--name", name, "--set", f"seed={seed}", "--out", str(out), "--json", *extra]
    environment = os.environ | {"LORABAKE_HOME": str(out / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"the bake failed:\n{done.stderr}")
    times = [event["t"] for event in map(json.loads, done.stdout.splitlines()) if event.get("type") == "step"]
    files = sorted(out.glob(f"{name}*.safetensors"))
    return {"files": files, "seconds": max(times) - min(times) if times else None}


def save_sheet(path: Path, pictures: np.ndarray, captions: list[str]) -> None:
    """The pictures that were judged."""
    contact_sheet([Image.fromarray(p) for p in pictures], captions, 8, 96).save(path)


def prompts_with_trigger(count: int, seed: int = 500) -> list[str]:
    """The sample dataset's kind of prompt, in combinations it does not hold."""
    bound = {"aqua hair", "cat ears", "long hair", "pale skin", "purple eyes"}
    found = [draw(seed, i, character=True).tags for i in range(count)]
    return [", ".join([TRIGGER, *(t for t in tags if t not in bound)]) for tags in found]


def prompts_of_others(count: int, seed: int = 600) -> list[str]:
    """Prompts that name other hair or another style, the trigger left out."""
    styles = ("ink", "ink", "voxel", "toon")
    return [", ".join(draw(seed, i, styles[i % 4]).tags) for i in range(count)]


def obedience(judge: Judge, base: Base, out: Path, count: int) -> dict:
    """F1 of generated pictures against their prompts, beside that of real drawings of the same prompts."""
    drawings = [draw(900, i) for i in range(count)]
    prompts = [", ".join(d.tags) for d in drawings]
    real = np.stack([np.asarray(render(d.svg)) for d in drawings])
    ceiling = judge.f1(real, prompts)
    made = {}
    for sampler, guidance in (("euler_a", 3.0), ("euler_a", 5.0), ("dpm++", 5.0), ("ddim", 5.0)):
        pictures = np.concatenate(
            [
                generate(base, prompts[i : i + 20], seed=i, guidance=guidance, sampler=sampler)
                for i in range(0, count, 20)
            ]
        )
        made[f"{sampler} cfg {guidance:g}"] = judge.f1(pictures, prompts)
        save_sheet(out / f"obedience-{sampler}-{guidance:g}.png", pictures[:64], prompts[:64])
    best = max(made.values())
    return {"ceiling": ceiling, "made": made, "best over ceiling": best / ceiling, "pictures": count}


def character_of(judge: Judge, base: Base, file: Path | None, count: int, out: Path, label: str) -> dict[str, float]:
    """Shares of pictures that show the character: with the trigger, in a generic prompt, where others are named."""
    model = with_lora(base, file) if file else base
    plain = [p.removeprefix(f"{TRIGGER}, ") for p in prompts_with_trigger(count)]
    sets = {"trigger": prompts_with_trigger(count), "generic": plain, "others": prompts_of_others(count)}
    shares = {}
    for name, prompts in sets.items():
        pictures = generate(model, prompts, seed=7, guidance=4.0)
        shares[name] = float(shows_character(judge, pictures).mean())
        save_sheet(out / f"{label}-{name}.png", pictures, prompts)
    return shares


def style_of(judge: Judge, base: Base, file: Path | None, count: int, out: Path, label: str) -> dict[str, float]:
    """Shares of pictures in pixel style: named, and not named."""
    model = with_lora(base, file) if file else base
    rest = [[t for t in draw(700, i, "pixel").tags if t != PIXEL_STYLE] for i in range(count)]
    sets = {"named": [", ".join([PIXEL_STYLE, *tags]) for tags in rest], "others": prompts_of_others(count)}
    shares = {}
    for name, prompts in sets.items():
        pictures = generate(model, prompts, seed=8, guidance=4.0)
        shares[name] = float(judge.share(pictures, PIXEL_STYLE).mean())
        save_sheet(out / f"{label}-{name}.png", pictures, prompts)
    return shares


def speed(judge: Judge, base_folder: Path) -> dict:
    """Seconds that the base takes to load and to draw four previews of 20 steps, and the tagger's pictures a second."""
    start = time.perf_counter()
    base = load_base(base_folder)
    loaded = time.perf_counter() - start
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        pictures = generate(base, ["1girl"] * 4, steps=20)
        taken.append(time.perf_counter() - start)
    pictures = np.concatenate([pictures] * 32)
    start = time.perf_counter()
    judge.probabilities(pictures)
    rate = len(pictures) / (time.perf_counter() - start)
    return {"load": loaded, "four previews": taken, "tagged a second": rate, "threads": torch.get_num_threads()}


def bakes(judge: Judge, base: Base, out: Path, seeds: int, count: int, wanted: list[str]) -> dict:
    """Character with and without the regularisation set, and style: every seed's best epoch, and the spread."""
    style_set = out / "style-set"
    write_style(style_set, 11)
    kinds = {
        "character": (DATASET, [], character_of, "trigger"),
        "character with reg": (DATASET, ["--reg", str(REG)], character_of, "trigger"),
        "style": (style_set, [], style_of, "named"),
    }
    report: dict = {}
    for kind, (dataset, extra, measure, key) in kinds.items():
        if kind not in wanted:
            continue
        label = kind.replace(" ", "-")
        before = measure(judge, base, None, count, out, f"{label}-before")
        print(kind, "before", json.dumps(before), flush=True)
        rows = []
        for seed in range(1, seeds + 1):
            folder = out / f"{label}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            made = bake(folder, dataset, label, seed, extra)
            by_epoch = [measure(judge, base, f, count, folder, f"e{i:02d}") for i, f in enumerate(made["files"], 1)]
            best = max(range(len(by_epoch)), key=lambda i: by_epoch[i][key] - 0.5 * by_epoch[i]["others"])
            rows.append(
                {
                    "seed": seed,
                    "seconds": made["seconds"],
                    "best epoch": best + 1,
                    **by_epoch[best],
                    "by epoch": [round(e[key], 3) for e in by_epoch],
                }
            )
            print(kind, json.dumps(rows[-1]), flush=True)
        spread = {
            name: {
                "mean": statistics.mean(r[name] for r in rows),
                "min": min(r[name] for r in rows),
                "max": max(r[name] for r in rows),
            }
            for name in before
        }
        report[kind] = {"before": before, "after": spread, "bakes": rows}
    return report


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description="Quality of the embedded demo, in numbers.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--count", type=int, default=200, help="pictures for obedience; a fifth of it per LoRA")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--skip-bakes", action="store_true")
    parser.add_argument("--skip-obedience", action="store_true")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    judge, base = Judge(TAGGER), load_base(args.base)
    report: dict = {"seconds": speed(judge, args.base)}
    if not args.skip_obedience:
        report["obedience"] = obedience(judge, base, args.out, args.count)
    print(json.dumps(report, indent=2), flush=True)
    if not args.skip_bakes:
        report["bakes"] = bakes(judge, base, args.out, args.seeds, args.count // 5, args.kinds)
    (args.out / "demo_quality.json").write_text(json.dumps(report, indent=2))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
