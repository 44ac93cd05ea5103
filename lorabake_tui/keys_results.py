"""The actions of the Results section, of the tests drawn there, and of the comparison of two runs."""

from __future__ import annotations

from lorabake_tui.action import Action
from lorabake_tui.i18n import N_

RESULTS: tuple[Action, ...] = (
    Action(
        "results.pictures", "o", N_("Pictures"), N_("Look at the previews full-screen (Enter does the same)."), footer=1
    ),
    Action("results.test", "t", N_("Test"), N_("Draw with this epoch: own prompt, weight, sampler."), footer=2),
    Action("results.publish", "p", N_("Publish"), N_("Bring this epoch to a folder, a WebUI or the hub."), footer=3),
    Action(
        "results.rebake", "r", N_("Bake again"), N_("Take this run's parameters to change and bake again."), footer=4
    ),
    Action("results.grid", "x", N_("Grid"), N_("Draw a table of epochs, weights, prompts, seeds and CFG."), footer=6),
    Action("results.tests", "T", N_("Tests"), N_("Look at everything that was drawn on demand.")),
    Action("results.compare", "c", N_("Compare"), N_("Look at this run beside another one."), footer=5),
    Action("results.params", "i", N_("Parameters"), N_("Tell the parameters of this run and where each comes from.")),
    Action("results.prune", "d", N_("Tidy up"), N_("Put epochs or the whole run into the trash, or bring them back.")),
    Action("results.trash", "D", N_("Trash"), N_("See how much lies in the trash of all runs, and empty it.")),
    Action("results.recipe", "R", N_("Recipe"), N_("Bake by a recipe file: recipe.toml of a bundle, or a job.toml.")),
    Action("results.next_picture", "l,right", N_("Next picture"), N_("Go to the picture at the right."), palette=False),
    Action(
        "results.previous_picture",
        "h,left",
        N_("Previous picture"),
        N_("Go to the picture at the left."),
        palette=False,
    ),
    Action("results.path", "y", N_("Copy path"), N_("Show the file's path and copy it to the terminal's clipboard.")),
    Action("results.previous_run", "left_square_bracket", N_("Earlier run"), N_("Show the results of the run before.")),
    Action("results.next_run", "right_square_bracket", N_("Later run"), N_("Show the results of the run after.")),
)

TESTS: tuple[Action, ...] = (
    Action("tests.pictures", "o,enter", N_("Pictures"), N_("Look at the pictures full-screen."), palette=False),
    Action("tests.down", "j,down", N_("Down"), N_("Go to the older test."), palette=False),
    Action("tests.up", "k,up", N_("Up"), N_("Go to the newer test."), palette=False),
    Action("tests.next_picture", "l,right", N_("Next picture"), N_("Go to the picture at the right."), palette=False),
    Action(
        "tests.previous_picture", "h,left", N_("Previous picture"), N_("Go to the picture at the left."), palette=False
    ),
    Action("tests.again", "r", N_("Again"), N_("Draw this test once more."), palette=False),
    Action("tests.command", "y", N_("Copy command"), N_("Copy the line that draws this test again."), palette=False),
    Action(
        "tests.now",
        "b",
        N_("Draw now"),
        N_("Draw beside the bake that is in the way, on the processor."),
        palette=False,
    ),
    Action(
        "tests.pause",
        "p",
        N_("Pause/go on"),
        N_("Pause the bake that is in the way and draw; let a paused one go on."),
        palette=False,
    ),
    Action("tests.stop", "s", N_("Stop"), N_("Stop drawing, or take a test back that waits."), palette=False),
    Action("tests.close", "escape,q", N_("Back"), N_("Go back to the results."), palette=False),
)

COMPARE: tuple[Action, ...] = (
    Action("compare.down", "j,down", N_("Next epoch"), N_("Show the next epoch of both runs."), palette=False),
    Action("compare.up", "k,up", N_("Epoch before"), N_("Show the epoch before of both runs."), palette=False),
    Action("compare.more", "space,pagedown", N_("More"), N_("Show more of the differences."), palette=False),
    Action("compare.pictures", "o,enter", N_("Pictures"), N_("Look at the previews full-screen."), palette=False),
    Action("compare.close", "escape,q", N_("Back"), N_("Go back to the results."), palette=False),
)
