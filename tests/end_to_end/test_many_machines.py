"""Many machines: whatever a cluster of two nodes says is what one machine says, and a lost worker loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import Heard, draw_folder
from mien.config import EngineConfig
from mien.core.engines import spread, using
from mien.errors import FetchError, ImageError, SettingsError
from ray_cluster import HOSTS, cluster
from store_servers import Store
from store_servers import address as stored

if sys.platform == "win32":
    pytest.skip("kills processes, and asks /proc", allow_module_level=True)

if TYPE_CHECKING:
    from mien.runs.run import Run

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None or sys.platform != "linux", reason="needs Ray, and Linux"),
    pytest.mark.allow_hosts(["127.0.0.1", *HOSTS]),
]
MIEN = [sys.executable, "-m", "mien"]
SMALL_SHARDS = ("--shard-format", "csv", "--images-per-shard", "20")
KINDS = Path(__file__).parents[1] / "kinds"
BAD = ("jpeg-cut-in-half.jpg", "sound.mp3", "document.pdf", "heic-8-bits.heic", "png-grey-12-bits-in-16.png")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster("--object-store-memory=100000000") as address:
        yield address


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good images with other files among them: two that are none, one cut off, one empty, one that leads nowhere."""
    folder = draw_folder(tmp_path_factory.mktemp("shared") / "photos", 20)
    for place, name in enumerate(BAD):
        shutil.copy(KINDS / name, folder / ("happy", "sad")[place % 2] / f"{place}-{name.partition('.')[0]}.jpg")
    (folder / "happy" / "05-empty.jpg").touch()
    (folder / "sad" / "07-gone.jpg").symlink_to("nowhere.jpg")
    return folder


def both(address: str, folder: Path, *words: object) -> tuple[subprocess.CompletedProcess[str], ...]:
    """Run a command in a folder, by the local engine and by Ray."""
    engines: list[list[str]] = [[], ["--engine", "ray", "--ray-address", address]]
    return tuple(
        subprocess.run(
            [*MIEN, *map(str, words), *engine], cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
        for engine in engines
    )


@pytest.mark.slow
def test_a_cluster_predicts_what_one_machine_does(run: "Run", photos: Path, address: str) -> None:
    # By a relative path: it means the same on all machines.
    local, ray = both(address, photos.parent, "predict", run.path, "photos", "--json")
    assert (ray.returncode, ray.stdout, ray.stderr) == (local.returncode, local.stdout, local.stderr)
    told = [json.loads(line) for line in local.stdout.splitlines()]
    assert local.returncode == 1 and len(told) > 40
    assert sum(line["error"] is not None for line in told) >= 4


@pytest.mark.extras
def test_a_cluster_finds_what_one_machine_does(photos: Path, address: str) -> None:
    local, ray = both(address, photos.parent, "check", "photos", "--json")
    assert (ray.returncode, ray.stdout) == (0, local.stdout)
    codes = {problem["problem"] for problem in json.loads(local.stdout)["problems"]}
    assert {"empty", "not_an_image", "unreadable"} <= codes


@pytest.mark.extras
def test_a_run_on_a_cluster_is_that_of_one_machine(photos: Path, address: str, tmp_path: Path) -> None:
    for name in ("local", "ray"):
        engine = ["--engine", "ray", "--ray-address", address] if name == "ray" else []
        words = [*MIEN, "train", photos, "--out", tmp_path / name, "--cache-dir", tmp_path / f"cache-{name}"]
        subprocess.run([*map(str, words), *engine], capture_output=True, check=True, timeout=200)
    for made in ("model.onnx", "manifest.csv", "predictions.csv"):
        assert (tmp_path / "ray" / made).read_bytes() == (tmp_path / "local" / made).read_bytes(), made


@pytest.mark.extras
def test_urls_and_standard_input_are_judged_here(run: "Run", photos: Path, address: str) -> None:
    content = (photos / "sad" / "00.jpg").read_bytes()
    words = [*MIEN, "predict", str(run.path), "-", "--json", "--engine", "ray", "--ray-address", address]
    done = subprocess.run(words, input=content, capture_output=True, check=True)
    assert json.loads(done.stdout)["label"] in ("happy", "sad")


@pytest.mark.extras
def test_both_nodes_work_and_the_order_is_that_of_the_items(address: str) -> None:
    def place_of(item: int) -> tuple[int, str]:
        time.sleep(0.02)
        import ray

        return item, ray.util.get_node_ip_address()

    with using(EngineConfig("ray", address)):
        found = list(spread(place_of, range(100)))
    assert [item for item, _ in found] == list(range(100))
    assert {host for _, host in found} == set(HOSTS)


@pytest.mark.extras
def test_errors_come_back_whole_behind_what_came_before_them(address: str) -> None:
    def fail(item: int) -> int:
        if item == 9:
            raise ImageError("empty", "it has no bytes", "copy it again")
        if item == 19:
            raise FetchError("no answer", reason="timeout", status_code=503)
        return item

    with using(EngineConfig("ray", address)):
        found = spread(fail, range(10))
        assert [next(found) for _ in range(9)] == list(range(9))
        with pytest.raises(ImageError, match=r"it has no bytes \(copy it again\)") as caught:
            next(found)
        assert (caught.value.problem, caught.value.detail) == ("empty", "it has no bytes")
        with pytest.raises(FetchError, match="no answer") as refused:
            list(spread(fail, [19]))
        assert (refused.value.reason, refused.value.status_code) == ("timeout", 503)


@pytest.mark.extras
def test_a_killed_worker_loses_nothing_and_is_told_once(address: str, tmp_path: Path) -> None:
    def die_once(item: int) -> int:
        mark = tmp_path / str(item)
        if item in (13, 61) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item

    with using(EngineConfig("ray", address), heard := Heard()):
        assert list(spread(die_once, range(100))) == [item * item for item in range(100)]
    assert heard.lines == ["lost a worker; redoing its items"]


@pytest.mark.extras
def test_a_lost_machine_loses_nothing() -> None:
    def work(item: int) -> tuple[int, str]:
        time.sleep(0.2)
        import ray

        return item, ray.util.get_node_ip_address()

    with cluster("--object-store-memory=100000000") as address, using(EngineConfig("ray", address)):
        found = spread(work, range(100))
        begun = [next(found)]
        while {host for _, host in begun} != set(HOSTS):
            begun.append(next(found))
        kill_node(HOSTS[1], address)
        assert [item for item, _ in [*begun, *found]] == list(range(100))


@pytest.mark.extras
def test_a_command_whose_worker_is_killed_answers_as_if_none_was(run: "Run", address: str, tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 100)
    engine = ["--engine", "ray", "--ray-address", address]
    words = [*MIEN, "predict", str(run.path), str(photos), "--json"]
    expected = subprocess.run(words, capture_output=True, check=True).stdout
    with subprocess.Popen([*words, *engine], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout and command.stderr
        os.kill(some_worker(), signal.SIGKILL)
        out, err = command.stdout.read(), command.stderr.read()
    assert (command.returncode, out) == (0, expected)
    assert err.decode() == "lost a worker; redoing its items\n"


@pytest.mark.extras
def test_what_kills_every_worker_ends_with_a_reason(address: str) -> None:
    def die(_item: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        using(EngineConfig("ray", address)),
        pytest.raises(SettingsError, match=r"4 workers were lost on the same 3 items"),
    ):
        list(spread(die, range(3)))


@pytest.mark.extras
def test_a_command_whose_own_machine_loses_ray_ends_with_a_reason(run: "Run", tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 100)
    with cluster("--object-store-memory=100000000", num_cores=[1]) as address:
        words = [*MIEN, "predict", run.path, photos, "--json", "--engine", "ray", "--ray-address", address]
        with subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as command:
            assert command.stderr
            some_worker()
            kill_node(HOSTS[0], address)
            told = command.stderr.read().decode()
    assert command.returncode == 2
    assert "the cluster's head node or Ray on this machine has stopped" in told and len(told.splitlines()) == 1


@pytest.mark.extras
def test_a_cluster_reads_from_a_store_and_writes_shards_there(run: "Run", photos: Path, store: Store) -> None:
    store.put_folder(photos, "photos")
    # Started when the store is: each machine finds by itself where that is, and the credentials.
    with cluster("--object-store-memory=100000000") as address:
        done = {
            name: subprocess.run(
                [*MIEN, "predict", str(run.path), stored("photos"), "--to", stored(name), *SMALL_SHARDS, *engine],
                capture_output=True,
                text=True,
                check=False,
            )
            for name, engine in {"here": [], "there": ["--engine", "ray", "--ray-address", address]}.items()
        }
    assert done["there"].returncode == done["here"].returncode == 1
    assert done["there"].stdout == done["here"].stdout.replace(stored("here"), stored("there"))
    written = {name: [store.content(key) for key in store.keys(f"{name}/part-")] for name in done}
    assert written["there"] == written["here"] and len(written["here"]) == 3
    assert json.loads(store.content("there/predictions.json"))["whole"]


@pytest.mark.extras
def test_an_interrupt_ends_the_command_and_its_workers(run: "Run", address: str, tmp_path: Path) -> None:
    photos = draw_folder(tmp_path / "photos", 100)
    words = [*MIEN, "predict", str(run.path), str(photos), "--json", "--engine", "ray", "--ray-address", address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stderr
        some_worker()
        command.send_signal(signal.SIGINT)
        told = command.stderr.read().decode()
    assert (command.returncode, told) == (130, "stopped\n")
    assert wait_for(lambda: not workers())


@pytest.mark.extras
def test_a_folder_that_other_machines_do_not_see_is_named(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "private").mkdir()
    monkeypatch.chdir(gone)
    with using(EngineConfig("ray", address)):
        gone.rename(tmp_path / "elsewhere")
        monkeypatch.setattr(os, "getcwd", lambda: str(gone))
        with pytest.raises(SettingsError, match=r"cannot see the folder '.*private'"):
            list(spread(abs, [1]))


@pytest.mark.extras
def test_images_that_other_machines_do_not_see_are_named(address: str, tmp_path: Path) -> None:
    with using(EngineConfig("ray", address)), pytest.raises(SettingsError, match=r"cannot see the folder '.*cache'"):
        list(spread(abs, [1], folder=tmp_path / "cache"))


@pytest.mark.extras
def test_another_version_of_mien_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.core.engines.__version__", "9.9")
    with (
        using(EngineConfig("ray", address)),
        pytest.raises(SettingsError, match=r".* has mien .*, but this machine has 9\.9"),
    ):
        list(spread(abs, [1]))


@pytest.mark.extras
def test_without_an_address_ray_is_started_here_alone(run: "Run", photos: Path, tmp_path: Path) -> None:
    # Ray leaves a token in the home folder.
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {"HOME": str(tmp_path)}
    words = [*MIEN, "predict", str(run.path), str(photos / "sad"), "--json"]
    local = subprocess.run(words, capture_output=True, text=True, check=False)
    done = subprocess.run([*words, "--engine", "ray"], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (local.returncode, local.stdout, local.stderr)


def some_worker() -> int:
    """Wait until a worker is at work, and return its process."""
    assert wait_for(lambda: bool(workers()))
    return workers()[0]


def kill_node(host: str, address: str) -> None:
    """Kill the process that Ray runs on a host for a cluster."""
    for node in processes(b"raylet/raylet"):
        words = command_line(node)
        if address.encode() in words and f"--node_ip_address={host}".encode() in words:
            os.kill(node, signal.SIGKILL)


def wait_for(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def workers() -> list[int]:
    """Return the processes that are at work for a command."""
    return processes(b"ray::_work")


def processes(name: bytes) -> list[int]:
    """Return those whose command has a name in its first word."""
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if name in command_line(number).partition(b"\0")[0]]


def command_line(process: int) -> bytes:
    """Return the words of a process, with NUL between them; nothing where it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
