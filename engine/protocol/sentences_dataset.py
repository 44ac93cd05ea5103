"""What can be said of a dataset: its files, captions, filters, tags, findings, crops and exports.

`errors` merges the tables and turns a code into what a person reads.
"""

from __future__ import annotations

from engine.protocol.sentence import Sentence

DATASET: dict[str, Sentence] = {
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
    "image_not_file": Sentence(
        "{file} is a pipe, a device or a link that leads nowhere, so it is no picture.", "Replace or delete it."
    ),
    "image_encode": Sentence("{file} cannot be written as {format}: {reason}.", "Store it as another format first."),
    "folder_link": Sentence(
        "{path} is a link to a folder, and links to folders are not entered.",
        "Add that folder to the dataset, or put its images here.",
    ),
    "image_too_large": Sentence(
        "{file} has {width} × {height} pixels, more than {limit} megapixels or {side} pixels a side.",
        "Scale the picture down first.",
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
    "image_cut": Sentence(
        "{file} stops before its end: the lower part is grey or blurred, and trains so.", "Get it again, or remove it."
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
        "Name a YuNet or YOLO face detector (ONNX), or leave --face-model out.",
    ),
    "face_model_absent": Sentence(
        "The face detector {name} is not on this machine and cannot be fetched: {reason}.",
        "Put {file} of {hub} into {path}, or name a file of your own.",
    ),
    "export_inside": Sentence(
        "{path} lies inside the dataset or around it, where the cropped pictures would be taken for more images.",
        "Name a folder elsewhere.",
    ),
    "fix_unknown": Sentence("There is no finding {code} that can be fixed.", "Fixable are: {known}."),
    "undo_nothing": Sentence("Nothing is left to undo in {path}.", "What was undone once stays undone."),
    "cancelled": Sentence("Stopped after {done} of {total} files.", "What is done stays done; undo takes it back."),
    # adding and removing
    "add_cancelled": Sentence("Stopped after {done} of {total} files; nothing was added.", "Add them once more."),
    "add_link": Sentence("{file} is a link, and links are not followed.", "Name the file itself."),
    "add_kind": Sentence("{file} is no PNG, JPEG or WebP image, no folder and no zip archive.", "Name one of these."),
    "add_unreadable": Sentence("{file} cannot be added: {reason}.", "Check that it exists and may be read."),
    "add_caption": Sentence(
        "The caption of {file} is not taken: {reason}.", "Look into the file, and write a caption by hand."
    ),
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
    "zip_names": Sentence(
        "The names in {file} are not marked as UTF-8 and were read as {encoding}, such as {example}.",
        "Where they look wrong, pack it again with a tool that writes UTF-8.",
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
    "split_many": Sentence(
        "{file} would give {count} parts, more than the limit of {limit}.", "Choose another shape, or less overlap."
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
}
