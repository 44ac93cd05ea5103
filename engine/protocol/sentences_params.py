"""What can be said of parameters and presets before anything is loaded.

`errors` merges the tables and turns a code into what a person reads.
"""

from __future__ import annotations

from engine.protocol.sentence import Sentence

PARAMS: dict[str, Sentence] = {
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
    "recipe_unreadable": Sentence(
        "{path} is no configuration that can be read: {reason}.",
        "TOML or a command line of sd-scripts, JSON of kohya_ss, TOML of lora-scripts, or a file of LoRABake.",
    ),
    "recipe_exists": Sentence("{path} is there already.", "Name another file, or add --force."),
    "recipe_empty": Sentence("{key} says nothing.", "The default stands."),
    "recipe_machine": Sentence(
        "{key} is about how that program works, not about what is learned.", "Nothing is lost without it."
    ),
    "recipe_off": Sentence("{key} is off, and there is nothing here to turn off.", "Nothing is lost without it."),
    "recipe_idle": Sentence("{key} counts for nothing beside {because}.", "Nothing is lost without it."),
    "recipe_unbuilt": Sentence("{key} = {value} cannot be done here.", "Leave it out, or bake without it."),
    "recipe_unknown": Sentence("{key} is not known.", "Leave it out if it does not matter."),
    "recipe_choice": Sentence("{key} = {value} is none of those built here.", "There are: {known}."),
    "recipe_network": Sentence(
        "{value} is no network of this trainer.", "LoRA, LoCon and DoRA of SD 1.5 and SDXL are."
    ),
    "recipe_several": Sentence(
        "{key} holds more than one of a kind; the first is taken.", "Put images into one folder."
    ),
    "recipe_steps": Sentence(
        "max_train_steps = {value} cannot be kept: a bake's length is given in epochs.", "Set epochs and repeat."
    ),
    "recipe_file": Sentence("{key} names the file {file}, which is not here.", "Write the prompt into preview_prompt."),
    "preset_exists": Sentence("There is a preset {name} of yours already.", "Choose another name, or add --force."),
    "preset_name": Sentence("{name} is no name for a preset.", "Letters, digits, dots and hyphens, at most 60."),
    "preset_unwritable": Sentence("The preset cannot be written: {reason}.", "Check the folder {path}."),
    "preset_shipped": Sentence(
        "{name} comes with LoRABake and is not yours to remove.", "Save your own under its name."
    ),
    "rates_invalid": Sentence("{name} = {value} is no rate.", "A number from 0 on; 0 leaves it out."),
    "params_unreadable": Sentence("{path} is not a valid TOML file: {reason}.", "Correct the file and try again."),
    "preset_unknown": Sentence("There is no preset {name}.", "Known presets: {known}."),
    "preset_family": Sentence(
        "The preset {name} is made for {family} models, and {base} is {other}.",
        "Name the theme alone: the preset then follows the base.",
    ),
}
