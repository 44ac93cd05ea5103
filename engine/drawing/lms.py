"""The linear multistep sampler (k-diffusion's `sample_lms`): Adams–Bashforth over the sigmas, order four.

diffusers has one as well, whose integrals need SciPy; those of a polynomial can be written down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor

_ORDER = 4


class LMS(EulerDiscreteScheduler):
    """Sigmas, timesteps and scaling are those of the Euler sampler; the step looks back on earlier derivatives."""

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        """Begin a picture."""
        super().set_timesteps(*args, **options)
        self._past: list[Tensor] = []

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, **_: Any) -> Any:  # type: ignore[override]
        """The sample one sigma further on, in a tuple of one as `return_dict=False` would give."""
        if self.step_index is None:
            self._init_step_index(timestep)
        place = int(self.step_index or 0)
        sigma = float(self.sigmas[place])
        config: Any = self.config
        if config.prediction_type == "v_prediction":
            clean = model_output * (-sigma / (sigma**2 + 1) ** 0.5) + sample / (sigma**2 + 1)
        else:
            clean = sample - sigma * model_output
        self._past = [(sample - clean) / sigma, *self._past[: _ORDER - 1]]
        sigmas = self.sigmas.to("cpu", torch.float64).numpy()
        weights = coefficients(sigmas, place, min(place + 1, _ORDER))
        change = sum((weight * slope for weight, slope in zip(weights, self._past, strict=False)), sample * 0)
        self._step_index: Any = place + 1
        return (sample + change,)


def coefficients(sigmas: np.ndarray[Any, Any], place: int, order: int) -> list[float]:
    """∫ of each Lagrange basis polynomial through the last `order` sigmas, from sigmas[place] to the next one."""
    nodes = sigmas[place - order + 1 : place + 1][::-1]
    rows = []
    for one in range(order):
        others = np.delete(nodes, one)
        numerator = np.polynomial.Polynomial.fromroots(others) if len(others) else np.polynomial.Polynomial([1.0])
        basis = numerator / np.prod(nodes[one] - others)
        area = basis.integ()
        rows.append(float(area(sigmas[place + 1]) - area(sigmas[place])))
    return rows
