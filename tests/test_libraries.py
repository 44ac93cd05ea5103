"""What a worker loads of the big libraries, and that what waits opens when it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNUSED = {
    "diffusers.models.transformers.transformer_flux",
    "diffusers.pipelines.pipeline_utils",
    "datasets",
    "matplotlib",
    "onnxruntime",
    "pandas",
    "peft.auto",
    "peft.tuners.oft",
    "scipy",
    "sklearn",
    "sympy",
    "torch._dynamo.eval_frame",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torchvision",
    "transformers.models.bert",
}
TRAIN = """
import json, sys
from engine.libraries import importing
with importing():
    from engine.train import loop
import torch
from engine.demo.paths import BASE
from engine.lora.inject import inject
from engine.models.load import load_model
from engine.protocol.params import BakeParams
from engine.train.optim import make_optimizer
model = load_model(BASE, device=torch.device("cpu"), dtype=torch.float32)
params = BakeParams()
optimizer = make_optimizer(inject(model, params), params)
words = model.encode_text(["1girl"], clip_skip=1, max_token_length=75)
model.predict(torch.randn(1, 4, 8, 8), torch.tensor([5]), words, []).square().mean().backward()
optimizer.step()
loaded = sorted(sys.modules)
from peft import PeftModel
from diffusers.models.unets import UNet2DConditionModel
from transformers.models import bert
three = torch.compile(lambda x: x + 1, backend="eager")(torch.tensor(2)).item()
print(json.dumps([loaded, PeftModel.__name__, UNet2DConditionModel is type(model.unet), bert.__name__, three]))
"""


def test_a_worker_leaves_out_what_no_bake_uses() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, *opened = json.loads(done.stdout.splitlines()[-1])
    assert {"torch", "peft.tuners.lora", "transformers.models.clip.modeling_clip"} <= set(loaded)
    assert not UNUSED & set(loaded)
    assert opened == ["PeftModel", True, "transformers.models.bert", 3]
