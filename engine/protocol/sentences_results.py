"""What can be said of tests, of publishing, and of tidying up runs.

`errors` merges the tables and turns a code into what a person reads.
"""

from __future__ import annotations

from engine.protocol.sentence import Sentence

RESULTS: dict[str, Sentence] = {
    # drawing on demand
    "prompt_lora": Sentence("{text} in the prompt is not understood.", "Write <lora:name:0.8>."),
    "prompt_option": Sentence("{word} in the prompt is not known.", "Known are {known}."),
    "prompt_schedule": Sentence(
        "{text}: words that change during drawing are not built.",
        "Draw both prompts, or write \\[ and \\] for brackets that are meant as letters.",
    ),
    "lora_name": Sentence(
        "There is no LoRA {name}.",
        "Name a run, a file of one (mira-e05), a path, or a file in the folder models/loras.",
    ),
    "lora_kind_drawn": Sentence(
        "The LoRA {path} is a {kind}, which cannot be drawn with here.", "Name a LoRA, LoCon or DoRA."
    ),
    "draw_no_bake": Sentence("{run} is no bake and has no epochs.", "`lorabake runs` lists the bakes."),
    "draw_base": Sentence("Which base model {source} is for cannot be told.", "Name one with --base."),
    "epoch_missing": Sentence("{run} has no file of epoch {epoch}.", "It has these epochs: {epochs}."),
    "grid_large": Sentence("The grid would have {count} pictures.", "At most {most} are drawn at once."),
    "test_unknown": Sentence("There is no test {test}.", "`lorabake test --list` lists them."),
    "test_changed": Sentence(
        "{path} is not the file that the test {test} was drawn with.", "Draw a new test with the file as it is."
    ),
    "test_lost": Sentence("The worker ended before the test {test} was drawn.", "Draw it again."),
    "test_stopped": Sentence("The test {test} was stopped.", "Draw it again."),
}
