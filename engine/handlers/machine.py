"""The machine itself: telemetry and the doctor."""

from __future__ import annotations

from engine.handlers import Context, Then
from engine.protocol.messages import Empty
from engine.protocol.records import DeviceSample, DoctorReport


def device_subscribe(context: Context, _: Empty) -> DeviceSample | Then:
    """A sample now, and one as a push every two seconds from now on."""
    return Then(context.telemetry.sample(), context.follower.follow_devices)


def doctor(context: Context, _: Empty) -> DoctorReport:
    """Everything that can be found out about this machine within a second."""
    from engine.doctor import examine

    return examine(context.telemetry)
