"""Whatever happens to a journal's bytes, its readers lose no event, double none, and invent none."""

import contextlib
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocol import events
from engine.protocol.errors import describe
from engine.protocol.events import Event
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.wire import decode, encode

text = st.text(max_size=40)
number = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)
count = st.integers(0, 10**9)

emissions = st.one_of(
    st.tuples(st.just(events.Step), st.fixed_dictionaries({"step": count, "epoch": count, "loss": number})),
    st.tuples(st.just(events.Progress), st.fixed_dictionaries({"phase": text, "done": count, "total": count})),
    st.tuples(st.just(events.Paused), st.fixed_dictionaries({"step": count})),
    st.tuples(
        st.just(events.Warning),
        st.fixed_dictionaries({"code": text, "message": text, "args": st.dictionaries(text, text, max_size=2)}),
    ),
    st.tuples(st.just(events.Error), st.just({"error": describe("disk_full", path="/x", run="r")})),
)
noise = st.sampled_from(
    [
        b"",
        b"\xff\xfe\x00",
        b"Traceback (most recent call last):",
        b'{"type":"step"',
        b'{"type":"from_the_future","run":"r","seq":3,"boot":"b","t":1.0,"x":[]}',
        b'{"type":"step","step":"one","epoch":1,"loss":1,"run":"r","seq":3,"boot":"b","t":1.0}',
        b"[1,2,3]",
        b"NaN",
    ]
)


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: a write comes back short, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fresh() -> Path:
    return Path(tempfile.mkdtemp()) / "events.jsonl"


def write(path: Path, what: list) -> list[Event]:
    writer = JournalWriter(path, "r")
    try:
        return [writer.emit(kind, **fields) for kind, fields in what]
    finally:
        writer.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(emissions, max_size=12))
def test_what_is_emitted_is_read_back(what: list) -> None:
    path = fresh()
    assert write(path, what) == JournalReader(path).read_all()


@settings(max_examples=5, deadline=None)
@given(st.lists(emissions, min_size=1, max_size=3), st.lists(emissions, min_size=1, max_size=2))
def test_cut_at_every_byte_the_journal_keeps_all_whole_lines_and_counts_on(first: list, second: list) -> None:
    path = fresh()
    written = write(path, first)
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = JournalReader(path).read_all()
        lines = whole[:cut].count(b"\n")
        assert kept == written[:lines]
        write(path, second)
        after = JournalReader(path).read_all()
        # A cut that took nothing but the newline leaves a whole event, which the next writer completes.
        rescued = after[: len(after) - len(second)]
        assert rescued in (written[:lines], written[: lines + 1])
        assert [event.seq for event in after] == list(range(1, len(after) + 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(emissions, st.lists(noise, max_size=2)), max_size=8), st.integers(1, 64))
def test_noise_between_the_lines_changes_nothing_and_any_reading_pace_gives_the_same(what: list, step: int) -> None:
    clean, noisy = fresh(), fresh()
    written = write(clean, [emission for emission, _ in what])
    lines = clean.read_bytes().splitlines(keepends=True)
    dirty = b"".join(line + b"".join(n + b"\n" for n in after) for line, (_, after) in zip(lines, what, strict=True))
    reader, seen = JournalReader(noisy), []
    noisy.touch()
    with open(noisy, "ab", buffering=0) as handle:
        for start in range(0, len(dirty), step):
            handle.write(dirty[start : start + step])
            seen += [event for _, event in reader.read()]
    assert seen == written


@settings(max_examples=40, deadline=None)
@given(st.lists(emissions, min_size=1, max_size=10), st.integers(600, 4096))
def test_small_reads_see_every_event_once(what: list, size: int) -> None:
    path = fresh()
    written = write(path, what)
    reader, seen = JournalReader(path), []
    while pairs := reader.read(size):
        seen += [event for _, event in pairs]
    assert seen == written


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda x: st.lists(x)))
def test_a_wire_line_is_one_line_and_reads_back(value: object) -> None:
    line = encode({"value": value})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == {"value": value}


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoders(data: bytes) -> None:
    assert decode(data) is None or isinstance(decode(data), dict)
    assert events.decode_event(data) is None or data.lstrip().startswith(b"{")


def test_a_full_disk_uses_up_no_number_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = JournalWriter(path, "r")
    writer.emit(events.Paused, step=1)
    before = path.read_bytes()
    with file_size_limit(len(before) + 20), pytest.raises(OSError, match=r"."):
        writer.emit(events.Paused, step=2)
    assert path.read_bytes() == before
    assert writer.emit(events.Paused, step=2).seq == 2


def test_nan_is_written_as_null() -> None:
    assert msgspec.json.decode(encode({"loss": float("nan")})) == {"loss": None}
