"""Renders sequences into the dataset format: any Mitsuba 3 scene along a camera path, or procedural rooms.

    python render.py DATASET --scene scene.xml --camera camera.json --split train --frames 64
    python render.py DATASET --procedural 8 --split train

Stop it with Ctrl-C and continue it with the same command.
"""

import sys

from files import InputError
from rendering.rendering_options import parse


def main() -> None:
    """The command line. Options, scenes and files that cannot be used end it with one clear line."""
    try:
        options = parse()
        from rendering.render_dataset import run  # not at the top: options and --help do not wait for Mitsuba

        run(options)
        print(f"{options.dataset / options.split}: all {options.frames} frames of every sequence are there")
    except (InputError, OSError) as error:
        sys.exit(f"render.py: {error}")
    except ImportError as missing:
        sys.exit(f"render.py: {missing}; pip install {(missing.name or 'mitsuba').partition('.')[0]}")
    except KeyboardInterrupt:
        print(
            "\nrender.py: interrupted; the finished frames are complete; continue with the same command",
            file=sys.stderr,
        )
        sys.exit(130)


if __name__ == "__main__":
    main()
