"""copy_folder.py OUTPUT PREFIX FILE...: copies the FILEs to OUTPUT, under their paths without PREFIX."""

import os
import sys

output, prefix, *files = sys.argv[1:]
for source in files:
    target = output + source[len(prefix) :]
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as reader, open(target, "wb") as writer:
        writer.write(reader.read())
