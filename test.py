"""Reconstructs rendered sequences with a trained network and scores them: `python test.py CHECKPOINT DATASET`.

A folder of numbered EXR frames, `python test.py CHECKPOINT FOLDER`, is denoised into another such folder.
"""

import sys

from files import InputError, check_folder
from inference.reconstruction_options import build_parser, refuse_dataset_options, refuse_frame_options
from machine import keep_freed_memory, let_idle_threads_sleep, show_every_name


def main() -> None:
    """The command line. Files that cannot be read or written end it with one clear line."""
    try:
        options = build_parser().parse_args()
        check_folder(options.output_dir, "--output_dir")

        # before PyTorch is imported: reading, writing and scoring need the cores that its idle threads would spin on
        show_every_name()
        let_idle_threads_sleep()
        keep_freed_memory()
        from checkpoints import load_denoiser
        from frames.shots import holds_shots
        from inference.datasets import run
        from inference.output import table
        from inference.shots import denoise_shots

        if holds_shots(options.path):
            refuse_dataset_options(options)
            count = denoise_shots(load_denoiser(options.checkpoint), options)
            print("nothing was computed: --dry_run" if options.dry_run else f"{count} frames: {options.output_dir}")
            return
        refuse_frame_options(options)
        metrics = run(load_denoiser(options.checkpoint), options)
        print(
            table(metrics) if metrics["scenes"] else "nothing was scored: no frame has a target.exr, or --score is off"
        )
        print(f"images, videos and metrics.json: {options.output_dir}")
        if options.report:
            print(f"to look at in a browser: {options.output_dir / 'report' / 'index.html'}")
    except (InputError, OSError) as error:
        sys.exit(f"test.py: {error}")
    except KeyboardInterrupt:
        sys.exit("\ntest.py: interrupted; the finished frames in --output_dir are complete")


if __name__ == "__main__":
    main()
