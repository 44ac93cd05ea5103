"""What a bake can be made of, and what it would take: base models, presets, estimate."""

from __future__ import annotations

from engine.handlers import Context
from engine.protocol.estimates import Estimate, Rates
from engine.protocol.messages import Empty, EstimateParams, PresetParams
from engine.protocol.records import ModelRow, PresetRow


def models_list(_: Context, __: Empty) -> list[ModelRow]:
    """The catalogue of base models."""
    from engine.models.catalogue import list_models

    return list_models()


def presets_list(_: Context, __: Empty) -> list[PresetRow]:
    """All presets."""
    from engine.presets import list_presets

    return list_presets()


def presets_resolve(_: Context, params: PresetParams) -> PresetRow:
    """A preset as it applies to a base and a number of images."""
    from engine.models.catalogue import list_models, locate
    from engine.presets import resolve

    # A base that is not downloaded yet is known all the same.
    row = next((row for row in list_models() if row.kind == "base" and row.name == params.base), None)
    if row is None and params.base:
        located = locate(params.base)
        row = located.row or ModelRow(name=params.base, kind="base", family=located.family)
    return resolve(params.name, row, params.images)


def estimate(context: Context, params: EstimateParams) -> Estimate:
    """Steps, time, memory and cost of a bake as the form stands."""
    from engine.estimate import estimate as compute

    dataset = context.datasets.recent(params.dataset)
    reg = context.datasets.recent(params.reg) if params.reg else None
    folder = params.params.get("validation_dir")
    measured = context.datasets.recent(folder) if isinstance(folder, str) and folder else None
    return compute(params, dataset=dataset, reg=reg, measured=measured)


def rates_get(_: Context, __: Empty) -> Rates:
    """What an hour and a kilowatt-hour cost here."""
    from engine.rates import read_rates

    return read_rates()


def rates_set(_: Context, params: Rates) -> Rates:
    """Keep what they cost."""
    from engine.rates import write_rates

    return write_rates(params)
