"""run.py MAIN [ARG...]: runs the script MAIN with the folder that holds ocilib on the module path.

For actions: `python -I -S -B run.py MAIN ...` needs no launcher and sees nothing of the machine's Python. A line `@FILE` as the only
argument stands for the lines of FILE. What the user can mend (ocilib's errors, files that cannot be read or written) ends as one line.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from ocilib.errors import Error

    del sys.argv[0]
    if len(sys.argv) == 2 and sys.argv[1].startswith("@"):
        with open(sys.argv.pop()[1:], encoding="utf-8", errors="surrogateescape", newline="\n") as arguments:
            sys.argv += arguments.read().splitlines()
    with open(sys.argv[0], "rb") as main:
        code = compile(main.read(), sys.argv[0], "exec")
    try:
        exec(code, {"__name__": "__main__", "__file__": sys.argv[0]})
    except (Error, OSError) as error:
        sys.exit(f"error: {error}")
