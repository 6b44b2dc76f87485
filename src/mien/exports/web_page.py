"""The offline page: the page of `mien serve`, a classifier and ONNX Runtime Web in one HTML file without any requests.

It uses the modules of the server's page, except the one that sends requests, which a module of the same name in `page`
replaces. The file holds them as data: URLs, with an import map.
"""

import base64
import gzip
import hashlib
import json
import re
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from mien.config import ServeConfig
from mien.core import files
from mien.core.extras import needing
from mien.core.faces import LONGEST_SIDE
from mien.core.images import HASH_SIDE
from mien.errors import MissingExtraError, OutputError, SettingsError
from mien.model.classifier import Classifier, ModelFacts

_SERVING, _CORE = package_files("mien.serving") / "page", package_files("mien.core")
_RUNTIME = package_files("mien.exports") / "runtime"
_DETECTOR = _CORE / "face_detector.onnx"
_BINARY, _LIBRARY = "ort-wasm-simd-threaded.wasm", "ort.wasm.bundle.min.mjs"
# Belongs to /docs, not to this page.
_NOT_OF_THE_PAGE = "docs.js"
# Modules in data: URLs cannot import by relative path, so they import by bare name.
_FROM_FOLDER = re.compile(r'(?<=\bfrom ")\./')
_START = 'import "serve.js";'
# Identifies an earlier page, the only kind of file that may be overwritten.
_MAKER = '<meta name="generator" content="mien export">'
_HEAD_BYTES = 1000
_FOOTER = """<footer>
<p>Your images stay on this device. The classifier is part of this page, which works offline and saves nothing.</p>
<p><span id="version">mien</span></p>
</footer>"""


def write_web_page(classifier: Classifier, path: str | Path) -> None:
    """Write a web page that classifies images offline, in one file that opens with a double click.

    Args:
        classifier: Result of `load`.
        path: The file to write. It may be an earlier page. A missing parent folder is created.

    Raises:
        MissingExtraError: ONNX Runtime Web or a package is not installed.
        SettingsError: The name does not end in .html.
        OutputError: The file cannot be written, or is something other than an earlier page.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"{str(path)!r} must end in .html, as it will be a web page")
    if path.exists() and not _is_page(path):
        raise OutputError(f"{str(path)!r} already exists and was not written by mien export. Choose another name")
    text = web_page(classifier)
    with files.writing(path):
        path.parent.mkdir(exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def _is_page(path: Path) -> bool:
    with files.writing(path), files.open_regular(path) as file:
        return _MAKER.encode() in file.read(_HEAD_BYTES)


def web_page(classifier: Classifier) -> str:
    """Return the page as HTML.

    Args:
        classifier: Result of `load`.

    Raises:
        MissingExtraError: ONNX Runtime Web or a package is not installed.

    Source:
        Import maps: https://html.spec.whatwg.org/multipage/webappapis.html#import-maps.
        Content Security Policy Level 3: https://www.w3.org/TR/CSP3.
    """
    _require_runtime()
    page = (_SERVING / "serve.html").read_text("utf-8")
    page = _replaced(r"<footer>.*</footer>", _FOOTER, page)
    page = _replaced(
        r"<noscript>.*</noscript>", '<noscript><p class="notice">This page needs JavaScript.</p></noscript>', page
    )
    page = _replaced(r'<link rel="icon".*</script>\n', _head(), page)
    return _replaced(r"</body>", f"{_embedded(classifier)}</body>", page)


def _require_runtime() -> None:
    if not (_RUNTIME / _BINARY).is_file():
        # A copy of mien installed before `make web` lacks it too.
        raise MissingExtraError(
            f"ONNX Runtime Web is missing from {str(_RUNTIME)!r}. Run in the mien folder: make web && "
            "pip install --editable ."
        )


def _replaced(pattern: str, new: str, page: str) -> str:
    return re.sub(pattern, lambda _: new, page, flags=re.DOTALL)


def _head() -> str:
    """Return the start of the page: its policy, its styles and its modules."""
    style = (_CORE / "base.css").read_text("utf-8") + (_SERVING / "serve.css").read_text("utf-8")
    imports = json.dumps({"imports": {name: _data_url("text/javascript", text) for name, text in _modules().items()}})
    icon = _data_url("image/svg+xml", (_SERVING / "icon.svg").read_text("utf-8"))
    policy = (
        f"default-src 'none'; script-src {_hashed(imports)} {_hashed(_START)} data: 'wasm-unsafe-eval'; "
        f"style-src {_hashed(style)}; img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    return (
        f'{_MAKER}\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<link rel="icon" href="{icon}" type="image/svg+xml">\n<style>{style}</style>\n'
        f'<script type="importmap">{imports}</script>\n<script type="module">{_START}</script>\n'
    )


def _modules() -> dict[str, str]:
    """Return the modules of the page by name."""
    folders = _CORE, _SERVING, package_files("mien.exports") / "page"
    found = {path.name: path for folder in folders for path in folder.iterdir() if path.name.endswith(".js")}
    found[_LIBRARY] = _RUNTIME / _LIBRARY
    return {
        name: _FROM_FOLDER.sub("", path.read_text("utf-8")) for name, path in found.items() if name != _NOT_OF_THE_PAGE
    }


def _embedded(classifier: Classifier) -> str:
    """Return the data in the file, in elements that the browser does not run."""
    with needing("serve"):
        from mien.serving.model_document import model_document
    document = model_document(classifier, ServeConfig(explain=False))
    return (
        _json_element("model-document", document)
        + _json_element("rules", _rules(classifier.facts))
        + _packed_element("runtime", (_RUNTIME / _BINARY).read_bytes())
        + _packed_element("network", classifier.content)
        + (_packed_element("detector", _DETECTOR.read_bytes()) if classifier.looks_at_faces else "")
    )


def _rules(facts: ModelFacts) -> dict[str, Any]:
    """Return how to decode and resize images, and what the training images were like."""
    return {
        "image_size": facts.image_size,
        "resize_mode": facts.resize_mode,
        "ground": facts.ground,
        "least_side": max(*facts.image_size, HASH_SIDE),
        "longest_side": 0 if facts.faces == "off" else LONGEST_SIDE,
        "max_pixels": ServeConfig.max_pixels,
        "max_distance": facts.max_distance,
        "kinds": facts.kinds,
    }


def _json_element(name: str, value: object) -> str:
    # So that nothing in it can end the element.
    text = json.dumps(value).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _packed_element(name: str, content: bytes) -> str:
    text = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    return f'<script type="application/gzip" id="{name}">{text}</script>\n'


def _data_url(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
