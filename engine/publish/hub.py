"""Uploads a bundle to the Hugging Face hub as one commit: a repository has all of it or nothing of it.

The access token is huggingface_hub's own business (its login, or HF_TOKEN): it is passed on to no file, no journal and
no sentence.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write
from engine.runs.folder import RunFolder

_BEGUN = "publishing.json"
_COMMIT = "Published with LoRABake"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that was made for this run and has not got its files yet: a new attempt may go on with it."""

    repository: str


def upload(
    run: RunFolder,
    repository: str,
    files: Mapping[str, bytes],
    *,
    overwrite: bool,
    public: bool,
    tell: Callable[[int, int], None],
) -> str:
    """Make the repository and put the files into it; returns its address.

    Raises EngineError `hub_token_missing`, `hub_token`, `hub_taken`, `hub_network` or `hub_refused`; a new attempt
    goes on where this one broke off.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # The other transfer runs in threads of its own, which outlive a failed attempt.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    try:
        import huggingface_hub as hub
    except ImportError:
        raise EngineError("hub_library") from None
    token = hub.get_token()
    if not token:
        raise EngineError("hub_token_missing")
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="lorabake")
    hub.utils.disable_progress_bars()  # type: ignore[attr-defined]
    with _told(repository, token):
        tell(0, 3)
        owner = str(api.whoami()["name"])
    full = repository if "/" in repository else f"{owner}/{repository}"
    mine = overwrite or _begun(run) == full
    with _told(full, token):
        tell(1, 3)
        api.create_repo(full, private=not public, exist_ok=mine)
    atomic_write(run.path / _BEGUN, msgspec.json.encode(Begun(repository=full)))
    with _told(full, token):
        tell(2, 3)
        adds = [hub.CommitOperationAdd(file, content) for file, content in files.items()]
        api.create_commit(full, adds, commit_message=_COMMIT)
    with contextlib.suppress(OSError):
        (run.path / _BEGUN).unlink()
    tell(3, 3)
    return f"{api.endpoint}/{full}"


def _begun(run: RunFolder) -> str:
    try:
        return msgspec.json.decode((run.path / _BEGUN).read_bytes(), type=Begun).repository
    except (OSError, msgspec.DecodeError):
        return ""


@contextlib.contextmanager
def _told(repository: str, token: str) -> Any:
    """Inside, whatever the library raises becomes a sentence without the token."""
    try:
        yield
    except Exception as error:  # it raises its own, httpx's, RuntimeError around either, and more
        raise _sentence(error, repository, token) from None


def _sentence(error: BaseException, repository: str, token: str) -> EngineError:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 8:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    statuses = [getattr(getattr(one, "response", None), "status_code", None) for one in chain]
    status = next((code for code in statuses if isinstance(code, int)), None)
    reason = _clean(next((str(one) for one in reversed(chain) if str(one).strip()), type(error).__name__), token)
    if status in (401, 403):
        return EngineError("hub_token", name=repository)
    if status == 409:
        return EngineError("hub_taken", name=repository)
    if status is None and isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return EngineError("hub_refused", name=repository, reason=reason)
    if status is None or status >= 500 or status in (408, 429):
        return EngineError("hub_network", name=repository, reason=reason)
    return EngineError("hub_refused", name=repository, reason=reason)


def _clean(text: str, token: str) -> str:
    line = " ".join(text.replace(token, "…").split())[:200]
    return " ".join("…" if "hf_" in word else word for word in line.split()).rstrip(".")
