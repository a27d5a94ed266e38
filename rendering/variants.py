"""Finds the Mitsuba variant to render with: the fastest one that works."""

import subprocess
import sys

from files import InputError

VARIANTS = ("cuda_ad_rgb", "llvm_ad_rgb", "scalar_rgb")  # the fastest first
FASTER = (
    "two to three times faster with llvm_ad_rgb: install LLVM 16 or newer (on Debian: apt-get install libllvm19), or "
    "name its library in DRJIT_LIBLLVM_PATH; faster still with an NVIDIA GPU and its driver"
)
PROBE = """import sys, mitsuba as mi
mi.set_variant(sys.argv[1])
print(float(mi.TensorXf(mi.render(mi.load_dict(mi.cornell_box()), spp=1)).array[0]) >= 0)"""


def probe(variant: str) -> str | None:
    """Renders a small picture in a child process, which some LLVM versions abort; what went wrong, None if nothing."""
    try:
        done = subprocess.run([sys.executable, "-c", PROBE, variant], capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        return "no picture after three minutes"
    if done.returncode == 0 and "True" in done.stdout:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"ended with status {done.returncode}"


def choose_variant(requested: str) -> str:
    """`requested`, or, for auto, the fastest variant that works here. Raises InputError where none does."""
    for variant in VARIANTS if requested == "auto" else (requested,):
        problem = probe(variant)
        if problem is None:
            return variant
        if requested != "auto":
            raise InputError(f"--variant {variant} does not work here ({problem}); use --variant auto")
    raise InputError(f"no variant of Mitsuba works here ({problem}); try: python -c 'import mitsuba'")


def find_variant(requested: str, recorded: set[str], client=None) -> str:
    """The variant of a run: `requested`; for auto, that of the frames already there, else the fastest that works.

    recorded: the variants of those frames.
    client: of a dask cluster, on which the variant must work, or None.
    Raises InputError where it does not work.
    """
    continued = recorded.pop() if requested == "auto" and len(recorded) == 1 else None
    try:
        asked = continued or requested
        return client.submit(choose_variant, asked).result() if client else choose_variant(asked)
    except InputError as error:
        if continued is None:
            raise
        raise InputError(f"the frames already there need {continued}, but {error}, in another folder") from error
