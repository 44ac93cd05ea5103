"""A journal as version 1 wrote it decodes forever, to the same facts."""

from pathlib import Path

import msgspec

from engine.protocol import events
from engine.protocol.journal import JournalReader
from engine.protocol.wire import encode

GOLDEN = Path(__file__).parent / "golden" / "journal-v1.jsonl"


def test_every_line_of_the_golden_journal_is_an_event() -> None:
    read = JournalReader(GOLDEN).read_all()
    assert [event.seq for event in read] == list(range(1, len(GOLDEN.read_bytes().splitlines()) + 1))
    assert {type(event) for event in read} == set(events.KINDS.values())


def test_the_golden_facts() -> None:
    read = JournalReader(GOLDEN).read_all()
    first, last = read[0], read[-1]
    assert isinstance(first, events.Phase)
    assert first.plan is not None
    assert (first.plan.images, first.plan.image_views, first.plan.steps) == (12, 240, 60)
    assert isinstance(last, events.Finished)
    assert (last.reason, last.epoch, last.out) == ("done", 2, "/home/me/out")
    steps = [event for event in read if isinstance(event, events.Step)]
    assert [(s.loss, s.nonfinite) for s in steps] == [(0.1375, False), (None, True)]
    assert steps[0].lr == {"unet": 0.0001, "text_encoder": 5e-05}
    warning = next(event for event in read if isinstance(event, events.Warning))
    assert warning.args == {"file": "图 01.png"}


def test_written_again_a_golden_line_says_the_same() -> None:
    for line in GOLDEN.read_bytes().splitlines():
        event = events.decode_event(line)
        assert event is not None
        again = msgspec.json.decode(encode(event))
        assert {k: v for k, v in msgspec.json.decode(line).items() if k in again} == again
