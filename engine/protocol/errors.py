"""Every failure and warning a person can be told, as a code with an English sentence and a hint.

The sentences are templates; the arguments travel beside the code so that a viewer can translate them.
Raising is done where the fault is found, showing is the viewer's business.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Sentence(NamedTuple):
    """What is wrong (and where), and what the reader can do; both are `str.format` templates."""

    message: str
    hint: str


SENTENCES: dict[str, Sentence] = {
    # datasets
    "dataset_missing": Sentence("There is no folder {path}.", "Check the path; a dataset is a folder of images."),
    "dataset_not_folder": Sentence("{path} is a file, not a folder.", "Name the folder that holds the images."),
    "dataset_empty": Sentence(
        "{path} holds no PNG, JPEG or WebP image.",
        "Copy the training images into it, or name another folder.",
    ),
    "dataset_no_image": Sentence(
        "{path} holds no image that can be trained.",
        "Every image is unreadable, held out, or has a repeat of 0; look at the list of the dataset.",
    ),
    "dataset_unreadable": Sentence("{path} cannot be read: {reason}.", "Check the permissions of the folder."),
    "dataset_unwritable": Sentence(
        "{path} cannot be written: {reason}.", "Check the permissions of the folder and the space on its disk."
    ),
    "sidecar_unreadable": Sentence(
        "LoRABake's notes on this dataset, {path}, cannot be read: {reason}.",
        "Repair or delete the file; until then no image has a repeat of its own.",
    ),
    "image_unreadable": Sentence("{file} cannot be read as an image: {reason}.", "Replace or delete the file."),
    "image_missing": Sentence("{file} is no longer in the dataset.", "Open the dataset again."),
    "image_too_large": Sentence(
        "{file} has {megapixels} megapixels, more than the limit of {limit}.", "Scale the picture down first."
    ),
    "caption_undecodable": Sentence(
        "The caption {file} is not UTF-8 text.", "Save it as UTF-8; until then it counts as empty."
    ),
    "caption_too_long": Sentence(
        "The caption {file} is longer than {limit} KiB, so it cannot be one.",
        "Look into the file; until then it counts as empty.",
    ),
    "caption_missing": Sentence("{file} has no caption.", "Tag it, or add a .txt file with the same name."),
    "caption_changed": Sentence(
        "The caption of {file} was changed by another program meanwhile.", "Look at it and edit again."
    ),
    "same_stem": Sentence(
        "{file} and {other} share one caption, for their names differ only in the ending.",
        "Rename one of them.",
    ),
    "path_outside": Sentence("{path} lies outside {root}.", "Only files inside that folder can be used here."),
    # filters; {place} and {end} are positions in the filter
    "filter_unclosed": Sentence("{what} at place {place} is never closed.", "Close it, or put the words in quotes."),
    "filter_expected": Sentence(
        "{what} at place {place} does not belong there.", "A word or a (…) is missing beside AND, OR or NOT."
    ),
    "filter_field": Sentence("There is no field {what}: (place {place}).", "Did you mean {nearest}:?"),
    "filter_value": Sentence(
        "{field}: at place {place} does not take “{what}”.",
        "Numbers are written 20, >20 or 5..9, a score score:tag>0.5; `*` stands for anything.",
    ),
    "filter_regex": Sentence(
        "The regular expression at place {place} is not understood: {reason}.",
        "Quotes search for the signs as they are.",
    ),
    "filter_slow": Sentence(
        "The regular expression /{what}/ at place {place} takes too long.", "Write it without nested repetitions."
    ),
    "filter_long": Sentence("The filter is longer than {limit} signs.", "Save parts of it, or use `*`."),
    # tags
    "tags_missing": Sentence("{verb} needs at least one tag.", "Name the tags, separated by commas."),
    "edit_nothing": Sentence("There is nothing to {verb} in {path}.", "The journal of tag edits is at its end."),
    "vocabulary_unreadable": Sentence(
        "The vocabulary {path} cannot be read: {reason}.", "It is a CSV file with name, category, count and aliases."
    ),
    "edits_unreadable": Sentence(
        "{path} is no journal of tag edits: {reason}.", "Each line is an edit such as {example}."
    ),
    # the dataset's doctor
    "image_damaged": Sentence(
        "{file} can be decoded, but its checksum is wrong: parts of it are damaged.", "Look at it, or get it again."
    ),
    "image_extension": Sentence(
        "{file} is really a {format} file.", "Rename it to {wanted}: other tools go by the ending."
    ),
    "image_rotated": Sentence(
        "{file} is stored lying and turned by its EXIF note, which trains upright here but not in every tool.",
        "Fix it to store it upright.",
    ),
    "image_alpha": Sentence(
        "{file} has transparent parts, which train as white.",
        "Lay it on a background of your choice, or fix it to keep the white.",
    ),
    "image_mode": Sentence(
        "{file} is stored as {mode} and is converted for training.", "Fix it to store what will be trained."
    ),
    "image_grey": Sentence("{file} has no colours.", "Leave it out unless grey pictures are wanted."),
    "image_animated": Sentence(
        "{file} moves: of its {frames} pictures only the first trains.", "Fix it to keep the first alone."
    ),
    "image_enlarged": Sentence(
        "{file} is smaller than its bucket {bucket} and is enlarged × {factor}, which blurs.",
        "Use a larger file, a lower resolution, or bucket_no_upscale.",
    ),
    "image_tiny": Sentence(
        "{file} has only {width} × {height} pixels and is enlarged × {factor}.",
        "Find a larger version, or leave it out.",
    ),
    "image_extreme": Sentence(
        "{file} is {ratio} times longer one way than the other and loses {percent} % of its area in bucket {bucket}.",
        "Cut it to the part that matters, or into several pictures.",
    ),
    "image_cropped": Sentence(
        "{file} loses {percent} % of its area to the crop to {bucket}.",
        "Crop it yourself if something at the edge matters.",
    ),
    "image_duplicate": Sentence(
        "{file} is the same file as {other}.", "Keep one; a repeat says more plainly that it shall weigh more."
    ),
    "image_similar": Sentence("{file} looks almost like {other}.", "Keep the better one, unless you want both."),
    "reg_duplicate": Sentence(
        "The regularisation image {file} is the training image {other}.",
        "Take it out of the regularisation set: it would be learned and unlearned at once.",
    ),
    "reg_similar": Sentence(
        "The regularisation image {file} looks almost like the training image {other}.",
        "Take it out of the regularisation set, which should show other subjects.",
    ),
    "caption_empty": Sentence("The caption of {file} is empty.", "Tag it to steer what is learned."),
    "caption_tokens": Sentence(
        "The caption of {file} has about {tokens} tokens, and {limit} are read.",
        "Shorten it, or raise max_token_length; the count is an estimate.",
    ),
    "caption_trigger": Sentence(
        "The caption of {file} lacks the trigger word {trigger}.",
        "Put it in front, so that the word stands for the subject in every image.",
    ),
    "caption_lines": Sentence(
        "The caption of {file} has {count} lines, and only the first trains.", "Join the lines with commas."
    ),
    "bucket_small": Sentence(
        "The bucket {bucket} holds {views} views, fewer than a batch of {batch_size}, so its images weigh more.",
        "Crop them to another shape, raise their repeat, or lower batch_size.",
    ),
    "file_changed": Sentence(
        "{file} was changed by another program meanwhile and is left as it is.", "Check the dataset again."
    ),
    "file_exists": Sentence("{file} is there already, so nothing was put in its place.", "Rename or delete one."),
    "size_invalid": Sentence("{size} is no size for pictures.", "Write width x height in pixels, such as 512x768."),
    "notice_size_alias": Sentence(
        "{size} is taken for {meant}, of which it is a well-known misprint.", "Any other size is taken as written."
    ),
    "crop_void": Sentence(
        "{file} has another size than when it was cropped, so its crop is ignored.", "Crop it again."
    ),
    "crop_none": Sentence("{path} has no crop to export.", "Crop first, for example with --size 512x768."),
    "face_model": Sentence(
        "The face detector {path} cannot be used: {reason}.",
        "Install opencv-python-headless and name a YuNet ONNX file, or leave --face-model out.",
    ),
    "export_inside": Sentence(
        "{path} lies inside the dataset or around it, where the cropped pictures would be taken for more images.",
        "Name a folder elsewhere.",
    ),
    "fix_unknown": Sentence("There is no finding {code} that can be fixed.", "Fixable are: {known}."),
    "undo_nothing": Sentence("Nothing is left to undo in {path}.", "What was undone once stays undone."),
    "cancelled": Sentence("Stopped after {done} of {total} files.", "What is done stays done; undo takes it back."),
    # adding and removing
    "add_link": Sentence("{file} is a link, and links are not followed.", "Name the file itself."),
    "add_kind": Sentence("{file} is no PNG, JPEG or WebP image, no folder and no zip archive.", "Name one of these."),
    "add_unreadable": Sentence("{file} cannot be added: {reason}.", "Check that it exists and may be read."),
    "add_duplicate": Sentence(
        "{file} is not added: it is the same file as {other}.", "A repeat says more plainly that it shall weigh more."
    ),
    "add_renamed": Sentence(
        "{file} is now called {name}: its own name, with another ending or content, is taken.",
        "Images whose names differ only in the ending would share one caption.",
    ),
    "add_limit": Sentence(
        "{count} more images are not added: the dataset would hold more than {limit}.",
        "Raise the limit (--limit, 0 for none); more images seldom make a better LoRA.",
    ),
    "zip_broken": Sentence("{file} cannot be unpacked: {reason}.", "Pack it again, or unpack it yourself and look."),
    "zip_bomb": Sentence(
        "{file} would become too large when unpacked ({reason}) and is left packed.",
        "Unpack it yourself if you trust it.",
    ),
    "zip_path": Sentence(
        "{file} would lie outside the dataset, or its path is none, so it is not unpacked.", "Pack it again."
    ),
    "zip_locked": Sentence("{file} is locked with a password.", "Unpack it yourself."),
    # augmenting, repeats, marks
    "flip_asymmetry": Sentence(
        "{file} says {tags}, which is another thing mirrored.", "Do not mirror it, or change its caption."
    ),
    "mirror_words": Sentence(
        "In the caption of {file} left and right were exchanged.", "Look at it: words cannot tell whose left is meant."
    ),
    "split_captions": Sentence(
        "Each part of {file} has the whole picture's caption.", "Tag the parts again: not all of it is in each."
    ),
    "split_none": Sentence(
        "None of these pictures is long enough to be split.", "Lower the ratio, or choose another size."
    ),
    "mark_invalid": Sentence("{mark} is no mark.", "A mark is one letter or digit."),
    "group_empty": Sentence("No image has the mark or lies in the folder {name}.", "Look at the list of the dataset."),
    "box_invalid": Sentence(
        "The part {box} does not lie in {file}, which has {width} × {height} pixels.", "Crop it again."
    ),
    "crop_enlarged": Sentence(
        "The crop of {file} is enlarged × {factor} to {size}, which blurs.", "Take a larger part, or a smaller size."
    ),
    "crop_cuts_face": Sentence("The crop of {file} cuts through a face.", "Move it, or crop to another shape."),
    "crop_family": Sentence(
        "{count} crops are made for {size}, which is not a usual size of {family} models (first: {file}).",
        "Crop again to {sizes}, or choose the base model they were made for.",
    ),
    # export and regularisation
    "export_exists": Sentence("{path} is not empty.", "Name a new folder."),
    "reg_prompts": Sentence(
        "Regularisation images need prompts.", "Describe the class without the trigger word, such as 1girl, solo."
    ),
    "dataset_busy": Sentence("Another program is changing the files of {path}.", "Wait until it is done."),
    # taggers
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
    # parameters
    "param_unknown": Sentence("There is no parameter {name}.", "Did you mean {nearest}?"),
    "param_invalid": Sentence("{name} = {value} is not allowed.", "Allowed: {allowed}."),
    "bucket_limits": Sentence(
        "{small} = {low} is above {large} = {high}, so no bucket could keep both.",
        "Lower {small}, raise {large}, or leave it at 0, which chooses.",
    ),
    "notice_never_captions": Sentence(
        "{name} = {value}, so no image is ever trained with its caption.", "Lower it unless you want that."
    ),
    "notice_no_validation": Sentence(
        "With a single image nothing is held out, so validation_split = {value} has no effect.",
        "Add images, or set it to 0.",
    ),
    "notice_no_effect": Sentence("{name} has no effect here ({because}).", "Leave it, or change what it depends on."),
    "notice_noise_offset": Sentence(
        "noise_offset = {value} is above 0.2, where colours tend to go wrong.", "0.03 to 0.1 is usual."
    ),
    "notice_noise_both": Sentence(
        "noise_offset and multires noise are both on; both are applied.", "Use one of the two."
    ),
    "notice_bucket_cap": Sentence(
        "max_bucket_reso = {value} at resolution {resolution} makes every picture that is not square smaller.",
        "Set it to twice the resolution, or to 0.",
    ),
    "notice_prodigy_rate": Sentence(
        "{name} = {value}, and Prodigy finds the learning rate itself: its rate is multiplied by this.",
        "Set it to 1, or to 0 for what is not to be trained.",
    ),
    "notice_prodigy_restarts": Sentence(
        "Prodigy and cosine_with_restarts disturb each other: its estimate of the rate never falls.",
        "Choose cosine or constant.",
    ),
    "notice_prodigy_loraplus": Sentence(
        "Prodigy finds one rate for all weights, and LoRA+ multiplies it for half of them.",
        "Use LoRA+ with AdamW, or Prodigy alone.",
    ),
    "notice_weights_both": Sentence(
        "min_snr_gamma and debiased_estimation both weight the timesteps, and their weights multiply.",
        "Set min_snr_gamma to 0 beside debiased_estimation.",
    ),
    "notice_prediction": Sentence(
        "prediction_type = {value}, and the base model says that it predicts {base}.",
        "Leave it at auto unless you know better: a wrong one gives noise instead of pictures.",
    ),
    "notice_zero_snr": Sentence(
        "zero_terminal_snr is on for a model that predicts noise: at the last timestep it has nothing to find.",
        "Leave it at auto; models with zero terminal SNR predict v.",
    ),
    "notice_unmasked": Sentence(
        "{count} training images have no mask and train whole (first: {first}).",
        "Masks bear the names of their pictures, in the same subfolders.",
    ),
    "notice_images_skipped": Sentence(
        "{count} images are not used: unreadable, or with a repeat of 0.", "The list of the dataset marks them."
    ),
    "notice_reg_empty": Sentence(
        "{path} holds no usable regularisation image, so none is used.", "Name another folder, or none."
    ),
    "notice_reg_use": Sentence(
        "Regularisation images: {used} used, {repeated} of them more than once, {unused} unused. With their {views} "
        "views each epoch is twice as long.",
        "As many views as the training images have, however many files there are.",
    ),
    "notice_small_buckets": Sentence(
        "{count} buckets hold fewer views than a batch of {batch_size} (first: {first}); their images weigh more.",
        "Crop these images to another shape, raise their repeat, or lower batch_size.",
    ),
    "notice_enlarged": Sentence(
        "{count} images are smaller than their bucket at resolution {resolution} and will be enlarged, which blurs.",
        "Use larger files, a lower resolution, or bucket_no_upscale.",
    ),
    "notice_uncaptioned": Sentence(
        "{count} training images have no caption.", "They learn without words; tag them to steer what is learned."
    ),
    "params_unreadable": Sentence("{path} is not a valid TOML file: {reason}.", "Correct the file and try again."),
    "preset_unknown": Sentence("There is no preset {name}.", "Known presets: {known}."),
    "preset_family": Sentence(
        "The preset {name} is made for {family} models, and {base} is {other}.",
        "Name the theme alone: the preset then follows the base.",
    ),
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
    # runs, queue, host
    "run_unknown": Sentence("There is no run {run}.", "`lorabake runs` lists them."),
    "run_ambiguous": Sentence("{run} fits more than one run: {matches}.", "Write more of the identifier."),
    "run_not_live": Sentence("{run} is not running ({state}).", "Only a running bake can do that."),
    "run_live": Sentence("{run} is still running.", "Stop it first."),
    "run_not_waiting": Sentence("{run} is not waiting in the queue.", "Only held and queued jobs can do that."),
    "kind_not_built": Sentence("Jobs of kind {kind} are not built yet.", "Update LoRABake."),
    "run_finished": Sentence("{run} is already complete.", "Start a new bake."),
    "run_locked": Sentence("{run} is already held by process {pid}.", "Only one worker may work on a run."),
    "out_exists": Sentence("{path} already holds {file}.", "Choose another --out folder or --name."),
    "out_unwritable": Sentence("{path} cannot be written: {reason}.", "Choose another --out folder."),
    "home_unwritable": Sentence(
        "{path} cannot be written: {reason}.", "Set LORABAKE_HOME to a folder on a disk with space."
    ),
    "protocol_mismatch": Sentence(
        "The engine speaks protocol {theirs}, this program protocol {ours}.",
        "Install both from the same version.",
    ),
    "request_invalid": Sentence("The request {method} is not understood: {reason}.", "Update LoRABake."),
    "method_unknown": Sentence("The engine has no method {method}.", "Update LoRABake."),
    "engine_lost": Sentence("The engine process ended.", "Bakes go on without it; start lorabake again."),
}
"""Code → sentence. Codes are stable; scripts may match them."""

SINGULAR: dict[str, str] = {
    "notice_images_skipped": "{count} image is not used: unreadable, or with a repeat of 0.",
    "notice_small_buckets": "{count} bucket holds fewer views than a batch of {batch_size} ({first}); its images weigh "
    "more.",
    "notice_enlarged": "{count} image is smaller than its bucket at resolution {resolution} and will be enlarged, "
    "which blurs.",
    "notice_uncaptioned": "{count} training image has no caption.",
    "notice_unmasked": "{count} training image has no mask and trains whole ({first}).",
    "export_flips": "{count} image also trains mirrored, which kohya's trainers only know for whole folders: left out.",
    "dataset_changed": "{count} file of the dataset changed since this bake was submitted ({file}).",
    "lora_unpaired": "{count} layer lacks half of its weights ({first}).",
}
"""Code → the message where the argument `count` is 1."""


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failure as it travels: `message` and `hint` in English, `code` and `args` for translation."""

    code: str
    message: str
    hint: str = ""
    args: dict[str, str] = {}
    recoverable: bool = False


class EngineError(Exception):
    """A failure with a code of `SENTENCES`; the one exception that crosses module borders on purpose."""

    def __init__(self, code: str, /, *, recoverable: bool = False, **args: object) -> None:
        self.info = describe(code, recoverable=recoverable, **args)
        super().__init__(self.info.message)


class _Gaps(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def fill(template: str, args: dict[str, str]) -> str:
    """`template` with `{name}` replaced from `args`; a name without a value becomes "?"."""
    return template.format_map(_Gaps(args))


def message_of(code: str, args: dict[str, str]) -> str:
    """The template of a known code's message that fits `args`: singular where they count one."""
    return SINGULAR[code] if args.get("count") == "1" and code in SINGULAR else SENTENCES[code].message


def describe(code: str, /, *, recoverable: bool = False, **args: object) -> ErrorInfo:
    """The `ErrorInfo` of a code; raises KeyError for a code that is not in `SENTENCES`."""
    sentence = SENTENCES[code]
    texts = {name: str(value) for name, value in args.items()}
    return ErrorInfo(
        code=code,
        message=fill(message_of(code, texts), texts),
        hint=fill(sentence.hint, texts),
        args=texts,
        recoverable=recoverable,
    )
