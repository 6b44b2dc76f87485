"""What is printed of a classifier that was exported."""

from pathlib import Path

from mien.core.terminal import OUT, new_table, printable, show_json, show_prose
from mien.core.text import counted
from mien.exports.exporting import Exported
from mien.model.classifier import ModelFacts


def show_page(path: Path, facts: ModelFacts, *, json: bool) -> None:
    """Print where a page lies, how large it is, and what it cannot do."""
    num_bytes = path.stat().st_size
    if json:
        show_json({"path": str(path), "num_bytes": num_bytes})
        return
    if facts.levels:
        show_prose(
            "The classifier has learnt from images of more than 8 bits a channel. Browsers show only 8, so the page "
            "refuses such images; mien predict and mien serve take them."
        )
    OUT.print(printable(f"{path}: {num_bytes / 1e6:.0f} MB; open it in a browser"))


def show_exported(exported: Exported, *, json: bool) -> None:
    """Print what a file is worth, as text or as one JSON document."""
    if json:
        show_json(exported.to_dict())
        return
    agreement = exported.agreement
    if exported.accuracy_with_faces:
        show_prose(
            f"It looks at whole images alone, and is right for {exported.accuracy}. The classifier of the run, which "
            f"looks at faces, too, is right for {exported.accuracy_with_faces}."
        )
    table = new_table("classifier", "ms an image", "MB")
    table.add_row("of the run", f"{exported.milliseconds_of_onnx:.1f}", f"{exported.num_bytes_of_onnx / 1e6:.1f}")
    table.add_row(f"as {exported.title}", f"{exported.milliseconds:.1f}", f"{exported.num_bytes / 1e6:.1f}")
    OUT.print(table)
    score = "" if exported.accuracy_with_faces else f" So it is right as often: {exported.accuracy}."
    apart = f"differ by {agreement.max_difference:.1e} at most" if agreement.max_difference else "are the same"
    show_prose(
        f"All of {counted(agreement.num_images, 'image')} get the label that the run gives them; the probabilities "
        f"{apart}.{score}"
    )
    beside = " and ".join(exported.beside)
    OUT.print(printable(f"{exported.path}: copy it with {beside}; the JSON file says how to ask it"))
