"""The errors of all tools, and how a command ends.

Exit codes, frozen: 0 match or success, 1 mismatch, 2 could not check (any other failure too), 64 wrong usage.
"""

import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

MATCH = 0
MISMATCH = 1
COULD_NOT_CHECK = 2
USAGE = 64


class Error(Exception):
    """Root of all errors that a tool raises on purpose. The message is one line for a person."""


class MismatchError(Error):
    """What was compared differs."""


class CheckError(Error):
    """It could not be found out whether it matches."""


class UsageError(Error):
    """The command was called with arguments that it does not take."""


def run(main: Callable[[list[str]], None]) -> NoReturn:
    """Runs the main function of a command with its positional arguments and ends the process with the exit code of what it raises."""

    def guarded(argv: list[str]) -> None:
        try:
            main(argv[1:])
            code = MATCH
        except MismatchError as error:
            print(f"MISMATCH: {error}", file=sys.stderr)
            code = MISMATCH
        except UsageError as error:
            print(f"usage: {error}", file=sys.stderr)
            code = USAGE
        except CheckError as error:
            print(f"could not check: {error}", file=sys.stderr)
            code = COULD_NOT_CHECK
        except Error as error:
            print(f"error: {error}", file=sys.stderr)
            code = COULD_NOT_CHECK
        except Exception:  # noqa: BLE001 (whatever it is: it could not be checked)
            traceback.print_exc()
            print("could not check: unexpected error, see above; please report it", file=sys.stderr)
            code = COULD_NOT_CHECK
        sys.stdout.flush()
        sys.exit(code)

    logging.use_absl_handler()
    try:
        argv = flags.FLAGS(sys.argv)
    except flags.Error as error:
        print(f"usage: {error}", file=sys.stderr)
        sys.exit(USAGE)
    app.run(guarded, argv=argv)
    raise AssertionError("app.run does not return")
