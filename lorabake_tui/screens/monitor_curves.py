"""Which curves the Monitor draws, and how: kind, scale, smoothing, zoom, the step that is read, the run beside it."""

from __future__ import annotations

from bisect import bisect_left

from lorabake_tui.i18n import N_, _
from lorabake_tui.store import Bucket, RunView, Series, downsample
from lorabake_tui.widgets.chart import Curve, Plot, Point
from lorabake_tui.widgets.units import learning_rate, loss, rate

RAW, SMOOTHED, VALIDATION, OTHER = 60, 180, 175, 108
_RATES = (180, 110, 108, 175)
_KINDS = (
    ("loss", N_("Loss")),
    ("lr", N_("Learning rate")),
    ("grad", N_("Gradient norm")),
    ("speed", N_("Steps per second")),
)
_SMOOTHINGS = ((0.9, N_("smoothed lightly")), (0.98, N_("smoothed strongly")), (0.0, N_("not smoothed")))
_ZOOMS = ((1.0, N_("all steps")), (0.5, N_("last half")), (0.1, N_("last tenth")))


class Curves:
    """What the keys have set; `plot` applies it to a run. `at` is the step that is read, None for the newest."""

    def __init__(self) -> None:
        self.log = False
        self.at: int | None = None
        self._kind = self._smoothing = self._zoom = 0

    def next_kind(self) -> None:
        """Loss, learning rates, gradient norm, speed, in turn."""
        self._kind = (self._kind + 1) % len(_KINDS)

    def next_smoothing(self) -> None:
        """Light, strong, none, in turn."""
        self._smoothing = (self._smoothing + 1) % len(_SMOOTHINGS)

    def next_zoom(self) -> None:
        """All steps, the last half, the last tenth, in turn."""
        self._zoom = (self._zoom + 1) % len(_ZOOMS)

    # -- reading one step -------------------------------------------------------------------------------------

    def walk(self, view: RunView, by: int) -> bool:
        """Read `by` steps further on, or back; False when there is no step to go to."""
        steps = view.series.steps
        if not len(steps):
            return False
        here = len(steps) - 1 if self.at is None else min(len(steps) - 1, bisect_left(steps, self.at))
        to = max(0, here + by)
        # Beyond the last step lies what comes: following again.
        self.at = None if to >= len(steps) else steps[to]
        return to != here

    def walk_epoch(self, view: RunView, by: int) -> bool:
        """Read at the beginning of another epoch."""
        firsts = [step for _epoch, step in view.series.first_of_epochs()]
        if not firsts:
            return False
        at = view.series.steps[-1] if self.at is None else self.at
        later = [step for step in firsts if step > at]
        earlier = [step for step in firsts if step < at]
        if by > 0:
            self.at = later[0] if later else None
        else:
            self.at = earlier[-1] if earlier else firsts[0]
        return True

    def title(self, view: RunView | None = None) -> str:
        """What is drawn, and what differs from the plain view; while a step is read, its numbers instead."""
        kind = _(_KINDS[self._kind][1])
        if view is not None and self.at is not None and (numbers := self._numbers(view)):
            # A narrow pane cuts the end: the numbers come first.
            return " · ".join([f"{kind} {numbers[0]}", *numbers[1:]])
        parts = [kind]
        if self._kind == 0 and self._smoothing:
            parts.append(_(_SMOOTHINGS[self._smoothing][1]))
        if self._zoom:
            parts.append(_(_ZOOMS[self._zoom][1]))
        if self.log:
            parts.append(_("log scale"))
        return " · ".join(parts)

    def _numbers(self, view: RunView) -> list[str]:
        series = view.series
        index = bisect_left(series.steps, self.at or 0)
        if index >= len(series):
            return []
        words = []
        match _KINDS[self._kind][0]:
            case "loss":
                words.append(_number(series.loss[index]))
                if beta := _SMOOTHINGS[self._smoothing][0]:
                    words.append(_("smoothed {loss}").format(loss=_number(series.smoothed(beta)[index])))
            case "lr":
                words += [f"{group} {learning_rate(rates[index])}" for group, rates in series.lr.items()]
            case "grad":
                words.append(_number(series.grad_norm[index]))
            case _:
                words.append(rate(_known(series.it_s[index])))
        where = _("step {step}, epoch {epoch}").format(step=series.steps[index], epoch=series.epochs[index])
        return [*words, where]

    # -- drawing ----------------------------------------------------------------------------------------------

    def plot(self, view: RunView, width: int, other: tuple[str, RunView] | None = None) -> Plot:
        """The plot for a chart of `width` cells, with the curve of an `other` (name, run); braille has two columns a
        cell."""
        series, columns = view.series, max(2, 2 * width)
        count = len(series)
        if not count:
            return Plot((), note=_("The curve begins with the first step."))
        first = min(count - 1, int(count * (1.0 - _ZOOMS[self._zoom][0])))
        steps = series.steps
        span = float(steps[first]), float(steps[-1])
        beside = other[1].series if other is not None and len(other[1].series) else None
        if beside is not None and not self._zoom:
            span = min(span[0], float(beside.steps[0])), max(span[1], float(beside.steps[-1]))
        marks = [(float(step), str(epoch)) for epoch, step in series.first_of_epochs() if step >= span[0]]
        curves = self._own(view, columns, first)
        if other is not None and beside is not None:
            start = min(len(beside) - 1, bisect_left(beside.steps, int(span[0])))
            curves.append(Curve(other[0], means(downsample(beside.steps, self._one(beside), columns, start)), OTHER))
        cursor = None if self.at is None else float(self.at)
        return Plot(curves, span, marks, _("epoch"), self.log, _("No numbers to draw."), cursor)

    def _own(self, view: RunView, columns: int, first: int) -> list[Curve]:
        series = view.series
        match _KINDS[self._kind][0]:
            case "loss":
                return self._loss(view, columns, first)
            case "lr":
                return _rates(series, columns, first)
            case "grad":
                points = ranges(downsample(series.steps, series.grad_norm, columns, first))
                return [Curve(_("gradient norm"), points, RAW)]
            case _:
                points = ranges(downsample(series.steps, series.it_s, columns, first))
                return [Curve(_("steps per second"), points, RAW)]

    def _one(self, series: Series):  # type: ignore[no-untyped-def]
        """The one line of another run that is set beside this one's."""
        match _KINDS[self._kind][0]:
            case "loss":
                return series.smoothed(_SMOOTHINGS[self._smoothing][0] or 0.9)
            case "lr":
                return next(iter(series.lr.values()), series.loss)
            case "grad":
                return series.grad_norm
            case _:
                return series.it_s

    def _loss(self, view: RunView, columns: int, first: int) -> list[Curve]:
        series = view.series
        curves = [Curve(_("loss"), ranges(downsample(series.steps, series.loss, columns, first)), RAW)]
        beta = _SMOOTHINGS[self._smoothing][0]
        if beta and len(series) > 2:
            buckets = downsample(series.steps, series.smoothed(beta), columns, first)
            curves.append(Curve(_("smoothed"), means(buckets), SMOOTHED))
        held = [
            (float(p.step), p.loss) for p in view.validation if p.loss is not None and p.step >= series.steps[first]
        ]
        if held:
            curves.append(Curve(_("validation"), held, VALIDATION, "dots"))
        return curves


def _known(value: float) -> float | None:
    return value if value == value else None


def _number(value: float) -> str:
    return loss(_known(value))


def _rates(series: Series, columns: int, first: int) -> list[Curve]:
    return [
        Curve(group, means(downsample(series.steps, rates, columns, first)), _RATES[number % len(_RATES)])
        for number, (group, rates) in enumerate(series.lr.items())
    ]


def ranges(buckets: list[Bucket | None]) -> list[Point | None]:
    """Each bucket as an upright stroke from its lowest to its highest value, joined to the next."""
    points: list[Point | None] = []
    for bucket in buckets:
        if bucket is None:
            points.append(None)
        elif bucket.low == bucket.high:
            points.append((bucket.x, bucket.low))
        else:
            last = points[-1] if points else None
            rising = last is None or abs(last[1] - bucket.low) <= abs(last[1] - bucket.high)
            pair = (bucket.low, bucket.high) if rising else (bucket.high, bucket.low)
            points += [(bucket.x, value) for value in pair]
    return points


def means(buckets: list[Bucket | None]) -> list[Point | None]:
    """Each bucket by its mean."""
    return [(bucket.x, bucket.mean) if bucket is not None else None for bucket in buckets]
