"""The allocators that are compared, and which of them this machine has."""

import os
import subprocess
from dataclasses import dataclass, field

GLIBC, HUGETLB, JEMALLOC, MIMALLOC, TCMALLOC = "glibc", "glibc-hugetlb", "jemalloc", "mimalloc", "tcmalloc"
LAZYZERO, WINDOW = "lazyzero", "window"
RUN = "lazyzero-run"  # whatever is measured, started by the command: only for rows that name it
OTHERS = (GLIBC, HUGETLB, JEMALLOC, MIMALLOC, TCMALLOC)
WITHOUT_THP = (GLIBC, JEMALLOC, MIMALLOC, TCMALLOC)
ALL = OTHERS + (LAZYZERO, WINDOW)

# What decides how an allocator behaves; a run has only what its peer sets.
DECIDING = ("LD_PRELOAD", "GLIBC_TUNABLES", "LAZYZERO_", "MALLOC_", "MIMALLOC_", "TCMALLOC_")


@dataclass
class Peer:
    name: str
    settings: dict = field(default_factory=dict)
    missing: str = None  # why it cannot run here
    command: list = field(default_factory=list)  # that starts the program


def clean_environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DECIDING)}
    return {**kept, "LC_ALL": "C"}


def complaint(settings):
    """What a trivial program says on stderr under these settings: the dynamic linker names what it lacks."""
    done = subprocess.run(["/bin/true"], env={**clean_environment(), **settings}, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL)
    return done.stderr.decode(errors="replace").strip()


def preloaded(name, *libraries):
    """The first of the libraries that the dynamic linker finds. One that crashes is present."""
    for library in libraries:
        if "cannot be preloaded" not in complaint({"LD_PRELOAD": library}):
            return Peer(name, {"LD_PRELOAD": library})
    return Peer(name, missing=f"missing ({libraries[0]})")


def window(library):
    """lazyzero with the zero window; missing where the library is of a version that has none."""
    settings = {"LD_PRELOAD": library, "LAZYZERO_BACKING": "window"}
    if "is not accepted" in complaint({**settings, "LAZYZERO_LOG": "stderr"}):
        return Peer(WINDOW, missing="missing (this liblazyzero has no window)")
    return Peer(WINDOW, {**settings, "LAZYZERO_LOG": "none"})


def under_run(library, command):
    """A process started by `lazyzero run`, which makes its shared memory huge."""
    if not os.access(command, os.X_OK):
        return Peer(RUN, missing=f"missing ({command})")
    return Peer(RUN, command=[command, "run", f"--library={library}", "--log=none", "--"])


def candidates(library, command, more=()):
    """All peers, by name. `command` is that of lazyzero; `more` are (name, library) pairs of the user's."""
    peers = [
        Peer(GLIBC),
        Peer(HUGETLB, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
        preloaded(JEMALLOC, "libjemalloc.so.2"),
        preloaded(MIMALLOC, "libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so.2.0", "libmimalloc.so"),
        preloaded(TCMALLOC, "libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
    ]
    peers += [preloaded(name, path) for name, path in more]
    lazyzero = preloaded(LAZYZERO, library)
    lazyzero.settings["LAZYZERO_LOG"] = "none"
    peers += [lazyzero, Peer(WINDOW, missing=lazyzero.missing) if lazyzero.missing else window(library),
              under_run(library, command)]
    return {peer.name: peer for peer in peers}
