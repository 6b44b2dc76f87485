"""TensorBoard's logs of a run: it reads them back, and names stay text."""

import html
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.util.tensor_util import make_ndarray

from conftest import evaluation_of
from mien.config import PRESETS
from mien.errors import OutputError
from mien.runs.figures import plot_confusion, plot_reliability
from mien.runs.folder import RunFolder
from mien.runs.tensorboard import EventFile, log_run
from mien.scoring.results import Scores

pytestmark = pytest.mark.slow

HOSTILE = ("<b>$x$</b>", "![x](http://127.0.0.1/x.png)", "a | b\n# c", "\udcff*d*")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    Image.new("RGB", (30, 20)).save(tmp_path / "samples.png")
    return RunFolder(tmp_path)


def read(run: RunFolder) -> EventAccumulator:
    events = EventAccumulator(str(run.logs_path))
    events.Reload()
    return events


def text(events: EventAccumulator, tag: str) -> str:
    (event,) = events.Tensors(tag)
    content: bytes = make_ndarray(event.tensor_proto).item()
    return content.decode()


def test_tensorboard_gets_the_samples_as_they_are_and_what_is_drawn_of_the_scores(run: RunFolder) -> None:
    evaluation = evaluation_of([[5, 1], [2, 4]])
    log_run(run, PRESETS["classic"], Scores(evaluation))
    events = read(run)
    expected = {
        "samples": (run.path / "samples.png").read_bytes(),
        "confusion": plot_confusion(evaluation).png(),
        "reliability": plot_reliability(evaluation).png(),
    }
    for name, png in expected.items():
        (event,) = events.Tensors(name)
        width, height, content = make_ndarray(event.tensor_proto)
        with Image.open(io.BytesIO(png)) as image:
            assert (width, height) == tuple(str(side).encode() for side in image.size)
        assert content == png


def test_runs_can_be_compared_by_their_settings_and_scores(run: RunFolder) -> None:
    evaluation = evaluation_of([[5, 1], [2, 4]])
    log_run(run, PRESETS["classic"], Scores(evaluation, evaluation_of([[9, 1], [1, 9]])))
    events = read(run)
    given = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = HParamsPluginData.FromString(given).session_start_info
    assert start.hparams["batch_size"].number_value == 32
    assert start.hparams["method"].string_value == "cnn"
    assert start.hparams["augment"].bool_value is False
    scores = {tag: float(make_ndarray(events.Tensors(tag)[0].tensor_proto)) for tag in ("test/accuracy", "test/loss")}
    assert scores == {"test/accuracy": pytest.approx(0.75), "test/loss": pytest.approx(evaluation.loss)}
    assert str(evaluation.accuracy) in text(events, "scores")
    assert "| batch_size | 32 |" in text(events, "settings")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hostile_names_stay_text(run: RunFolder) -> None:
    from tensorboard.plugin_util import markdown_to_safe_html

    log_run(run, PRESETS["classic"], Scores(evaluation_of([[2] * 4] * 4, HOSTILE)))
    page = markdown_to_safe_html(text(read(run), "scores"))
    assert "<img" not in page and "<b>" not in page and "<em>" not in page and "<h1>" not in page
    assert page.count("<tr>") == 4 + 3 * 4
    assert f"<td>precision of {HOSTILE[0]}</td>" in html.unescape(page)


def test_a_run_that_is_gone_on_with_is_logged_once(run: RunFolder) -> None:
    for _ in range(2):
        log_run(run, PRESETS["classic"], Scores(evaluation_of([[5, 1], [2, 4]])))
    assert len(list(run.logs_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_it(run: RunFolder) -> None:
    run.logs_path.write_text("no folder")
    with pytest.raises(OutputError, match="logs"):
        log_run(run, PRESETS["classic"], Scores(evaluation_of([[5, 1], [2, 4]])))


# 64 blocks of 1024 bytes: no file may be larger.
_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tensorboard.plugins.text.summary_v2 import text_pb
from mien.errors import OutputError
from mien.runs.tensorboard import EventFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
log = EventFile(Path(sys.argv[1]))
try:
    log.add([text_pb("long", "x" * 100_000)])
except OutputError as error:
    print(error)
"""


def test_what_was_added_is_there_at_once_and_in_order(tmp_path: Path) -> None:
    log = EventFile(tmp_path / "logs")
    for step in (1, 2):
        log.add([scalar_pb("loss", step / 4)], step=step)
        events = EventAccumulator(str(tmp_path / "logs")).Reload()
        found = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors("loss")]
        assert found == [(number, number / 4) for number in range(1, step + 1)]


def test_without_an_event_there_is_no_file(tmp_path: Path) -> None:
    EventFile(tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_a_full_disk_is_told_of(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert "File too large" in done.stdout and done.stderr == ""
