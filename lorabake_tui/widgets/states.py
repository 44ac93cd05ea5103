"""The states and phases of a run as a person sees them: sign, word and look, never colour alone."""

from __future__ import annotations

from typing import NamedTuple

from engine.protocol.events import Tagged, Tested
from engine.protocol.tagging import TaggingReport
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.i18n import told as worded


class Look(NamedTuple):
    """A sign, a word to translate, and the tone it is painted in: good, warn, error, dim or ""."""

    sign: str
    word: str
    tone: str


STATES: dict[str, Look] = {
    "held": Look("◌", N_("held"), "warn"),
    "queued": Look("○", N_("queued"), "dim"),
    "scheduled": Look("◷", N_("scheduled"), "dim"),
    "starting": Look("◔", N_("starting"), "good"),
    "running": Look("●", N_("running"), "good"),
    "paused": Look("‖", N_("paused"), "warn"),
    "stopping": Look("◑", N_("stopping"), "warn"),
    "done": Look("✓", N_("done"), "good"),
    "stopped": Look("■", N_("stopped"), "warn"),
    "failed": Look("✗", N_("failed"), "error"),
    "cancelled": Look("–", N_("cancelled"), "dim"),
}

PHASES: dict[str, str] = {
    "prepare": N_("reading the dataset"),
    "load": N_("loading the model"),
    "cache": N_("encoding the images"),
    "baseline": N_("drawing the baseline previews"),
    "train": N_("training"),
    "preview": N_("drawing previews"),
    "save": N_("saving"),
    "validate": N_("measuring on the held-out images"),
    "tag": N_("tagging"),
    "draw": N_("drawing pictures"),
    "export": N_("copying the files"),
}
"""Phase of a run → what the worker does in it, to be translated."""

KINDS = (N_("bake"), N_("tag"), N_("test"), N_("probe"), N_("reg"))
"""Kinds of jobs that a person starts, to be translated."""

GOING = frozenset({"queued", "held", "scheduled", "starting", "running", "paused", "stopping"})
"""States of a run that may still bring something."""
GOES_ON = frozenset({"held", "stopped", "failed", "cancelled"})
"""States that `resume` leads out of, besides paused."""


def tagged(event: Tagged) -> str:
    """What a tagging came to, in one line."""
    parts = [
        ngettext("{n} caption written", "{n} captions written", event.changed).format(n=event.changed),
        _("+{added} −{removed} tags").format(added=event.added, removed=event.removed),
    ]
    if event.kept:
        parts.append(ngettext("{n} left as it was", "{n} left as they were", event.kept).format(n=event.kept))
    if event.failed:
        parts.append(ngettext("{n} image unreadable", "{n} images unreadable", event.failed).format(n=event.failed))
    return " · ".join(parts)


def tested(event: Tested) -> str:
    """What became of a test, in one line."""
    if event.state == "failed":
        why = worded(event.error)[0] if event.error is not None else ""
        return _("test {test} failed: {why}").format(test=event.test, why=why)
    pictures = ngettext("{n} picture", "{n} pictures", event.done).format(n=event.done)
    return _("test {test}: {pictures}").format(test=event.test, pictures=pictures)


def summary(report: TaggingReport, *, dry_run: bool) -> list[str]:
    """What a report comes to, in a few words."""
    if dry_run:
        text = ngettext("{n} caption would change", "{n} captions would change", report.changed)
    else:
        text = ngettext("{n} caption written", "{n} captions written", report.changed)
    parts = [text.format(n=report.changed)]
    if report.added or report.removed or not report.changed:  # sentences are none
        parts.append(_("+{added} −{removed} tags").format(added=report.added, removed=report.removed))
    if report.kept:
        parts.append(ngettext("{n} left as it was", "{n} left as they were", report.kept).format(n=report.kept))
    if report.busy:
        text = ngettext("{n} changed elsewhere meanwhile", "{n} changed elsewhere meanwhile", report.busy)
        parts.append(text.format(n=report.busy))
    if report.scored < report.images:
        parts.append(_("{n} of {all} have scores").format(n=report.scored, all=report.images))
    return parts


def look(state: str) -> Look:
    """How a state is shown; an unknown one by its own name."""
    return STATES.get(state) or Look("?", state, "dim")


def told(state: str) -> str:
    """Sign and word: `● running`."""
    sign, word, _tone = look(state)
    return f"{sign} {_(word)}"
