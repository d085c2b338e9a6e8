"""A study's data as a whole: the same text for train and sweep, no validation text in training, all problems at once."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvfp_cli.data.config import DataConfig, EmbeddingConfig, TokenizerConfig, ValidationConfig
from cvfp_cli.data.hub import OFFLINE_OPTIONS
from cvfp_cli.data.study import StudyData, prepare_study
from cvfp_cli.errors import InputError

Texts = Callable[[int, int], list[str]]
Prepare = Callable[..., StudyData]


@pytest.fixture
def prepare(jsonl: Path, tmp_path: Path) -> Prepare:
    """prepare_study on 60 dialogues in a file; keyword arguments replace single fields."""

    def prepared(samples: tuple[int, ...] = (10, 20, 40), **changed: Any) -> StudyData:
        return prepare_study(
            DataConfig(
                source=str(changed.get("source", jsonl)),
                split=changed.get("split", "train_sft"),
                max_tokens=changed.get("max_tokens", 0),
                samples=changed.get("listed", (10, 20, 40)),
                also=tuple(map(str, changed.get("also", ()))),
                lines=changed.get("lines", False),
                empty=changed.get("empty", "skip"),
            ),
            ValidationConfig(
                str(changed.get("validation", "last:10")),
                changed.get("separator", ""),
                after=changed.get("after", 0),
            ),
            TokenizerConfig(changed.get("tokenizer", "bpe:300"), changed.get("tokenizer_samples", 0)),
            EmbeddingConfig(changed.get("embedding", "ppmi:16"), changed.get("width", 0)),
            samples=samples,
            data_seeds=changed.get("data_seeds", (None,)),
            cache_dir=tmp_path / changed.get("cache", "cache"),
            notify=changed.get("notify", lambda line: None),
        )

    return prepared


def texts_of(study: StudyData, ids: Any, tokenizer: Any) -> str:
    return str(tokenizer.decode(ids.tolist()))


def test_streams_hold_the_samples_in_order(prepare: Prepare, gpt2_folder: Path, chat_texts: Texts) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gpt2_folder)
    study = prepare(tokenizer=str(gpt2_folder), embedding=str(gpt2_folder), validation="train_sft:45-49")
    for count in (10, 20, 40):
        text = study.experiment(count)
        pieces = np.split(text.train.ids, text.train.boundaries[1:-1])
        assert [tokenizer.decode(piece.tolist()) for piece in pieces] == chat_texts(0, count)
        assert study.train_token_count(count) == len(text.train.ids)
        assert text.train.sizes_bytes == len("".join(chat_texts(0, count)).encode())
        assert study.val_token_count(count) == len(text.validation.ids)
        pieces = np.split(text.validation.ids, text.validation.boundaries[1:-1])
        assert [tokenizer.decode(piece.tolist()) for piece in pieces] == chat_texts(45, 50)
        assert text.table.shape == (50257, 8)
        with pytest.raises(ValueError, match="read-only"):
            text.table[0, 0] = 1
    joined = prepare(
        tokenizer=str(gpt2_folder), embedding="random:4", validation="train_sft:45-49", separator="\n\n"
    )
    held = joined.experiment(10).validation
    assert tokenizer.decode(held.ids.tolist()) == "\n\n".join(chat_texts(45, 50))
    assert held.samples == 5


@pytest.mark.parametrize(
    ("validation", "first", "stop"),
    [("last:10", 50, 60), ("after-largest:7", 40, 47), ("train_sft:41-43", 41, 44), ("train:41-43", 41, 44)],
)
def test_validation_samples(
    prepare: Prepare, gpt2_folder: Path, chat_texts: Texts, validation: str, first: int, stop: int
) -> None:
    study = prepare(tokenizer=str(gpt2_folder), embedding="random:4", validation=validation)
    assert study.experiment(10).validation.sizes_bytes == len("".join(chat_texts(first, stop)).encode())
    described: Any = study.describe()
    assert described["validation"]["samples"] == stop - first


def test_validation_from_another_split_or_a_file(
    prepare: Prepare, chat_folder: Path, tmp_path: Path, chat_texts: Texts
) -> None:
    study = prepare(source=chat_folder, validation="test_sft:2-5")
    assert study.experiment(10).validation.sizes_bytes == len("".join(chat_texts(102, 106)).encode())
    held = tmp_path / "held.txt"
    held.write_text("First paragraph.\n\nSecond one.\n")
    study = prepare(source=chat_folder, validation=str(held))
    assert study.experiment(10).validation.sizes_bytes == len("First paragraph.Second one.")
    assert study.experiment(10).validation.samples == 2


def test_a_whole_split_and_a_plain_share(prepare: Prepare, chat_folder: Path, chat_texts: Texts) -> None:
    study = prepare(source=chat_folder, validation="test_sft")
    assert study.experiment(10).validation.sizes_bytes == len("".join(chat_texts(100, 112)).encode())
    for written in ("10%", "last:10%"):
        described: Any = prepare(source=chat_folder, validation=written).describe()
        same: Any = prepare(source=chat_folder, validation="last:6").describe()
        assert described["fingerprint"] == same["fingerprint"]
    with pytest.raises(InputError, match=r"overlap in 20 of them; the data set has 60 samples"):
        prepare(source=chat_folder, validation="50%", samples=(50,))
    with pytest.raises(InputError, match=r"--validation train_sft is the split that trains"):
        prepare(source=chat_folder, validation="train_sft")
    with pytest.raises(InputError, match=r"no split 'tests'; there are train_sft, test_sft"):
        prepare(source=chat_folder, validation="tests")
    with pytest.raises(
        InputError, match=r"--validation dev_set: no file is called so, and \S+ has no splits"
    ):
        prepare(validation="dev_set")


@pytest.fixture
def ways(jsonl: Path, chat_folder: Path, tmp_path: Path) -> dict[str, tuple[Path, Path | str]]:
    """Source and validation that are the same text, in every way that they can be."""
    copy, link, hard = (tmp_path / name for name in ("copy.jsonl", "link.jsonl", "hard.jsonl"))
    copy.write_bytes(jsonl.read_bytes())
    link.symlink_to(jsonl)
    hard.hardlink_to(jsonl)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(jsonl.read_bytes())
    twice = tmp_path / "twice"
    twice.mkdir()
    (twice / "a.jsonl").write_bytes(jsonl.read_bytes())
    (twice / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - split: train_sft\n    path: a.jsonl\n  - split: other\n    path: a.jsonl\n---\n"
    )
    return {
        "same path": (jsonl, jsonl),
        "roundabout path": (jsonl, tmp_path / "folder" / ".." / "chats.jsonl"),
        "copy": (jsonl, copy),
        "symbolic link": (jsonl, link),
        "hard link": (jsonl, hard),
        "folder that holds a copy": (jsonl, folder),
        "file of the folder": (folder, folder / "a.jsonl"),
        "file of a split": (chat_folder, chat_folder / "data" / "train_sft-00000-of-00002.parquet"),
        "the folder of splits itself": (chat_folder, chat_folder),
        "another kind of file": (chat_folder, jsonl),
        "another split of the same file": (twice, "other"),
        "a range of such a split": (twice, "other:3-8"),
    }


@pytest.mark.parametrize(
    "way",
    [
        "same path", "roundabout path", "copy", "symbolic link", "hard link", "folder that holds a copy",
        "file of the folder", "file of a split", "the folder of splits itself", "another kind of file",
        "another split of the same file", "a range of such a split",
    ],
)  # fmt: skip
def test_training_text_does_not_validate_however_it_is_named(
    prepare: Prepare, ways: dict[str, tuple[Path, Path | str]], way: str
) -> None:
    source, validation = ways[way]
    prepare(source=source, validation="last:10")  # all that a cache can hold of the text
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"of its \d+ samples train as well; its sample \d+ is sample \d+ of"
        ):
            prepare(source=source, validation=validation, listed=(10, 20, 60), samples=(60,))


def test_a_file_that_shares_a_sample_is_refused_and_one_that_does_not_serves(
    prepare: Prepare, jsonl: Path, tmp_path: Path, gpt2_folder: Path
) -> None:
    held = tmp_path / "held.jsonl"
    lines = jsonl.read_text().splitlines()

    def holds(*numbers: int) -> dict[str, Any]:
        held.write_text("\n".join(lines[number] for number in numbers))
        return {"validation": held}

    lines.append(json.dumps({"text": "Text that stands nowhere else"}))
    with pytest.raises(InputError, match=r"2 of its 3 .* hold back the end of the training text with"):
        prepare(**holds(5, 56, 7))  # nothing would be left of it
    with pytest.raises(InputError) as caught:
        prepare(**holds(55, 60, 7))
    assert str(caught.value) == (
        f"--validation {held}: 1 of its 3 samples trains as well; its sample 2 is sample 7 of {jsonl}. "
        f"Leave them out: cvfp data export {held} NEW.jsonl --without {jsonl}"
    )
    with pytest.raises(
        InputError, match=r"1 of its 2 samples trains the tokenizer as well .see tokenizer\.samples"
    ):
        prepare((10,), **holds(35, 56))
    assert prepare((10,), **holds(35, 56), tokenizer_samples=20).val_token_count(10)
    assert prepare((10,), **holds(35, 56), tokenizer=str(gpt2_folder), embedding="random:4").notes == ()
    lines[57] = json.dumps({"text": "Question 7"})  # not the whole of a training sample
    assert prepare(**holds(55, 56, 57)).notes == ()
    with pytest.raises(InputError, match="samples train as well"):
        prepare(**holds(*range(40, 60)), data_seeds=(None, 1))


def test_another_split_may_repeat_a_text_now_and_then(prepare: Prepare, chat_folder: Path) -> None:
    import pyarrow.parquet as pq

    file = chat_folder / "data" / "test_sft-00000-of-00001.parquet"
    other = pq.read_table(chat_folder / "data" / "train_sft-00000-of-00002.parquet")
    import pyarrow as pa

    pq.write_table(pa.concat_tables([pq.read_table(file), other.slice(3, 2)]), file)
    [note] = prepare(source=chat_folder, validation="test_sft").notes
    assert note.code == "identical-texts"


def test_each_run_validates_on_its_own_tail(prepare: Prepare, gpt2_folder: Path) -> None:
    whole = prepare(tokenizer=str(gpt2_folder), embedding="random:4")
    study = prepare(tokenizer=str(gpt2_folder), embedding="random:4", validation="tail:10%")
    for count in (10, 20, 40):
        text, ids = study.experiment(count), whole.experiment(count).train.ids
        assert len(text.validation.ids) == int(len(ids) * Fraction(1, 10)) == study.val_token_count(count)
        np.testing.assert_array_equal(np.concatenate([text.train.ids, text.validation.ids]), ids)
    one: Any = study.describe()
    two: Any = prepare(
        (20,), tokenizer=str(gpt2_folder), embedding="random:4", validation="tail:10%"
    ).describe()
    assert one["fingerprint"] == two["fingerprint"]


def test_train_alone_meets_the_sweeps_run(prepare: Prepare) -> None:
    """The same 20 samples, tokenizer and table, whether trained alone or among others, cached or not."""
    sweep = prepare((10, 20, 40))
    alone = prepare((20,), cache="other cache")
    assert alone.run_fingerprint(20) == sweep.run_fingerprint(20)
    assert alone.describe()["fingerprint"] == sweep.describe()["fingerprint"]
    one, other = alone.experiment(20), sweep.experiment(20)
    np.testing.assert_array_equal(one.train.ids, other.train.ids)
    np.testing.assert_array_equal(one.validation.ids, other.validation.ids)
    np.testing.assert_array_equal(one.table, other.table)
    assert one.fingerprint == other.fingerprint == sweep.run_fingerprint(20)
    assert sweep.run_fingerprint(10) != sweep.run_fingerprint(20)
    identity = ("fingerprint", "tokenizer", "embedding", "validation", "source")
    assert [alone.describe()[key] for key in identity] == [sweep.describe()[key] for key in identity]


def test_a_larger_size_than_the_list_moves_the_tokenizer_and_says_so(prepare: Prepare) -> None:
    listed: Any = prepare((20,)).describe()
    beyond: Any = prepare((20, 45)).describe()
    assert listed["tokenizer"]["trained_on_samples"] == 40
    assert beyond["tokenizer"]["trained_on_samples"] == 45
    assert listed["fingerprint"] != beyond["fingerprint"]


def test_the_tokenizer_never_sees_validation(prepare: Prepare, jsonl: Path) -> None:
    before: Any = prepare().describe()
    lines = jsonl.read_text().splitlines()
    lines[50:] = ['{"text": "zebra zebra zebra zebra"}'] * 10
    jsonl.write_text("\n".join(lines))
    after: Any = prepare().describe()
    assert after["tokenizer"]["fingerprint"] == before["tokenizer"]["fingerprint"]
    assert after["validation"]["fingerprint"] != before["validation"]["fingerprint"]
    # A list whose largest size reaches over the validation range, with only small sizes trained.
    inside: Any = prepare((10,), listed=(10, 60), validation="train:20-29").describe()
    assert inside["tokenizer"]["trained_on_samples"] == 50


@pytest.mark.parametrize("share", ["10%", "50%", "2.5%"])
def test_a_tokenizer_is_trained_before_every_tail(prepare: Prepare, share: str) -> None:
    """One tokenizer serves all sizes, and no sample that it saw lies in any size's tail."""
    before: Any = prepare(validation=f"tail:{share}").describe()
    kept = before["tokenizer"]["trained_on_samples"]
    assert 1 <= kept < 10
    assert before["tokenizer"]["samples"] == 10
    study = prepare(validation=f"tail:{share}")
    for count in (10, 20, 40):
        assert int(study.experiment(count).train.boundaries[kept]) <= len(study.experiment(count).train.ids)
        assert len(study.experiment(count).train.boundaries) > kept
    first: Any = prepare(tokenizer_samples=kept).describe()
    assert first["tokenizer"]["fingerprint"] == before["tokenizer"]["fingerprint"]


def test_a_tail_s_tokenizer_stays_for_larger_sizes(prepare: Prepare) -> None:
    one: Any = prepare(validation="tail:10%").describe()
    more: Any = prepare((10, 60), validation="tail:10%").describe()
    assert more["tokenizer"] == one["tokenizer"]
    assert more["fingerprint"] == one["fingerprint"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data_seeds": (None, 1)}, r"another text for each data seed"),
        ({"tokenizer_samples": 11}, r"tokenizer\.samples is 11, and a run of 10 samples would validate on"),
        ({"samples": (1,), "listed": (1,)}, r"of 1 sample leaves no whole sample to train"),
    ],
)
def test_a_tail_that_no_tokenizer_can_keep_out_of(
    prepare: Prepare, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        prepare(**{"validation": "tail:10%", **changed})


def test_a_study_goes_on_to_larger_sizes(prepare: Prepare, chat_texts: Texts) -> None:
    """With both numbers named, more samples change neither the tokenizer nor the validation text."""
    before = prepare(validation="after-largest:5")
    after = prepare((10, 50), validation="after-largest:5", tokenizer_samples=40, after=40)
    assert after.describe()["fingerprint"] == before.describe()["fingerprint"]
    assert after.run_fingerprint(10) == before.run_fingerprint(10)
    texts = [*chat_texts(0, 40), *chat_texts(45, 55)]
    assert after.experiment(50).train.sizes_bytes == len("".join(texts).encode())
    seeded = prepare((50,), validation="after-largest:5", after=40, data_seeds=(3,))
    assert seeded.experiment(50, 3).validation.sizes_bytes == len("".join(chat_texts(40, 45)).encode())
    with pytest.raises(InputError, match=r"has 55 samples, and 56 are asked"):
        prepare((56,), validation="after-largest:5", tokenizer_samples=40, after=40)
    with pytest.raises(InputError, match=r"validation\.after is 3, but --validation last:10"):
        prepare(after=3)
    with pytest.raises(
        InputError, match=r"tokenizer\.samples is 3, but --tokenizer gpt2 is not trained here"
    ):
        prepare(tokenizer="gpt2", tokenizer_samples=3)


def test_ppmi_tables_come_from_each_runs_own_samples(prepare: Prepare) -> None:
    study = prepare()
    small, large = study.experiment(10), study.experiment(40)
    assert small.table_fingerprint != large.table_fingerprint
    unseen = np.setdiff1d(large.train.ids, small.train.ids)
    assert unseen.size
    assert (small.table[unseen] == 0).all()
    assert (large.table[unseen] != 0).any()
    assert study.embed_dim == 16
    assert study.vocab_size == 300 == large.table.shape[0]


def test_data_seeds_draw_nested_samples_and_never_validation(
    prepare: Prepare, gpt2_folder: Path, chat_texts: Texts
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gpt2_folder)
    study = prepare(
        (10, 20),
        tokenizer=str(gpt2_folder),
        embedding="random:4",
        validation="train:5-24",
        data_seeds=(0, 1),
        listed=(10,),
    )
    drawn = {}
    for seed in (0, 1):
        for count in (10, 20):
            train = study.experiment(count, seed).train
            pieces = np.split(train.ids, train.boundaries[1:-1])
            drawn[count, seed] = [tokenizer.decode(piece.tolist()) for piece in pieces]
        assert drawn[10, seed] == drawn[20, seed][:10]
        assert len(set(drawn[20, seed])) == 20
        assert not set(drawn[20, seed]) & set(chat_texts(5, 25))
    assert drawn[20, 0] != drawn[20, 1]
    assert set(drawn[20, 0]) | set(drawn[20, 1]) <= set(chat_texts(0, 60))
    same_words = (
        study.experiment(10, 0).validation.fingerprint == study.experiment(20, 1).validation.fingerprint
    )
    assert same_words


def test_a_data_seed_leaves_the_tokenizer_as_it_was(prepare: Prepare) -> None:
    plain: Any = prepare().describe()
    seeded: Any = prepare(data_seeds=(None, 3)).describe()
    assert seeded["fingerprint"] == plain["fingerprint"]
    assert seeded["tokenizer"] == plain["tokenizer"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"samples": (10, 55), "validation": "train_sft:50-54"},
            r"Training samples 0-54 and validation samples 50-54 \(--validation train_sft:50-54\) overlap in 5 of "
            r"them\. Use --validation after-largest:5 or --samples 50 or fewer\.",
        ),
        (
            {"samples": (10,), "validation": "train_sft:0-4"},
            r"Training samples 0-9 and validation samples 0-4 .* overlap in 5 .* Use --validation after-largest:5\.",
        ),
        (
            {"samples": (55,)},
            r"Training samples 0-54 and validation samples 50-59 \(--validation last:10\) overlap in 5 of them; "
            r"the data set has 60 samples\. Use --samples 50 or fewer\.",
        ),
        ({"samples": (61,), "validation": "tail:10%", "tokenizer": "GPT2"},
         r"has 60 samples, and 61 are asked for to train on\. Ask for --samples 60 or fewer"),
        ({"samples": (10,), "validation": "train_sft:70-79"}, r"ends before sample 79, which --validation train_sft"),
        ({"samples": (10,), "validation": "train_sft:55-64"}, r"ends before sample 64"),
        ({"samples": (10,), "validation": "after-largest:21"}, r"ends before sample 60, which --validation after"),
        ({"samples": (10,), "validation": "test_sft:1-2"}, r"has no split 'test_sft'.* Write train:1-2"),
        ({"samples": (51,), "data_seeds": (0,)}, r"Data seed 0 has 50 samples to draw from, and 51 are asked"),
        ({"embedding": "ppmi:301"}, r"vectors of width 301 do not fit a tokenizer of 300 tokens"),
        ({"source": "missing.jsonl"}, r"missing\.jsonl: no such file or folder"),
        ({"validation": "missing.jsonl"}, r"--validation 'missing\.jsonl': no such file, and no known form"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    prepare: Prepare, gpt2_folder: Path, changed: dict[str, Any], said: str
) -> None:
    if changed.get("tokenizer") == "GPT2":
        changed = {**changed, "tokenizer": str(gpt2_folder)}
    with pytest.raises(InputError, match=said) as caught:
        prepare(**changed)
    assert "\n" not in str(caught.value)


def test_more_validation_than_there_is(prepare: Prepare) -> None:
    with pytest.raises(InputError, match=r"--validation last:61: \S+ has only 60 samples"):
        prepare(validation="last:61")


def test_validation_behind_training_is_not_an_overlap(prepare: Prepare) -> None:
    assert prepare((50,), validation="train_sft:50-54").train_token_count(50) > 0
    assert prepare((50,), validation="last:10").train_token_count(50) > 0


def test_too_few_rows_and_a_wrong_width_say_both_numbers(prepare: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    np.save(path, np.ones((299, 16), dtype=np.float32))
    with pytest.raises(InputError, match=r"299 rows of width 16, and tokenizer bpe:300 has 300 tokens"):
        prepare(embedding=str(path))
    np.save(path, np.ones((16, 300), dtype=np.float32))
    with pytest.raises(InputError, match=r"16 rows of width 300.*It looks transposed"):
        prepare(embedding=str(path))
    np.save(path, np.ones((300, 16), dtype=np.float32))
    with pytest.raises(InputError, match=r"16 wide, and the recipe asks for 768.*embedding\.width=16"):
        prepare(embedding=str(path), width=768)
    assert prepare(embedding=str(path), width=16).notes == ()


def test_rows_beyond_the_vocabulary_are_left_out_and_said(prepare: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    table = np.random.default_rng(0).standard_normal((320, 16)).astype(np.float32)
    np.save(path, table)
    study = prepare(embedding=str(path))
    [note] = study.notes
    assert note.code == "embedding-rows-unused"
    assert "320 rows" in note.message
    np.testing.assert_array_equal(study.experiment(10).table, table[:300])


def test_identical_texts_on_both_sides_are_counted(prepare: Prepare, jsonl: Path) -> None:
    lines = jsonl.read_text().splitlines()
    lines[51], lines[52] = lines[3], lines[15]
    jsonl.write_text("\n".join(lines))
    study = prepare()
    described: Any = study.describe()
    assert described["overlap"] == {"identical_texts": {"10": 1, "20": 2, "40": 2}}
    [note] = study.notes
    assert (note.code, note.severity) == ("identical-texts", "warning")
    assert note.message.startswith("2 validation samples")


def test_identical_texts_in_a_tail(prepare: Prepare, jsonl: Path, gpt2_folder: Path) -> None:
    lines = jsonl.read_text().splitlines()
    lines[19] = lines[0]
    jsonl.write_text("\n".join(lines))
    study = prepare((20, 10), validation="tail:10%", tokenizer=str(gpt2_folder), embedding="random:4")
    described: Any = study.describe()
    assert described["overlap"] == {"identical_texts": {"10": 0, "20": 1}}


def test_samples_are_cut(prepare: Prepare) -> None:
    text = prepare(max_tokens=5).experiment(20)
    for stream in (text.train, text.validation):
        assert (np.diff(stream.boundaries) == 5).all()
    assert text.train.sizes_bytes < prepare().experiment(20).train.sizes_bytes


def test_all_problems_are_told_together(prepare: Prepare, tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(4))
    with pytest.raises(InputError) as caught:
        prepare(
            source="missing.jsonl",
            validation="tail:60%",
            tokenizer="bpe:1",
            embedding=str(tmp_path / "flat.npy"),
        )
    first, *rest = str(caught.value).splitlines()
    assert first == "4 problems with the data:"
    for line, word in zip(rest, ("missing.jsonl", "--validation", "--tokenizer", "--embedding"), strict=True):
        assert word in line


@pytest.mark.usefixtures("no_hub")
def test_an_unreachable_hub_is_one_line_that_names_all_it_was_to_give(prepare: Prepare) -> None:
    with pytest.raises(InputError) as caught:
        prepare(source="HuggingFaceH4/ultrachat_200k", tokenizer="gpt2-none", embedding="gpt2-none")
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(
        r"data set 'HuggingFaceH4/ultrachat_200k', tokenizer 'gpt2-none', embedding 'gpt2-none'", message
    )
    assert OFFLINE_OPTIONS in message


def test_what_takes_time_is_announced_once(prepare: Prepare) -> None:
    said: list[str] = []
    prepare(notify=said.append).experiment(10)
    assert any("Training tokenizer bpe:300 on 40 samples" in line for line in said)
    assert any("Tokenising" in line for line in said)
    assert any("ppmi:16" in line for line in said)
    prepare(notify=pytest.fail).experiment(10)


def test_one_changed_byte_of_the_source_is_not_served_from_the_cache(prepare: Prepare, jsonl: Path) -> None:
    before = prepare()
    jsonl.write_bytes(jsonl.read_bytes().replace(b"Question 3:", b"Question 3;"))
    after = prepare()
    assert after.run_fingerprint(10) != before.run_fingerprint(10)
    assert after.describe()["fingerprint"] != before.describe()["fingerprint"]


def test_a_damaged_cache_is_made_again_and_noted(prepare: Prepare, tmp_path: Path) -> None:
    before = prepare().experiment(10)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    study = prepare()
    after = study.experiment(10)
    np.testing.assert_array_equal(before.table, after.table)
    assert before.fingerprint == after.fingerprint
    assert {note.code for note in study.notes} == {"cache-damaged"}


def test_descriptions_are_json(prepare: Prepare) -> None:
    study = prepare()
    assert json.loads(json.dumps(study.describe(), allow_nan=False)) == study.describe()


def test_a_text_with_nothing_to_predict(prepare: Prepare, tmp_path: Path) -> None:
    held = tmp_path / "held.txt"
    held.write_text("x")
    with pytest.raises(InputError, match=r"validation text of 10 samples has 1 token: nothing to predict"):
        prepare(validation=str(held))


def test_defaults_are_the_studies(tmp_path: Path) -> None:
    """What the options' defaults say is what the main study used."""
    assert replace(DataConfig()) == DataConfig(
        source="HuggingFaceH4/ultrachat_200k", split="train_sft", samples=(50, 100, 200, 500)
    )
    assert ValidationConfig().source == "train_sft:1000-1019"
    assert TokenizerConfig().name == EmbeddingConfig().name == "gpt2"


@pytest.mark.parametrize("validation", ["last:10", "train:45-49", "after-largest:7", "FILE"])
def test_a_source_with_empty_samples_gives_the_study_that_it_gives_without(
    prepare: Prepare, jsonl: Path, tmp_path: Path, validation: str
) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text('{"text": "Held out."}\n{"text": " "}\n')
    validation = validation.replace("FILE", str(held))
    full = prepare(validation=validation)
    lines = jsonl.read_text().splitlines()
    for place in (59, 46, 20, 0):
        lines.insert(place, '{"messages": null}')
    jsonl.write_text("\n".join(lines))
    for _ in range(2):  # the second time from the cache
        gaps = prepare(validation=validation)
        for count in (10, 20, 40):
            assert gaps.run_fingerprint(count) == full.run_fingerprint(count)
        notes = {note.values["place"]: note for note in gaps.notes}
        assert all(note.code == "empty-samples" for note in gaps.notes)
        assert str(notes[str(jsonl)].values["first"]).endswith("line 1")
        assert (str(held) in notes) == (validation == str(held))
    with pytest.raises(InputError, match=r"line 1: the sample is empty\. Remove it, or use --empty skip"):
        prepare(validation=validation, empty="refuse")


def test_too_few_samples_say_how_many_were_empty(prepare: Prepare, jsonl: Path) -> None:
    jsonl.write_text('{"text": "One"}\n{"text": ""}\n' * 15)
    with pytest.raises(
        InputError, match=r"has 15 samples with text \(and 15 empty, the first of them \S+ line 2\)"
    ):
        prepare()
    jsonl.write_text('{"text": ""}\n' * 50)
    with pytest.raises(InputError, match=r"has 0 samples with text .*--text-field"):
        prepare()


def test_one_long_paragraph_is_told_of_lines(prepare: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"Line {n} is here.\n" for n in range(60)))
    with pytest.raises(
        InputError, match=r"has 1 sample, and 40 are asked .* take each line as a sample with --lines"
    ):
        prepare(source=path)
    assert prepare(source=path, lines=True).experiment(40).train.samples == 40


def test_samples_of_several_sources_follow_each_other(prepare: Prepare, jsonl: Path, tmp_path: Path) -> None:
    lines = jsonl.read_text().splitlines(keepends=True)
    parts = [tmp_path / "part-a.jsonl", tmp_path / "part-b.jsonl"]
    for part, content in zip(parts, (lines[:25], lines[25:]), strict=True):
        part.write_text("".join(content))
    whole = prepare().run_fingerprint(40)
    assert prepare(source=parts[0], also=parts[1:]).run_fingerprint(40) == whole
    assert prepare(source=tmp_path / "part-?.jsonl").run_fingerprint(40) == whole


def test_one_sample_a_line_is_another_study(prepare: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"Line {n} is here.\n\n" for n in range(60)))
    one, other = (prepare(source=path, lines=lines).describe() for lines in (False, True))
    assert one["source"] == other["source"]
    assert one["fingerprint"] != other["fingerprint"]


def test_a_tokenizer_that_loses_text_is_warned_about(prepare: Prepare, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    letters = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz \n:?.0123456789")}
    model = {"type": "BPE", "vocab": letters, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    [note] = prepare((10,), tokenizer=str(folder), embedding="random:4").notes
    assert (note.code, note.severity) == ("tokenizer-loses-text", "warning")
    assert "has no token for 3 of the text's characters ('A', 'I', 'Q')" in note.message
    assert "bits per byte are not comparable" in note.message
