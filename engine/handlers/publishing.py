"""Results for the viewer: what a run has, publishing it, tidying it up."""

from __future__ import annotations

from pathlib import Path

from engine.handlers import Context
from engine.protocol.messages import RunParams
from engine.protocol.publishing import Pruned, PruneParams, Published, PublishParams, RunResults, Trash, TrashParams
from engine.runs.folder import find


def results_show(context: Context, params: RunParams) -> RunResults:
    """Epochs, parameters and lineage of a run."""
    from engine.publish.results import results

    return results(find(params.run))


def results_publish(context: Context, params: PublishParams) -> Published:
    """Publish an epoch, or tell what would be."""
    from engine.publish.deliver import publish

    with context.work.telling(Path(find(params.run).path), "results.publish") as tell:
        return publish(params, tell)


def results_prune(context: Context, params: PruneParams) -> Pruned:
    """Move epochs, or a whole run, to the trash."""
    from engine.publish.prune import prune

    return prune(params)


def results_trash(_: Context, params: TrashParams) -> Trash:
    """What lies in the trash of the runs, or emptying it."""
    from engine.publish.prune import held

    return held(params)
