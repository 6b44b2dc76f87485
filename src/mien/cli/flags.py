"""Flags: how settings become flags, where their values come from, and what is said of arguments that are mixed up."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.argument import ArgumentCollection
from cyclopts.token import Token

from mien.config import CleanConfig, DecodeConfig, LabelConfig, TrainConfig, preset_named
from mien.core.formats import EXTENSIONS
from mien.core.progress import Progress
from mien.core.text import as_typed
from mien.core.user_cache import user_cache_dir
from mien.errors import OutputError, SettingsError
from mien.runs.folder import find_unfinished, load_config


def section(title: str) -> Parameter:
    """Make a flag of every field of a settings class, without a prefix, under a title in the help."""
    return Parameter(name="*", group=title, negative_iterable="")


def _ending_in(suffix: str) -> Callable[[object, Path | None], None]:
    """Make a check of a file's name: a mistyped one must not take the place of an image or a model."""

    def check(_type: object, path: Path | None) -> None:
        if path is not None and path.suffix.lower() != suffix:
            raise ValueError(f"the file name must end in {suffix}")

    return check


def _path(_type: object, tokens: Sequence[Token]) -> Path:
    """Return the path. An empty one, such as a shell variable that is not set, would mean the current folder."""
    if not tokens[0].value:
        raise ValueError("expected a file or a folder")
    if "://" in tokens[0].value:
        raise ValueError("expected a file or a folder on this machine, not a URL")
    return Path(tokens[0].value)


def _data(_type: object, tokens: Sequence[Token]) -> str | Path:
    """Return the path, or the address as it is: a path has no two slashes in a row."""
    return tokens[0].value if "://" in tokens[0].value else _path(_type, tokens)


def _source(_type: object, tokens: Sequence[Token]) -> str:
    return "-" if tokens[0].value == _HYPHEN else tokens[0].value


Reading, Cleaning, Splitting = section("Reading"), section("Cleaning"), section("Splitting")
Pretrained, Training, Augmentation = section("Backbone"), section("Training"), section("Augmentation")
Predicting, Labelling, Fetching = section("Predicting"), section("Labels"), section("Fetching URLs")
Intake, Machines = section("Limits and load"), section("Many machines")
DataPath = Annotated[str | Path, Parameter(name="DATA", converter=_data)]
RunPath = Annotated[Path, Parameter(name="RUN", converter=_path)]
CsvPath = Annotated[Path, Parameter(validator=_ending_in(".csv"))]
HtmlPath = Annotated[Path, Parameter(validator=_ending_in(".html"))]
PngPath = Annotated[Path, Parameter(validator=_ending_in(".png"))]
OutPath = Annotated[Path, Parameter(converter=_path)]
# What no argument can be: it has a NUL.
_HYPHEN = "\0-"
SourceName = Annotated[str, Parameter(name="SOURCE", converter=_source)]
MaxPixels = Annotated[
    int,
    Parameter(
        help="Refuse images with more pixels than this: a tiny file can unpack to fill all memory. Large JPEGs are "
        "decoded at up to 1/8 scale, and only the decoded pixels count."
    ),
]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def fill_in_settings(_app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give each setting of `train` that is not on the command line the value of the run, --config or --preset."""
    if commands != ("train",):
        return
    by_name = {argument.name: argument for argument in arguments}
    config = asdict(_base_config({name: a.tokens[0].value for name, a in by_name.items() if a.tokens}))
    values = {"preset": config.pop("preset")}
    for settings in config.values():
        values |= settings
    for name, value in values.items():
        argument = by_name[f"--{name.replace('_', '-')}"]
        if not argument.tokens and value is not None:
            for index, part in enumerate(value if isinstance(value, tuple) else (value,)):
                argument.append(Token(keyword=argument.name, value=str(part), source="settings", index=index))


def _base_config(given: dict[str, str]) -> TrainConfig:
    preset = given.get("--preset", TrainConfig.preset)
    if "--resume" in given or "--config" in given:
        out = given.get("--out")
        path = (
            find_unfinished(Path(out) if out else None).config_path if "--resume" in given else Path(given["--config"])
        )
        config = load_config(path)
        if given.get("--preset", config.preset) != config.preset:
            raise CycloptsError(
                msg=f"--preset {preset}, but {str(path)!r} has the settings of --preset {config.preset}"
            )
        return config
    return preset_named(preset)


def spelled_out(arguments: list[str]) -> list[str]:
    """Write arguments as the parser wants them.

    `--image-size 128` is `--image-size 128 128`: one number stands for a square. And a hyphen alone, which is standard
    input, is no flag.
    """
    spelled: list[str] = []
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        following = arguments[place + 1 : place + 3]
        if argument == "-":
            spelled.append(_HYPHEN)
        elif name == "--image-size" and value:
            spelled += [name, value, value]
        elif name == "--image-size" and following and not (len(following) == 2 and following[1].isdecimal()):
            spelled += [name, following[0]]
        else:
            spelled.append(argument)
    return spelled


def as_flags(settings: DecodeConfig | CleanConfig | LabelConfig) -> str:
    """Return settings that are not the default as they are typed; each with a space before it."""
    default = asdict(type(settings)())
    changed = {name: value for name, value in asdict(settings).items() if value != default[name]}
    flags = []
    for name, value in changed.items():
        parts = [f"{part:g}" for part in value] if isinstance(value, tuple) else [as_typed(value)]
        flags.append(f" --{name.replace('_', '-')} {' '.join(parts)}")
    return "".join(flags)


def cache_dir_of_user(progress: Progress) -> Path | None:
    """Return the user's cache folder; where there is none, warn, and return None."""
    try:
        return user_cache_dir()
    except OutputError as error:
        progress.say(f"WARNING: {error}")
        return None


def expect_run_and_sources(run: Path, sources: Sequence[str], command: str) -> None:
    """Refuse an image in the place of the run, and a run, or anything else, without sources."""
    is_image = run.suffix.lower() in EXTENSIONS and run.is_file()
    if is_image or not (sources or run.suffix == ".onnx" or (run / "config.json").is_file()):
        runs = [source for source in sources if (Path(source) / "model.onnx").is_file() or source.endswith(".onnx")]
        others = [source for source in sources if source not in runs[:1]]
        typed = as_typed("mien", command, *(runs[:1] or ["runs/train"]), run, *others)
        kind = "an image, not a run" if is_image else "not a run"
        raise SettingsError(f"{str(run)!r} is {kind}. {'Did you mean' if runs else 'Type'}: {typed}")
    if not sources:
        raise SettingsError("expected at least one SOURCE: an image, a folder, a URL, or - for standard input")
