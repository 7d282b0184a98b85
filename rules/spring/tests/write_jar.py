"""write_jar.py JAR [NAME=CONTENT...]: writes a jar with a manifest and these files."""

import sys
import zipfile

with zipfile.ZipFile(sys.argv[1], "w") as jar:
    jar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"), "Manifest-Version: 1.0\r\n\r\n")
    for argument in sys.argv[2:]:
        name, content = argument.split("=", 1)
        jar.writestr(zipfile.ZipInfo(name), content)
