"""What a kill costs: each command is killed at random moments, and must lose nothing and go on.

    python benchmarks/kills.py [--num-kills 200] [--seed 0] [--only clean undo fetch sort fast classic]

Draws a small folder of images; the commands that move files get a thousand files that are no images beside them,
`mien fetch` an archive of four hundred images, and `mien sort` a run.
Every command is first run to its end, three times, or as often as it is to be killed where that is fewer. Then a fresh
copy of the folder is made for each kill, the command is started, and its whole process group gets SIGKILL at a moment
drawn evenly from the median time of the uncut runs.

After each kill: every file must be there, in one place, with its bytes, time and mode; every image that was fetched
or sorted must be whole; `mien predict` and `mien evaluate` on what a training left must answer as after an uncut run,
or refuse in one line. Then the command is given again, with --resume where it has that, and must come to the results
of the uncut run.

Prints a table, and a line for each fault. "inside" counts the kills that met the command at work: it had changed the
disk, and had not ended. The exit code is 1 where there was a fault.
"""

import argparse
import csv
import hashlib
import io
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from scale import smooth_noise
from timing import MIEN

NUM_IMAGES, NUM_OTHERS, NUM_FETCHED, NUM_UNCUT = 30, 1000, 400, 3
IMAGE = "photos/even/00.jpg"
# What is written anew for every run, whatever is in it.
SCORES = ("metrics.json", "manifest.csv", "predictions.csv", "out_of_fold.csv", "config.json")

State = dict[str, tuple[str, int, int]]


@dataclass(frozen=True)
class Case:
    """A command that is killed; its paths are below a folder of its own.

    Attributes:
        folder: Which of the drawn folders it works on.
        command: What is killed.
        go_on: Commands that bring it to its end after a kill: the first that mien does not refuse.
        result: What the folder holds at the end, to be compared with an uncut run.
        before: A command that makes the state to start from.
        predictions: Commands that must answer after a kill as after an uncut run, or refuse.
    """

    folder: str
    command: list[str]
    go_on: list[list[str]]
    result: Callable[[Path], object]
    before: list[str] = field(default_factory=list)
    predictions: list[list[str]] = field(default_factory=list)


def fetching() -> Case:
    """Return the case of images taken from an archive."""
    command = ["fetch", "../../drawn/gallery.zip", "--to", "fetched"]
    return Case("photos", command, [command], fetched_in)


def fetched_in(place: Path) -> object:
    """Return what was fetched, and what the log says of it but for the time."""
    with open(place / "fetched" / "sources.csv", encoding="utf-8-sig", newline="") as file:
        rows = sorted((row["path"], row["status"], row["sha256"]) for row in csv.DictReader(file))
    return rows, sorted((path, facts[0]) for path, facts in state_of(place / "fetched").items() if "/" in path)


def sorting() -> Case:
    """Return the case of images put into class folders."""
    command = ["sort", "../../drawn/run", "photos", "--to", "sorted"]
    return Case("photos", command, [command], sorted_in)


def sorted_in(place: Path) -> object:
    """Return what was sorted, and what the journal says of it but for the folder, which every kill has of its own."""
    journal = (place / "sorted" / "journal.jsonl").read_text("ascii").replace(str(place.resolve()), "")
    return journal, sorted((path, facts) for path, facts in state_of(place / "sorted").items() if "/" in path)


def half_images(place: Path) -> list[str]:
    """Return the images in class folders that cannot be decoded to their end."""
    faults = []
    for path in (*place.glob("fetched/[!.]*/*"), *place.glob("sorted/[!.]*/*")):
        try:
            with Image.open(path) as image:
                image.load()
        except OSError as error:
            faults.append(f"half an image: {path}: {error}")
    return faults


def training(preset: str, *flags: str) -> Case:
    """Return the case of a training."""
    command = ["train", "photos", "--out", "run", "--cache-dir", "cache", "--preset", preset, *flags]
    predictions = [["predict", "run", IMAGE, "--json"], ["evaluate", "run", "--json"]]
    return Case("photos", command, [[*command, "--resume"], command], scores_of, predictions=predictions)


def scores_of(place: Path) -> object:
    """Return the names in a run folder, and the content of what must be the same in every run."""
    run = place / "run"
    contents = {name: (run / name).read_text("utf-8") for name in SCORES if (run / name).exists()}
    # It names the folder of the images, which every kill has of its own.
    contents["config.json"] = contents["config.json"].replace(str(place.resolve()), "")
    return sorted(path.name for path in run.iterdir()), contents


def places_of(place: Path) -> object:
    """Return every file of the images and of the quarantine; of the images, the folders and their times too."""
    return state_of(place / "photos", folders=not (place / "aside").exists()), files_aside(place)


def state_of(folder: Path, *, folders: bool = False) -> State:
    """Return hash, time and mode of every file in a folder, by its path; on request of folders too."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if folders or not path.is_dir():
            content = b"" if path.is_dir() else path.read_bytes()
            key = str(path.relative_to(folder))
            found[key] = (hashlib.sha256(content).hexdigest(), status.st_mtime_ns, status.st_mode)
    return found


def files_aside(place: Path) -> State:
    """Return the state of what is in quarantine, without what belongs to the quarantine itself."""
    state = state_of(place / "aside")
    return {path: facts for path, facts in state.items() if "/" in path}


APPLY = ["clean", "photos", "--to", "aside", "--apply"]
UNDO = ["clean", "--undo", "aside"]
CASES = {
    "clean": Case("crowd", APPLY, [APPLY], places_of),
    "undo": Case("crowd", UNDO, [UNDO], places_of, before=APPLY),
    "fetch": fetching(),
    "sort": sorting(),
    "fast": training("fast"),
    "classic": training("classic", "--image-size", "48", "--min-bytes", "0", "--epochs", "4"),
}


@dataclass
class Tally:
    """What the kills of one command came to."""

    seconds: float = 0.0
    kills: int = 0
    inside: int = 0
    lost: int = 0
    changed: int = 0
    half: int = 0
    stuck: int = 0

    @property
    def faults(self) -> int:
        """How much went wrong."""
        return self.lost + self.changed + self.half + self.stuck


@dataclass(frozen=True)
class Uncut:
    """What a command takes and leads to when nobody kills it, and the answer to an attempt to go on from there."""

    seconds: float
    result: object
    predictions: list[str]
    at_end: tuple[int, str]


def mien(words: list[str], place: Path) -> "subprocess.CompletedProcess[str]":
    """Run mien to its end in a folder."""
    return subprocess.run([*MIEN, *words], cwd=place, capture_output=True, text=True, check=False)


def answer(done: "subprocess.CompletedProcess[str]", place: Path) -> tuple[int, str]:
    """Return exit code and messages of a command but for the folder, which every kill has of its own."""
    return done.returncode, done.stderr.replace(str(place.resolve()), "")


def begin(case: Case, drawn: Path, place: Path) -> None:
    """Make the state that a command starts from."""
    shutil.copytree(drawn / case.folder, place / "photos")
    if case.before and mien(case.before, place).returncode:
        sys.exit(f"cannot begin: mien {' '.join(case.before)}")


def run_uncut(case: Case, drawn: Path, work: Path, *, num_runs: int) -> Uncut:
    """Run a command to its end some times."""
    seconds = []
    for number in range(num_runs):
        begin(case, drawn, place := work / f"uncut{number}")
        started = time.perf_counter()
        done = mien(case.command, place)
        seconds.append(time.perf_counter() - started)
        if done.returncode:
            sys.exit(f"failed without a kill: mien {' '.join(case.command)}\n{done.stderr[-2000:]}")
    predictions = [mien(words, place).stdout for words in case.predictions]
    result = case.result(place)
    return Uncut(statistics.median(seconds), result, predictions, answer(mien(case.go_on[0], place), place))


def kill_once(case: Case, place: Path, moment_s: float) -> bool:
    """Start a command and kill it; say whether that met it at work."""
    names = sorted(str(path) for path in place.rglob("*"))
    with subprocess.Popen(
        [*MIEN, *case.command], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(moment_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return names != sorted(str(path) for path in place.rglob("*"))
    return False


def check_files(before: State, place: Path, tally: Tally) -> list[str]:
    """Make sure that every file is in one of the two places, as it was; say which are not."""
    here, aside = state_of(place / "photos"), files_aside(place)
    lost = [path for path in before if path not in here and path not in aside]
    changed = [path for path in before if path in here and path in aside]
    changed += [path for path in (here | aside) if before.get(path) != (here | aside)[path]]
    tally.lost += len(lost)
    tally.changed += len(changed)
    return [f"lost: {path}" for path in lost] + [f"changed, or in two places: {path}" for path in changed]


def check_answers(case: Case, uncut: Uncut, place: Path, tally: Tally) -> list[str]:
    """Make sure that nothing half-written is there, or answered from."""
    faults = half_images(place)
    for words, expected in zip(case.predictions, uncut.predictions, strict=True):
        done = mien(words, place)
        refused = done.returncode == 2 and not done.stdout and len(done.stderr.splitlines()) == 1
        if not refused and (done.returncode or done.stdout != expected):
            faults.append(f"mien {words[0]}: exit code {done.returncode}: {done.stdout[:200]} {done.stderr[-300:]}")
    tally.half += len(faults)
    return faults


def check_end(case: Case, uncut: Uncut, place: Path, tally: Tally) -> list[str]:
    """Bring a command to its end, and make sure that it ends as if it had not been killed."""
    for words in case.go_on:
        done = mien(words, place)
        if not done.returncode or answer(done, place) == uncut.at_end:
            break
    else:
        tally.stuck += 1
        return [f"cannot go on: exit code {done.returncode}: {done.stderr[-300:]}"]
    if case.result(place) == uncut.result:
        return []
    tally.stuck += 1
    return ["went on, and came to another end"]


def campaign(name: str, num_kills: int, drawn: Path, work: Path, chance: random.Random) -> Tally:
    """Kill one command many times, and say what that came to."""
    case = CASES[name]
    uncut = run_uncut(case, drawn, work, num_runs=max(1, min(num_kills, NUM_UNCUT)))
    tally = Tally(seconds=uncut.seconds)
    for number in range(num_kills):
        begin(case, drawn, place := work / f"kill{number}")
        before = state_of(place / "photos") | files_aside(place)
        moment_s = chance.uniform(0, uncut.seconds)
        tally.kills += 1
        tally.inside += kill_once(case, place, moment_s)
        faults = check_files(before, place, tally)
        faults += check_answers(case, uncut, place, tally)
        faults += check_end(case, uncut, place, tally)
        for fault in faults[:5]:
            print(f"{name}, kill {number + 1}, after {moment_s:.3f} s: {fault}", flush=True)
        shutil.rmtree(place)
    return tally


def jpeg_of(seed: int) -> bytes:
    """Return an image as the content of a file."""
    content = io.BytesIO()
    smooth_noise(seed).save(content, "JPEG", quality=90)
    return content.getvalue()


def draw(drawn: Path) -> None:
    """Draw the folder of images, train on it, and draw the same with many files that are no images, and an archive."""
    for label_number, label in enumerate(("even", "odd")):
        (drawn / "photos" / label).mkdir(parents=True)
        for number in range(NUM_IMAGES):
            smooth_noise(2 * number + label_number).save(drawn / "photos" / label / f"{number:02}.jpg", quality=90)
    shutil.copytree(drawn / "photos", drawn / "crowd")
    if mien(["train", "photos", "--out", "run"], drawn).returncode:
        sys.exit("cannot begin: mien train")
    with zipfile.ZipFile(drawn / "gallery.zip", "w") as archive:
        for number in range(NUM_FETCHED):
            archive.writestr(f"faces/{'even' if number % 2 else 'odd'}/{number}.jpg", jpeg_of(1000 + number))
    for number in range(NUM_OTHERS):
        label = "even" if number % 2 else "odd"
        other = drawn / "crowd" / label / f"other {number}.jpg"
        other.write_text(f"no image, but number {number}")
        other.chmod(0o600 + number % 64)
        os.utime(other, ns=(number, 10**18 + number))


def main() -> None:
    """Draw, kill, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-kills", type=int, default=200, help="in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="COMMAND")
    given = parser.parse_args()
    print("command   uncut s  kills  inside  files lost  changed  half files used  cannot go on")
    tallies = {}
    with tempfile.TemporaryDirectory() as folder:
        draw(drawn := Path(folder, "drawn"))
        for place, name in enumerate(given.only):
            num_kills = given.num_kills // len(given.only) + (place < given.num_kills % len(given.only))
            chance = random.Random(f"{given.seed} {name}")
            tallies[name] = t = campaign(name, num_kills, drawn, Path(folder, name), chance)
            faults = f"{t.lost:>11} {t.changed:>8} {t.half:>16} {t.stuck:>13}"
            print(f"{name:<8} {t.seconds:>8.2f} {t.kills:>6} {t.inside:>7} {faults}", flush=True)
    num_kills, num_inside = (sum(getattr(t, what) for t in tallies.values()) for what in ("kills", "inside"))
    num_faults = sum(tally.faults for tally in tallies.values())
    print(f"{num_kills} kills, {num_inside} of them inside the work; {num_faults} faults")
    sys.exit(1 if num_faults else 0)


if __name__ == "__main__":
    main()
