"""The results folder: whose it is, who writes to it, and that nothing finished is lost."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.errors import InputError, WorkError
from cvfp_cli.results import ResultsStore, Run, Summary, atomic, read_results, run_id
from cvfp_cli.results.atomic import write_atomic

IDENTITY = {"recipe": {"name": "demo", "phase2": {"epochs": 10}}, "data": {"fingerprint": "abc"}}
RUN = Run(
    config="1L_8d_1tok",
    layers=1,
    context_dim=8,
    tokens=1,
    samples=10,
    train_tokens=900,
    run_id="r0",
    val_ppl=9.5,
)
REST: dict[str, Any] = {"recipe": {"name": "demo"}, "data": {}}


def a_summary(store: ResultsStore, runs: list[Run], complete: bool = True) -> Summary:
    return Summary(
        "now", "cvfp sweep", complete, {"name": "demo"}, tuple(store.environments), {}, tuple(runs)
    )


def test_what_is_saved_is_found_again_with_its_environment(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    with ResultsStore(folder).claim(IDENTITY) as store:
        first = store.save_run("a", RUN, environment={"torch": "2.13"}, **REST)
        second = store.save_run("b", replace(RUN, run_id="r1"), environment={"torch": "2.11"}, **REST)
        third = store.save_run("c", replace(RUN, run_id="r2"), environment={"torch": "2.13"}, **REST)
        assert [run.environment for run in (first, second, third)] == [0, 1, 0]
        store.write_summary(a_summary(store, [first, second, third]))
    again = ResultsStore(folder)
    assert again.finished() == {"r0": first, "r1": second, "r2": third}
    assert again.environments == [{"torch": "2.13"}, {"torch": "2.11"}]
    assert read_results(folder / "summary.json").runs == (
        replace(first, study="demo"),
        *[replace(r, study="demo") for r in (second, third)],
    )
    assert [run.run_id for run in read_results(folder / "runs.csv").runs] == ["r0", "r1", "r2"]
    assert not list(folder.rglob("*.tmp"))


def test_looking_touches_nothing(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path / "results")
    store.check_same_study(IDENTITY)
    assert store.finished() == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("strange", ["thesis.docx", "summary.json", "runs"])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path, strange: str) -> None:
    (tmp_path / strange).write_text("mine")
    for attempt in (
        lambda: ResultsStore(tmp_path).check_same_study(IDENTITY),
        lambda: ResultsStore(tmp_path).claim(IDENTITY, fresh=True).__enter__(),
        lambda: ResultsStore(tmp_path).claim(IDENTITY).__enter__(),
    ):
        with pytest.raises(InputError, match=strange):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == [strange]
    with pytest.raises(InputError, match="is a file, not a folder"):
        ResultsStore(tmp_path / strange).check_same_study(IDENTITY)


def test_hidden_files_do_not_make_a_folder_foreign(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    with ResultsStore(tmp_path).claim(IDENTITY):
        pass
    assert (tmp_path / "study.json").is_file()


def test_another_study_is_refused_with_every_difference_named(tmp_path: Path) -> None:
    with ResultsStore(tmp_path).claim(IDENTITY):
        pass
    with ResultsStore(tmp_path).claim(IDENTITY):
        pass  # the same study may come back
    other = {"recipe": {"name": "demo", "phase2": {"epochs": 5}}, "data": {"fingerprint": "xyz"}, "extra": 1}
    with pytest.raises(InputError) as caught:
        ResultsStore(tmp_path).check_same_study(other)
    said = str(caught.value)
    assert 'data.fingerprint is "abc" there and "xyz" here' in said
    assert "recipe.phase2.epochs is 10 there and 5 here" in said
    assert "extra is missing there and 1 here" in said
    assert "--fresh" in said
    assert "\n" not in said


OTHER = {"recipe": {"name": "demo", "phase2": {"epochs": 5}}}


def three_runs(folder: Path) -> None:
    """A study of two finished runs and one that was begun, with a file of somebody else's beside them."""
    with ResultsStore(folder).claim(IDENTITY) as store:
        runs = [store.save_run(name, RUN, environment={}, **REST) for name in "ab"]
        (folder / "runs" / "c").mkdir()
        (folder / "runs" / "c" / "checkpoint").write_text("half an hour")
        store.write_summary(a_summary(store, runs))
    (folder / "notes.txt").write_text("mine")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock's, by its path in the folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_starting_over_sets_the_study_aside_and_deletes_nothing(tmp_path: Path) -> None:
    three_runs(tmp_path)
    before = contents(tmp_path)
    store = ResultsStore(tmp_path)
    aside = store.would_set_aside()
    assert (str(aside), aside.place) == ("2 finished runs and 1 unfinished run", tmp_path / "old-1")
    assert contents(tmp_path) == before
    with store.claim(OTHER, fresh=True):
        assert store.finished() == {}
    old = {
        name.removeprefix("old-1/"): data for name, data in contents(tmp_path).items() if name[:4] == "old-"
    }
    assert old == {name: data for name, data in before.items() if name != "notes.txt"}
    assert contents(tmp_path).keys() - {f"old-1/{name}" for name in old} == {"study.json", "notes.txt"}
    assert [note.code for note in store.notes] == ["set-aside"]
    # What was set aside is a results folder of its own.
    assert len(read_results(tmp_path / "old-1").runs) == 2
    ResultsStore(tmp_path / "old-1").check_same_study(IDENTITY)
    assert read_results(tmp_path).runs == ()  # readers do not take the old runs for the new study's


def test_each_start_has_its_own_place_and_one_without_runs_needs_none(tmp_path: Path) -> None:
    for _ in range(2):
        with ResultsStore(tmp_path).claim(IDENTITY, fresh=True) as store:
            store.save_run("a", RUN, environment={}, **REST)
    with ResultsStore(tmp_path).claim(IDENTITY, fresh=True):
        pass
    with ResultsStore(tmp_path).claim(OTHER, fresh=True):
        pass
    assert sorted(path.name for path in tmp_path.glob("old-*")) == ["old-1", "old-2"]
    with ResultsStore(tmp_path / "absent").claim(IDENTITY, fresh=True):
        pass


def test_one_run_is_set_aside_with_whose_it_is(tmp_path: Path) -> None:
    three_runs(tmp_path)
    before = contents(tmp_path)
    with ResultsStore(tmp_path).claim(IDENTITY) as store:
        assert str(store.would_set_aside(["a", "z"])) == "1 finished run"
        store.set_aside(["a", "z"])
        store.set_aside(["z"])
    after = contents(tmp_path)
    assert after.pop("old-1/study.json") == before["study.json"]
    moved = {name.removeprefix("old-1/"): data for name, data in after.items()}
    assert moved == before
    assert [name for name in after if name.startswith("old-1/")] == ["old-1/runs/a/result.json"]


@pytest.mark.parametrize("names", [None, ["a", "b"]])
@pytest.mark.parametrize("undone", ["at once", "by the next"])
def test_a_kill_on_the_way_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str] | None, undone: str
) -> None:
    """Stopped before each rename in turn; what was moved comes back, at once or, after a kill, with the next claim."""
    three_runs(tmp_path)
    before = contents(tmp_path)
    real, stops = Path.rename, 0

    def fresh(store: ResultsStore) -> None:
        with store.claim(IDENTITY, fresh=names is None):
            if names is not None:
                store.set_aside(names)

    for allowed in range(10):
        left = allowed

        def rename(path: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
            return real(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", rename)
            if undone == "by the next":
                for module in ("aside", "store"):
                    patched.setattr(f"cvfp_cli.results.{module}.undo_broken_moves", lambda folder: None)
            try:
                fresh(ResultsStore(tmp_path))
            except KeyboardInterrupt:
                stops += 1
            else:
                break
        with ResultsStore(tmp_path).claim(IDENTITY):
            assert contents(tmp_path) == before
        assert not list(tmp_path.glob("*old-*"))
    assert stops == (5 if names is None else 3)
    assert (tmp_path / "old-1" / "runs" / "a").is_dir()


def test_a_move_that_fails_is_told_and_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three_runs(tmp_path)
    before = contents(tmp_path)
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == "summary.json" and ".moving" in str(target):
            raise PermissionError(13, "Permission denied")
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(WorkError, match="permission denied"):
            ResultsStore(tmp_path).claim(OTHER, fresh=True).__enter__()
    assert contents(tmp_path) == before


def test_a_file_s_other_path_is_the_same_study(tmp_path: Path) -> None:
    """The same text from another folder; what is in it is told apart by its fingerprint."""
    identity = {"data": {"source": "texts/a.jsonl"}, "what_was_read": {"fingerprint": "1"}}
    with ResultsStore(tmp_path).claim(identity):
        pass
    ResultsStore(tmp_path).check_same_study({**identity, "data": {"source": "/home/me/texts/a.jsonl"}})
    for other in (
        {**identity, "data": {"source": "texts/b.jsonl"}},
        {"data": {"source": "a.jsonl"}, "what_was_read": {"fingerprint": "2"}},
    ):
        with pytest.raises(InputError, match="another study"):
            ResultsStore(tmp_path).check_same_study(other)


def test_a_damaged_study_file_is_one_line(tmp_path: Path) -> None:
    for content, said in (
        ("{", "cut off at byte"),
        ("[]", "not a study file"),
        ('{"schema": 1}', "not a study file"),
    ):
        (tmp_path / "study.json").write_text(content)
        with pytest.raises(InputError, match=said):
            ResultsStore(tmp_path).check_same_study(IDENTITY)


@given(st.text(max_size=300))
def test_a_name_from_data_never_leaves_the_folder(name: str) -> None:
    store = ResultsStore(Path("results"))
    try:
        folder = store.run_folder(name)
    except InputError:
        return
    assert folder.parent == Path("results/runs")
    assert folder.name not in ("", ".", "..")
    assert set(folder.name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not folder.name.startswith(".")
    assert len(folder.name) <= 120


@pytest.mark.parametrize("name", ["2L_768d_2tok_s50_seed42_data3", "1L_8d_1tok_blocks=4+4_s50_seed1"])
def test_the_usual_name_is_kept(name: str) -> None:
    assert ResultsStore(Path("r")).run_folder(name).name == name.replace("=", "-").replace("+", "-")


@given(st.lists(st.text(alphabet="aé/ ", max_size=130), min_size=2, max_size=2, unique=True))
def test_no_two_names_share_a_folder(names: list[str]) -> None:
    store = ResultsStore(Path("r"))
    first, second = (store.run_folder(f"a{name}_s50_seed1") for name in names)
    assert first != second


def test_a_run_id_follows_content_and_not_the_order_of_keys() -> None:
    one = run_id({"a": 1, "b": {"c": 2.0, "d": [1]}}, "data", {"seed": 1, "data_seed": None})
    assert one == run_id({"b": {"d": [1], "c": 2.0}, "a": 1}, "data", {"data_seed": None, "seed": 1})
    assert len(one) == 16
    others = [
        run_id({"a": 2, "b": {"c": 2.0, "d": [1]}}, "data", {"seed": 1, "data_seed": None}),
        run_id({"a": 1, "b": {"c": 2.0, "d": [1]}}, "other", {"seed": 1, "data_seed": None}),
        run_id({"a": 1, "b": {"c": 2.0, "d": [1]}}, "data", {"seed": 2, "data_seed": None}),
        run_id({"a": 1, "b": {"c": 2.0, "d": [1]}}, "data", {"seed": 1, "data_seed": 0}),
    ]
    assert len({one, *others}) == 5


def test_a_damaged_run_is_named_with_its_position_or_left_out_to_be_run_again(tmp_path: Path) -> None:
    with ResultsStore(tmp_path).claim(IDENTITY) as store:
        for name in ("a", "b", "c"):
            store.save_run(name, replace(RUN, run_id=name), environment={}, **REST)
    path = tmp_path / "runs" / "b" / "result.json"
    whole = path.read_bytes()
    for content in (
        whole[:40],
        b"",
        b"\xff",
        b"[]",
        b'{"schema": "cvfp-run/1", "run": {}}',
        b'{"schema": "x"}',
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"b/result\.json.*--recover"):
            ResultsStore(tmp_path).finished()
        recovering = ResultsStore(tmp_path, recover=True)
        assert list(recovering.finished()) == ["a", "c"]
        assert [note.code for note in recovering.notes] == ["run-unreadable"]


def test_the_summary_is_rewritten_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("cvfp_cli.results.store.time.monotonic", lambda: clock[0])
    written = 0
    with ResultsStore(tmp_path).claim(IDENTITY) as store:
        for _ in range(3600):
            clock[0] += 1.0
            if store.summary_due:
                with store.writing():
                    clock[0] += 3.0  # an expensive one: 2 % of the time allow it every 150 s
                    store.write_summary(a_summary(store, [], complete=False))
                written += 1
    assert 20 <= written <= 26


@contextmanager
def second_process(folder: Path, body: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that claims the folder, prints a line, and then does ``body``."""
    program = textwrap.dedent(
        """
        import os, signal, sys, time
        from pathlib import Path
        from cvfp_cli.results import ResultsStore
        with ResultsStore(Path(sys.argv[1])).claim({identity}) as store:
            print("held", flush=True)
        {body}
        """
    ).format(identity=IDENTITY, body=textwrap.indent(textwrap.dedent(body), "    "))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_sweep_is_refused_with_the_holder_named_and_a_killed_one_is_noticed(tmp_path: Path) -> None:
    with second_process(tmp_path, "time.sleep(60)") as holder:
        with pytest.raises(WorkError, match=f"in use by process {holder.pid} on "):
            ResultsStore(tmp_path).claim(IDENTITY).__enter__()
        with pytest.raises(WorkError, match=f"in use by process {holder.pid} on "):
            ResultsStore(tmp_path).claim(IDENTITY, fresh=True).__enter__()
        assert ResultsStore(tmp_path).finished() == {}  # reading needs no lock
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with ResultsStore(tmp_path).claim(IDENTITY) as store:
            (note,) = store.notes
            assert note.code == "stale-lock"
            assert str(holder.pid) in note.message
    with ResultsStore(tmp_path).claim(IDENTITY) as store:
        assert store.notes == []  # the last one gave it back


def test_two_stores_in_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    with ResultsStore(tmp_path).claim(IDENTITY), pytest.raises(WorkError, match=f"process {os.getpid()} "):
        ResultsStore(tmp_path).claim(IDENTITY).__enter__()


STEPS = {
    "while writing": "file.write",
    "after the temporary file": "fsync",
    "before the rename": "replace",
    "after the rename": "replaced",
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("existed", [True, False])
def test_a_kill_at_any_step_of_a_write_leaves_a_whole_file(tmp_path: Path, step: str, existed: bool) -> None:
    path = tmp_path / "summary.json"
    old, new = b'{"old": 1}\n' * 500, b'{"new": 2}\n' * 1000
    if existed:
        path.write_bytes(old)
    program = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        from cvfp_cli.results import atomic
        def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
        class Os:
            def __getattr__(self, name): return getattr(os, name)
        stand_in = Os()
        if {step!r} == "fsync": stand_in.fsync = die
        if {step!r} == "replace": stand_in.replace = die
        if {step!r} == "replaced": stand_in.replace = lambda *names: (os.replace(*names), die())
        atomic.os = stand_in
        data = {new!r}
        if {step!r} == "file.write":
            import resource
            signal.signal(signal.SIGXFSZ, die)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, len(data) // 2))
        atomic.write_atomic(Path(sys.argv[1]), data)
        """
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    expected = new if step == "replaced" else (old if existed else None)
    assert (path.read_bytes() if path.exists() else None) == expected
    if step != "replaced":
        assert len(list(atomic.left_behind(tmp_path))) == 1
    path.unlink(missing_ok=True)
    with ResultsStore(tmp_path).claim(IDENTITY):
        assert list(atomic.left_behind(tmp_path)) == []


@pytest.mark.pinned_only("what a kill leaves is the project's own")
def test_many_kills_at_random_moments_lose_no_finished_run(tmp_path: Path) -> None:
    body = """
        from cvfp_cli.results import Run
        for number in range(len(store.finished()), 100_000):
            run = Run("c", 1, 8, 1, number + 1, 9, run_id=f"{number:06}", val_ppl=1.0 + number)
            store.save_run(f"run{number:06}", run, environment={"e": number % 3}, recipe={}, data={})
            print(number, flush=True)
    """
    finished = 0
    for kill in range(8):
        with second_process(tmp_path, body) as process:
            time.sleep(0.02 + 0.017 * kill)
            process.kill()
            said, _ = process.communicate()
        reported = [int(line) for line in said.splitlines() if line.isdigit()]
        runs = ResultsStore(tmp_path).finished()
        finished = max(finished, *[number + 1 for number in reported], 0) if reported else finished
        assert len(runs) in (finished, finished + 1)  # one may have been written but not yet reported
        assert list(runs) == [f"{number:06}" for number in range(len(runs))]
        assert [run.val_ppl for run in runs.values()] == [1.0 + number for number in range(len(runs))]
        finished = len(runs)
    assert finished > 8


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_is_one_line_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str, call: str
) -> None:
    with ResultsStore(tmp_path).claim(IDENTITY) as store:
        store.save_run("a", RUN, environment={}, **REST)
        store.write_summary(a_summary(store, [RUN]))
        before = (tmp_path / "summary.json").read_bytes()

        def fail(*_: Any) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(atomic.os, call, fail)
            with pytest.raises(WorkError) as caught:
                store.write_summary(a_summary(store, [RUN, RUN]))
            assert said in str(caught.value)
            assert str(tmp_path / "summary.json") in str(caught.value)
            assert "\n" not in str(caught.value)
            with pytest.raises(WorkError, match=r"result\.json could not be written"):
                store.save_run("b", replace(RUN, run_id="r1"), environment={}, **REST)
        assert (tmp_path / "summary.json").read_bytes() == before
        assert list(store.finished()) == ["r0"]
        assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((InputError, WorkError)) as caught:
        ResultsStore(tmp_path / "file" / "results").claim(IDENTITY).__enter__()
    assert "\n" not in str(caught.value)


def test_bytes_on_disk_are_the_bytes_given(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"one")
    write_atomic(tmp_path / "a", b"two\n")
    assert (tmp_path / "a").read_bytes() == b"two\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_run_file_carries_everything_that_traces_its_figures(tmp_path: Path) -> None:
    with ResultsStore(tmp_path).claim(IDENTITY) as store:
        store.save_run(
            "a", RUN, environment={"torch": "2.13"}, recipe={"name": "demo"}, data={"source": "pydocs"}
        )
    value = json.loads((tmp_path / "runs" / "a" / "result.json").read_text())
    assert value["schema"] == "cvfp-run/2"
    assert value["environment"] == {"torch": "2.13"}
    assert value["recipe"] == {"name": "demo"}
    assert value["data"] == {"source": "pydocs"}
    assert value["run"]["val_ppl"] == 9.5
