"""What can be said of base models, LoRA files and of a bake under way.

`errors` merges the tables and turns a code into what a person reads.
"""

from __future__ import annotations

from engine.protocol.sentence import Sentence

TRAINING: dict[str, Sentence] = {
    # base models and LoRA files
    "model_unknown": Sentence(
        "There is no base model {name}.",
        "`lorabake models` lists the names; a path to a folder works as well.",
    ),
    "model_absent": Sentence(
        "The base model {name} is not on this machine.",
        "Download it first, or name a local path with --base.",
    ),
    "model_not_base": Sentence("{path} is not a base model: {reason}.", "Name a Stable Diffusion 1.5 or SDXL model."),
    "model_unsupported": Sentence("{path} is {kind}, which cannot be trained here.", "{advice}"),
    "model_download": Sentence(
        "The base model {name} cannot be downloaded from {source}: {reason}.",
        "Check the network and the space on the disk, or put the files into {models} yourself; what arrived is kept.",
    ),
    "notice_download": Sentence(
        "The base model {name} is not on this machine; about {gigabytes} GB come from {source} first.",
        "It is kept for later bakes. A stop cancels it, and what arrived is not lost.",
    ),
    "model_broken": Sentence("The base model {path} cannot be loaded: {reason}.", "Download the file again."),
    "vocabulary_missing": Sentence(
        "{path} carries no vocabulary, as single files do, and CLIP's is not on this machine.",
        "Get it once with `hf download openai/clip-vit-large-patch14 vocab.json merges.txt`, or put the folder "
        "tokenizer of any Stable Diffusion 1.5 model into {models}.",
    ),
    # LoRA files
    "lora_not": Sentence("{path} is no LoRA: {reason}.", "Name a LoRA in the safetensors format."),
    "lora_broken": Sentence("The LoRA {path} cannot be read: {reason}.", "Get the file again."),
    "lora_family": Sentence(
        "The LoRA {path} is made for {family} models, and the base is {other}.", "Choose a LoRA or a base that fits."
    ),
    "lora_kind": Sentence(
        "The LoRA {path} is a {kind}, which cannot be gone on from here.", "Name a LoRA, LoCon or DoRA."
    ),
    "lora_rank": Sentence(
        "{count} layers of the LoRA {path} have other sizes than this bake (first: {first}, rank {theirs} and not "
        "{ours}).",
        "Set network_dim = {theirs} (and conv_dim likewise), or dim_from_weights = true.",
    ),
    "lora_dora": Sentence("The LoRA {path} is a DoRA, and use_dora is off.", "Set use_dora = true."),
    "lora_nothing": Sentence(
        "None of the layers of the LoRA {path} is trained here (first: {first}).",
        "Turn the learning rate of its part on, or name another LoRA.",
    ),
    "notice_start_left": Sentence(
        "{count} layers of the LoRA {path} are not trained here and are left out (first: {first}).",
        "Its pictures change by that; set the learning rates and conv_dim so that they take part.",
    ),
    "notice_start_fresh": Sentence(
        "{count} layers trained here are not in the LoRA {path} and begin at nothing (first: {first}).",
        "That is fine, unless you meant to go on with the same layers: then set dim_from_weights = true.",
    ),
    "notice_start_alpha": Sentence(
        "The LoRA {path} has another alpha for {count} layers; its weights are scaled to act as they did.",
        "dim_from_weights = true keeps them as they are.",
    ),
    "notice_tags_cut": Sentence(
        "The LoRA's list of tags was cut from {count} to the {kept} commonest ones, so that programs still read it.",
        "The captions themselves were all trained.",
    ),
    "lora_unpaired": Sentence("{count} layers lack half of their weights (first: {first}).", "Get the file again."),
    "lora_no_alpha": Sentence(
        "{count} layers have no alpha: most programs then take the rank, diffusers refuses kohya's names.",
        "Write the alphas that it was trained with into the file.",
    ),
    "lora_header": Sentence(
        "Its header is {kib} KiB long; ComfyUI shows the metadata of files up to 1024 KiB.", "Cut the list of tags."
    ),
    "lora_version": Sentence(
        "It is a {family} LoRA, but says {version} in ss_base_model_version: A1111 will hide or misplace it.",
        "Correct the metadata.",
    ),
    "lora_unknown": Sentence("{count} tensors have names of no known meaning (first: {first}).", "Readers skip them."),
    # training
    "out_of_memory": Sentence(
        "The {device} ran out of memory in phase {phase}.",
        "Finished epochs are kept. In a new bake any of these saves about as much: {advice}. Or free memory and "
        "`lorabake resume {run}`.",
    ),
    "nonfinite_loss": Sentence(
        "The loss became infinite or not a number at step {step} (images: {files}).",
        "Finished epochs are kept. Lower the learning rates, or look at these images.",
    ),
    "latent_nonfinite": Sentence(
        "The base model's VAE turned {file} into values that are not numbers.",
        "Look at this image; if many images fail, the VAE of the base model is broken.",
    ),
    "hint_best_epoch": Sentence(
        "Hint: epoch {epoch} has the lowest held-out loss ({loss}); by epoch {last} it rises to {last_loss}, a sign of "
        "overfitting.",
        "The previews decide.",
    ),
    "hint_best_last": Sentence(
        "Hint: the held-out loss is lowest after the last epoch, {epoch} ({loss}): it was still falling.",
        "More epochs may do better; the previews decide.",
    ),
    "hint_best_even": Sentence(
        "Hint: epoch {epoch} has the lowest held-out loss ({loss}), but epoch {last} is as good as even ({last_loss}).",
        "The previews decide.",
    ),
    "hint_best_none": Sentence(
        "Hint: no epoch does better on the held-out images ({loss}) than the untrained base ({base}).",
        "They may show something else than the training images, or the learning rates are too high.",
    ),
    "nothing_to_train": Sentence(
        "All learning rates are 0, so nothing would be trained.", "Set unet_lr or text_encoder_lr above 0."
    ),
    "timesteps_empty": Sentence(
        "No timestep is left to train from {first} on and before {end}.", "Raise max_timestep or lower min_timestep."
    ),
    "optimizer_missing": Sentence(
        "{name} needs {library}, which is not installed.",
        "Install it with `pip install 'lorabake[{extra}]'`, or choose another optimizer; Adafactor is as small.",
    ),
    "validation_trained": Sentence(
        "{file} of the validation folder {path} is a training image too, so it could not tell what was learned.",
        "Keep the validation pictures outside the dataset, or use validation_split.",
    ),
    "mask_folder": Sentence(
        "{path} holds no mask of any training image.",
        "Masks are PNG, JPEG or WebP files with the names of their pictures, in the same subfolders.",
    ),
    "mask_shape": Sentence("The mask {file} has another shape than {image}.", "Draw it over the whole picture."),
    "mask_empty": Sentence(
        "The mask {file} leaves nothing of {image} to learn.", "Mark something in it, or leave the picture out."
    ),
    "state_mismatch": Sentence("The saved state of {run} does not fit its job: {reason}.", "Start a new bake."),
    "state_broken": Sentence(
        "The saved state {file} is torn or damaged and is ignored.", "The bake goes on from the one before it."
    ),
    "dataset_changed": Sentence(
        "{count} files of the dataset changed since this bake was submitted (first: {file}).",
        "Start a new bake to train on the new files.",
    ),
    "notice_captions_edited": Sentence(
        "Captions edited since this bake was submitted: {count} (first: {file}). It trains the captions of then.",
        "Start a new bake to train on the new captions.",
    ),
    "notice_images_added": Sentence(
        "Images added since this bake was submitted: {count} (first: {file}). It trains the images of then.",
        "Start a new bake to train on the new images too.",
    ),
    "disk_full": Sentence("The disk of {path} is full.", "Free some space, then `lorabake resume {run}`."),
    "disk_full_waits": Sentence(
        "The disk of {path} is full: {needed} MiB are wanted and {free} MiB are free. The bake waits.",
        "Free some space and it goes on by itself, at once with `lorabake resume {run}`.",
    ),
    "worker_died": Sentence(
        "The worker of {run} ended without a word (exit status {status}).",
        "The end of console.log in {dir} may tell why; `lorabake resume {run}` continues from the last state.",
    ),
    "internal": Sentence("Something unexpected went wrong: {reason}.", "The details are in {log}."),
}
