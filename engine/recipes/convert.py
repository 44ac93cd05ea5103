"""From the keys of another trainer to `BakeParams`: every key is mapped, ignored or refused, and its reason told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from engine.dataset.names import printable
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.recipes import Format, Recipe, RecipeRow
from engine.recipes import names
from engine.recipes.read import command_line, read
from engine.recipes.values import OFF, checked, shown


def load(path: Path) -> Recipe:
    """The recipe in a file; raises EngineError `recipe_unreadable`."""
    written = read(path)
    recipe = convert(written.keys, written.format, path)
    return msgspec.structs.replace(recipe, **written.about) if written.about else recipe


def convert(keys: list[tuple[str, Any]], written: Format, path: Path) -> Recipe:
    """What the keys come to; relative paths in them are seen from the file's folder."""
    reader = _Reader(written, path, dict(keys))
    for key, value in keys:
        reader.take(key, value)
    return reader.recipe()


class _Reader:
    """Goes through the keys once; what depends on several of them is settled at the end."""

    def __init__(self, written: Format, path: Path, keys: dict[str, Any]) -> None:
        self._format: Format = written
        self._path = path
        self._on = keys
        self._rows: list[RecipeRow] = []
        self._params: dict[str, Any] = {}
        self._where: dict[str, str] = {}
        self._later: list[tuple[str, Any]] = []
        self._nested = False

    def take(self, key: str, value: Any) -> None:
        """One key; its row is added now, or at the end where it depends on others."""
        self._on.setdefault(key, value)
        if self._format == "lorabake":
            self._put(key, value, key)
        elif isinstance(value, str) and not value.strip() and key not in ("caption_prefix", "caption_suffix"):
            self._row(key, value, why=describe("recipe_empty", key=key))
        elif because := self._idle(key):
            self._row(key, value, why=describe("recipe_idle", key=key, because=because))
        elif key in _SPECIAL:
            _SPECIAL[key](self, key, value)
        elif key in names.IDLE_WITH or key in _SETTLED:
            self._later.append((key, value))
        elif key in names.WHERE:
            self._where[names.WHERE[key]] = str(value)
            self._row(key, value, to=f"{names.WHERE[key]} = {value}")
        elif key in names.PLAIN:
            self._put(key, value, names.PLAIN[key])
        elif key in names.NETWORK_ARGS:
            # kohya_ss writes the numbers of convolutions whether or not the network has any.
            self._later.append((key, value))
        elif key in names.MACHINE:
            self._row(key, value, why=describe("recipe_machine", key=key))
        elif key in names.UNBUILT:
            self._unbuilt(key, value)
        else:
            self._row(key, value, refused=True, why=describe("recipe_unknown", key=printable(key)))

    def _idle(self, key: str) -> str:
        """What makes a key of a GUI's file count for nothing: it keeps the numbers of what is not chosen."""
        kind = self._on.get("noise_offset_type")
        if (kind == "Multires" and key in ("noise_offset", "adaptive_noise_scale", "noise_offset_random_strength")) or (
            kind == "Original" and key.startswith("multires_")
        ):
            return f"noise_offset_type = {kind}"
        if key == "lr_warmup" and self._on.get("lr_warmup_steps") not in OFF:
            return "lr_warmup_steps"
        return "lr_warmup" if key == "lr_warmup_steps" and self._on.get("lr_warmup") not in OFF else ""

    def recipe(self) -> Recipe:
        """All rows, and the parameters with the trainer's own defaults below them."""
        for key, value in self._later:
            if key in names.IDLE_WITH:
                self._row(key, value, why=describe("recipe_idle", key=key, because=names.IDLE_WITH[key]))
            else:
                self._settle(key, value)
        if self._on.get("network_train_unet_only", False) not in OFF:
            self._params["text_encoder_lr"], self._params["text_encoder2_lr"] = 0.0, -1.0
        if self._on.get("network_train_text_encoder_only", False) not in OFF:
            self._params["unet_lr"] = 0.0
        silent = names.DEFAULTS if self._format != "lorabake" else {}
        idle = () if self._params.get("enable_bucket") else names.OF_BUCKETS
        if self._params.get("lr_scheduler") != "cosine_with_restarts":
            idle = (*idle, "lr_scheduler_cycles")
        told = {name: value for name, value in silent.items() if name not in self._params and name not in idle}
        order = {key: place for place, key in enumerate(self._on)}
        return Recipe(
            path=printable(str(self._path)),
            format=self._format,
            params={**told, **self._params},
            defaults=sorted(told),
            rows=sorted(self._rows, key=lambda row: order.get(row.key.partition(" ")[0], 0)),
            base=self._where.get("base", ""),
            dataset=self._where.get("dataset", ""),
            reg=self._where.get("reg", ""),
            name=self._where.get("name", ""),
        )

    # -- rows -------------------------------------------------------------------------------------------------

    def _row(self, key: str, value: Any, *, to: str = "", refused: bool = False, why: ErrorInfo | None = None) -> None:
        outcome = "mapped" if to else "refused" if refused else "ignored"
        written = printable(str(value))[:200]
        self._rows.append(RecipeRow(key=printable(key), value=written, outcome=outcome, to=printable(to), why=why))  # type: ignore[arg-type]

    def _put(self, key: str, value: Any, name: str) -> None:
        """Take a value for our parameter `name`, refused where it is not allowed."""
        try:
            self._params[name] = taken = checked(name, value)
        except EngineError as error:
            self._row(key, value, refused=True, why=error.info)
            return
        self._row(key, value, to=f"{name} = {shown(taken)}")

    def _unbuilt(self, key: str, value: Any) -> None:
        if value in OFF or value == []:
            self._row(key, value, why=describe("recipe_off", key=key))
        else:
            self._row(key, value, refused=True, why=describe("recipe_unbuilt", key=key, value=shown(value)))

    # -- keys that need a thought of their own ----------------------------------------------------------------

    def resolution(self, key: str, value: Any) -> None:
        """`512`, `"512,768"` or [512, 768]: the side of a square of the same area."""
        parts = value if isinstance(value, list) else str(value).replace("x", ",").split(",")
        try:
            sides = [float(part) for part in parts]
            side = math.sqrt(sides[0] * sides[-1])
            self._put(key, max(8, round(side / 8) * 8), "resolution")
        except (ValueError, OverflowError, IndexError):
            self._row(key, value, refused=True, why=describe("recipe_unbuilt", key=key, value=shown(value)))

    def text_encoder_lr(self, key: str, value: Any) -> None:
        """One rate, or one for each text encoder."""
        rates = value if isinstance(value, list) else [value]
        self._put(key, rates[0] if rates else 0.0, "text_encoder_lr")
        if len(rates) > 1:
            self._put(f"{key} [1]", rates[1], "text_encoder2_lr")

    def second_rate(self, key: str, value: Any) -> None:
        """sdxl_train_network's names for them."""
        self._put(key, value, "text_encoder_lr" if key.endswith("1") else "text_encoder2_lr")

    def optimizer(self, key: str, value: Any) -> None:
        """By any spelling of its name."""
        name = names.OPTIMIZERS.get(str(value).rpartition(".")[2].lower())
        if name is None:
            known = ", ".join(dict.fromkeys(names.OPTIMIZERS.values()))
            self._row(key, value, refused=True, why=describe("recipe_choice", key=key, value=value, known=known))
        else:
            self._put(key, name, "optimizer")

    def choice(self, key: str, value: Any) -> None:
        """A choice that has other names there."""
        name, spellings = _CHOICES[key]
        self._put(key, spellings.get(str(value).lower(), value), name)

    def switch(self, key: str, value: Any) -> None:
        """What is on or off there, and may be left to the model here."""
        on = value not in OFF
        name, word = ("prediction_type", "v_prediction") if key == "v_parameterization" else ("zero_terminal_snr", "on")
        self._put(key, word if on else "auto", name)

    def warmup_percent(self, key: str, value: Any) -> None:
        """kohya_ss counts it in per cent of all steps."""
        try:
            self._put(key, float(value) / 100, "lr_warmup")
        except (TypeError, ValueError):
            self._row(key, value, refused=True, why=describe("recipe_unbuilt", key=key, value=shown(value)))

    def network(self, key: str, value: Any) -> None:
        """The kind of network: ours is LoRA, with or without convolutions."""
        kind = str(value).lower()
        if kind in ("networks.lora", "networks.lora_fa", "lycoris.kohya", "standard", "kohya locon", "lycoris/locon"):
            self._row(key, value, to="LoRA")
        else:
            self._row(key, value, refused=True, why=describe("recipe_network", value=value))

    def noise_kind(self, key: str, value: Any) -> None:
        """Which of the two kinds of noise is meant; the numbers of the other count for nothing."""
        self._row(key, value, to="multires_noise_iterations" if value == "Multires" else "noise_offset")

    def only(self, key: str, value: Any) -> None:
        """One half alone is trained: the other's rate is nothing."""
        if value in OFF:
            self._row(key, value, why=describe("recipe_off", key=key))
        else:
            self._row(key, value, to="text_encoder_lr = 0" if key.endswith("unet_only") else "unet_lr = 0")

    def family(self, key: str, value: Any) -> None:
        """lora-scripts names what it trains; ours are LoRAs of SD 1.5 and SDXL."""
        if str(value) in ("sd-lora", "sdxl-lora"):
            self._row(key, value, why=describe("recipe_machine", key=key))
        else:
            self._row(key, value, refused=True, why=describe("recipe_network", value=value))

    def dataset_config(self, key: str, value: Any) -> None:
        """A dataset configuration in a file of its own: read where it is there."""
        file = self._path.parent / Path(str(value)).expanduser()
        try:
            if self._nested:
                raise EngineError("recipe_several", key=key)
            keys = read(file).keys
        except EngineError as error:
            self._row(key, value, refused=True, why=error.info)
            return
        self._nested = True
        self._row(key, value, to="dataset")
        for name, one in keys:
            self.take(name, one)

    def arguments(self, key: str, value: Any) -> None:
        """`network_args` and `optimizer_args`: words of the form name=value."""
        words = value if isinstance(value, list) else str(value).split()
        if not words:
            self._row(key, value, why=describe("recipe_empty", key=key))
        table = names.NETWORK_ARGS if key.startswith("network") else names.OPTIMIZER_ARGS
        for word in map(str, words):
            name, _, text = word.partition("=")
            name, text = name.strip(), text.strip().strip("\"'")
            told = f"{key} {name}"
            if name in table:
                self._put(told, text, table[name])
            elif name == "betas":
                self._betas(told, text)
            elif name == "algo":
                fine = text.lower() in ("lora", "locon")
                self._row(told, text, to="LoRA" if fine else "", refused=not fine,
                          why=None if fine else describe("recipe_network", value=text))  # fmt: skip
            elif name in ("decouple", "use_bias_correction", "safeguard_warmup", "preset"):
                self._row(told, text, why=describe("recipe_machine", key=name))
            elif text in OFF or text.lower() == "false":
                self._row(told, text, why=describe("recipe_off", key=name))
            else:
                self._row(told, text, refused=True, why=describe("recipe_unbuilt", key=name, value=text))

    def _betas(self, key: str, text: str) -> None:
        for place, part in enumerate(text.strip("()[] ").split(",")[:2]):
            self._put(f"{key}[{place}]", part.strip(), f"beta{place + 1}")

    def prompts(self, key: str, value: Any) -> None:
        """A prompt with its options, or a file of such: the first of them."""
        text = str(value)
        file = self._path.parent / Path(text).expanduser()
        try:
            if "\n" not in text and len(text) < 1000 and file.is_file():
                text = file.read_text("utf-8")[:20_000]
        except (OSError, UnicodeDecodeError):
            pass
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if not lines or (len(lines) == 1 and lines[0].endswith((".txt", ".toml", ".json"))):
            self._row(key, value, refused=True, why=describe("recipe_file", key=key, file=text[:200]))
            return
        prompt, *options = lines[0].split(" --")
        self._put(key, prompt.strip(), "preview_prompt")
        known = {"n": "preview_negative", "l": "preview_cfg", "s": "preview_steps"}
        for option in options:
            letter, _, text = option.partition(" ")
            if letter in known:
                self._put(f"{key} --{letter}", text.strip(), known[letter])

    def caption_extension(self, key: str, value: Any) -> None:
        """Captions are read from .txt and .caption files beside their images."""
        if str(value) in (".txt", ".caption", "txt", "caption"):
            self._row(key, value, why=describe("recipe_machine", key=key))
        else:
            self._row(key, value, refused=True, why=describe("recipe_unbuilt", key=key, value=value))

    def more_words(self, key: str, value: Any) -> None:
        """Options that a GUI passes on as they are."""
        try:
            rows = [row for row in command_line(str(value)) if row[0] != key]
        except ValueError:
            rows = []
        self._row(key, value, to=", ".join(name for name, _ in rows) or "", refused=not rows,
                  why=None if rows else describe("recipe_unbuilt", key=key, value=shown(value)))  # fmt: skip
        for name, one in rows:
            self.take(name, one)

    def datasets(self, key: str, value: Any) -> None:
        """`[[datasets]]` of a dataset configuration: the first, with its training and its regularisation subset."""
        if not isinstance(value, list) or not all(isinstance(dataset, dict) for dataset in value):
            self._row(key, value, refused=True, why=describe("recipe_unbuilt", key=key, value=shown(value)))
            return
        for number, dataset in enumerate(value):
            if number:
                self._row(f"{key} [{number}]", "…", refused=True, why=describe("recipe_several", key=key))
                continue
            for name, one in dataset.items():
                if name != "subsets":
                    self.take(name, one)
            subsets = dataset.get("subsets", [])
            for subset in subsets if isinstance(subsets, list) else []:
                if isinstance(subset, dict):
                    self._subset(subset)

    def _subset(self, subset: dict[str, Any]) -> None:
        place = "reg" if subset.get("is_reg") else "dataset"
        folder = str(subset.get("image_dir", ""))
        if place in self._where:
            self._row("subsets", folder, refused=True, why=describe("recipe_several", key="subsets"))
            return
        for name, one in subset.items():
            if name == "image_dir":
                self._where[place] = folder
                self._row("image_dir", folder, to=f"{place} = {folder}")
            elif name == "is_reg" or place == "reg":
                self._row(name, one, why=describe("recipe_machine", key=name))
            else:
                self.take(name, one)

    # -- what depends on other keys ---------------------------------------------------------------------------

    def _settle(self, key: str, value: Any) -> None:
        on = self._on
        if key == "learning_rate":
            missing = [name for name in ("unet_lr", "text_encoder_lr") if name not in self._params]
            if not missing:
                self._row(key, value, why=describe("recipe_idle", key=key, because="unet_lr, text_encoder_lr"))
            for name in missing:
                self._put(key, value, name)
        elif key in ("max_train_steps", "max_train_epochs", "epoch"):
            self._length(key, value)
        elif key in names.NETWORK_ARGS:
            with_conv = str(on.get("LoRA_type", "locon")).lower() in ("locon", "kohya locon", "lycoris/locon")
            if key in ("conv_dim", "conv_alpha") and not with_conv:
                self._row(key, value, why=describe("recipe_idle", key=key, because=f"LoRA_type = {on['LoRA_type']}"))
            else:
                self._put(key, value, names.NETWORK_ARGS[key])

    def _length(self, key: str, value: Any) -> None:
        if key == "epoch" and self._on.get("max_train_epochs") not in OFF:
            self._row(key, value, why=describe("recipe_idle", key=key, because="max_train_epochs"))
        elif key != "max_train_steps":
            self._put(key, value, "epochs")
        elif value in OFF or any(self._on.get(name) not in OFF for name in ("max_train_epochs", "epoch")):
            self._row(key, value, why=describe("recipe_idle", key=key, because="max_train_epochs"))
        else:
            self._row(key, value, refused=True, why=describe("recipe_steps", value=value))


_CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "lr_scheduler": ("lr_scheduler", {}),
    "mixed_precision": ("precision", {"no": "fp32", "float": "fp32"}),
    "save_precision": ("save_precision", {"float": "fp32"}),
    "sample_sampler": ("preview_sampler", names.SAMPLERS),
}

_SPECIAL = {
    **dict.fromkeys(_CHOICES, _Reader.choice),
    "resolution": _Reader.resolution,
    "max_resolution": _Reader.resolution,
    "text_encoder_lr": _Reader.text_encoder_lr,
    "text_encoder_lr1": _Reader.second_rate,
    "text_encoder_lr2": _Reader.second_rate,
    "optimizer": _Reader.optimizer,
    "optimizer_type": _Reader.optimizer,
    "v_parameterization": _Reader.switch,
    "zero_terminal_snr": _Reader.switch,
    "lr_warmup": _Reader.warmup_percent,
    "network_module": _Reader.network,
    "LoRA_type": _Reader.network,
    "network_args": _Reader.arguments,
    "network_args_custom": _Reader.arguments,
    "optimizer_args": _Reader.arguments,
    "optimizer_args_custom": _Reader.arguments,
    "sample_prompts": _Reader.prompts,
    "positive_prompts": _Reader.prompts,
    "caption_extension": _Reader.caption_extension,
    "additional_parameters": _Reader.more_words,
    "datasets": _Reader.datasets,
    "dataset_config": _Reader.dataset_config,
    "network_train_unet_only": _Reader.only,
    "network_train_text_encoder_only": _Reader.only,
    "noise_offset_type": _Reader.noise_kind,
    "model_train_type": _Reader.family,
}

_SETTLED = frozenset({"learning_rate", "max_train_steps", "max_train_epochs", "epoch"})
