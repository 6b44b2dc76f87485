"""Progress on a terminal: calm, with the best epoch in sight; and plain lines elsewhere."""

import io
import re

import pytest
from rich.console import Console

from mien.cli.progress_bars import TerminalProgress
from mien.core.progress import Epoch


@pytest.mark.parametrize(
    ("total", "expected"),
    [(30, ["Reading 11/30  19 s left", "Reading 22/30  8 s left"]), (None, ["Reading 11", "Reading 22"])],
)
def test_a_log_gets_a_line_now_and_then_with_the_time_left_if_the_total_is_known(
    total: int | None, expected: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("mien.cli.progress_bars.time.monotonic", lambda: now)
    with TerminalProgress() as progress:
        for done in range(1, 31):
            now += 1
            progress.step("Reading", done, total)
        progress.step("Reading", 30, 30)
    assert capfd.readouterr().err.splitlines() == expected


def history(num_epochs: int, *, best: int) -> tuple[Epoch, ...]:
    return tuple(Epoch(n, 0.5, 0.8, 0.3 + abs(n - best) / 10, 0.7, 1.5) for n in range(1, num_epochs + 1))


@pytest.fixture(params=[60, 80])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal that is so many columns wide."""
    console = Console(file=io.StringIO(), force_terminal=True, width=request.param, markup=False, highlight=False)
    monkeypatch.setattr("mien.cli.progress_bars.ERR", console)
    return console


def lines(screen: Console) -> list[str]:
    """Return the lines that were written on a terminal, also those overwritten since; none is wider than it is."""
    assert isinstance(screen.file, io.StringIO)
    found = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.file.getvalue()).splitlines()
    assert max(map(len, found)) <= screen.width
    return [line.strip() for line in found]


def test_a_terminal_shows_a_count_alone_where_the_total_is_unknown(
    screen: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("mien.cli.progress_bars.time.monotonic", lambda: now)
    with TerminalProgress() as progress:
        progress.step("Fetching", 0, 2)
        for done in range(1, 101):
            now += 1
            progress.step("Copying", done, None)
        progress._screen.refresh()
        progress.step("Copying", 1, 1)
        assert [task.description for task in progress._screen.tasks if task.visible] == ["Fetching"]
    shown = [line for line in lines(screen) if line.startswith("Copying")]
    assert any(line.endswith(" 100") for line in shown) and not any("left" in line for line in shown)


def test_the_table_that_stays_has_every_epoch_and_marks_the_best(screen: Console) -> None:
    with TerminalProgress() as progress:
        for count in range(1, 4):
            progress.step("Training", count, 3, f"epoch {count}/3  loss 0.500")
            progress.epoch(history(count, best=2), 3)
        progress.say("saving")
    *_, head, _, one, two, three, said = [line for line in lines(screen) if line]
    assert head.split() == ["epoch", "loss", "accuracy", "loss", "accuracy", "seconds"]
    assert one.split() == ["1", "0.500", "80%", "0.400", "70%", "1.5"]
    assert (two.split()[-1], three.split()[0], said) == ("best", "3", "saving")


def test_many_epochs_do_not_flood_the_screen_and_the_best_is_there_at_every_moment(screen: Console) -> None:
    with TerminalProgress() as progress:
        for count in range(1, 201):
            progress.epoch(history(count, best=37), 200)
        progress._screen.refresh()
        live = lines(screen)
    assert [line.split()[0] for line in live[-10:]] == ["37", *map(str, range(192, 201))]
    assert "best" in live[-10]
    kept = lines(screen)
    rows = [line for line in kept[kept.index(live[-1]) + 1 :] if re.match(r"\d+ +0\.500", line)]
    assert len(rows) <= 20 and rows[0].startswith("1 ") and rows[-1].startswith("200 ")
    assert sum("best" in row for row in rows) == 1
    assert f"{len(rows)} of 200 epochs shown. All are in history.csv" in kept


def test_the_training_of_a_fold_leaves_one_line(screen: Console) -> None:
    with TerminalProgress() as progress:
        progress.step("Cross-validation", 0, 3)
        progress.epoch(history(9, best=4), 9)
        progress.step("Training", 9, 9)
        progress.say("fold 2 of 3")
    best, said = [line for line in lines(screen) if line and not line.startswith("Cross")][-2:]
    assert best == "best epoch: 4 of 9, validation loss 0.300, accuracy 70%"
    assert said == "fold 2 of 3"


def test_the_time_left_is_told_once_it_is_known_and_for_the_whole_of_the_folds(
    monkeypatch: pytest.MonkeyPatch, screen: Console
) -> None:
    now = 0.0
    monkeypatch.setattr("mien.cli.progress_bars.time.monotonic", lambda: now)
    with TerminalProgress() as progress:
        progress.step("Cross-validation", 0, 2)
        for done in range(1, 31):
            now += 1
            progress.step("Training", done, 60)
            if done == 2:
                progress._screen.refresh()
                assert not any("left" in line for line in lines(screen))
        progress._screen.refresh()
        whole, training = lines(screen)[-2:]
    assert whole.endswith("90 s left") and training.endswith("30 s left")


def test_plain_lines_say_which_epoch_is_the_best(capfd: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        progress.epoch(history(2, best=2), 5)
        progress.epoch(history(3, best=2), 5)
    first, second = capfd.readouterr().err.splitlines()
    numbers = "loss 0.500  accuracy 80%  validation loss"
    assert first == f"epoch  2/5  {numbers} 0.300  accuracy 70%  4 s left  best so far"
    assert second == f"epoch  3/5  {numbers} 0.400  accuracy 70%  3 s left  best epoch: 2"


def test_a_bar_leaves_room_for_what_ctrl_c_writes_behind_it(screen: Console) -> None:
    with TerminalProgress() as progress:
        progress.step("Training", 1, 3, "epoch 1/3  loss 0.500")
        progress._screen.refresh()
    assert isinstance(screen.file, io.StringIO)
    found = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.file.getvalue()).splitlines()
    assert {len(line) for line in found if "Training" in line} == {screen.width - len("^C")}


def test_what_comes_before_the_first_part_is_not_taken_for_the_speed_of_the_parts(
    monkeypatch: pytest.MonkeyPatch, screen: Console
) -> None:
    now = 0.0
    monkeypatch.setattr("mien.cli.progress_bars.time.monotonic", lambda: now)
    with TerminalProgress() as progress:
        progress.step("Training", 0, 61, "preparing")
        progress._screen.refresh()
        assert "preparing" in lines(screen)[-1]
        now = 100.0
        for done in range(1, 32):
            progress.step("Training", done, 61)
            now += 1
        progress._screen.refresh()
        assert lines(screen)[-1].endswith("29 s left")
