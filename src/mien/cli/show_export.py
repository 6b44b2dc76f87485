"""What is printed of a classifier that was exported."""

from pathlib import Path

from mien.core.terminal import OUT, new_table, printable, show_json, show_prose
from mien.core.text import counted
from mien.exports.exporting import Exported


def show_page(path: Path, *, json: bool) -> None:
    """Print where a page lies, and how large it is."""
    num_bytes = path.stat().st_size
    if json:
        show_json({"path": str(path), "num_bytes": num_bytes})
    else:
        OUT.print(printable(f"{path}: {num_bytes / 1e6:.0f} MB; open it in a browser"))


def show_exported(exported: Exported, *, json: bool) -> None:
    """Print what a file is worth, as text or as one JSON document."""
    if json:
        show_json(exported.to_dict())
        return
    agreement = exported.agreement
    if exported.accuracy_with_faces:
        show_prose(
            f"It looks at whole images alone: {exported.accuracy} right. With faces, as mien predict does it, the "
            f"classifier of the run gets {exported.accuracy_with_faces} right."
        )
    table = new_table("file", "ms an image", "MB")
    table.add_row("model.onnx", f"{exported.milliseconds_of_onnx:.1f}", f"{exported.num_bytes_of_onnx / 1e6:.1f}")
    table.add_row(printable(exported.path.name), f"{exported.milliseconds:.1f}", f"{exported.num_bytes / 1e6:.1f}")
    OUT.print(table)
    score = "" if exported.accuracy_with_faces else f" So it is right as often: {exported.accuracy}."
    show_prose(
        f"Of {counted(agreement.num_images, 'image')}, all get the label that model.onnx gives them; probabilities "
        f"differ by {agreement.max_difference:.1e} at most.{score}"
    )
    OUT.print(printable(f"{exported.path}: {exported.title}; {exported.path.name}.json says how to ask it"))
