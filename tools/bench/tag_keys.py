"""20 images tagged by keys alone, in tmux at 80×24: a tagger, a trigger word, 5 batch edits, a review, an undo; timed.

The script waits for what the files say, never for a time. `--show` prints the screen after each part.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[2] / "engine" / "demo" / "dataset"
IMAGES = 20
_SECONDS = 120.0


class Tmux:
    """A tmux server of its own with one window of 80 × 24 cells."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._name = f"lorabake-{os.getpid()}"
        line = " ".join(
            ["env", *(f"'{key}={value}'" for key, value in env.items()), *(f"'{word}'" for word in command)]
        )
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", line)

    def _tmux(self, *words: str) -> str:
        return subprocess.run(["tmux", "-L", self._name, *words], capture_output=True, text=True, check=True).stdout

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Type keys: `enter` and `escape`, or text as it is."""
        for key in keys:
            named = {"enter": "Enter", "escape": "Escape", "tab": "Tab"}.get(key)
            self._tmux("send-keys", *([named] if named else ["-l", "--", key]))

    def close(self) -> None:
        """End the server and what runs in it."""
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)


Press = Callable[..., None]
Wait = Callable[[Callable[[], object], str], None]


def untagged(folder: Path) -> Path:
    """The pictures of the sample dataset, without captions."""
    folder.mkdir(parents=True)
    for path in sorted(SAMPLE.glob("*.*")):
        if path.suffix in (".png", ".jpg", ".webp"):
            shutil.copy(path, folder / path.name)
    return folder


def captions(folder: Path) -> list[list[str]]:
    """The tags of every caption that there is, by file name."""
    return [path.read_text(encoding="utf-8").split(", ") for path in sorted(folder.glob("*.txt"))]


def script(press: Press, wait: Wait, screen: Callable[[], str], folder: Path) -> list[tuple[str, float]]:
    """Press the keys; the seconds that each part took. `wait` fails after a while with what was waited for."""
    took: list[tuple[str, float]] = []
    last = time.perf_counter()

    def done(what: str) -> None:
        nonlocal last
        took.append((what, time.perf_counter() - last))
        last = time.perf_counter()

    def edits() -> int:
        journal = folder / ".lorabake" / "tags.jsonl"
        return len(journal.read_bytes().splitlines()) if journal.exists() else 0

    def edited(*keys: str) -> None:
        before = edits()
        press(*keys)
        wait(lambda: edits() > before, f"the edit of {keys}")

    press("2")
    wait(lambda: "T Tagger" in screen() or "0 tags" in screen(), "the Tags section")
    press("T")
    wait(lambda: "Tagger" in screen() and "demo" in screen(), "the sheet of the taggers")
    press("enter")
    wait(lambda: len(captions(folder)) == IMAGES, "20 captions")
    done("a tagger on 20 images")
    press("2")
    wait(lambda: " 20 images" in screen() and "a Tag" in screen(), "the tags")
    edited("t", "nekomizu", "enter")
    wait(lambda: all(tags[0] == "nekomizu" for tags in captions(folder)), "the trigger in front")
    done("the trigger word on 20 images")
    press("A")
    edited("ink style@2", "enter")
    edited("best quality@-1", "enter")
    edited("-best quality", "enter")
    edited("ink style>ink drawing", "enter")
    edited("avatar", "enter")
    press("escape")
    wait(lambda: "a Tag" in screen(), "the tag box closed")
    wait(
        lambda: all(tags[:2] == ["nekomizu", "ink drawing"] and tags[-1] == "avatar" for tags in captions(folder)),
        "five batch edits",
    )
    done("5 batch edits of 20 images")
    press("v")
    wait(lambda: "y Has it" in screen(), "the review")
    before = captions(folder)
    press("y", "y", "n")
    wait(lambda: captions(folder) != before, "an answer of the review")
    press("escape")
    wait(lambda: "a Tag" in screen(), "the review closed")
    done("a review of 3 images")
    press("u")
    wait(lambda: captions(folder) == before, "the undo")
    done("an undo")
    return took


def main() -> None:
    """Run it in tmux and print the times."""
    if shutil.which("tmux") is None:
        sys.exit("tmux is not installed here")
    with tempfile.TemporaryDirectory(prefix="lorabake-keys-") as place:
        folder = untagged(Path(place) / "pictures")
        env = {"LORABAKE_HOME": f"{place}/home", "LORABAKE_LANG": "en", "TERM": "tmux-256color", "LANG": "C.UTF-8"}
        began = time.perf_counter()
        terminal = Tmux([sys.executable, "-m", "lorabake_tui", str(folder)], env)

        def wait(condition: Callable[[], object], what: str) -> None:
            until = time.monotonic() + _SECONDS
            while not condition():
                if time.monotonic() > until:
                    sys.exit(f"not within {_SECONDS:.0f} s: {what}\n{terminal.text}")
                time.sleep(0.02)

        try:
            wait(lambda: "20 images" in terminal.text, "the dataset")
            print(f"  {'the app, 20 images shown':34} {time.perf_counter() - began:6.1f} s")
            took = script(terminal.press, wait, lambda: terminal.text, folder)
            for what, seconds in took:
                print(f"  {what:34} {seconds:6.1f} s")
            print(f"  {'all':34} {sum(seconds for _, seconds in took):6.1f} s, {len(captions(folder))} captions")
            if "--show" in sys.argv:
                print(terminal.text, json.dumps(captions(folder)[0]))
        finally:
            terminal.close()


if __name__ == "__main__":
    main()
