"""A viewer without a screen for the chaos bench: the client, the store and the fold of the real one, on every run."""

from __future__ import annotations

import asyncio

from engine.protocol.messages import Push, RunsChanged, WatchParams
from lorabake_tui.client import ClientError, EngineClient, State
from lorabake_tui.store import Store


async def main() -> None:
    """Watch whatever there is until somebody ends this process; a lost host is started again."""
    store = Store()
    watched: set[str] = set()
    wake = asyncio.Event()

    def push(message: Push) -> None:
        store.push(message)
        if isinstance(message, RunsChanged):
            wake.set()

    def state(now: State) -> None:
        watched.clear()
        wake.set()

    client = EngineClient(on_push=push, on_state=state, restart=True)
    await client.start()
    while True:
        wake.clear()
        try:
            store.set_runs(await client.call("runs.subscribe"))
            for row in store.runs:
                if row.id not in watched and row.step:
                    watched.add(row.id)
                    await client.call("runs.watch", WatchParams(run=row.id, seq=store.fold(row.id).seq, brief=True))
        except ClientError:
            await asyncio.sleep(0.2)
        await wake.wait()


if __name__ == "__main__":
    asyncio.run(main())
