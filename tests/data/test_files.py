"""Local files: every kind gives the same samples, and what is wrong is named by file and number."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.data import files, opening
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.samples import sample_text
from cvfp_cli.data.sources import read_file
from cvfp_cli.errors import InputError

TEXTS = ["One line.", 'Two\nlines, "quoted", with, commas.', "Drei – äöü 日本語 🎈"]


def write(path: Path) -> Path:
    """The three texts in the form that the file's name asks for."""
    kind = files.kind_of(path)
    match kind:
        case ".jsonl" | ".ndjson":
            content = "".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS).encode()
        case ".json":
            content = json.dumps([{"text": text, "id": 1} for text in TEXTS]).encode()
        case ".csv" | ".tsv":
            content = b"\xef\xbb\xbf" + table("," if kind == ".csv" else "\t").encode()
        case ".parquet":
            import pandas as pd

            content = pd.DataFrame({"id": [1, 2, 3], "text": TEXTS}).to_parquet()
        case _:
            content = ("\n\n".join(TEXTS) + "\n\n\n").encode()
    pack(path, content)
    return path


def table(separator: str) -> str:
    """The three texts under a header, as pandas writes them with its index."""
    quoted = [text.replace('"', '""') for text in TEXTS]
    rows = "".join(f'{number}{separator}"{text}"\n' for number, text in enumerate(quoted))
    return f"{separator}text\n{rows}"


def pack(path: Path, content: bytes) -> None:
    """Write a file, compressed as its name says."""
    import pyarrow as pa

    if path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(content)
    else:
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_every_kind_of_file_gives_the_same_samples(tmp_path: Path, suffix: str) -> None:
    assert read_file(write(tmp_path / f"data{suffix}"), DataConfig()) == TEXTS


def test_a_folder_is_read_in_the_order_of_its_paths_and_a_text_file_in_it_is_one_sample(
    tmp_path: Path,
) -> None:
    write(tmp_path / "b.jsonl")
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "one.txt")
    (tmp_path / ".hidden.txt").write_text("not this")
    (tmp_path / "notes.md").write_text("nor this")
    [first, *rest] = read_file(tmp_path, DataConfig())
    assert first.startswith("One line.\n\nTwo")
    assert rest == TEXTS


def test_line_ends_and_byte_order_marks_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(b"\xef\xbb\xbfOne,\r\nstill one.\r\n \r\n\r\nTwo.\r\n")
    assert read_file(path, DataConfig()) == ["One,\nstill one.", "Two."]


def test_strings_alone_are_samples(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(TEXTS))
    assert read_file(path, DataConfig()) == TEXTS


def test_chat_messages(jsonl: Path, chat_texts: Callable[[int, int], list[str]]) -> None:
    assert read_file(jsonl, DataConfig()) == chat_texts(0, 60)
    first = [text.split("\n")[0] for text in chat_texts(0, 60)]
    assert read_file(jsonl, DataConfig(messages="first")) == first


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", b'{"text": "x"}\n\n{"text": ""}\n', "a.jsonl, line 3: the sample is empty"),
        ("a.jsonl", b'{"text": "x"}\n{"text": " \\n"}\n', "a.jsonl, line 2: the sample is empty"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', "a.jsonl, line 2: not UTF-8"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl, line 1: not readable JSON"),
        ("a.jsonl", b"9" * 10_000, "a.jsonl, line 1: not readable JSON"),
        ("a.jsonl", b"7\n", "a.jsonl, line 1: expected a string or an object, found a int"),
        ("a.jsonl", b'{"text": null}\n', "a.jsonl, line 1: the sample is empty"),
        ("a.jsonl", b'{"id": 7}\n', "a.jsonl, line 1: no column of text among id"),
        (
            "a.jsonl",
            b'{"a": "x", "b": "y"}\n',
            "2 columns of text among a, b. Name the one to read with --text-field",
        ),
        ("a.jsonl", b'{"messages": "hi", "x": 1}', None),
        ("a.jsonl", b'{"messages": [{"role": "user"}]}', "line 1: message 1 has no text in 'content'"),
        ("a.jsonl", b'{"messages": []}', "line 1: the sample is empty"),
        (
            "a.json",
            b'[\n{"text": "x"},\n{"text": }\n]',
            "a.json: not valid JSON (Expecting value, line 3, column 10)",
        ),
        ("a.json", b'{"text": "x"}', "a.json: expected a list of samples"),
        ("a.json", b'["x", ""]', "a.json, sample 1: the sample is empty"),
        ("a.csv", b"text\nx\n\xff\n", "a.csv: not UTF-8"),
        ("a.csv", b"text\nx\n''\n\"  \"\n", "a.csv, line 4: the sample is empty"),
        ("a.parquet", b"PAR1 no", "a.parquet: not a readable Parquet file"),
        ("a.txt", b"fine\n\n\xc3", "a.txt: not UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: bytes, said: str | None) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    if said is None:
        assert read_file(path, DataConfig()) == ["hi"]
        return
    with pytest.raises(InputError) as caught:
        read_file(path, DataConfig(empty="refuse"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'body'; there are text, id"):
        read_file(write(tmp_path / "a.jsonl"), DataConfig(text_field="body"))


def test_other_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.xlsx").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot read '\.xlsx' files"):
        files.data_files(tmp_path / "data.xlsx")
    with pytest.raises(InputError, match="the folder holds no"):
        files.data_files(tmp_path)


def test_files_too_large_to_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.jsonl")
    monkeypatch.setattr(opening, "_LONGEST_LINE", 32)
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: longer than"):
        read_file(path, DataConfig())
    assert opening.read_whole(path, path.stat().st_size) == path.read_bytes()
    with pytest.raises(InputError, match=r"a\.jsonl: larger than"):
        opening.read_whole(path, path.stat().st_size - 1)


def test_one_changed_byte_changes_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    before = files.fingerprint([path], path)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(bytes(content))
    assert files.fingerprint([path], path) != before


@given(st.binary(max_size=200), st.sampled_from(files.SUFFIXES))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    texts, message = [""], ""
    try:
        texts = read_file(path, DataConfig())
    except InputError as error:
        message = str(error)
    assert path.name in message or all(text.strip() for text in texts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(json_values, st.sampled_from(["", "messages", "text"]))
def test_any_row_has_a_text_or_is_refused(row: object, field: str) -> None:
    text, message = "", ""
    try:
        text = sample_text(row, DataConfig(text_field=field, empty="refuse"), "here")
    except InputError as error:
        message = str(error)
    assert message.startswith("here: ") or text.strip()
