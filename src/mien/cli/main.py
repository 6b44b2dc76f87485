"""The command line: the commands, what they may print, and the exit code."""

import errno
import io
import logging
import os
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from inspect import getdoc, signature

from cyclopts import App, CycloptsError, Group
from cyclopts.argument import Argument
from cyclopts.exceptions import MissingArgumentError, UnknownOptionError, UnusedCliTokensError

from mien.cli.data_commands import check, clean, fetch
from mien.cli.export_commands import export
from mien.cli.flags import fill_in_settings, spelled_out
from mien.cli.help_pages import ALL_FLAG, HELP_FLAGS, MAIN_FLAGS, USAGES, ShortHelp
from mien.cli.label_commands import next_, review, sort
from mien.cli.run_commands import compare, demo, evaluate, report, train
from mien.cli.use_commands import explain, predict, serve
from mien.core.streams import open_missing_streams, silence_native_libraries
from mien.core.text import as_typed
from mien.errors import GateError, MienError, UserError
from mien.version import __version__

app = App(
    name="mien",
    help="Turn a folder of photos into a classifier you can trust. Start with: mien demo",
    version=__version__,
    config=fill_in_settings,
    help_flags=(*HELP_FLAGS, ALL_FLAG),
    group_commands=Group("Other", sort_key=9),
    suppress_keyboard_interrupt=False,
)
# In the order of the work.
COMMANDS: dict[str, tuple[Callable[..., object], ...]] = {
    "Try it": (demo,),
    "Collect and check photos": (fetch, check, clean),
    "Train and measure": (train, report, evaluate, compare),
    "Use it": (predict, explain, sort, serve, export),
    "Make it better": (review, next_),
}
for place, (title, commands) in enumerate(COMMANDS.items()):
    group = Group(title, sort_key=place)
    for order, command in enumerate(commands):
        name = command.__name__.rstrip("_")
        formatter = ShortHelp(name) if name in MAIN_FLAGS else None
        usage = f"mien {name} {USAGES[name]}" if name in USAGES else None
        app.command(command, name=name, group=group, sort_key=order, help_formatter=formatter, usage=usage)
# What an argument is, for those who left it out.
_NEEDED = {"DATA": "the folder of your images", "RUN": "a run folder", "OTHER": "another run"}
app.register_install_completion_command(help="Install tab completion for this shell.")


def _use_any_streams() -> None:
    """Discard output to a closed stream, and escape characters that the encoding lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (open to the end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _house_keras() -> None:
    """Keep TensorFlow from making a folder named "~" if the user has no home folder."""
    if not os.path.isabs(os.path.expanduser("~")):
        # Keras' own choice for a home folder that is not writable.
        with suppress(OSError):
            os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), ".keras"))


def _drop_output() -> None:
    """Discard all further output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_in_order() -> None:
    """On SIGTERM, too, remove temporary files and stop child processes."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _told(error: CycloptsError) -> str:
    """Say on one line what is wrong with the arguments."""
    if isinstance(error, UnusedCliTokensError):
        return _unexpected(error)
    if isinstance(error, MissingArgumentError) and error.argument and error.argument.token_count()[0] == 1:
        return _needed(error, error.argument)
    if isinstance(error, UnknownOptionError) and os.path.exists(name := error.token.keyword or error.token.value):
        return f"{name} looks like an option. To use the file of that name, write ./{name}"
    return " ".join(str(error).split())


def _unexpected(error: UnusedCliTokensError) -> str:
    first, takes = (error.unused_tokens or [""])[0], signature(error.target).parameters if error.target else {}
    told = f"unexpected argument {first!r}. If it is part of a name with spaces, put the name in quotes"
    if "out" not in takes:
        return told
    return f"{told}. To name the {'run folder' if 'resume' in takes else 'output'}: --out {as_typed(first)}"


def _needed(error: MissingArgumentError, argument: Argument) -> str:
    """Say what a command needs, with its choices or with the first example of its help."""
    typed, what = f"mien {' '.join(error.command_chain or ())}", _NEEDED.get(argument.name, argument.name)
    if choices := argument.get_choices():
        return f"{typed} needs {what} {', '.join(choices[:-1])} or {choices[-1]}"
    if error.keyword:
        return f"{typed} needs a value after {error.keyword}"
    example = re.search(r"Example: (.+?)(, or.*)?$", getdoc(error.target) or "", re.MULTILINE)
    return f"{typed} needs {what}" + (f", e.g. {example[1]}" if example else "")


def main() -> None:
    """Run the command line; the process ends with the exit code of the design: 0, 1, 2 or 3."""
    open_missing_streams()
    _use_any_streams()
    _end_in_order()
    silence_native_libraries()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _house_keras()
    for name in ("tensorflow", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # mien reports images that are too large itself, with their names.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        code = app(spelled_out(sys.argv[1:]), result_action="return_value", exit_on_error=False, print_error=False)
        # Here a closed pipe or a full disk can still be reported.
        sys.stdout.flush()
    except CycloptsError as error:
        print(f"UsageError: {_told(error)} (see --help)", file=sys.stderr)
        code = 2
    except MienError as error:
        from mien.core.terminal import printable

        print(f"{type(error).__name__}: {printable(str(error), keep_lines=True)}", file=sys.stderr)
        code = 2 if isinstance(error, UserError) else 3 if isinstance(error, GateError) else 1
    except KeyboardInterrupt as interrupt:
        print("; ".join(["stopped", *map(str, interrupt.args)]), file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # The reader has seen enough, as `head` does.
        _drop_output()
        code = 0
    except OSError as error:
        # The files that mien reads and writes have errors of their own.
        if error.errno == errno.ENAMETOOLONG:
            print(f"SourceNotFoundError: {str(error.filename)[:60]!r}...: {error.strerror}", file=sys.stderr)
        elif error.errno in (errno.ENOSPC, errno.EIO):
            _drop_output()
            print(f"OutputError: cannot print the results: {error.strerror}", file=sys.stderr)
        else:
            raise
        code = 2
    sys.exit(code)
