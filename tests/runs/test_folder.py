"""Run folders: safe names, unique ids, strict job files, finding a run by what a person calls it."""

import os
import re
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.home import home as home_dir
from engine.home import runs_dir
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import Job
from engine.runs import queue
from engine.runs.folder import RunFolder, find, safe_name, slug, unique_name
from tests.engine_processes import Home

HOSTILE = [
    "../../etc/passwd",
    "",
    ".",
    "..",
    "-rf",
    "a/b\\c",
    "\x1b[31mred",
    "初音ミク",
    "x" * 500,
    "CON ",
    "\ud800",
    "a\nb",
]


def job(name: str = "mira", **fields: object) -> Job:
    values = {"id": "", "kind": "fake", "name": name, "created": time.time(), "dataset": "/data/mira", **fields}
    return Job(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_become_harmless_files(name: str, home: Home) -> None:
    run = queue.submit(job(name), [], start=False)
    assert run.path.parent == runs_dir()
    assert re.fullmatch(r"\d{8}-\d{4}-[a-z0-9-]+", run.id)
    assert run.lora_file(1, run.read_job().name).parent == run.epoch_dir(1)


@given(st.text())
def test_any_name_is_one_safe_path_part(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode("utf-8")) <= 120
    assert not set(safe) & set('/\\\0\n\r\x1b:*?"<>|')
    assert safe[0] not in ".-"
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(name))
    assert safe_name(safe) == safe


def test_names_in_any_script_are_kept() -> None:
    assert safe_name("初音ミク v2.1") == "初音ミク v2.1"
    assert slug("初音ミク") == "bake"
    assert slug("Über Mädchen!") == "uber-madchen"


def test_unique_names_count_on() -> None:
    assert unique_name("mira", set()) == "mira"
    assert unique_name("mira", {"Mira", "mira-2"}) == "mira-3"


def test_two_of_a_name_get_two_names_and_two_ids(home: Home) -> None:
    runs = [queue.submit(job(), [], start=False) for _ in range(3)]
    assert [run.read_job().name for run in runs] == ["mira", "mira-2", "mira-3"]
    assert len({run.id for run in runs}) == 3
    assert all(run.read_job().id == run.id for run in runs)


def test_a_job_reads_back_as_written_and_everything_is_private(home: Home) -> None:
    params = BakeParams(epochs=3, preview_prompt='a "quoted" 微笑\nline', unet_lr=0.0, noise_offset=0.05)
    asked = job(params=params, out="/somewhere/with space", reg="/reg")
    run = queue.submit(asked, [], start=False)
    assert msgspec.structs.replace(run.read_job(), id="", name=asked.name) == asked
    assert (os.stat(home_dir()).st_mode & 0o777, os.stat(run.path).st_mode & 0o777) == (0o700, 0o700)
    assert os.stat(run.job_toml).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"id = ", b'id = "x"\n', b'id = "x"\nkind = "fake"\nname = 3\ncreated = 1.0\ndataset = ""\n'],
)
def test_a_broken_job_file_is_a_sentence(home: Home, content: bytes) -> None:
    run = queue.submit(job(), [], start=False)
    run.job_toml.write_bytes(content)
    with pytest.raises(EngineError) as raised:
        run.read_job()
    assert raised.value.info.code == "params_unreadable"
    (row,) = home.rows()
    assert (row.id, row.state) == (run.id, "failed")
    assert row.error is not None
    assert row.error.code == "params_unreadable"


def test_an_unknown_parameter_in_a_job_file_is_refused(home: Home) -> None:
    run = queue.submit(job(), [], start=False)
    run.job_toml.write_text(run.job_toml.read_text().replace("[params]", "[params]\nepoch = 3"))
    with pytest.raises(EngineError, match="epoch"):
        run.read_job()


def test_finding_a_run(home: Home) -> None:
    first = queue.submit(job("mira", created=1_700_000_000.0), [], start=False)
    second = queue.submit(job("rin", created=1_700_100_000.0), [], start=False)
    assert find("mira").id == find(first.id).id == find(first.id[:13]).id == first.id
    assert find("last").id == second.id
    for lost in ("nobody", "", "../runs", "/"):
        with pytest.raises(EngineError) as raised:
            find(lost)
        assert raised.value.info.code == "run_unknown"
    with pytest.raises(EngineError) as raised:
        find("2023")
    assert raised.value.info.code == "run_ambiguous"


def test_last_is_the_youngest_even_within_a_minute(home: Home) -> None:
    now = time.time()
    queue.submit(job("zzz", created=now), [], start=False)
    young = queue.submit(job("aaa", created=now + 0.5), [], start=False)
    assert find("last").id == young.id


def test_a_half_made_run_is_no_run(home: Home) -> None:
    (runs_dir() / ".new-abc").mkdir()
    (runs_dir() / "20260101-0000-empty").mkdir()
    (runs_dir() / "file").write_text("x")
    assert home.rows() == []


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(EngineError) as raised:
        home_dir()
    assert raised.value.info.code == "home_unwritable"


def test_paths_stay_below_the_run() -> None:
    run = RunFolder(Path("/runs/x"))
    assert run.relative(run.preview_file(3, 2)) == "epochs/03/preview-2.png"
    assert run.relative(run.lora_file(12, "mira")) == "epochs/12/mira-e12.safetensors"
