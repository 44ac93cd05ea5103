"""The client against the real host: greeting, typed results, errors, the host's death and its one restart."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from engine.protocol.messages import PathParams
from engine.protocol.records import DatasetSummary
from lorabake_tui import client as client_module
from lorabake_tui.client import ClientError, EngineClient, State


async def _wait(fact: asyncio.Event) -> None:
    await asyncio.wait_for(fact.wait(), 30)


async def test_greets_and_answers(home: Path, sample_dataset: Path) -> None:
    async with EngineClient() as client:
        assert client.hello is not None
        assert client.hello.home == str(home)
        summary = await client.call("dataset.open", PathParams(path=str(sample_dataset)))
        assert isinstance(summary, DatasetSummary)
        assert summary.images == 15
    assert client.state == "off"


async def test_errors_carry_the_engines_words(home: Path, tmp_path: Path) -> None:
    async with EngineClient() as client:
        with pytest.raises(ClientError) as failure:
            await client.call("dataset.open", PathParams(path=str(tmp_path / "nothing")))
        assert failure.value.info.code == "dataset_missing"
        with pytest.raises(ClientError) as failure:
            await client.call("no.such.method")
        assert failure.value.info.code == "method_unknown"


async def test_many_calls_at_once(home: Path, sample_dataset: Path) -> None:
    async with EngineClient() as client:
        wanted = PathParams(path=str(sample_dataset))
        answers = await asyncio.gather(*(client.call("dataset.open", wanted) for _ in range(20)))
        assert {answer.images for answer in answers} == {15}


async def test_cancelled_call_leaves_the_connection_usable(home: Path, sample_dataset: Path) -> None:
    async with EngineClient() as client:
        task = asyncio.create_task(client.call("models.list"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.call("dataset.open", PathParams(path=str(sample_dataset)))).images == 15


async def test_killed_host_is_started_again_once(home: Path) -> None:
    states: list[State] = []
    again, lost = asyncio.Event(), asyncio.Event()

    def told(state: State) -> None:
        states.append(state)
        if states.count("ready") == 2:
            again.set()
        if state == "lost":
            lost.set()

    client = EngineClient(on_state=told, restart=True)
    first = await client.start()
    os.kill(first.pid, signal.SIGKILL)
    await _wait(again)
    assert client.hello is not None
    assert client.hello.pid != first.pid
    assert await client.call("models.list")
    os.kill(client.hello.pid, signal.SIGKILL)
    await _wait(lost)
    with pytest.raises(ClientError) as failure:
        await client.call("models.list")
    assert failure.value.info.code == "engine_lost"
    await client.close()


async def test_calls_under_way_fail_when_the_host_dies(home: Path) -> None:
    lost = asyncio.Event()
    client = EngineClient(on_state=lambda state: lost.set() if state == "lost" else None)
    hello = await client.start()
    os.kill(hello.pid, signal.SIGSTOP)
    call = asyncio.create_task(client.call("models.list"))
    await asyncio.sleep(0)
    os.kill(hello.pid, signal.SIGKILL)
    with pytest.raises(ClientError) as failure:
        await asyncio.wait_for(call, 30)
    assert failure.value.info.code == "engine_lost"
    await _wait(lost)
    await client.close()


async def test_another_protocol_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PROTOCOL", 99)
    with pytest.raises(ClientError) as failure:
        await EngineClient().start()
    assert failure.value.info.code == "protocol_mismatch"
    assert "99" in failure.value.info.message


async def test_home_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LORABAKE_HOME", str(blocked / "home"))
    with pytest.raises(ClientError) as failure:
        await EngineClient().start()
    assert failure.value.info.code == "home_unwritable"


async def test_a_folder_called_engine_is_no_engine(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    async with EngineClient() as client:
        assert client.hello is not None
