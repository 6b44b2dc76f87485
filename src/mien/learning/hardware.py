"""The hardware: which numeric precision the training should use on this machine."""

from functools import cache
from pathlib import Path

from mien.config import FitConfig

_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


def chosen_precision(config: FitConfig) -> str:
    """Return "float32" or "bfloat16": the setting, or what is faster here."""
    if config.precision != "auto":
        return config.precision
    if has_gpu():
        return "bfloat16"
    # Depthwise convolutions, which pretrained backbones use a lot, are slower in bfloat16 on a CPU.
    return "bfloat16" if config.method == "cnn" and cpu_has_bfloat16() else "float32"


@cache
def cpu_has_bfloat16() -> bool:
    """Return whether the processor is known to support bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(_INSTRUCTIONS & set(line.split()) for line in lines if line.startswith("flags"))


@cache
def has_gpu() -> bool:
    """Return whether Keras uses a GPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() == "gpu")
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    return False
