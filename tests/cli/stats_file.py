"""Statistics files for the tests, in the layout of include/lazyzero/wire.h, whose path is in the variable WIRE_H."""
import os
import re
import struct

text = open(os.environ["WIRE_H"]).read()
VERSION = int(re.search(r"LZ_WIRE_VERSION (\d+)u", text).group(1))
SIZE = int(re.search(r"sizeof\(struct lz_wire\) == (\d+)", text).group(1))
UNKNOWN = (1 << 64) - 1


def wire(pid=1, start=1, state=1, version=VERSION, size=SIZE, magic=b"LZSTATS\0", executable=b"prog",
         source=b"5% of RAM", numbers=(UNKNOWN, 4096, 4096, 0, 0, 1, 4096, 1, 4096, 0, 0, 0, 0, 0)):
    """The bytes of a file; numbers are the fields from budget to untracked."""
    return struct.pack("=8sII17Q64s64s", magic, version, size, pid, start, state, *numbers, executable, source).ljust(4096, b"\0")


def write(directory, name, content):
    with open("%s/lazyzero.%d" % (directory, name), "wb") as file:
        file.write(content)
