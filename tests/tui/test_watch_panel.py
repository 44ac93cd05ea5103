"""What `lorabake watch` draws in ten lines, and what reaches the terminal besides: title, bell, notification."""

import pytest
from rich.cells import cell_len

from engine.protocol.events import Ack, Event, Paused, Phase, Plan, Step
from engine.protocol.records import RunRow
from engine.protocol.telling import TellSettings
from lorabake_tui import outside
from lorabake_tui.commands.panel import ROWS, Panel, panel
from lorabake_tui.screens.monitor_curves import Curves
from lorabake_tui.screens.monitor_text import answered
from lorabake_tui.store import RunFold


def folded(steps: int = 120) -> RunFold:
    fold = RunFold("r")
    fold.add(Phase(run="r", seq=1, boot="b", t=1e9, name="train", plan=Plan(steps=200, epochs=4, steps_per_epoch=50)))
    for step in range(1, steps + 1):
        fold.add(
            Step(
                run="r",
                seq=step + 1,
                boot="b",
                t=1e9 + step,
                step=step,
                epoch=(step - 1) // 50 + 1,
                loss=0.2 - step / 1000,
                lr={"unet": 1e-4},
                grad_norm=0.3,
                images=2,
                it_s=1.0,
                eta_s=200.0 - step,
                elapsed_s=float(step),
            )
        )
    return fold


def test_ten_lines_that_fit() -> None:
    view = folded().view()
    for width in (40, 79, 150):
        lines = panel(view, "mira 图", "epoch 2: a-very-long-name" * 5, width, 1e9 + 121)
        assert len(lines) == ROWS
        assert all(cell_len(line) <= width for line in lines)
    lines = panel(view, "mira", "news", 79, 1e9 + 121)
    assert "step 120/200" in lines[0]
    assert "60 %" in lines[1]
    assert "1:19 left" in lines[2]
    assert "lr unet 1.00e-04" in lines[3]
    assert lines[4].startswith("█"), "the loss begins high"
    assert lines[8].rstrip().endswith("0.0899") or "0." in lines[8]


def test_before_the_first_step_nothing_is_made_up() -> None:
    lines = panel(RunFold("r").view(), "mira", "", 79, 1e9)
    assert len(lines) == ROWS
    assert not any("loss" in line for line in lines)


def test_what_happened_is_drawn_at_once_and_steps_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    fold, shown = folded(), Panel("mira")

    def told(*events: Event) -> str:
        for event in events:
            fold.add(event)
            shown.event(event, fold)
        shown.settle(fold)
        return capsys.readouterr().out

    assert "running" in told()
    step = Step(run="r", seq=122, boot="b", t=1e9, step=121, epoch=3, loss=0.1)
    assert told(step) == "", "it was drawn a moment ago"
    paused = Paused(run="r", seq=123, boot="b", t=1e9, step=121)
    done = Ack(run="r", seq=124, boot="b", t=1e9, re="x", action="pause", state="done")
    drawn = told(paused, done)
    assert "paused  mira" in drawn.replace("‖ ", "")
    assert "step 121/200" in drawn
    assert "its memory is free" in drawn


def test_a_request_is_answered_though_another_process_has_taken_over() -> None:
    fold = folded(3)
    asked = fold.view().seq
    assert not answered(fold.view(), "resume", asked)
    fold.add(Ack(run="r", seq=5, boot="b", t=1e9, re="x", action="resume", state="done"))
    fold.add(Phase(run="r", seq=6, boot="c", t=1e9, name="prepare"))
    assert fold.view().ack is None
    assert answered(fold.view(), "resume", asked)
    assert not answered(fold.view(), "pause", asked)


def test_reading_the_curve_step_by_step() -> None:
    view, curves = folded().view(), Curves()
    assert curves.at is None
    curves.walk(view, -1)
    assert curves.at == 119
    curves.walk_epoch(view, -1)
    assert curves.at == 101
    curves.walk_epoch(view, -1)
    assert curves.at == 51
    assert curves.title(view).startswith("Loss 0.149")
    assert curves.title(view).endswith(" · step 51, epoch 2")
    plot = curves.plot(view, 60, ("other", folded(150).view()))
    assert plot.cursor == 51
    assert plot.curves[-1].name == "other"
    assert plot.span == (1.0, 150.0)
    curves.walk_epoch(view, 1)
    curves.walk_epoch(view, 1)
    assert curves.at is None, "beyond the last epoch lies what comes"


def row(state: str, *, step: int = 0, **facts: object) -> RunRow:
    return RunRow(id="r", name="mi;ra\x1b", kind="bake", state=state, dir="", step=step, steps=200, **facts)  # type: ignore[arg-type]


def test_title_bell_and_notification_follow_the_runs() -> None:
    written: list[str] = []
    out = outside.Outside(written.append)
    out.runs([row("running", step=50)])
    assert "25 % ● running" in written[-1]
    assert written[-1].count("\x1b") == 1 or "\x1bk" in written[-1]
    assert ";ra" not in written[-1], "a name cannot divide the sequence"
    written.clear()
    out.runs([row("running", step=50)])
    assert not written, "what did not change is not written"
    out.runs([row("done", step=200)])
    assert "\x07" in written
    assert any("\x1b]9;" in text and "done" in text for text in written)
    written.clear()
    out.close()
    assert "\x1b[23;2t" in written[0]
    quiet = outside.Outside(written.append)
    quiet.settings = TellSettings(bell=False, desktop=False)
    quiet.runs([row("running")])
    written.clear()
    quiet.runs([row("failed")])
    assert not any("\x1b]9" in text or text == "\x07" for text in written)


def test_within_tmux_the_notification_is_passed_through() -> None:
    text = outside.notification("mira: done", {"TMUX": "/tmp/tmux-0/default,1,0"})
    assert text.startswith("\x1bPtmux;\x1b\x1b]9;mira: done")
