"""Printing an exported classifier."""

from pathlib import Path

from mien.core.terminal import OUT, new_table, printable, show_json, show_prose
from mien.core.text import counted
from mien.exports.exporting import Exported
from mien.model.classifier import ModelFacts


def show_page(path: Path, facts: ModelFacts, *, json: bool) -> None:
    """Print the path and size of a page, and its limits."""
    num_bytes = path.stat().st_size
    if json:
        show_json({"path": str(path), "num_bytes": num_bytes})
        return
    if facts.levels:
        show_prose(
            "The classifier was trained on images with more than 8 bits per channel. Browsers support only 8, so the "
            "page rejects such images; mien predict and mien serve accept them."
        )
    OUT.print(printable(f"{path}: {num_bytes / 1e6:.0f} MB; open it in a browser"))


def show_exported(exported: Exported, *, json: bool) -> None:
    """Print how an exported file compares with the run, as text or as one JSON document."""
    if json:
        show_json(exported.to_dict())
        return
    agreement, with_faces = exported.agreement, exported.accuracy_with_faces
    if with_faces:
        show_prose(
            f"It is not the classifier of your run: expect {exported.accuracy}, not {with_faces}. Such files cannot "
            "find faces, so it uses only the whole image."
        )
    original = "whole-image classifier" if with_faces else "classifier of the run"
    table = new_table("classifier", "ms per image", "MB")
    table.add_row(
        f"{original}, in mien", f"{exported.milliseconds_of_onnx:.1f}", f"{exported.num_bytes_of_onnx / 1e6:.1f}"
    )
    table.add_row(f"as {exported.title}", f"{exported.milliseconds:.1f}", f"{exported.num_bytes / 1e6:.1f}")
    OUT.print(table)
    compared = f"that {original}" if with_faces else f"the {original}"
    score = "" if with_faces else f" Its accuracy is the same: {exported.accuracy}."
    apart = f"differ by at most {agreement.max_difference:.1e}" if agreement.max_difference else "are identical"
    images = counted(agreement.num_images, "image")
    show_prose(f"The file gives the same labels as {compared} on all {images}; probabilities {apart}.{score}")
    beside = " and ".join(exported.beside)
    OUT.print(printable(f"{exported.path}: copy it together with {beside}; the JSON file says how to call it"))
