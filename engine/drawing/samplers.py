"""The samplers by name, each with the base's noise schedule and its own way of spacing timesteps.

Which step is taken with their answers is the caller's business (`denoise`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_SCHEDULERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "euler_a": ("diffusers.schedulers.scheduling_euler_ancestral_discrete", "EulerAncestralDiscreteScheduler", {}),
    "euler": ("diffusers.schedulers.scheduling_euler_discrete", "EulerDiscreteScheduler", {}),
    "heun": ("diffusers.schedulers.scheduling_heun_discrete", "HeunDiscreteScheduler", {}),
    "lms": ("engine.drawing.lms", "LMS", {}),
    "dpm2": ("diffusers.schedulers.scheduling_k_dpm_2_discrete", "KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("diffusers.schedulers.scheduling_k_dpm_2_ancestral_discrete", "KDPM2AncestralDiscreteScheduler", {}),
    "dpmpp_2m": (
        "diffusers.schedulers.scheduling_dpmsolver_multistep",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2},
    ),
    "dpmpp_2m_karras": (
        "diffusers.schedulers.scheduling_dpmsolver_multistep",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    "dpmpp_2m_sde": (
        "diffusers.schedulers.scheduling_dpmsolver_multistep",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 2},
    ),
    "ddim": (
        "diffusers.schedulers.scheduling_ddim",
        "DDIMScheduler",
        {"clip_sample": False, "set_alpha_to_one": False, "timestep_spacing": "leading", "steps_offset": 1},
    ),
    "pndm": (
        "diffusers.schedulers.scheduling_pndm",
        "PNDMScheduler",
        {"skip_prk_steps": True, "set_alpha_to_one": False, "timestep_spacing": "leading", "steps_offset": 1},
    ),
    "unipc": ("diffusers.schedulers.scheduling_unipc_multistep", "UniPCMultistepScheduler", {}),
}
_NOISE_FIELDS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)
_PLAIN_BETAS = frozenset({"heun", "lms", "dpm2", "dpm2_a", "pndm"})
"""These know no rescaled noise schedule."""
RANDOM = frozenset({"euler_a", "ddim", "dpm2_a", "dpmpp_2m_sde"})
"""Those whose steps draw noise, and so want the picture's own generator."""


def make_sampler(name: str, noise: dict[str, Any]) -> Any:
    """A sampler with the base's noise schedule and its own way of spacing timesteps.

    Only the noise fields are taken over: made from another scheduler's whole config, it would inherit that one's
    spacing and offset.
    """
    file, kind, own = _SCHEDULERS[name]
    cls = getattr(import_module(file), kind)
    options = {field: noise[field] for field in _NOISE_FIELDS if noise.get(field) is not None} | own
    if name in _PLAIN_BETAS:
        options.pop("rescale_betas_zero_snr", None)
    elif noise.get("rescale_betas_zero_snr") and noise.get("prediction_type") != "epsilon":
        # Only a sampler that begins at the very last timestep begins with pure noise, as such a base was trained.
        # From its answer a model of noise could not tell the picture there: 0 / 0.
        options["timestep_spacing"] = "trailing"
    return cls(**options)
