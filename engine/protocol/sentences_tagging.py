"""What can be said of taggers and of the scores they leave.

`errors` merges the tables and turns a code into what a person reads.
"""

from __future__ import annotations

from engine.protocol.sentence import Sentence

TAGGING: dict[str, Sentence] = {
    "tagger_unknown": Sentence(
        "There is no tagger {name}.",
        "`lorabake models` lists the names; a folder with model.onnx and selected_tags.csv works as well.",
    ),
    "tagger_absent": Sentence(
        "The tagger {name} is not on this machine and cannot be downloaded: {reason}.",
        "Put {files} of {hub} into {path}.",
    ),
    "tagger_files": Sentence(
        "{path} is no tagger: {missing} is missing.", "A tagger is a folder with model.onnx and selected_tags.csv."
    ),
    "tagger_broken": Sentence("{path} cannot be loaded: {reason}.", "Download it once more."),
    "tagger_labels": Sentence("{path} is no list of tags: {reason}.", "Download it once more, with its model."),
    "tagger_contract": Sentence(
        "How {path} wants its pictures is not known: {reason}.",
        "Describe it in a file tagger.toml beside the model; docs/taggers.md tells how.",
    ),
    "tagger_setting": Sentence("{path} says {name} = {value}, which is not allowed.", "Allowed: {allowed}."),
    "tagger_output": Sentence(
        "{path} answers with {got}, which cannot be {wanted}.",
        "Set activation in tagger.toml, or download the model once more.",
    ),
    "tagger_on_cpu": Sentence(
        "The tagger {name} runs on the processor ({cores} cores), not on a GPU.",
        "With an NVIDIA GPU: `pip uninstall onnxruntime`, then `pip install 'onnxruntime-gpu[cuda,cudnn]'`.",
    ),
    "tagger_gpu_unused": Sentence(
        "There is a GPU, but the tagger {name} runs on the processor: {reason}.",
        "`pip uninstall onnxruntime`, then `pip install 'onnxruntime-gpu[cuda,cudnn]'`.",
    ),
    "tagger_batch": Sentence(
        "{batch} images at once are too many for the memory: {smaller} from now on.", "Set a smaller --batch next time."
    ),
    "tags_no_scores": Sentence("No scores of {taggers} are kept for {path}.", "Run the tagger once: `lorabake tag`."),
    "tags_dataset_busy": Sentence(
        "The captions of {path} are being changed elsewhere; the scores are kept.",
        "Write them with `lorabake tag --stored`, or resume this run.",
    ),
}
