"""Section: what all six share: the line of tabs above, the line of hints below, the notice of too small a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import ScreenResume
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from lorabake_tui import keys
from lorabake_tui.i18n import _
from lorabake_tui.keys import Action
from lorabake_tui.terminal import MINIMUM
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.status import HintLine, TopLine

if TYPE_CHECKING:
    from lorabake_tui.app import LoRABake


class Section(Screen[None], inherit_bindings=False):
    """One of the six sections. A subclass sets `SECTION` and `BINDINGS = keys.bindings(SECTION)`, and yields its body.

    `facts_changed` is called when the app's dataset, runs or engine changed, also while another section is in front.
    """

    SECTION: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (MINIMUM[0], "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-too-low"), (MINIMUM[1], "-low"), (30, "-high")]
    DEFAULT_CSS = """
    Section {
        layout: vertical;
        & > #section-body { height: 1fr; }
        & > #top-line { dock: top; }
        & > #hint-line { dock: bottom; }
        & > #too-small { display: none; height: 1fr; content-align: center middle; text-align: center; }
        &.-too-narrow > *, &.-too-low > * { display: none; }
        &.-too-narrow > #too-small, &.-too-low > #too-small { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        # What is mounted is styled at once. Left to itself Textual would then parse and apply every rule of the app
        # twice more, and once again when it tells the screen its size.
        self._css_update_count = self.bench.rules_applied
        self.add_class(*_fitting(self.HORIZONTAL_BREAKPOINTS, self.app.size.width))
        self.add_class(*_fitting(self.VERTICAL_BREAKPOINTS, self.app.size.height))

    def compose(self) -> ComposeResult:
        yield TopLine(self.SECTION)
        with Vertical(id="section-body"):
            yield from self.body()
        yield Static(id="too-small", markup=False)
        yield HintLine()

    def body(self) -> ComposeResult:
        """The widgets between the two lines."""
        yield from ()

    def facts_changed(self) -> None:
        """The app's dataset, runs or engine changed; show it."""

    def hints(self) -> list[tuple[str, str]]:
        """(key, verb) for the footer, most important first."""
        actions = [*keys.TABLE[self.SECTION], *keys.APP]
        return hints_of(sorted((a for a in actions if a.footer), key=lambda action: action.footer))

    def refresh_hints(self) -> None:
        """Show the hints that fit the moment; help is always among them."""
        if self.composed:
            hints, help_hint = self.hints(), hints_of([keys.find("app.help")])[0]
            self.tell_hints(hints[:7] if help_hint not in hints[7:] else [*hints[:6], help_hint])

    def tell_hints(self, hints: list[tuple[str, str]]) -> None:
        """Write hints into the footer, which takes as many as have room."""
        self.query_one(HintLine).tell(hints)

    def refresh_lines_of_frame(self) -> None:
        """Show the app's facts and the hints."""
        if not self.composed:
            return
        self.query_one(TopLine).tell(self.bench.facts())
        self.refresh_hints()

    @property
    def composed(self) -> bool:
        """Whether the widgets are there to be filled (`is_mounted` comes true only after `on_mount`)."""
        return bool(self.query("#hint-line"))

    @property
    def bench(self) -> LoRABake:
        """The app, with its type."""
        return cast("LoRABake", self.app)

    def on_mount(self) -> None:
        self.query_one("#too-small", Static).update(
            _("LoRABake needs a terminal of at least {columns} × {rows}.").format(columns=MINIMUM[0], rows=MINIMUM[1])
        )
        self.refresh_lines_of_frame()

    @on(ScreenResume)
    def _keep_styles(self, event: ScreenResume) -> None:
        # No rule depends on what may change behind another section: the theme is one, and sizes are told.
        event.refresh_styles = False

    def on_screen_resume(self) -> None:
        self.refresh_lines_of_frame()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A fault in what goes on behind the screen is told; it ends that work, not the app."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            told = _("Something unexpected went wrong: {reason}.").format(reason=f"{type(error).__name__}: {error}")
            self.bench.notify(plain(told), severity="error", timeout=10, markup=False)

    def nothing(self, sentence: str) -> str:
        """Why there is nothing to show: `sentence`, unless the engine has not answered yet or is lost."""
        if self.bench.engine.state == "lost":
            return _("The engine is not running.")
        return sentence if self.bench.store.listed else _("The engine is starting …")

    async def call(self, method: str, params: Any = None) -> Any:
        """The result of an engine call, None when it failed; the failure has then been told as a toast."""
        return await self.bench.call(method, params)


def _fitting(breakpoints: Sequence[tuple[int, str]], size: int) -> list[str]:
    """The class of the largest breakpoint that a size reaches."""
    return [name for least, name in sorted(breakpoints) if size >= least][-1:]


def hints_of(actions: list[Action]) -> list[tuple[str, str]]:
    """Key and translated verb of some actions."""
    return [(action.key, _(action.verb)) for action in actions]
