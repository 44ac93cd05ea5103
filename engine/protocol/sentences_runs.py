"""What can be said of runs, the queue, and the talk between host and viewer.

`errors` merges the tables and turns a code into what a person reads.
"""

from __future__ import annotations

from engine.protocol.sentence import Sentence

RUNS: dict[str, Sentence] = {
    "run_unknown": Sentence("There is no run {run}.", "`lorabake runs` lists them."),
    "run_ambiguous": Sentence("{run} fits more than one run: {matches}.", "Write more of the identifier."),
    "run_not_live": Sentence("{run} is not running ({state}).", "Only a running bake can do that."),
    "run_live": Sentence("{run} is still running.", "Stop it first."),
    "run_not_waiting": Sentence("{run} is not waiting in the queue.", "Only held and queued jobs can do that."),
    "when_invalid": Sentence(
        "{text} is no time to start at.",
        "Write 22:30, 2026-11-23 22:30, +2h, or quiet hours such as 22:00-07:00; with `pause` the bake stands still "
        "outside of them.",
    ),
    "set_refused": Sentence(
        "{name} cannot be changed in this bake: {reason}.", "What can be changed under way: {names}."
    ),
    "webhook_invalid": Sentence("{address} is no web address.", "Write one that begins with http:// or https://."),
    "tensorboard_missing": Sentence(
        "TensorBoard's files need tensorboardX, which is not installed.", "`pip install 'lorabake[tensorboard]'`."
    ),
    "branch_no_epoch": Sentence("{run} has no file of epoch {epoch}.", "`lorabake runs` tells how far it came."),
    "branch_no_state": Sentence("{run} has no saved state.", "Branch from an epoch, or ask it to save first."),
    "kind_not_built": Sentence("Jobs of kind {kind} are not built yet.", "Update LoRABake."),
    "run_finished": Sentence("{run} is already complete.", "Start a new bake."),
    "run_locked": Sentence("{run} is already held by process {pid}.", "Only one worker may work on a run."),
    "out_exists": Sentence("{path} already holds {file}.", "Choose another --out folder or --name."),
    "out_unwritable": Sentence("{path} cannot be written: {reason}.", "Choose another --out folder."),
    "home_unwritable": Sentence(
        "{path} cannot be written: {reason}.", "Set LORABAKE_HOME to a folder on a disk with space."
    ),
    "protocol_mismatch": Sentence(
        "The engine speaks protocol {theirs}, this program protocol {ours}.",
        "Install both from the same version.",
    ),
    "request_invalid": Sentence("The request {method} is not understood: {reason}.", "Update LoRABake."),
    "method_unknown": Sentence("The engine has no method {method}.", "Update LoRABake."),
    "engine_lost": Sentence("The engine process ended.", "Bakes go on without it; start lorabake again."),
}
