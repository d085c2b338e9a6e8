"""The cache: what was kept comes back, and what was damaged does not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_cli.data.cache import Cache, content_hash, default_folder, pack_texts, unpack_texts


def entry(cache: Cache) -> Path:
    [path] = cache.folder.iterdir()
    return path


def test_an_entry_is_made_once(cache: Cache) -> None:
    first = cache.fetch("numbers", {"a": 1}, lambda: {"x": np.arange(5), "y": np.eye(2, dtype=np.float32)})
    again = cache.fetch("numbers", {"a": 1}, lambda: pytest.fail("made twice"))
    for name in ("x", "y"):
        np.testing.assert_array_equal(first[name], again[name])
        assert first[name].dtype == again[name].dtype
    assert cache.get("numbers", {"a": 2}) is None
    assert cache.get("others", {"a": 1}) is None
    assert cache.notes == []


@pytest.mark.parametrize("position", [0, 31, 32, 40, -1])
def test_one_changed_byte_is_noticed_and_the_entry_made_again(cache: Cache, position: int) -> None:
    cache.put("numbers", {}, {"x": np.arange(5)})
    damaged = bytearray(entry(cache).read_bytes())
    damaged[position] ^= 1
    entry(cache).write_bytes(bytes(damaged))
    np.testing.assert_array_equal(cache.fetch("numbers", {}, lambda: {"x": np.ones(3)})["x"], np.ones(3))
    assert [note.code for note in cache.notes] == ["cache-damaged"]
    np.testing.assert_array_equal(Cache(cache.folder).fetch("numbers", {}, pytest.fail)["x"], np.ones(3))


def test_an_entry_cut_at_any_byte_is_noticed(cache: Cache) -> None:
    cache.put("numbers", {}, {"x": np.arange(3)})
    whole = entry(cache).read_bytes()
    for length in range(len(whole)):
        entry(cache).write_bytes(whole[:length])
        assert Cache(cache.folder).get("numbers", {}) is None


def test_a_write_that_fails_leaves_no_file_and_is_noted(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    made = cache.fetch("numbers", {}, lambda: {"x": np.arange(5)})
    np.testing.assert_array_equal(made["x"], np.arange(5))
    assert list(cache.folder.iterdir()) == []
    [note] = cache.notes
    assert note.code == "cache-unwritable"
    assert "No space left" in note.message


def test_a_folder_that_cannot_be_made_is_noted_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    for number in range(3):
        cache.fetch("numbers", {"n": number}, lambda: {"x": np.arange(2)})
    assert {note.code for note in cache.notes} <= {"cache-unwritable", "cache-unreadable"}
    assert sum(note.code == "cache-unwritable" for note in cache.notes) == 1


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CVFP_CACHE_DIR", str(tmp_path / "here"))
    assert Cache().folder == tmp_path / "here"
    monkeypatch.delenv("CVFP_CACHE_DIR")
    assert default_folder().name == "cvfp"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_survive_packing(texts: list[str]) -> None:
    assert unpack_texts(pack_texts(texts)) == texts


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.data())
def test_another_division_of_the_same_bytes_has_another_hash(texts: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(texts[0])))
    parted = [texts[0][:cut], texts[0][cut:], *texts[1:]]
    one, other = pack_texts(texts), pack_texts(parted)
    assert content_hash(one["utf8"], one["ends"]) != content_hash(other["utf8"], other["ends"])


def test_hashes_tell_types_and_shapes_apart() -> None:
    numbers = np.arange(4)
    hashes = {
        content_hash(numbers),
        content_hash(numbers.astype(np.int32)),
        content_hash(numbers.reshape(2, 2)),
        content_hash(numbers.tobytes()),
        content_hash(numbers[:2], numbers[2:]),
        content_hash("ab", "c"),
        content_hash("a", "bc"),
    }
    assert len(hashes) == 7
