"""Try what `make release` has built: install each archive as a user would, in an environment of its own, and use it.

    python tools/try_release.py dist

The wheel must be smaller than 20 MB and hold the licences. From an empty folder, with nothing but what `pip install`
brought, it trains on drawn people and classifies others; the source archive says its version and checks the people.
Of both, mypy sees the types.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

MAX_MB = 20
BUNDLED = (
    "mien/py.typed",
    "mien/learning/lite0.onnx",
    "mien/core/face_detector.onnx",
    "mien/exports/runtime/ort-wasm-simd-threaded.wasm",
)
LICENCES = ("licenses/LICENSE", "licenses/NOTICE")
# A script of a user. mypy --strict refuses an ignore that it does not need, so the second line has to be an error.
TYPED = """import mien
mien.train("data", out=5)  # type: ignore[arg-type]
accuracy: float | None = mien.load_run("runs/train").scores.judged.accuracy.value
"""


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a pattern."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"expected one {pattern} in {folder}, found {len(found)}: remove what is old")
    return found[0].resolve()


def look_into(wheel: Path) -> None:
    """Make sure that a wheel is small and complete."""
    size_mb = wheel.stat().st_size / 1e6
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in (*BUNDLED, *LICENCES) if not any(path.endswith(name) for path in names)]
    if size_mb > MAX_MB or missing:
        sys.exit(f"{wheel.name}: {size_mb:.1f} MB of at most {MAX_MB}; missing: {', '.join(missing) or 'nothing'}")
    print(f"{wheel.name}: {size_mb:.1f} MB, {len(names)} files")


def try_out(archive: Path, folder: Path, *commands: str) -> None:
    """Install an archive into a new environment, look at its types, and run commands of mien from a folder."""
    environment = folder / f"environment of {archive.name}"
    venv.create(environment, with_pip=True)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, archive], check=True)
    types = [sys.executable, "-m", "mypy", "--strict", "--python-executable", scripts / "python", "-c", TYPED]
    subprocess.run(types, cwd=folder, check=True)
    for command in commands:
        print(f"\n$ mien {command}   # from {archive.name}", flush=True)
        subprocess.run([scripts / "mien", *command.split()], cwd=folder, check=True)


def main() -> None:
    """Try the wheel and the source archive of a folder."""
    dist = Path(sys.argv[1])
    wheel, source = only(dist, "mien-*.whl"), only(dist, "mien-*.tar.gz")
    look_into(wheel)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try_out(wheel, folder, "--version", "demo", "predict mien-demo/fast mien-demo/unseen --csv answers.csv")
        try_out(source, folder, "--version", "check mien-demo/data")
    print(f"\n{wheel.name} and {source.name} install and work")


if __name__ == "__main__":
    main()
