"""Data sets in the hub's format through the real ``datasets`` code, and a hub that is not there."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cvfp_cli.data import hub
from cvfp_cli.data.cache import Cache
from cvfp_cli.data.config import DataConfig
from cvfp_cli.data.hub import Hub, HubUnreachableError
from cvfp_cli.data.sources import open_source, read_texts
from cvfp_cli.errors import InputError, WorkError

Texts = Callable[[int, int], list[str]]


def test_a_folder_in_ultrachats_form(chat_folder: Path, cache: Cache, chat_texts: Texts) -> None:
    source = open_source(str(chat_folder), cache, Hub())
    assert source.kind == "folder"
    assert read_texts(source, DataConfig(), cache, split="train_sft") == chat_texts(0, 60)
    assert read_texts(source, DataConfig(), cache, split="train_sft", start=35, stop=45) == chat_texts(35, 45)
    assert read_texts(source, DataConfig(), cache, split="train_sft", start=55, stop=99) == chat_texts(55, 60)
    assert read_texts(source, DataConfig(), cache, split="test_sft", stop=5) == chat_texts(100, 105)
    prompts = read_texts(source, DataConfig(text_field="prompt"), cache, split="test_sft", stop=1)
    assert prompts == [chat_texts(100, 101)[0].split("\n")[0]]
    with pytest.raises(InputError, match=r"no split 'valid'; there are train_sft, test_sft"):
        read_texts(source, DataConfig(), cache, split="valid")


def test_a_folder_is_read_once_and_again_when_one_byte_changes(
    chat_folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(str(chat_folder), cache, Hub())
    before = read_texts(source, DataConfig(), cache, split="train_sft", stop=3)
    monkeypatch.setattr(hub, "dataset_rows", lambda *_: iter([("here", "changed")]))
    assert read_texts(source, DataConfig(), cache, split="train_sft", stop=3) == before
    path = chat_folder / "data" / "train_sft-00000-of-00002.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    changed = open_source(str(chat_folder), cache, Hub())
    assert changed.fingerprint != source.fingerprint
    assert read_texts(changed, DataConfig(), cache, split="train_sft", stop=3) == ["changed"]


def test_a_broken_file_in_a_folder(chat_folder: Path, cache: Cache) -> None:
    (chat_folder / "data" / "train_sft-00000-of-00002.parquet").write_bytes(b"PAR1 nothing PAR1")
    source = open_source(str(chat_folder), cache, Hub())
    with pytest.raises(InputError, match="not readable as a data set"):
        read_texts(source, DataConfig(), cache, split="train_sft")


def test_a_connection_that_breaks(chat_folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("reset by peer")

    source = open_source(str(chat_folder), cache, Hub())
    monkeypatch.setattr("datasets.load_dataset", broken)
    with pytest.raises(WorkError, match=r"stopped coming \(reset by peer\)\. Try again"):
        read_texts(source, DataConfig(), cache, split="train_sft")


def test_a_readme_alone_makes_no_hub_folder(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "README.md").write_text("# Mine\n\nconfigs: none\n")
    (tmp_path / "a.txt").write_text("A sample.")
    assert open_source(str(tmp_path), cache, Hub()).kind == "files"
    (tmp_path / "README.md").write_text("---\nlicense: mit\nconfigs:\n- config_name: default\n---\n")
    assert open_source(str(tmp_path), cache, Hub()).kind == "folder"
    (tmp_path / "README.md").write_bytes(b"---\r\nlicense: mit\r\nconfigs:\r\n---\r\n")
    assert open_source(str(tmp_path), cache, Hub()).kind == "folder"
    (tmp_path / "README.md").write_text(
        "---" + "\n" * 2_000_000 + "configs:\n"
    )  # read in part, looked at once
    assert open_source(str(tmp_path), cache, Hub()).kind == "files"


@pytest.mark.usefixtures("no_hub")
def test_a_hub_that_cannot_be_reached_is_said_at_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its own library would try again and again for most of a minute, so it is not asked.
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("asked"))
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(HubUnreachableError) as caught:
        open_source("HuggingFaceH4/ultrachat_200k", cache, Hub())
    message = str(caught.value)
    assert "data set 'HuggingFaceH4/ultrachat_200k'" in message
    assert hub.OFFLINE_OPTIONS in message
    assert "\n" not in message


@pytest.mark.usefixtures("no_hub")
def test_what_was_read_before_serves_offline(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, chat_texts: Texts
) -> None:
    monkeypatch.setattr(Hub, "dataset_revision", lambda self, name: "abc123")
    monkeypatch.setattr(hub, "dataset_rows", lambda *_: iter([("here", text) for text in chat_texts(0, 3)]))
    online = Hub()
    online.__dict__["reachable"] = True
    source = open_source("owner/name", cache, online)
    texts = read_texts(source, DataConfig(), cache, split="train", stop=3)
    offline = open_source("owner/name", cache, Hub())
    assert offline.fingerprint == source.fingerprint
    assert read_texts(offline, DataConfig(), cache, split="train", stop=3) == texts == chat_texts(0, 3)
    [note] = offline.notes
    assert note.code == "hub-from-cache"
    assert "abc123" in note.message


def test_the_offline_switch_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("asked"))
    assert not Hub().reachable


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A hub on this machine that answers every request with ``status`` and ``headers``."""
    from huggingface_hub import constants

    reply = SimpleNamespace(status=404, headers={}, body={})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield reply
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_data_set_that_the_hub_has(answering: SimpleNamespace, cache: Cache) -> None:
    answering.status, answering.body = 200, {"id": "owner/name", "sha": "0123abcd"}
    source = open_source("owner/name", cache, Hub())
    assert source.details == {"revision": "0123abcd"}
    answering.body = {"id": "owner/name", "sha": "ffff"}
    assert open_source("owner/name", cache, Hub()).fingerprint != source.fingerprint


def test_a_data_set_that_the_hub_does_not_have(answering: SimpleNamespace, cache: Cache) -> None:
    answering.headers = {"X-Error-Code": "RepoNotFound"}
    with pytest.raises(InputError, match="The hub has no data set 'owner/name'") as caught:
        open_source("owner/name", cache, Hub())
    assert "\n" not in str(caught.value)


def test_a_data_set_behind_terms(answering: SimpleNamespace, cache: Cache) -> None:
    answering.status, answering.headers = 403, {"X-Error-Code": "GatedRepo"}
    with pytest.raises(InputError, match="accepted its terms"):
        open_source("owner/name", cache, Hub())


def test_a_hub_that_fails(answering: SimpleNamespace, cache: Cache) -> None:
    answering.status = 400
    with pytest.raises(WorkError, match=r"did not give data set 'owner/name'.*Try again"):
        open_source("owner/name", cache, Hub())
