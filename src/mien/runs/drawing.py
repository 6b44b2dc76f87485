"""A drawing: a matplotlib figure that a notebook shows by itself, and that is drawn without pyplot."""

import io
import warnings
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


class Drawing(Figure):
    """A matplotlib figure. A notebook shows it where it is the last value of a cell; nothing else does."""

    def png(self) -> bytes:
        """Return it as the content of a PNG file."""
        with warnings.catch_warnings():
            # A letter that the font lacks is drawn as a box; that is no reason to speak up.
            warnings.filterwarnings("ignore", message="Glyph")
            # `savefig` draws everything twice.
            canvas: Any = FigureCanvasAgg(self)
            canvas.draw()
        content = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(content, "PNG", compress_level=1)
        return content.getvalue()

    def _repr_png_(self) -> bytes:
        """Show it in a notebook, where pyplot has not been imported: matplotlib's own figures show only their name."""
        return self.png()
