"""The forms in which people keep text: each gives its samples, or one line that says why not."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvfp_cli.data import opening
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.files import existing
from cvfp_cli.data.hub import Hub
from cvfp_cli.data.samples import Skipped, sample_text
from cvfp_cli.data.sources import open_source, read_file, read_texts
from cvfp_cli.errors import InputError


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def samples(path: Path, **config: Any) -> list[str]:
    return read_file(path, DataConfig(**config))


def refused(path: Path, **config: Any) -> str:
    with pytest.raises(InputError) as caught:
        samples(path, **config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_the_separator_is_found_in_the_header(tmp_path: Path, name: str, separator: str) -> None:
    content = "\n".join(
        separator.join(cells) for cells in [("id", "text"), ("1", "One"), ("2", '"a;b,\n|\tc"')]
    )
    assert samples(written(tmp_path / name, content)) == ["One", "a;b,\n|\tc"]


def test_excels_first_line_says_the_separator(tmp_path: Path) -> None:
    assert samples(written(tmp_path / "a.csv", "sep=;\r\nid;text\r\n1;One, two\r\n")) == ["One, two"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text\nHello, there, you\n", 'line 2: 3 cells, but the header has 1. Put "quotes" around cells'),
        ("id,text\n1,one\n2\n", "line 3: 1 cell, but the header has 2."),
        ('id;text\n1;"a\nb"\n2;a;b\n', 'line 4: 3 cells, but the header has 2. Put "quotes" around'),
        (
            "text,text\na,b\n",
            "line 1: the header line needs a different name for every column; 'text' stands 2",
        ),
        ("id,\n1,one\n", "line 2: text in column 2, which the header gives no name"),
        ('text\n"one\ntwo\n', "line 3: not readable CSV"),
        (
            "It was a dark and stormy night\nThe rain fell\n",
            "line 1: 'It was a dark and stormy night' looks like",
        ),
        (
            "1,One is here\n2,Two\n",
            "line 1: '1' looks like a sample, and the first line must name the columns",
        ),
        ("Well done!\nThanks.\n", "line 1: 'Well done!' looks like a sample"),
    ],
)
def test_no_text_of_a_csv_is_lost_in_silence(tmp_path: Path, content: str, said: str) -> None:
    assert said in refused(written(tmp_path / "a.csv", content))


def test_a_long_header_is_one_where_text_field_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id;What did you like about it?\n1;All\n")
    assert "looks like a sample" in refused(path)
    assert samples(path, text_field="What did you like about it?") == ["All"]
    assert samples(written(tmp_path / "b.csv", ",0\n0,One\n")) == ["One"]  # pandas without names


def test_an_index_is_no_column(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"body": ["One", "Two"]}, index=["a", "b"])
    frame.to_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet")
    pd.read_csv(tmp_path / "a.csv").to_csv(tmp_path / "b.csv", index=False)  # "Unnamed: 0"
    for name in ("a.csv", "a.parquet", "b.csv"):
        assert samples(tmp_path / name) == ["One", "Two"]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('{"text": "One"}\n{"text": "Two"}\n', ["One", "Two"]),
        ('"One"\n"Two"\n', ["One", "Two"]),
        ('{"data": [{"text": "One"}, "Two"]}', ["One", "Two"]),
        ('{\n "data": [\n  "One"\n ]\n}\n', ["One"]),
        ('\ufeff ["One"]', ["One"]),
    ],
)
def test_what_is_called_json(tmp_path: Path, content: str, texts: list[str]) -> None:
    assert samples(written(tmp_path / "a.json", content)) == texts


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}, "Hi\nHo"),
        ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "Add.\n1 and 2\n3"),
        ({"instruction": "Sing.", "input": "", "output": "La"}, "Sing.\nLa"),
        ({"instruction": "Sing.", "output": "La", "text": "Whole"}, "Whole"),
        ({"url": "http", "text": "One", "title": "T"}, "One"),
        ({"messages": None, "text": "One"}, "One"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}]}, "ab"),
        (
            {
                "messages": [
                    {"role": "user", "content": "Time?"},
                    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                    {"role": "tool", "content": "12:00"},
                ]
            },
            "Time?\n12:00",
        ),
        ({"text": None, "title": "T"}, ""),
        ({"messages": []}, ""),
        (None, ""),
    ],
)
def test_the_text_of_a_row(row: object, text: str) -> None:
    assert sample_text(row, DataConfig(), "here") == text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": [{"role": "assistant", "content": None}]}, "message 1 has no text"),
        ({"messages": [{"content": [{"type": "image_url"}]}]}, "message 1 has a part that is no text"),
        ({"text": "bad \ud83d here"}, r"half of a character ('\ud83d', an unpaired surrogate)"),
        ({"instruction": "a", "output": 3}, "here"),
    ],
)
def test_rows_without_text_are_refused(row: object, said: str) -> None:
    if said == "here":
        assert sample_text(row, DataConfig(), "here") == "a"  # the only column of text
        return
    with pytest.raises(InputError) as caught:
        sample_text(row, DataConfig(), "here")
    assert said in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.txt", ["One é", "", "Two"]),
        ("a.md", ["One é", "", "Two"]),
        ("a.csv", ["id,text", "1,One é", "2,Two"]),
        ("a.jsonl", ['{"text": "One é"}', '{"text": "Two"}']),
        ("a.json", ['["One é",', '"Two"]']),
    ],
)
def test_encodings_and_line_ends(
    tmp_path: Path, name: str, lines: Sequence[str], encoding: str, end: str
) -> None:
    assert samples(written(tmp_path / name, (end.join(lines) + end).encode(encoding))) == ["One é", "Two"]


def test_half_a_file_of_utf_16_is_refused(tmp_path: Path) -> None:
    assert "not UTF-16 text" in refused(written(tmp_path / "a.txt", "Hello".encode("utf-16")[:-1]))


def test_a_name_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(InputError, match=r"a name that is no UTF-8\. Rename it\."):
        existing("text\udcff.jsonl")


def test_one_sample_a_line(tmp_path: Path) -> None:
    written(tmp_path / "f" / "a.txt", "One\r\n\r\nTwo\n")
    written(tmp_path / "f" / "b.txt.gz", gzip.compress(b"Three\nFour", mtime=0))
    assert samples(tmp_path / "f", lines=True) == ["One", "Two", "Three", "Four"]
    assert samples(tmp_path / "f") == ["One\n\nTwo\n", "Three\nFour"]
    assert "line 2: not UTF-8" in refused(written(tmp_path / "c.txt", b"a\n\xff\n"), lines=True)


@pytest.mark.parametrize("name", ["README.md", "README", "LICENSE.txt", "dataset_infos.json", "notes.md"])
def test_what_describes_a_folder_is_no_sample(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, '{"default": {}}')
    written(tmp_path / "train.jsonl", '{"text": "One"}\n')
    assert samples(tmp_path) == ["One"]


def test_a_folder_of_notes_alone_is_text(tmp_path: Path) -> None:
    written(tmp_path / "README.md", "Read me")
    assert samples(tmp_path) == ["Read me"]


@pytest.mark.parametrize(("packed", "said"), [(".gz", "damaged gzip data"), (".zst", "cannot be read")])
@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".txt", ".parquet", ".json"])
def test_a_cut_archive_is_refused(tmp_path: Path, kind: str, packed: str, said: str) -> None:
    import pyarrow as pa

    whole = tmp_path / "whole"
    with pa.output_stream(str(whole), compression="gzip" if packed == ".gz" else "zstd") as stream:
        stream.write(b"[" + bytes(range(32, 127)) * 50)
    assert said in refused(written(tmp_path / f"a{kind}{packed}", whole.read_bytes()[:-4]))


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".txt", ".parquet", ".json"])
def test_what_unpacks_without_end_is_given_up(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvfp_cli.data import files

    monkeypatch.setattr(opening, "_LONGEST_LINE", 1000)
    monkeypatch.setattr(opening, "_LARGEST_WHOLE", 1000)
    monkeypatch.setattr(files, "_LONGEST_CELL", 1000)
    said = refused(written(tmp_path / f"a{kind}.gz", gzip.compress(b"a" * 10**6, mtime=0)))
    assert "larger than" in said or "longer than" in said


def test_several_sources_and_patterns(tmp_path: Path, cache: Cache) -> None:
    one = written(tmp_path / "one.jsonl", '"One"\n')
    two = written(tmp_path / "deep" / "two.txt", "Two\n\nThree")
    written(tmp_path / "deep" / "not.bin", b"\0")

    def texts(name: str, *also: str) -> list[str]:
        source = open_source(name, cache, Hub(), also)
        return read_texts(source, DataConfig(), cache, split="train")

    assert texts(str(two), str(one)) == ["Two", "Three", "One"]
    assert texts(str(tmp_path / "**" / "*")) == ["Two", "One"] or texts(f"{tmp_path}/*.jsonl") == ["One"]
    assert texts(f"{tmp_path}/deep/t*", f"{tmp_path}/*.jsonl") == ["Two", "Three", "One"]
    both, alone = (open_source(str(one), cache, Hub(), also) for also in ((str(two),), ()))
    assert both.fingerprint != alone.fingerprint
    for wrong in (("pydocs",), ("no/such",), (f"{tmp_path}/*.csv",)):
        with pytest.raises(InputError, match="no such file or folder"):
            open_source(str(one), cache, Hub(), wrong)


def saved(folder: Path, texts: Sequence[str | None], *, splits: bool) -> Path:
    import datasets

    rows = datasets.Dataset.from_dict({"text": list(texts)})
    (datasets.DatasetDict({"fit": rows, "test": rows.select([0])}) if splits else rows).save_to_disk(folder)
    return folder


@pytest.mark.parametrize("splits", [False, True])
def test_what_datasets_saved_is_read(tmp_path: Path, cache: Cache, splits: bool) -> None:
    folder = saved(tmp_path / "saved", ["One", None, "Two"], splits=splits)
    source = open_source(str(folder), cache, Hub())
    assert source.has_splits == splits
    assert read_texts(source, DataConfig(), cache, split="fit") == ["One", "Two"]
    if splits:
        with pytest.raises(InputError, match="no split 'train'; there are fit, test"):
            read_texts(source, DataConfig(), cache, split="train")
    for file in folder.rglob("*.arrow"):
        file.write_bytes(b"broken")
    with pytest.raises(InputError, match="not readable as a data set"):
        read_texts(open_source(str(folder), cache, Hub()), DataConfig(), cache, split="fit")


def test_a_saved_data_set_is_not_read_with_others(tmp_path: Path, cache: Cache) -> None:
    folder = saved(tmp_path / "saved", ["One"], splits=False)
    with pytest.raises(InputError, match="is read alone"):
        open_source(str(folder), cache, Hub(), (str(folder),))


texts_with_gaps = st.lists(st.sampled_from(["One", "Two", "", " \n", None, "Three"]), min_size=1, max_size=12)


@given(texts_with_gaps, st.integers(0, 4), st.none() | st.integers(0, 12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_empty_samples_have_no_number(
    tmp_path: Path, texts: list[str | None], start: int, stop: int | None
) -> None:
    """A source with empty samples gives, in every range, what it gives without them."""
    path = written(tmp_path / "a.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    cache = Cache(tmp_path / "cache")
    source = open_source(str(path), cache, Hub())
    full = [text for text in texts if text and text.strip()]
    assert read_texts(source, DataConfig(), cache, split="train", start=start, stop=stop) == full[start:stop]


def test_skipped_samples_are_counted_and_named_cached_or_not(
    tmp_path: Path, chat_folder: Path, cache: Cache, chat_texts: Callable[[int, int], list[str]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = chat_folder / "data" / "train_sft-00000-of-00002.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["messages"] = rows[5]["messages"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    source = open_source(str(chat_folder), cache, Hub())
    expected = [chat_texts(number, number + 1)[0] for number in range(60) if number not in (1, 5)]
    notes = []
    for _ in range(2):
        skipped = Skipped()
        assert read_texts(source, DataConfig(), cache, split="train_sft", skipped=skipped) == expected
        notes.append(skipped.notes())
        part = read_texts(source, DataConfig(), cache, split="train_sft", start=3, stop=9, skipped=skipped)
        assert part == expected[3:9]
        assert skipped.notes() == notes[0]
    [note] = notes[0]
    assert notes[0] == notes[1]
    assert note.code == "empty-samples"
    assert "2 empty samples are skipped (the first is" in note.message
    assert "row 1)" in note.message
    with pytest.raises(InputError, match="train_sft row 1: the sample is empty"):
        read_texts(source, DataConfig(empty="refuse"), cache, split="train_sft")
