"""What is known before training: parameters, identity, what fits, how long it takes."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sweep_fakes import FakeText, plan_for, read, sweep_into, tiny_recipe

from cvfp_cli.core.config import Execution
from cvfp_cli.core.result import Advance, Epoch, Iteration
from cvfp_cli.errors import InputError
from cvfp_cli.recipes import load_recipe
from cvfp_cli.results import ResultsStore, Run, Seconds
from cvfp_cli.sweeps.estimate import TimeEstimate, likely_steps, most_steps, operations
from cvfp_cli.sweeps.plan import Job, Plan, fingerprints, make_plan, study_identity
from cvfp_cli.sweeps.tensorboard import TensorBoard, check_installed


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_for(tiny_recipe(), tmp_path / "out")[0]


def test_a_plan_counts_parameters_and_tokens_and_writes_nothing(plan: Plan, tmp_path: Path) -> None:
    # K = 1, D = E = 8: one layer of [8 + 8] -> 8 with bias and norm in each block.
    first = plan.jobs[0]
    assert (first.parameters.context_block, first.parameters.token_block) == (152, 152)
    assert [job.train_tokens for job in plan.jobs] == [24] * 4 + [48] * 4 + [96] * 4
    assert not (tmp_path / "out").exists()


def test_run_ids_differ_by_everything_that_decides_a_figure(tmp_path: Path) -> None:
    recipes = [
        tiny_recipe(),
        tiny_recipe(runs__seeds=[43]),
        tiny_recipe(runs__data_seeds=[1]),
        tiny_recipe(phase1__noise=0.2),
        tiny_recipe(head__logit_scale=0.1),
        tiny_recipe(model__token_input="first_layer"),
        tiny_recipe(evaluation__effective_rank_tokens=10),
    ]
    ids = [job.run_id for recipe in recipes for job in plan_for(recipe, tmp_path / "out")[0].jobs]
    assert len(set(ids)) == len(ids) == 12 * len(recipes)
    again = [job.run_id for job in plan_for(tiny_recipe(), tmp_path / "elsewhere")[0].jobs]
    assert again == ids[:12]


def test_identity_leaves_out_the_grid_and_keeps_the_rest() -> None:
    described = FakeText().describe()
    base = study_identity(tiny_recipe(), described)
    same = tiny_recipe(grid__layers=[3], runs__seeds=[1], runs__samples=[2], data__samples=[2, 4])
    assert study_identity(same, described) == base
    for changed in (tiny_recipe(phase1__noise=0.2), tiny_recipe(data__max_tokens=5)):
        assert study_identity(changed, described) != base
    assert study_identity(tiny_recipe(), FakeText("other").describe()) != base


def test_fingerprints_are_found_at_any_depth() -> None:
    described = {
        "fingerprint": "a",
        "n": 3,
        "x": {"name": "b", "fingerprint": "c", "y": {"fingerprint": "d"}},
        "z": {"w": 1},
    }
    assert fingerprints(described) == {
        "fingerprint": "a",
        "x": {"fingerprint": "c", "y": {"fingerprint": "d"}},
    }


def test_what_no_device_can_hold_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    class Large(FakeText):
        def train_token_count(self, samples: int, data_seed: int | None = None) -> int:
            return 1_000_000 * samples

    def planned(device_bytes: int, host_bytes: int | None = None) -> Plan:
        return make_plan(
            tiny_recipe(),
            read(tiny_recipe(), Large()),
            Execution("cuda", device_bytes=device_bytes, host_bytes=host_bytes),
            ResultsStore(tmp_path / "out"),
            fresh=False,
            notify=lambda text: None,
        )

    needed = [job.memory.host_bytes for job in planned(5 * 10**8).jobs]
    assert len(planned(5 * 10**8, 2 * max(needed)).jobs) == 12
    with pytest.raises(InputError, match="4 samples would fit"):
        planned(5 * 10**8, int(1.3 * needed[7]))
    with pytest.raises(
        InputError, match=r"GB of contexts on the host, cuda has 0\.5 GB and the host 0\.0 GB"
    ):
        planned(5 * 10**8, 1)
    with pytest.raises(InputError, match="12 of 12 runs would not fit on cuda"):
        planned(1)


def done(job: Job, seconds: float, *, iterations: int = 5, epochs: int = 2) -> Run:
    return Run(
        job.experiment.config.model.name,
        1,
        8,
        1,
        job.experiment.samples,
        job.train_tokens,
        phase1_iterations=iterations,
        epochs=epochs,
        seconds=Seconds(seconds / 2, 0.0, seconds / 2),
    )


def test_nothing_is_known_before_a_run_is_done_without_a_rate(plan: Plan) -> None:
    times = TimeEstimate(plan.jobs, plan.jobs)
    assert times.total(plan.jobs) is None
    assert times.left() is None
    assert times.seconds(plan.jobs[0], most=True) is None


def test_a_rate_gives_operations_over_it(plan: Plan) -> None:
    job = plan.jobs[0]
    times = TimeEstimate(plan.jobs, plan.jobs, rate=1000.0)
    assert likely_steps(job.stages) == {"phase1": 6, "phase2": 2}  # both at the recipe's limits
    first, second = job.stages
    assert times.seconds(job) == pytest.approx((first.operations * 5 + second.operations * 2) / 1000.0)


def test_finished_runs_teach_their_own_time(plan: Plan) -> None:
    times = TimeEstimate(plan.jobs, plan.jobs)
    job = plan.jobs[0]
    times.finished(job, done(job, 10.0))
    assert times.seconds(job) == pytest.approx(10.0)
    # The same configuration at twice the text: twice the training, the same validation.
    bigger = plan.jobs[4]
    assert bigger.experiment.config.model == job.experiment.config.model
    assert 10.0 < times.seconds(bigger) < 20.0  # type: ignore[operator]
    assert times.seconds(bigger, most=True) >= times.seconds(bigger)  # type: ignore[operator]
    left = times.left()
    assert left == pytest.approx(times.total(plan.jobs[1:]), rel=0.05)  # type: ignore[arg-type]


def test_a_machine_that_was_busy_is_forgotten(plan: Plan) -> None:
    """Six times as slow for its first runs: a few runs later what is left is judged by the new pace."""
    times = TimeEstimate(plan.jobs, plan.jobs)
    rate = 1e6
    slow, quick, left = plan.jobs[:4], plan.jobs[4:9], plan.jobs[9:]

    def seconds(job: Job, speed: float) -> float:
        return operations(job.stages, {"phase1": 6, "phase2": 2}) / speed

    for job in slow:
        times.finished(job, done(job, seconds(job, rate / 6), iterations=6))
    assert times.total(left) == pytest.approx(6 * sum(seconds(job, rate) for job in left))
    for job in quick:
        times.finished(job, done(job, seconds(job, rate), iterations=6))
    wanted = sum(seconds(job, rate) for job in left)
    assert wanted <= times.total(left) <= 1.5 * wanted  # type: ignore[operator]


def test_recorded_runs_teach_too_and_failed_ones_do_not(plan: Plan) -> None:
    job = plan.jobs[0]
    failed = replace(done(job, 10.0), status="failed")
    assert TimeEstimate([replace(job, recorded=failed)], plan.jobs).total(plan.jobs) is None
    assert TimeEstimate([replace(job, recorded=done(job, 10.0))], plan.jobs).total(plan.jobs) is not None


def test_fixed_epochs_are_all_expected(tmp_path: Path) -> None:
    job = plan_for(tiny_recipe(phase2__patience=0, phase2__epochs=10), tmp_path / "out")[0].jobs[0]
    assert likely_steps(job.stages)["phase2"] == most_steps(job.stages)["phase2"] == 10
    assert likely_steps(job.stages, {"phase1": 3, "phase2": 99}) == {"phase1": 3, "phase2": 10}
    # The untrained start of phase 1 costs nothing, but a run of it alone counts as one iteration.
    assert operations(job.stages, {"phase1": 1, "phase2": 1}) == sum(stage.operations for stage in job.stages)


def test_tensorboard_gets_every_figure_under_the_run_s_name(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalars: list[tuple[str, float, int]] = []
    folders: list[str] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            folders.append(folder)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            scalars.append((name, value, step))

        def flush(self) -> None: ...

        def close(self) -> None:
            folders.append("closed")

    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    board = TensorBoard(tmp_path / "tb")
    job = plan.jobs[0]
    board.started(job, 1, 1)
    for event in (
        Iteration(1, None, None, None, None, 0.1),
        Advance("phase1", 2, 6, 1, 1),
        Iteration(2, 0.5, 0.25, -1.0, 0.75, 0.1),
        Epoch(1, 2.0, 7.4, 3.0, 20.1, 0.2, 0.1),
    ):
        board.advanced(job, event)
    board.finished(job, done(job, 1.0))
    assert folders == [str(tmp_path / "tb" / "1L_8d_1tok_s2_seed42"), "closed"]
    assert ("phase1/rate", 0.75, 2) in scalars
    assert ("phase2/val_ppl", 20.1, 1) in scalars
    assert {step for name, _, step in scalars if name.startswith("phase1")} == {2}


def test_a_missing_tensorboard_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_cli.sweeps.tensorboard.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'cvfp-cli\[tensorboard\]'"):
        check_installed()


def test_a_sweep_of_stand_ins_has_its_plan_s_runs(tmp_path: Path) -> None:
    ended = sweep_into(tmp_path / "out")
    plan, _ = plan_for(tiny_recipe(), tmp_path / "out")
    assert [run.run_id for run in ended.here] == [job.run_id for job in plan.jobs]


class SizedText(FakeText):
    """A study whose tokenizer and validation text depend on its largest size, as the real one's do."""

    def __init__(self, tokenizer_samples: int, after: int) -> None:
        super().__init__(f"bpe of {tokenizer_samples}")
        self.sizes = tokenizer_samples, after

    def describe(self) -> dict[str, object]:
        trained, after = self.sizes
        described: Any = super().describe()
        described["tokenizer"] |= {"samples": trained, "trained_on_samples": trained}
        return {**described, "validation": {"after": after, "fingerprint": f"after {after}"}}


def test_a_refused_extension_names_the_fields_and_what_to_type(tmp_path: Path) -> None:
    sweep_into(tmp_path / "out", tiny_recipe(), text=SizedText(8, 8))
    with pytest.raises(InputError) as caught:
        plan_for(tiny_recipe(runs__samples=[16]), tmp_path / "out", text=SizedText(16, 16))
    assert str(caught.value) == (
        f"{tmp_path / 'out'} holds another study: tokenizer.samples is 8 there and 16 here; "
        "validation.after is 8 there and 16 here. To go on with that study, add --set tokenizer.samples=8 "
        "--set validation.after=8 to this command; for a study of its own, use another --out."
    )
    with pytest.raises(InputError, match=r"phase1\.noise is 0\.1 there and 0\.2 here.*Use another --out"):
        plan_for(tiny_recipe(phase1__noise=0.2), tmp_path / "out", text=SizedText(16, 16))


def test_runs_keep_the_sizes_that_their_study_turns_on(tmp_path: Path) -> None:
    """A run's own recipe means the same text where it is run alone."""
    sweep_into(tmp_path / "out", tiny_recipe(), text=SizedText(8, 6))
    for path in (tmp_path / "out").glob("runs/*/config.toml"):
        kept = load_recipe(str(path))
        assert (kept.tokenizer.samples, kept.validation.after) == (8, 6)


def test_a_folder_from_before_the_fields_goes_on_and_tells_what_its_runs_know(tmp_path: Path) -> None:
    sweep_into(tmp_path / "out", tiny_recipe(), text=SizedText(8, 8))
    file = tmp_path / "out" / "study.json"
    content = json.loads(file.read_text())
    del content["identity"]["tokenizer"]["samples"], content["identity"]["validation"]["after"]
    file.write_text(json.dumps(content))
    assert not plan_for(tiny_recipe(), tmp_path / "out", text=SizedText(8, 8))[0].remaining
    with pytest.raises(
        InputError, match=r"tokenizer\.samples is 8 there and 16 here\. To go on .*samples=8 to"
    ):
        plan_for(tiny_recipe(runs__samples=[16]), tmp_path / "out", text=SizedText(16, 8))


def test_a_smaller_size_than_a_tail_s_tokenizer_saw_has_no_way_on(tmp_path: Path) -> None:
    recipe = tiny_recipe(validation__source="tail:10%")
    sweep_into(tmp_path / "out", recipe, text=SizedText(8, 0))
    smaller = tiny_recipe(validation__source="tail:10%", runs__samples=[2])
    with pytest.raises(
        InputError, match=r"is 8 there and 2 here.*saw text that runs of 2 samples validate on"
    ):
        plan_for(smaller, tmp_path / "out", text=SizedText(2, 0))
