"""Help pages: `--help` shows the flags that most people need, `--help-all` every one."""

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cyclopts.help import DefaultFormatter, HelpEntry, HelpPanel

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

HELP_FLAGS = ("--help", "-h")
ALL_FLAG = "--help-all"
# The flags of each command that most people need, in the order shown; all of them where a command has few.
MAIN_FLAGS = {
    "fetch": "to only class-level forget json max-files timeout-s retries",
    "check": "sheet fail-on against json keep min-side labels exclude",
    "clean": "to apply undo keep json",
    "train": "preset out resume epochs augment relabel group-by target-precision",
    "evaluate": "csv report json fail-under stress only-known leave-out-seen labels",
    "predict": "csv json top threshold to about engine",
    "explain": "out class json",
    "review": "next port relabel",
    "next": "top strategy csv json",
    "sort": "to threshold dry-run undo link json",
    "serve": "host port api-key-file allow-host allow-urls threshold",
    "export": "to out json",
}
# The usage of commands with arguments that may be left out, all of which cyclopts calls ARGS.
USAGES = {
    "fetch": "--to PATH [OPTIONS] [SOURCE...]",
    "clean": "[OPTIONS] [DATA]",
    "evaluate": "[OPTIONS] RUN [DATA]",
    "predict": "[OPTIONS] RUN [SOURCE...]",
    "explain": "[OPTIONS] RUN SOURCE...",
    "next": "[OPTIONS] RUN SOURCE...",
    "sort": "[OPTIONS] [RUN SOURCE...]",
}


@dataclass
class ShortHelp:
    """Renders the help of one command: its arguments, and its main flags in one panel; or everything, if asked.

    Attributes:
        command: The name of the command.
    """

    command: str
    _found: dict[str, HelpEntry] = field(default_factory=dict)

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: HelpPanel) -> None:
        """Print a panel of cyclopts, or keep its main flags until all of them have been found."""
        render = DefaultFormatter()
        # cyclopts does not say which of its help flags was typed.
        if ALL_FLAG in sys.argv or all(entry.positional_label for entry in panel.entries):
            render(console, options, panel)
            return
        names = [f"--{name}" for name in MAIN_FLAGS[self.command].split()]
        self._found |= {name: entry for entry in panel.entries for name in entry.names if name in names}
        if len(self._found) == len(names):
            render(console, options, panel.copy(title="Options", entries=[self._found.pop(name) for name in names]))
            console.print(f"More options: mien {self.command} {ALL_FLAG}", highlight=False)

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: object) -> None:
        """Print the usage line."""
        DefaultFormatter().render_usage(console, options, usage)
