"""LoRABake beside a plain diffusers + PEFT loop, and sd-scripts where a checkout is given, on one full-size SD 1.5 of
random numbers: steps/s, seconds from command to first step, peak memory, share of the machine's matrix-product rate.

    python -m tools.bench train [--steps 8] [--precision auto] [--rank 16] [--skip-demo]
                                [--sd-scripts DIR --sd-python PYTHON]

256×256 pixels, batch 1, U-Net and text encoder, five pictures, no previews. Then the demo's bake: its training seconds
and held-out loss. Needs 2 GB of disk for the time it takes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WARM = 2
"""Steps at the start that are not counted: first use of kernels, first touch of memory."""


@dataclass
class Result:
    """What one trainer did: seconds to its first step, wall and processor seconds at each step, peak bytes."""

    start: float = 0.0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0
    flops: int = 0

    def seconds(self, times: list[float]) -> list[float]:
        """How long the counted steps took."""
        return [after - before for before, after in zip(times[WARM - 1 :], times[WARM:], strict=False)]


def main() -> None:
    """Run the trainers one after the other and print a row each."""
    args = _arguments()
    precision = args.precision if args.precision != "auto" else ("bf16" if _has_bf16() else "fp32")
    with tempfile.TemporaryDirectory(prefix="lorabake-bench-") as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "tools.bench._random_base", name], cwd=ROOT, check=True)
        results = {
            "LoRABake": lorabake(folder, args.steps, precision, args.rank),
            "diffusers + PEFT": plain(folder, args.steps, precision, args.rank),
        }
        if args.sd_scripts:
            results["sd-scripts"] = sd_scripts(folder, args, precision)
    _print(results, precision, args.rank)
    if not args.skip_demo:
        with tempfile.TemporaryDirectory(prefix="lorabake-bench-") as name:
            demo(Path(name))


def lorabake(folder: Path, steps: int, precision: str, rank: int) -> Result:
    """Through the command line, like a user's."""
    settings = {
        "precision": precision,
        "network_dim": rank,
        "epochs": 1,
        "repeat": -(-steps // 5),
        "batch_size": 1,
        "resolution": 256,
        "preview_every_epochs": 0,
        "text_encoder_lr": 5e-5,
    }
    words = ["bake", "--dataset", str(folder / "dataset" / "1_noise"), "--base", str(folder / "base"), "--json"]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    home, result, began = folder / "home", Result(), time.time()
    elapsed: list[float] = []
    with _started([sys.executable, "-m", "lorabake_tui", *words], {"LORABAKE_HOME": str(home)}) as lines:
        for line in lines:
            event = _json(line)
            worker = _worker(home)
            if worker:
                result.peak = max(result.peak, _peak(worker))
            if event.get("type") != "step":
                continue
            if not elapsed:
                first = float(event["t"])
            elapsed.append(float(event["elapsed_s"]))
            result.cpu.append(_cpu(worker) if worker else 0.0)
    # A step is journaled when the next one was launched, the last one at once; `elapsed_s` is exact.
    result.cpu.pop()
    result.start = first - (elapsed[1] - elapsed[0]) - began
    result.wall = elapsed
    return result


def plain(folder: Path, steps: int, precision: str, rank: int) -> Result:
    """The loop of this bench."""
    paths = [str(folder / "base"), str(folder / "dataset")]
    words = [sys.executable, "-m", "tools.bench._plain_loop", *paths, str(steps), precision, str(rank)]
    return _told(words, {"HF_HUB_OFFLINE": "1"})


def sd_scripts(folder: Path, args: argparse.Namespace, precision: str) -> Result:
    """kohya's train_network.py, unchanged, in its own environment."""
    tokenizers = folder / "tokenizers"
    tokenizers.mkdir()
    os.symlink(folder / "base" / "tokenizer", tokenizers / "openai_clip-vit-large-patch14")
    words = [args.sd_python, str(ROOT / "tools/bench/_watched.py"), str(Path(args.sd_scripts) / "train_network.py")]
    words += ["--pretrained_model_name_or_path", str(folder / "base"), "--train_data_dir", str(folder / "dataset")]
    words += ["--output_dir", str(folder / "sd-scripts"), "--tokenizer_cache_dir", str(tokenizers)]
    words += ["--network_module", "networks.lora", "--network_dim", str(args.rank), "--network_alpha", str(args.rank)]
    words += ["--resolution", "256,256", "--train_batch_size", "1", "--max_train_steps", str(args.steps)]
    words += ["--learning_rate", "1e-4", "--caption_extension", ".txt", "--cache_latents", "--sdpa", "--seed", "1"]
    words += ["--max_data_loader_n_workers", "0", "--save_model_as", "safetensors", "--optimizer_type", "AdamW"]
    words += ["--mixed_precision", "bf16" if precision == "bf16" else "no"]
    return _told(words, {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""})


def demo(home: Path) -> None:
    """The default bake of the embedded dataset on the embedded base, with a share held out."""
    from engine.demo.paths import DATASET

    words = ["bake", "--dataset", str(DATASET), "--base", "demo", "--json", "--set", "validation_split=0.2"]
    losses: list[float] = []
    seconds = 0.0
    with _started([sys.executable, "-m", "lorabake_tui", *words], {"LORABAKE_HOME": str(home)}) as lines:
        for event in map(_json, lines):
            if event.get("type") == "validation":
                losses.append(float(event["loss"]))
            if event.get("type") == "finished":
                seconds = float(event["seconds"])
    print(f"demo bake: {seconds:.1f} s of training, held-out loss {losses[0]:.4f} before, {losses[-1]:.4f} at the end")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench train", description=__doc__)
    parser.add_argument("--steps", type=int, default=10, help="a multiple of 5, the number of pictures")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--skip-demo", action="store_true")
    parser.add_argument("--sd-scripts", metavar="DIR", help="a checkout of kohya-ss/sd-scripts")
    parser.add_argument("--sd-python", metavar="PYTHON", default=sys.executable, help="the Python of its environment")
    args = parser.parse_args()
    if args.steps < 5 or args.steps % 5:
        parser.error("--steps must be a multiple of 5")
    return args


def _print(results: dict[str, Result], precision: str, rank: int) -> None:
    rate = _matrix_rate(precision)
    flops = results["diffusers + PEFT"].flops
    print(f"SD 1.5, 256×256, batch 1, rank {rank}, U-Net + text encoder, {precision}, CPU")
    print(f"matrix products here: {rate / 1e9:.0f} GFLOP/s; one step: {flops / 1e9:.0f} GFLOP")
    print(
        f"{'':18}{'steps/s':>9}{'best s':>9}{'cpu s':>9}{'first step s':>14}{'peak GB':>9}{'GFLOP/s':>9}{'of rate':>9}"
    )
    for name, result in results.items():
        # Steps that are told in one go leave a gap of no processor time: only their mean says something.
        wall, cpu = result.seconds(result.wall), result.seconds(result.cpu)
        middle = statistics.median(wall)
        row = f"{name:18}{1 / middle:9.3f}{min(wall):9.2f}{statistics.mean(cpu):9.2f}{result.start:14.1f}"
        row += f"{result.peak / 1e9:9.2f}{flops / middle / 1e9:9.0f}{flops / middle / rate:9.0%}"
        print(row)
    mine = statistics.median(results["LoRABake"].seconds(results["LoRABake"].wall))
    for name, result in list(results.items())[1:]:
        faster = statistics.median(result.seconds(result.wall)) / mine
        memory, start = results["LoRABake"].peak / result.peak, results["LoRABake"].start / result.start
        print(f"LoRABake over {name}: {faster:.2f} × steps/s, {memory:.2f} × memory, {start:.2f} × time to first step")


def _matrix_rate(precision: str) -> float:
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    side = 2048
    a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - began)
    return 2 * side**3 / min(taken)


def _has_bf16() -> bool:
    flags = Path("/proc/cpuinfo").read_text().split()
    return "amx_bf16" in flags or "avx512_bf16" in flags


def _told(words: list[str], environment: dict[str, str]) -> Result:
    result, began = Result(), time.time()
    with _started(words, environment) as lines:
        for event in map(_json, lines):
            if "t" in event:
                result.wall.append(float(event["t"]))
                result.cpu.append(float(event["cpu"]))
            result.peak = int(event.get("peak", result.peak))
            result.flops = int(event.get("flops", result.flops))
    result.start = result.wall[0] - began
    return result


@contextlib.contextmanager
def _started(words: list[str], environment: dict[str, str]) -> Iterator[Iterator[str]]:
    """The lines of a command's output as they come; ends this bench when the command fails."""
    child = subprocess.Popen(words, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    yield iter(child.stdout)
    if child.wait():
        raise SystemExit(f"failed: {' '.join(words[:6])} …")


def _json(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _worker(home: Path) -> int:
    """The process that holds the only run of `home`; 0 while there is none."""
    from engine.protocol.files import lock_holder

    return next((pid for lock in home.glob("runs/*/lock") if (pid := lock_holder(lock))), 0)


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


if __name__ == "__main__":
    main()
