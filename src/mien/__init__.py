"""mien turns a folder of photos into a classifier you can trust.

import mien

run = mien.train("data")
classifier = mien.load(run.path)
for prediction in mien.predict(classifier, ["photo.jpg"]):
    print(prediction.label, prediction.probs)
"""

from typing import Any

import lazy_loader

_loaded, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
# Names that need an extra.
_EXTRAS = {"build_cnn": "keras", "create_app": "serve", "write_web_page": "serve"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _EXTRAS:
        return _loaded(name)
    from mien.core.extras import needing

    with needing(_EXTRAS[name]):
        return _loaded(name)
