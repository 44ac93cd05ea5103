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
    "beside_taken": Sentence(
        "Another base model is in memory beside the bake already.", "Wait until it leaves, or for the bake."
    ),
    "beside_room": Sentence(
        "Drawing with {base} on the processor takes about {need} of memory, and {free} are free.",
        "Pause the bake, or wait for it.",
    ),
    "test_gave_way": Sentence("The bake went on and needs its device.", "Draw the test again, or pause the bake."),
    # publishing
    "publish_place": Sentence(
        "{to} names no place.", "Write a folder, a1111:FOLDER, comfyui:FOLDER, bundle:FOLDER or hf:REPOSITORY."
    ),
    "publish_no_ui": Sentence(
        "{path} holds no models of {kind}.", "Name its folder, or the folder of its LoRAs; make that first if need be."
    ),
    "publish_name": Sentence(
        "{name} cannot be the name of a LoRA: some system or prompt could not hold it.", "{better} could."
    ),
    "publish_trigger": Sentence(
        "{trigger} cannot be a trigger word.", "Write words on one line, without < and control characters."
    ),
    "publish_taken": Sentence(
        "{path} is there already and is something else.", "Choose another name, or say that it may be replaced."
    ),
    "publish_full": Sentence("The disk is full at {path}.", "Make room and publish again; what was there is whole."),
    "hub_repository": Sentence(
        "{name} cannot be the name of a repository.", "Write hf:YOU/NAME with letters, digits, - _ and ."
    ),
    "hub_library": Sentence("huggingface_hub is not installed.", "Install it with `pip install huggingface_hub`."),
    "hub_token_missing": Sentence(
        "There is no access token for the Hugging Face hub on this machine.",
        "Log in once with `hf auth login`, or set HF_TOKEN; the token needs the right to write.",
    ),
    "hub_token": Sentence(
        "The Hugging Face hub does not take the access token for {name}.",
        "Log in again with `hf auth login`, with a token that may write there.",
    ),
    "hub_taken": Sentence(
        "There is a repository {name} already.", "Choose another name, or say that it may be replaced."
    ),
    "hub_network": Sentence(
        "The Hugging Face hub broke off while {name} was published: {reason}.",
        "Nothing is lost. Publish again; what arrived is not sent twice.",
    ),
    "hub_refused": Sentence(
        "The Hugging Face hub refused {name}: {reason}.", "Change what it names and publish again."
    ),
    "notice_non_commercial": Sentence(
        "The base model {base} has a non-commercial licence ({licence}).",
        "What was baked on it may not be sold, nor used in a paid service.",
    ),
    "notice_licence": Sentence(
        "The licence of the base model {base} ({licence}) applies to this LoRA as well.",
        "Pass it on together with the file.",
    ),
    "notice_real_person": Sentence(
        "A LoRA of a real person needs that person's consent.", "Do not publish it without, and not of minors at all."
    ),
    "notice_no_trigger": Sentence(
        "No trigger word is known, so that nobody can tell how to call this LoRA.", "Set one with --trigger."
    ),
    # figures and keeping house
    "hint_best_seen": Sentence(
        "Epoch {epoch}: {tagger} finds the dataset's traits at {likeness} and what the prompts ask for at {obedience}.",
        "A hint: look at the pictures.",
    ),
    "hint_overtrained": Sentence(
        "From epoch {epoch} on it was too much: the figures are clearly worse than before.",
        "Take an earlier epoch; next time fewer steps or a lower learning rate.",
    ),
    "hint_by_heart": Sentence(
        "From epoch {epoch} on the loss on the training images is {share} of what it began with, or less: they are "
        "learned by heart.",
        "Take an earlier epoch; next time fewer steps or a lower learning rate.",
    ),
    "prune_published": Sentence(
        "Epoch {epoch} of {run} was published and is not thrown away.", "Leave it out, or delete the file by hand."
    ),
    "restore_nothing": Sentence("Nothing of {run} is in the trash.", "`lorabake prune RUN` puts epochs there."),
    "test_stopped": Sentence("The test {test} was stopped.", "Draw it again."),
}
