"""run.py MAIN [ARG...]: runs the script MAIN with the folder that holds ocilib on the module path.

For actions: `python -I -S -B run.py MAIN ...` needs no launcher and sees nothing of the machine's Python.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    del sys.argv[0]
    with open(sys.argv[0], "rb") as main:
        code = compile(main.read(), sys.argv[0], "exec")
    exec(code, {"__name__": "__main__", "__file__": sys.argv[0]})
