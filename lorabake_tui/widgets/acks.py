"""Requests to a run and their acknowledgements in words; imports no textual."""

from __future__ import annotations

from engine.protocol.events import Ack
from lorabake_tui.i18n import N_, _

ASKED = {
    "stop": N_("stop asked …"),
    "stop_now": N_("stop at once asked …"),
    "pause": N_("pause asked …"),
    "resume": N_("resume asked …"),
    "save_now": N_("save asked …"),
    "preview_now": N_("previews asked …"),
    "set": N_("change asked …"),
}
ACCEPTED = {
    "stop": N_("stop accepted: finishing the step, then saving …"),
    "stop_now": N_("stop accepted: ending without saving …"),
    "pause": N_("pause accepted: finishing the step, then saving …"),
    "resume": N_("going on …"),
    "save_now": N_("save accepted: finishing the step …"),
    "preview_now": N_("previews accepted: finishing the step …"),
    "set": N_("change accepted: finishing the step …"),
}
DONE = {
    "stop": N_("stopped and saved"),
    "stop_now": N_("stopped"),
    "pause": N_("paused: the state is saved, its memory is free"),
    "resume": N_("resumed"),
    "save_now": N_("state saved"),
    "preview_now": N_("previews drawn"),
    "set": N_("changed, and saved with the state"),
}
IGNORED = {
    "stop": N_("nothing to stop"),
    "stop_now": N_("nothing to stop"),
    "pause": N_("it is paused already"),
    "resume": N_("it was not paused"),
    "save_now": N_("nothing to save now"),
    "preview_now": N_("no previews can be drawn now"),
    "set": N_("that cannot be changed any more"),
}
_ACKS = {"accepted": ACCEPTED, "done": DONE, "ignored": IGNORED}


def ack_text(ack: Ack) -> str:
    """An acknowledgement in words."""
    return _(_ACKS[ack.state].get(ack.action, ack.action))
