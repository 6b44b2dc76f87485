"""Progress on a terminal: bars and a table of epochs, or plain lines without a terminal."""

import io
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from mien.core.progress import Epoch, best_epoch
from mien.core.terminal import ERR, TABLE_WIDTH, printable

_LINE_EVERY_S = 10.0
# Do not estimate the time left before these: the first steps are slower.
_GUESS_S, _GUESS_SHARE, _SURE_S = 2.0, 0.05, 30.0
# Narrower terminals get shorter lines.
_ROOM = 72
# Epochs in the table during training, and in the one that stays.
_NUM_LIVE, _NUM_KEPT = 10, 20
# A fixed width, so that the bar does not change its length.
_WIDE = Column(width=len("99 min left"), justify="right", no_wrap=True)


class _Screen(Bars):
    """The moving part at the bottom of a terminal: the epochs, and the bars below them."""

    epochs: Table | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.epochs is not None:
            yield self.epochs
        # Leave room for the ^C that Ctrl-C prints: a line that wraps could not be redrawn.
        yield from (Constrain(bars, ERR.width - len("^C")) for bars in super().get_renderables())


class _TimeLeft(ProgressColumn):
    """The time left for a stage at its mean speed so far. Empty until that is known.

    Rich's own column uses only the last half minute, guesses from the start, and freezes between steps.
    """

    def render(self, task: Task) -> Text:
        moved_s, done = task.fields["moved_s"], task.completed - task.fields["first"]
        left_s = _seconds_left(moved_s - (task.start_time or moved_s), done, task.remaining)
        return Text() if left_s is None else Text(_in_words(moved_s + left_s - task.get_time()))


class TerminalProgress:
    """Shows progress on stderr: bars and a table of epochs on a terminal, plain lines otherwise."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(None),
            TextColumn("{task.fields[note]}"),
            _TimeLeft(_WIDE),
        )
        self._screen = _Screen(*columns, console=ERR, transient=True, expand=True, get_time=time.monotonic)
        self._stages: dict[str, Task] = {}
        self._history: Sequence[Epoch] = ()
        self._last_line_s = time.monotonic()
        # Without a terminal: when each stage started, and how far it was then.
        self._begun: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> "TerminalProgress":
        if ERR.is_terminal:
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if ERR.is_terminal:
            self._leave_epochs()
            self._screen.stop()

    def say(self, text: str) -> None:
        """Print a line below the epochs so far."""
        self._leave_epochs()
        self._last_line_s = time.monotonic()
        if ERR.is_terminal:
            ERR.print(printable(text, keep_lines=True), soft_wrap=False)
        else:
            # Rich would print a line twice if Ctrl-C interrupts it.
            print(printable(text, keep_lines=True), file=ERR.file)

    def step(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Move the bar of a stage and of the stages around it. A finished stage disappears."""
        if not ERR.is_terminal:
            self._step_in_lines(stage, done, total, note)
            return
        if stage not in self._stages or done < self._stages[stage].fields["done"]:
            self._begin(stage, done, total)
        note = (note if ERR.width > _ROOM else note.partition("  ")[0]) or count_text(done, total)
        self._move(self._stages[stage], done, total=total, done=done, note=note, visible=total is None or done < total)
        if total is not None:
            for outer in self._around(stage):
                self._move(outer, outer.fields["done"] + done / max(total, 1))

    def epoch(self, history: Sequence[Epoch], num_epochs: int) -> None:
        """Show the epochs so far and the best of them. Without a terminal, print the last one."""
        if not ERR.is_terminal:
            self.say(_epoch_line(history, num_epochs))
            return
        self._history = history
        self._screen.epochs = _epoch_table(history, _latest(history))

    def _step_in_lines(self, stage: str, done: int, total: int | None, note: str) -> None:
        now = time.monotonic()
        if stage not in self._begun or done < self._begun[stage][1]:
            self._begun[stage] = now, done
        if now - self._last_line_s > _LINE_EVERY_S:
            begun_s, first = self._begun[stage]
            left_s = _seconds_left(now - begun_s, done - first, None if total is None else total - done)
            parts = [f"{stage} {count_text(done, total)}", note, "" if left_s is None else _in_words(left_s)]
            self.say("  ".join(filter(None, parts)))

    def _begin(self, stage: str, done: int, total: int | None) -> None:
        if stage in self._stages:
            self._screen.remove_task(self._stages.pop(stage).id)
        now = time.monotonic()
        self._screen.add_task(
            stage, start=done > 0, total=total, completed=done, note="", done=done, first=done, moved_s=now
        )
        self._stages[stage] = self._screen.tasks[-1]

    def _move(self, task: Task, completed: float, **changed: Any) -> None:
        # Work before the first part, such as compiling, says nothing about the time per part.
        if not task.started and completed > task.completed:
            self._screen.start_task(task.id)
            changed["first"] = completed
        self._screen.update(task.id, completed=completed, moved_s=time.monotonic(), **changed)

    def _around(self, stage: str) -> list[Task]:
        """Return the other unfinished stages, which this one is part of."""
        return [task for name, task in self._stages.items() if name != stage and task.visible]

    def _leave_epochs(self) -> None:
        """Print a table of epochs that stays, or one line if the training was part of a larger job."""
        if not self._history:
            return
        history, self._history, self._screen.epochs = self._history, (), None
        # Otherwise the old table would be drawn again below.
        self._screen.refresh()
        if self._around("Training"):
            best = best_epoch(history)
            text = f"best epoch: {best.epoch} of {len(history)}"
            ERR.print(f"  {text}, validation loss {best.val_loss:.3f}, accuracy {best.val_accuracy:.0%}")
        else:
            kept = _spread(history)
            ERR.print(_epoch_table(history, kept))
            if len(kept) < len(history):
                ERR.print(f"{len(kept)} of {len(history)} epochs shown. All are in history.csv")


def count_text(done: int, total: int | None) -> str:
    """Return how far a stage is: "3/7", or "3" if the total is unknown."""
    return str(done) if total is None else f"{done}/{total}"


def epochs_as_text(history: Sequence[Epoch]) -> str:
    """Return the final table of epochs as plain text, for use without a terminal."""
    page = io.StringIO()
    Console(file=page, width=TABLE_WIDTH, color_system=None, force_jupyter=False).print(
        _epoch_table(history, _spread(history))
    )
    return page.getvalue()


def _epoch_line(history: Sequence[Epoch], num_epochs: int) -> str:
    last, best = history[-1], best_epoch(history)
    left_s = (num_epochs - last.epoch) * sum(e.seconds for e in history[-5:]) / len(history[-5:])
    return (
        f"epoch {last.epoch:>2}/{num_epochs}  loss {last.loss:.3f}  accuracy {last.accuracy:.0%}  "
        f"validation loss {last.val_loss:.3f}  accuracy {last.val_accuracy:.0%}  {left_s:.0f} s left  "
        + ("best so far" if best is last else f"best epoch: {best.epoch}")
    )


def _epoch_table(history: Sequence[Epoch], shown: Sequence[Epoch]) -> Table:
    """Return a table of some epochs, with the best one of all marked."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, int(ERR.width > _ROOM), 0, 0), show_edge=False)
    for name in ("epoch", "loss", "accuracy", "validation\nloss", "validation\naccuracy", "seconds", ""):
        table.add_column(name, justify="right" if name else "left", vertical="bottom", no_wrap=True)
    best = best_epoch(history)
    for epoch in shown:
        losses = (f"{epoch.loss:.3f}", f"{epoch.accuracy:.0%}", f"{epoch.val_loss:.3f}", f"{epoch.val_accuracy:.0%}")
        mark, style = ("best", "bold green") if epoch is best else ("", None)
        table.add_row(str(epoch.epoch), *losses, f"{epoch.seconds:.1f}", mark, style=style)
    return table


def _latest(history: Sequence[Epoch]) -> list[Epoch]:
    """Return the epochs to show during training: the last ones, and the best before them."""
    last, best = list(history[-_NUM_LIVE:]), best_epoch(history)
    return last if best in last else [best, *last[1:]]


def _spread(history: Sequence[Epoch]) -> list[Epoch]:
    """Return the epochs for the final table: all, or if there are many, evenly spaced ones, the best, and the last."""
    if len(history) <= _NUM_KEPT:
        return list(history)
    places = {round(i * (len(history) - 1) / (_NUM_KEPT - 2)) for i in range(_NUM_KEPT - 1)}
    return [epoch for place, epoch in enumerate(history) if place in places or epoch is best_epoch(history)]


def _seconds_left(gone_s: float, done: float, left: float | None) -> float | None:
    """Return the time left for a stage at its mean speed so far, or None if it is too early to say.

    Args:
        gone_s: Seconds since the first part.
        done: Parts done in that time.
        left: Parts left; None if unknown.
    """
    if left is None:
        return None
    known = done > 0 and (gone_s >= _SURE_S or (gone_s >= _GUESS_S and done >= _GUESS_SHARE * (done + left)))
    return gone_s * left / done if known else None


def _in_words(left_s: float) -> str:
    left_s = max(left_s, 0)
    if left_s < 100:
        return f"{left_s:.0f} s left"
    return f"{left_s / 60:.0f} min left" if left_s < 99 * 60 else f"{left_s / 3600:.1f} h left"
