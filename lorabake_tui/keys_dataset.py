"""The actions of the Dataset section and of what opens from it; a part of the table in `keys`."""

from __future__ import annotations

from lorabake_tui.action import Action
from lorabake_tui.i18n import N_

DATASET: tuple[Action, ...] = (
    Action("dataset.open", "O", N_("Open"), N_("Open a folder of images as the dataset."), footer=12),
    Action("dataset.open_sample", "ctrl+o", N_("Sample"), N_("Open the sample dataset that comes with LoRABake.")),
    Action("dataset.add", "i", N_("Add"), N_("Add images: files, a folder, or a zip archive."), footer=9),
    Action(
        "dataset.remove",
        "d,delete",
        N_("Remove"),
        N_("Move the marked images, or the one under the cursor, to the dataset's trash; u brings them back."),
    ),
    Action("dataset.trash", "D", N_("Trash"), N_("See how much lies in the dataset's trash, and empty it.")),
    Action("dataset.undo", "u", N_("Undo"), N_("Take back the last change of the dataset."), footer=7),
    Action("dataset.edit", "e", N_("Caption"), N_("Edit the caption of the image under the cursor."), footer=1),
    Action("dataset.editor", "E", N_("Editor"), N_("Edit the caption in $EDITOR.")),
    Action(
        "dataset.repeat",
        "r",
        N_("Repeat"),
        N_("Give the marked images, or the one under the cursor, a repeat of their own; nothing takes it away."),
        footer=4,
    ),
    Action(
        "dataset.plan",
        "p",
        N_("Plan"),
        N_("See folders, marks and buckets with their image views; set the repeat of a folder or a mark there."),
        footer=8,
    ),
    Action("dataset.findings", "w", N_("Findings"), N_("See what is wrong with the dataset, by kind."), footer=2),
    Action("dataset.fix", "f", N_("Fix"), N_("Mend the marked images, or the one under the cursor, where it is safe.")),
    Action("dataset.fix_all", "F", N_("Fix all"), N_("Mend everything that can be mended safely.")),
    Action(
        "dataset.crop", "c", N_("Crop"), N_("Crop the marked images, or all shown, around their subject."), footer=3
    ),
    Action("dataset.review", "C", N_("Review"), N_("Look through the crops one by one and move them."), footer=10),
    Action("dataset.flip", "x", N_("Mirror"), N_("Let the marked images train mirrored as well, or no longer.")),
    Action(
        "dataset.flip_repeat",
        "X",
        N_("Mirror repeat"),
        N_("Let the marked images train mirrored, with a repeat of it."),
    ),
    Action("dataset.split", "S", N_("Split"), N_("Write the parts of tall and wide images as files of their own.")),
    Action("dataset.reg", "P", N_("Regularise"), N_("Choose the folder of regularisation images, or none.")),
    Action("dataset.export", "W", N_("Export"), N_("Write the crops, or a dataset for kohya's scripts, to a folder.")),
    Action("dataset.mark", "space", N_("Mark"), N_("Mark the image, or unmark it, and go on to the next."), footer=5),
    Action("dataset.visual", "v", N_("Visual"), N_("Mark all images from here to where the cursor goes.")),
    Action("dataset.mark_all", "a", N_("Mark all"), N_("Mark all images shown; again unmarks them.")),
    Action(
        "dataset.invert", "A", N_("Invert"), N_("Mark the images shown that are not marked, and unmark the others.")
    ),
    Action(
        "dataset.letter",
        "m",
        N_("Letter"),
        N_("Give the images a letter that is kept with the dataset, or take it away; the plan has repeats by letter."),
    ),
    Action(
        "dataset.filter",
        "slash",
        N_("Filter"),
        N_("Show only images whose name or caption holds these words; `tag:x` asks for the whole tag x."),
        footer=6,
    ),
    Action(
        "dataset.filters",
        "ctrl+r",
        N_("Filters"),
        N_("Choose a filter that was saved or used before, or save the one that is set."),
    ),
    Action("dataset.sort", "s", N_("Sort"), N_("Sort by name, size, bucket, repeat, tags or findings.")),
    Action(
        "dataset.clear", "escape", N_("Clear"), N_("End what is at work, or take filter and marks away."), palette=False
    ),
    Action("dataset.next_problem", "n", N_("Next problem"), N_("Go to the next image that something is wrong with.")),
    Action("dataset.previous_problem", "N", N_("Previous problem"), N_("Go to the one before.")),
    Action("dataset.next_untagged", "right_square_bracket", N_("Next untagged"), N_("Go to the next without caption.")),
    Action("dataset.previous_untagged", "left_square_bracket", N_("Previous untagged"), N_("Go to the one before.")),
    Action("dataset.grid", "t", N_("Thumbnails"), N_("Show the images as small pictures, or as a list."), footer=11),
    Action("dataset.zoom", "z", N_("Zoom"), N_("Show the picture over the whole screen.")),
    Action(
        "dataset.pixels",
        "o",
        N_("Pixels"),
        N_("Show true pixels where the terminal can; elsewhere write a contact sheet and tell its path."),
    ),
    Action("dataset.left", "h,left", N_("Left"), N_("Go to the small picture at the left."), palette=False),
    Action("dataset.right", "l,right", N_("Right"), N_("Go to the small picture at the right."), palette=False),
    Action("dataset.bake", "b", N_("Bake"), N_("Go on to the parameters of a bake of this dataset."), footer=13),
)

REVIEW: tuple[Action, ...] = (
    Action("review.accept", "enter", N_("Accept"), N_("Keep this crop and go on to the next."), palette=False),
    Action("review.left", "h,left", N_("Left"), N_("Move the part to the left."), palette=False),
    Action("review.down", "j,down", N_("Down"), N_("Move the part down."), palette=False),
    Action("review.up", "k,up", N_("Up"), N_("Move the part up."), palette=False),
    Action("review.right", "l,right", N_("Right"), N_("Move the part to the right."), palette=False),
    Action("review.far_left", "H,shift+left", N_("Far left"), N_("Move the part far to the left."), palette=False),
    Action("review.far_down", "J,shift+down", N_("Far down"), N_("Move the part far down."), palette=False),
    Action("review.far_up", "K,shift+up", N_("Far up"), N_("Move the part far up."), palette=False),
    Action("review.far_right", "L,shift+right", N_("Far right"), N_("Move the part far to the right."), palette=False),
    Action("review.larger", "plus,equals_sign", N_("Larger"), N_("Take a larger part of the picture."), palette=False),
    Action("review.smaller", "minus", N_("Smaller"), N_("Take a smaller part of the picture."), palette=False),
    Action(
        "review.subject",
        "f",
        N_("Subject"),
        N_("Take the next face, or what stands out, or the middle."),
        palette=False,
    ),
    Action("review.shape", "b", N_("Shape"), N_("Crop to the next usual size of the base."), palette=False),
    Action("review.whole", "x", N_("No crop"), N_("Let the whole picture train, or crop it again."), palette=False),
    Action("review.undo", "u", N_("Undo"), N_("Put back the crop as it was when it came up."), palette=False),
    Action("review.next", "n,pagedown", N_("Next"), N_("Show the next picture."), palette=False),
    Action("review.previous", "N,p,pageup", N_("Previous"), N_("Show the picture before."), palette=False),
    Action(
        "review.flagged",
        "w",
        N_("Flagged"),
        N_("Show all, only those enlarged, or only those that cut a face."),
        palette=False,
    ),
    Action("review.help", "question_mark,f1", N_("Help"), N_("List the keys."), palette=False),
    Action("review.close", "escape,q", N_("Back"), N_("Close the review; what was moved is kept."), palette=False),
)

FINDINGS: tuple[Action, ...] = (
    Action("findings.show", "enter", N_("Show"), N_("Show only the images of this kind in the list."), palette=False),
    Action("findings.fix", "f", N_("Fix"), N_("Mend all images of this kind."), palette=False),
    Action("findings.fix_all", "F", N_("Fix all"), N_("Mend everything that can be mended safely."), palette=False),
    Action("findings.undo", "u", N_("Undo"), N_("Take back the last change of the dataset."), palette=False),
    Action("findings.check", "c", N_("Check"), N_("Look through everything once more."), palette=False),
    Action("findings.close", "escape,q,w", N_("Back"), N_("Close the findings."), palette=False),
)

PLAN: tuple[Action, ...] = (
    Action("plan.show", "enter", N_("Show"), N_("Show only these images in the list."), palette=False),
    Action("plan.repeat", "r", N_("Repeat"), N_("Set the repeat of the folder or the mark."), palette=False),
    Action(
        "plan.reg", "P", N_("Regularise"), N_("Choose the folder of regularisation images, or none."), palette=False
    ),
    Action("plan.close", "escape,q,p", N_("Back"), N_("Close the plan."), palette=False),
)

SETTINGS: tuple[Action, ...] = (
    Action("settings.next", "right,l,space", N_("Change"), N_("Take the next choice."), palette=False),
    Action("settings.previous", "left,h", N_("Change back"), N_("Take the choice before."), palette=False),
)
