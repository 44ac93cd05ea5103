"""The actions of the Tags section and of what opens from it; a part of the table in `keys`."""

from __future__ import annotations

from lorabake_tui.action import Action
from lorabake_tui.i18n import N_

TAGS: tuple[Action, ...] = (
    Action(
        "tags.add",
        "a",
        N_("Tag"),
        N_("Open the tag box on the marked images, or the one under the cursor; it stays open from image to image."),
        footer=1,
    ),
    Action("tags.add_all", "A", N_("Tag all"), N_("Open the tag box on all images shown.")),
    Action(
        "tags.delete",
        "d,delete",
        N_("Delete"),
        N_("Take the tag under the cursor off: in the table from all images shown, in an image from that one."),
        footer=2,
    ),
    Action(
        "tags.rename",
        "r",
        N_("Rename"),
        N_("Write the tag under the cursor otherwise; a tag that is there already is merged."),
        footer=4,
    ),
    Action("tags.undo", "u", N_("Undo"), N_("Take back the last edit of tags, also one of another day."), footer=3),
    Action("tags.redo", "U,ctrl+r", N_("Redo"), N_("Do again what was taken back.")),
    Action("tags.repeat", "full_stop", N_("Repeat"), N_("Do the last edit again on what is chosen now.")),
    Action(
        "tags.pin",
        "P",
        N_("Pin"),
        N_("Pin the tag under the cursor to the next free digit, or free its digit: 1 to 9 then put it on or off."),
    ),
    Action("tags.record", "q", N_("Record"), N_("Record edits under a letter; again ends the recording.")),
    Action("tags.replay", "at", N_("Replay"), N_("Do the recorded edits of a letter on what is chosen now.")),
    Action("tags.bookmark", "M", N_("Bookmark"), N_("Give the image under the cursor a letter to come back to.")),
    Action("tags.go", "apostrophe,grave_accent", N_("Go to"), N_("Go to the image with the bookmark of a letter.")),
    Action(
        "tags.states",
        "S",
        N_("Selection"),
        N_("See the tags of the marked images, or of all shown, on all, some or none; put several on or off at once."),
    ),
    Action(
        "tags.own",
        "o",
        N_("Keep as mine"),
        N_("Count the tag under the cursor as yours, so that no tagger takes it away."),
    ),
    Action("tags.toggle", "space", N_("Mark"), N_("Mark an image; in the table: put the tag on the marked, or off.")),
    Action("tags.mark_tag", "m", N_("Mark tag's"), N_("Mark the images that carry the tag under the cursor.")),
    Action("tags.mark_all", "x", N_("Mark all"), N_("Mark all images shown; again unmarks them.")),
    Action("tags.earlier", "K,shift+up", N_("Move up"), N_("Move the tag one place towards the front of the caption.")),
    Action("tags.later", "J,shift+down", N_("Move down"), N_("Move the tag one place towards the end.")),
    Action("tags.edit", "e", N_("Caption"), N_("Edit the whole caption of the image.")),
    Action("tags.editor", "E", N_("Editor"), N_("Edit the caption in $EDITOR.")),
    Action(
        "tags.review",
        "v",
        N_("Review"),
        N_("Look through the images for the tag under the cursor, the doubtful ones first: y, n, u."),
        footer=5,
    ),
    Action("tags.quality", "V", N_("Quality"), N_("Look through the images shown and reject the bad ones.")),
    Action("tags.twins", "D", N_("Doubles"), N_("Look through pairs of images that are almost the same.")),
    Action(
        "tags.bind",
        "b",
        N_("Bind"),
        N_("Choose which traits leave the captions, so that the trigger word comes to mean them."),
        footer=6,
    ),
    Action(
        "tags.rules",
        "R",
        N_("Rules"),
        N_("See what is said twice, contradicts itself, is rare or never wanted, and take it out as one edit."),
    ),
    Action("tags.trigger", "t", N_("Trigger"), N_("Put a word in front of every caption shown; moved, never doubled.")),
    Action("tags.images", "i", N_("Images"), N_("Show the images that carry this tag in the Dataset section.")),
    Action("tags.find", "f", N_("Find images"), N_("Show only images that a filter finds, such as tag:smile -hat.")),
    Action(
        "tags.filters",
        "F",
        N_("Filters"),
        N_("Choose a filter that was saved or used before, or save the one that is set."),
    ),
    Action("tags.filter", "slash", N_("Filter"), N_("Show only tags that hold these words.")),
    Action("tags.sort", "s", N_("Sort"), N_("Sort by count, name, place in the caption, score, or lift.")),
    Action(
        "tags.tagger",
        "T",
        N_("Tagger"),
        N_("Let a tagger write captions, or move its thresholds and see at once."),
        footer=8,
    ),
    Action("tags.clear", "escape", N_("Clear"), N_("Take the filters away, then the marks."), palette=False),
)

TAG_REVIEW: tuple[Action, ...] = (
    Action(
        "tag_review.yes", "y", N_("Has it"), N_("The picture shows it: put the tag into the caption."), palette=False
    ),
    Action(
        "tag_review.no", "n", N_("Has it not"), N_("The picture does not show it: take the tag out."), palette=False
    ),
    Action("tag_review.skip", "space", N_("Later"), N_("Go on without deciding."), palette=False),
    Action("tag_review.back", "u", N_("Back"), N_("Take the last answer back."), palette=False),
    Action(
        "tag_review.close", "escape,q", N_("Close"), N_("Stop here; the next review goes on from here."), palette=False
    ),
)

IMAGE_REVIEW: tuple[Action, ...] = (
    Action("image_review.keep", "y", N_("Keep"), N_("Keep the picture, or both of a pair."), palette=False),
    Action("image_review.reject", "n", N_("Reject"), N_("Reject the picture, of a pair the left one."), palette=False),
    Action("image_review.swap", "s", N_("Swap"), N_("Let the other of a pair be the one to reject."), palette=False),
    Action("image_review.back", "u", N_("Back"), N_("Take the last answer back."), palette=False),
    Action(
        "image_review.finish",
        "enter",
        N_("Finish"),
        N_("Move what was rejected to the dataset's trash."),
        palette=False,
    ),
    Action(
        "image_review.close",
        "escape,q",
        N_("Close"),
        N_("Stop here; the next review goes on from here, and what was rejected waits for its end."),
        palette=False,
    ),
)

TRAITS: tuple[Action, ...] = (
    Action(
        "traits.verdict", "space", N_("Verdict"), N_("Bind the trait, keep it, or leave it undecided."), palette=False
    ),
    Action(
        "traits.propose", "p", N_("Proposals"), N_("Take over the proposals where nothing is decided."), palette=False
    ),
    Action("traits.apply", "enter", N_("Apply"), N_("Make the captions so; undo takes it back."), palette=False),
    Action("traits.close", "escape,q", N_("Close"), N_("Close without changing captions."), palette=False),
)

STATES: tuple[Action, ...] = (
    Action("states.next", "space", N_("All, none"), N_("Put the tag on all, on none, or leave it."), palette=False),
    Action("states.new", "n", N_("New"), N_("Write a tag that comes to all of them."), palette=False),
    Action(
        "states.apply", "enter", N_("Apply"), N_("Do what is chosen, as one edit; undo takes it back."), palette=False
    ),
    Action("states.close", "escape,q", N_("Close"), N_("Drop what is chosen, then close."), palette=False),
)

RULES: tuple[Action, ...] = (
    Action("rules.toggle", "space", N_("Choose"), N_("Let this rule act, or not."), palette=False),
    Action(
        "rules.new", "n", N_("New"), N_("Write a rule of one's own: tag, old>new, or <3 for rare ones."), palette=False
    ),
    Action("rules.drop", "d,delete", N_("Drop"), N_("Forget a rule of one's own."), palette=False),
    Action(
        "rules.apply", "enter", N_("Apply"), N_("Do what is chosen, as one edit; undo takes it back."), palette=False
    ),
    Action("rules.close", "escape", N_("Close"), N_("Close without changing captions."), palette=False),
)
