"""Jobs on a Ray cluster of two nodes: the same figures, whatever becomes of workers and nodes, and nothing left behind.

The kills are in ``tests/end_to_end/test_killed_ray.py``.
"""

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faulty_runs import broken_run, faulty_run, slow_run
from ray_actors import actors_of
from sweep_fakes import Recorder, fake_run, plan_for, sweep_into, tiny_recipe, without_times

from cvfp_cli.core.config import Execution
from cvfp_cli.errors import CvfpError, InputError
from cvfp_cli.sweeps.executors import ray as executors_ray
from cvfp_cli.sweeps.executors.ray import (
    Hand,
    Places,
    RayExecutor,
    connect,
    on_a_card,
    rooms,
    share_of_a_card,
)

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

pytestmark = [
    pytest.mark.pinned_only("a cluster takes its time to start, and what is asked of Ray is little"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core and, as they say, a card each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # What workers need to read the tests' stand-ins.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
        node = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 * 2**20}
        found = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        found.add_node(**node)
        connect(found.address)
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.fixture(autouse=True)
def all_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run waits for every worker, on a slow machine too."""
    monkeypatch.setattr(executors_ray, "START_SECONDS", 300)
    monkeypatch.setattr(executors_ray, "LATE_SECONDS", 300)


@pytest.fixture(autouse=True)
def none_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does, its workers end."""
    yield
    if "cluster" in request.fixturenames:
        until = time.monotonic() + 20
        while actors_of(request.getfixturevalue("cluster")):
            assert time.monotonic() < until
            time.sleep(0.1)


class Standing(Hand):
    """A worker that says of itself what a test asks for, and needs no card."""

    said: Mapping[str, Mapping[str, Any]] = {}

    def about(self) -> dict[str, Any]:
        """Of the first node, or of another."""
        import ray

        first = min(node["NodeID"] for node in ray.nodes())
        which = "first" if ray.get_runtime_context().get_node_id() == first else "other"
        return {**super().about(), **self.said.get(which, {})}


def saying(**said: Mapping[str, Any]) -> type[Hand]:
    """A ``Standing`` that says so."""
    return type("Hand", (Standing,), {"said": said, "__module__": "__main__"})


@pytest.mark.usefixtures("cluster")
def test_every_fault_of_a_worker_costs_at_most_its_run(tmp_path: Path) -> None:
    watcher = Recorder()
    faulty = partial(RayExecutor, run_timeout=20.0)
    ended = sweep_into(tmp_path / "out", run=faulty_run, watcher=watcher, executor=faulty)
    assert {run.config: run.reason for run in ended.unfinished} == {
        "1L_8d_1tok": "3 workers were lost with it, the last one killed, out of memory, or its machine is gone",
        "2L_8d_2tok": "the device is full",
    }
    # On a slow machine a worker that starts again can be taken for a hung one: it is lost once more, and so is no run.
    lost = Counter(name for what, name in watcher.seen if what == "lost")
    faults = ["1L_8d_1tok_s2_seed42"] * 2 + ["1L_8d_2tok_s2_seed42", "2L_8d_1tok_s2_seed42"]
    assert lost >= Counter(faults)
    whole = {run.run_id: without_times(run) for run in sweep_into(tmp_path / "serial").runs}
    found = [replace(without_times(run), environment=0) for run in ended.runs if run.status == "done"]
    assert len(found) == 10
    assert found == [whole[run.run_id] for run in found]


def looking(config: Any, data: Any, execution: Execution, **named: Any) -> Any:
    """Figures that say how a worker was set up."""
    import torch

    outcome = fake_run(config, data, execution, **named)
    arrays = {"train_ids": data.train_ids, "table": data.table}
    seen = {
        "threads": torch.get_num_threads(),
        "tables": [id(data.table), os.getpid()],
        "writeable": [name for name, array in arrays.items() if array.flags.writeable],
        "same_python": sys.executable,
    }
    outcome.result = replace(outcome.result, execution_path=seen)
    return outcome


@pytest.mark.usefixtures("cluster")
def test_arrays_are_read_where_they_lie_and_a_result_names_its_node(tmp_path: Path) -> None:
    ended = sweep_into(tmp_path / "out", run=looking, executor=RayExecutor)
    paths = [run.execution_path for run in ended.runs]
    assert all(path["writeable"] == [] for path in paths)
    assert {path["same_python"] for path in paths} == {sys.executable}
    assert len({tuple(path["tables"]) for path in paths}) == 2  # each of two workers keeps its first
    import json

    environments = json.loads((tmp_path / "out" / "summary.json").read_bytes())["environments"]
    assert {environment["node"] for environment in environments} == {socket.gethostname()}


@pytest.mark.usefixtures("cluster")
def test_threads_are_the_job_s_and_not_ray_s(tmp_path: Path) -> None:
    plan, _ = plan_for(tiny_recipe(), tmp_path / "out")
    execution = replace(plan.execution, threads=3)
    worker = executors_ray.Worker({})
    actor = ray.remote(Hand).options(num_cpus=1).remote(worker, execution, 1.0)
    about = ray.get(actor.about.remote())
    assert about["threads"] == 3
    assert about["device"] == "cpu"
    assert ray.get(actor.__ray_call__.remote(_threads_of_a_thread)) == 3
    ray.kill(actor)


def _threads_of_a_thread(_: Any) -> int:
    from concurrent.futures import ThreadPoolExecutor

    import torch

    with ThreadPoolExecutor() as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("cluster")
def test_an_interrupt_or_a_bug_ends_the_workers(tmp_path: Path) -> None:
    class Interrupting(Recorder):
        def advanced(self, job: Any, event: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep_into(tmp_path / "out", run=slow_run, watcher=Interrupting(), executor=RayExecutor)
    with pytest.raises(RuntimeError, match=r"(?s)broken_run.*KeyError: 'no such thing'"):
        sweep_into(tmp_path / "other", run=broken_run, executor=RayExecutor)


@pytest.mark.usefixtures("cluster")
def test_cards_of_two_kinds_and_other_versions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors_ray, "Hand", saying(first={"device_name": "A"}, other={"device_name": "B"}))
    with pytest.raises(InputError, match=r"has [AB], and another worker [AB]: their figures"):
        sweep_into(tmp_path / "out", executor=RayExecutor)
    mixed = partial(RayExecutor, places=Places(mixed_devices=True))
    assert sweep_into(tmp_path / "out", executor=mixed).unfinished == ()
    monkeypatch.setattr(executors_ray, "Hand", saying(first={"torch": "1.0"}))
    with pytest.raises(InputError, match=r"has torch 1\.0, and this process"):
        sweep_into(tmp_path / "old", executor=RayExecutor)


@pytest.mark.usefixtures("cluster")
def test_shares_of_cards_and_the_most_runs_decide_how_many_workers_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors_ray, "Hand", saying())
    plan, _ = plan_for(tiny_recipe(), tmp_path / "out")
    jobs = [replace(job, execution=replace(job.execution, device="cuda")) for job in plan.jobs]
    assert rooms("cuda", 1, 1.0) == [1, 1]
    assert rooms("cuda", 1, 1 / 3) == [3, 3]
    with pytest.raises(InputError, match="no machine of the cluster has 2 CPU for a worker"):
        rooms("cpu", 2, 1.0)

    class Counting(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.workers: set[str] = set()

        def started(self, job: Any, worker: str = "") -> bool:  # type: ignore[override]
            job.folder.mkdir(parents=True, exist_ok=True)
            self.workers.add(worker)
            return True

        def warned(self, job: Any, text: str) -> None:
            raise AssertionError(text)

        def ended(self, job: Any, result: Any) -> None:
            assert result.environment["device"].startswith("cuda:")

    for places, count in ((Places(gpus_per_run=0.5), 4), (Places(gpus_per_run=0.5, most=1), 1)):
        told: Any = Counting()
        data: Any = plan.data
        RayExecutor(executors_ray.Worker({}, run=slow_run), data, places=places).execute(jobs[:6], told)
        assert len(told.workers) == count


def test_the_share_follows_from_the_largest_run(tmp_path: Path) -> None:
    plan, _ = plan_for(tiny_recipe(), tmp_path / "out")
    largest = max(job.memory.peak_bytes for job in plan.jobs) + executors_ray.CONTEXT_BYTES
    for device_bytes, share in (
        (None, 1.0),
        (largest - 1, 1.0),
        (3 * largest, 1 / 3),
        (4 * largest - 1, 1 / 3),
    ):
        execution = replace(plan.execution, device_bytes=device_bytes)
        assert share_of_a_card([replace(job, execution=execution) for job in plan.jobs]) == share


@pytest.mark.usefixtures("cluster")
def test_a_folder_that_a_node_does_not_see_costs_checkpoints_alone(tmp_path: Path) -> None:
    class Elsewhere(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.warnings: list[str] = []

        def started(self, job: Any, worker: str = "") -> bool:  # type: ignore[override]
            """Makes no folder."""
            return True

        def warned(self, job: Any, text: str) -> None:
            self.warnings.append(text)

        def ended(self, job: Any, result: Any) -> None:
            assert result.figures is not None

    plan, _ = plan_for(tiny_recipe(), tmp_path / "out")
    told: Any = Elsewhere()
    data: Any = plan.data
    RayExecutor(executors_ray.Worker({}, run=fake_run), data, places=Places(most=1)).execute(plan.jobs, told)
    expected = (
        f"{socket.gethostname()} does not see {tmp_path / 'out' / 'runs'}: a run lost there begins anew"
    )
    assert told.warnings == [expected]


def _fail(error: Exception) -> None:
    raise error


@pytest.mark.usefixtures("cluster")
def test_what_is_wrong_on_a_card_is_told_as_here() -> None:
    with pytest.raises(InputError, match=r"^no such precision$"):
        on_a_card(_fail, InputError("no such precision"))
    with pytest.raises(CvfpError, match="No worker could start on the cluster: ZeroDivisionError"):
        on_a_card(_fail, ZeroDivisionError("by zero"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://here:10001", "has to run on a machine of the cluster"),
        ("127.0.0.1:1", r"no Ray cluster answers at 127.0.0.1:1 .*ray start --head"),
        ("auto", r"no Ray cluster runs on this machine.*--ray-address local"),
    ],
)
def test_no_cluster_is_told_with_how_to_start_one(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", none)
    with pytest.raises(InputError, match=words):
        connect(address)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[str], None] = lambda name: None  # noqa: E731
    monkeypatch.setattr(executors_ray, "find_spec", found)
    with pytest.raises(InputError, match=r"pip install 'cvfp-cli\[ray\]'"):
        connect(None)
