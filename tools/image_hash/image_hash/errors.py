"""The errors of all tools, and how a command ends.

Exit codes, frozen: 0 match or success, 1 mismatch, 2 could not check (any other failure too), 64 wrong usage.
"""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from image_hash.text import printable
from ocilib.errors import Error as OcilibError

MATCH = 0
MISMATCH = 1
COULD_NOT_CHECK = 2
USAGE = 64

EXIT_CODES = "Exit codes: 0 match or success, 1 mismatch, 2 could not check (any other failure too), 64 wrong usage."

# A label may have a megabyte, a message must not.
_LONGEST = 4000


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
    exit_with(lambda: run_flags(main, sys.argv))


def run_flags(main: Callable[[list[str]], None], argv: list[str]) -> None:
    """Parses the flags in ARGV, whose first element is the name of the command, and calls MAIN with what is left; or prints help.

    Flags and arguments may come in any order. The help is the documentation of MAIN's module, and all flags but absl's own.

    Raises:
        UsageError: a flag is unknown or malformed.
    """
    # Late, so that it is 2, too, if that is missing.
    from absl import flags, logging

    logging.use_absl_handler()
    before_end = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    if {"--help", "-h"} & {*before_end}:
        print(_help(main))
        return
    flags.FLAGS.set_gnu_getopt(True)
    try:
        positional = flags.FLAGS(argv)
    except flags.Error as error:
        raise UsageError(f"{error}; see --help") from None
    main(positional[1:])


def exit_with(action: Callable[[], None]) -> NoReturn:
    """Ends the process with the exit code of what ACTION raises. Whatever it is, it is 1 only if something was found to differ."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:
                # Closed by the caller, who wants the exit code only.
                setattr(sys, name, os.fdopen(os.dup(nowhere), "w"))
            elif isinstance(stream, io.TextIOWrapper):
                # What the terminal has no characters for is no error.
                stream.reconfigure(errors="backslashreplace")
        code = _outcome(action)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 (not even an interrupt)
        # Nobody reads on, or the disk is full. Python would try again at its end, and exit with something else.
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = COULD_NOT_CHECK
    sys.exit(code)


def _outcome(action: Callable[[], None]) -> int:
    """The exit code of what ACTION raises, after a line that says it."""
    try:
        action()
        sys.stdout.flush()
    except MismatchError as error:
        return _say("MISMATCH", error, MISMATCH)
    except UsageError as error:
        return _say("usage", error, USAGE)
    except (CheckError, OcilibError, OSError) as error:
        return _say("could not check", error, COULD_NOT_CHECK)
    except Error as error:
        return _say("error", error, COULD_NOT_CHECK)
    except KeyboardInterrupt:
        return _say("could not check", "interrupted", COULD_NOT_CHECK)
    except BaseException:  # noqa: BLE001 (whatever it is, even an exit: it could not be checked)
        traceback.print_exc()
        return _say("could not check", "unexpected error, see above; please report it", COULD_NOT_CHECK)
    return MATCH


def _say(kind: str, error: object, code: int) -> int:
    """Prints one line, after all that was printed before; the exit code CODE."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(f"{kind}: {printable(str(error), _LONGEST)}", file=sys.stderr)
    return code


def _help(main: Callable[[list[str]], None]) -> str:
    """The documentation of MAIN's module, its flags, and the exit codes."""
    from absl import flags

    module = sys.modules[main.__module__]
    lines = []
    for owner, defined in flags.FLAGS.flags_by_module_dict().items():
        for flag in defined if not owner.startswith("absl.") else ():
            shown = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name} {flag.name.upper()}"
            lines.append(f"  {shown}\n      {flag.help}")
    described = "\n".join(sorted(lines))
    return f"{(module.__doc__ or '').strip()}\n" + (f"\nFlags:\n{described}\n" if lines else "") + f"\n{EXIT_CODES}"
