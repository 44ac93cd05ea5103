"""Which curves the Monitor draws, and how: kind, scale, smoothing and zoom, turned into a plot of the run."""

from __future__ import annotations

from lorabake_tui.i18n import N_, _
from lorabake_tui.store import Bucket, RunView, Series, downsample
from lorabake_tui.widgets.chart import Curve, Plot, Point

RAW, SMOOTHED, VALIDATION = 60, 180, 175
_RATES = (180, 110, 108, 175)
_KINDS = (("loss", N_("Loss")), ("lr", N_("Learning rate")), ("grad", N_("Gradient norm")))
_SMOOTHINGS = ((0.9, N_("smoothed lightly")), (0.98, N_("smoothed strongly")), (0.0, N_("not smoothed")))
_ZOOMS = ((1.0, N_("all steps")), (0.5, N_("last half")), (0.1, N_("last tenth")))


class Curves:
    """What the keys have set; `plot` applies it to a run."""

    def __init__(self) -> None:
        self.log = False
        self._kind = self._smoothing = self._zoom = 0

    def next_kind(self) -> None:
        """Loss, learning rates, gradient norm, in turn."""
        self._kind = (self._kind + 1) % len(_KINDS)

    def next_smoothing(self) -> None:
        """Light, strong, none, in turn."""
        self._smoothing = (self._smoothing + 1) % len(_SMOOTHINGS)

    def next_zoom(self) -> None:
        """All steps, the last half, the last tenth, in turn."""
        self._zoom = (self._zoom + 1) % len(_ZOOMS)

    def title(self) -> str:
        """What is drawn, and what differs from the plain view."""
        parts = [_(_KINDS[self._kind][1])]
        if self._kind == 0 and self._smoothing:
            parts.append(_(_SMOOTHINGS[self._smoothing][1]))
        if self._zoom:
            parts.append(_(_ZOOMS[self._zoom][1]))
        if self.log:
            parts.append(_("log scale"))
        return " · ".join(parts)

    def plot(self, view: RunView, width: int) -> Plot:
        """The plot for a chart of `width` cells; braille has two columns a cell."""
        series, columns = view.series, max(2, 2 * width)
        count = len(series)
        if not count:
            return Plot((), note=_("The curve begins with the first step."))
        first = min(count - 1, int(count * (1.0 - _ZOOMS[self._zoom][0])))
        steps = series.steps
        span = float(steps[first]), float(steps[-1])
        marks = [(float(step), str(epoch)) for epoch, step in series.first_of_epochs() if step >= span[0]]
        kind = _KINDS[self._kind][0]
        if kind == "loss":
            curves = self._loss(view, columns, first)
        elif kind == "lr":
            curves = _rates(series, columns, first)
        else:
            curves = [Curve(_("gradient norm"), ranges(downsample(steps, series.grad_norm, columns, first)), RAW)]
        return Plot(curves, span, marks, _("epoch"), self.log, _("No numbers to draw."))

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
