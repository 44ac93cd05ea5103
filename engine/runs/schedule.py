"""When a waiting job may start: at a moment, or within quiet hours. Reads what a person wrote; knows no queue.

All times are the machine's local time, for a person means the clock on the wall.
"""

from __future__ import annotations

import re
import time

import msgspec

from engine.protocol.errors import EngineError

DAY = 86400.0
_CLOCK = r"(\d{1,2}):(\d{2})"
_AT = re.compile(rf"(?:(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})[ T])?{_CLOCK}")
_IN = re.compile(r"\+(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")
_HOURS = re.compile(rf"{_CLOCK}\s*[-–—~]\s*{_CLOCK}(\s+pause)?")


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`at`: not before this Unix time. `hours`: only within "22:00-07:00"; with `pause` the bake also stands still
    outside of them. All empty: at once."""

    at: float = 0.0
    hours: str = ""
    pause: bool = False

    @property
    def told(self) -> str:
        """As `read` would take it back; "" for at once."""
        if self.hours:
            return f"{self.hours} pause" if self.pause else self.hours
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.at)) if self.at else ""

    def opens(self, now: float) -> float:
        """The first moment from `now` on at which the job may start."""
        if self.at > now:
            return self.at
        return _window(self.hours, now)[0] if self.hours else now

    def closed(self, now: float) -> bool:
        """Whether a job that began is to stand still now."""
        return self.pause and bool(self.hours) and _window(self.hours, now)[0] > now


def read(text: str, now: float) -> Schedule:
    """What a person wrote: "" or "now", "22:30" (the next time the clock says so), "2026-11-23 22:30", "+90m", "+2h",
    "22:00-07:00", "22:00-07:00 pause". Raises EngineError `when_invalid`."""
    words = " ".join(text.split()).lower()
    if words in ("", "now"):
        return Schedule()
    try:
        if match := _HOURS.fullmatch(words):
            start, end = _minutes(match[1], match[2]), _minutes(match[3], match[4])
            if start != end:
                return Schedule(hours=f"{_clock(start)}-{_clock(end)}", pause=bool(match[5]))
        elif (match := _IN.fullmatch(words)) and any(match.groups()):
            days, hours, minutes = (int(part or 0) for part in match.groups())
            return Schedule(at=now + days * DAY + hours * 3600 + minutes * 60)
        elif match := _AT.fullmatch(words):
            return Schedule(at=_moment(match, now))
    except (ValueError, OverflowError):
        pass
    raise EngineError("when_invalid", text=text[:60])


def _moment(match: re.Match[str], now: float) -> float:
    minutes = _minutes(match[4], match[5])
    if match[1] is None:
        return _next(minutes, now)
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    time.strptime(f"{year}-{month}-{day}", "%Y-%m-%d")
    return time.mktime((year, month, day, minutes // 60, minutes % 60, 0, 0, 0, -1))


def _window(hours: str, now: float) -> tuple[float, float]:
    """(start, end) of the window that holds `now`, with `now` as its start, or of the next one."""
    match = _HOURS.fullmatch(hours)
    if match is None:
        return now, now + DAY
    start, end = _minutes(match[1], match[2]), _minutes(match[3], match[4])
    # The window that began last may still be open.
    began, ends = _next(start, now - DAY), _next(end, now)
    if began <= now < _next(end, began):
        return now, ends
    start_at = _next(start, now)
    return start_at, _next(end, start_at)


def _next(minutes: int, after: float) -> float:
    """The next moment after `after` at which the clock shows these minutes of the day."""
    today = time.localtime(after)
    for days in (0, 1, 2):
        stamp = (today.tm_year, today.tm_mon, today.tm_mday + days, minutes // 60, minutes % 60, 0, 0, 0, -1)
        if (moment := time.mktime(stamp)) > after:
            return moment
    raise OverflowError(minutes)


def _minutes(hour: str, minute: str) -> int:
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError(hour)
    return int(hour) * 60 + int(minute)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
