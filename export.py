"""Writes a trained denoiser to a file that other programs can run: `python export.py CHECKPOINT model.onnx`."""

import sys

from exporting.export_options import parse_options
from files import InputError
from machine import let_idle_threads_sleep


def main() -> None:
    """The command line. Files that cannot be read or written end it with one clear line."""
    try:
        options = parse_options()
        let_idle_threads_sleep()

        # after the options are checked: PyTorch takes seconds to import
        from checkpoints import load_denoiser
        from exporting.export_network import run

        difference = run(load_denoiser(options.checkpoint), options)
        print(f"{options.output}: its images differ from PyTorch's by at most {difference:.1e} (relative)")
    except (InputError, OSError) as error:
        sys.exit(f"export.py: {error}")
    except ImportError as missing:
        sys.exit(f"export.py: {missing}; pip install onnx onnxruntime")
    except KeyboardInterrupt:
        sys.exit("\nexport.py: interrupted; nothing is half-written")


if __name__ == "__main__":
    main()
