"""The control file: every command arrives once, in order, whatever else is in the file."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocol.control import ACTIONS, ControlReader, send


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=10), st.integers(1, 50))
def test_commands_arrive_once_at_any_pace(tmp_path_factory, actions: list, step: int) -> None:
    folder: Path = tmp_path_factory.mktemp("control")
    whole = folder / "whole.jsonl"
    whole.touch()
    sent = [send(whole, action) for action in actions]
    data, torn = whole.read_bytes(), folder / "control.jsonl"
    reader, got = ControlReader(torn), []
    for start in range(0, len(data), step):
        with open(torn, "ab") as handle:
            handle.write(data[start : start + step])
        got += reader.poll()
    assert got == sent
    assert reader.poll() == []


def test_lines_that_are_no_commands_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    path.write_bytes(b'stop\n{"id":"x","action":"explode","t":1}\n\xff\n[]\n')
    command = send(path, "pause")
    assert ControlReader(path).poll() == [command]


def test_a_reader_can_start_behind_what_an_earlier_boot_was_told(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    send(path, "stop")
    reader = ControlReader(path, offset=path.stat().st_size)
    command = send(path, "pause")
    assert reader.poll() == [command]
    assert ControlReader(path, from_end=True).poll() == []
