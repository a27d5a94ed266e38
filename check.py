"""Tells what a dataset or a folder of frames holds, and whether it can be used: `python check.py PATH`."""

import sys

from checking.checking_options import build_parser
from files import InputError
from machine import show_every_name


def main() -> None:
    """The command line. Exits with 1 if train.py or test.py would stop, and with 130 after Ctrl-C."""
    try:
        options = build_parser().parse_args()
        show_every_name()

        # after the options are checked: PyTorch takes seconds to import
        from checking.check_path import check
        from checking.report import save_json, text_of
        from checking.sheet import save_sheet

        report = check(options)
        print(text_of(report))
        if options.json:
            save_json(options.json, report)
        if options.sheet:
            save_sheet(options.sheet, report.scenes)
        sys.exit(1 if report.errors else 0)
    except (InputError, OSError) as error:
        sys.exit(f"check.py: {error}")
    except KeyboardInterrupt:
        print("\ncheck.py: interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
