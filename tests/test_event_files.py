"""The event files: TensorBoard reads them, and a full disk is told of."""

import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.util.tensor_util import make_ndarray

from mien.runs.tensorboard import EventFile

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
log.close()
"""


def test_what_was_added_is_there_at_once_and_in_order(tmp_path: Path) -> None:
    log = EventFile(tmp_path / "logs")
    for step in (1, 2):
        log.add([scalar_pb("loss", step / 4)], step=step)
        events = EventAccumulator(str(tmp_path / "logs")).Reload()
        found = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors("loss")]
        assert found == [(number, number / 4) for number in range(1, step + 1)]
    log.close()


def test_without_an_event_there_is_no_file(tmp_path: Path) -> None:
    EventFile(tmp_path / "logs").close()
    assert not (tmp_path / "logs").exists()


def test_a_full_disk_is_told_of(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert "File too large" in done.stdout and done.stderr == ""
