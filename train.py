"""Trains the denoiser on a dataset of rendered sequences: `python train.py DATASET`; TensorBoard shows the progress."""

import sys
import threading

from files import InputError
from training.training_options import parse_options


def main() -> None:
    """The command line. Datasets, machines and checkpoints that do not fit the options end it with one clear line."""
    threading.excepthook = leave_errors_of_files_to_the_main_thread
    try:
        options = parse_options(sys.argv[1:])

        # after the options are checked: Lightning takes seconds to import
        from pytorch_lightning.utilities.rank_zero import rank_zero_info

        from training.fit import train

        last = train(options, [sys.executable, *sys.argv])
        if last:
            best = last.with_name("best.ckpt")  # there is none before the first validation
            rank_zero_info(f"checkpoints: {', '.join(str(path) for path in (best, last) if path.is_file())}")
    except (InputError, FloatingPointError, OSError) as error:
        sys.exit(f"train.py: {message_of(error)}")
    except KeyboardInterrupt:
        sys.exit("\ntrain.py: interrupted; decoded frames and checkpoints are kept")


def leave_errors_of_files_to_the_main_thread(thread: threading.ExceptHookArgs) -> None:
    """Prints no trace where TensorBoard's thread cannot write: the main thread gets the same error, and stops."""
    if not isinstance(thread.exc_value, OSError):
        threading.__excepthook__(thread)


def message_of(error: Exception) -> str:
    """The error's message; of an error in a loading process without that process's traceback."""
    message = str(error).strip()
    if "Original Traceback" in message:  # its last line is "<type>: <message>"
        message = message.splitlines()[-1].partition(": ")[2]
    return message


if __name__ == "__main__":
    main()
