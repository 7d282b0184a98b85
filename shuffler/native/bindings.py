"""Reads which symbols the dynamic linker of a process has bound to which libraries, and knows which may be.

libjvm brings libstdc++ into the global scope, which is searched first, and TensorFlow brings it, too. Our libraries are compiled against
libc++. That is sound only if nothing of C++'s standard library binds across (DESIGN.md, section 8).
"""

from __future__ import annotations

import collections
import pathlib
import re
from collections.abc import Iterable

OURS = ("libaggregation-jni.so", "libtensorflow-jni.so")
TENSORFLOW = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
LIBCXX = ("libc++.so.1", "libc++abi.so.1", "libunwind.so.1")
LIBSTDCXX = ("libstdc++.so.6", "libgcc_s.so.1")
LIBC = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6")

# Functions of the Itanium C++ ABI and of the unwinder's registry that GCC's and LLVM's runtimes define alike and that may be mixed:
# memory of either operator new is malloc's, and a guard variable is a byte that says whether its object is there.
ALLOWED = {
    "_Znwm",  # operator new(unsigned long)
    "_ZdlPv",  # operator delete(void*)
    "__cxa_guard_acquire",
    "__cxa_guard_release",
    "__register_frame_info",
    "__deregister_frame_info",
}

_EXCEPTIONS = (
    "9exception|9bad_alloc|8bad_cast|10bad_typeid|13bad_exception|20bad_array_new_length|9type_info|11logic_error|13runtime_error|"
    "12domain_error|12length_error|12out_of_range|16invalid_argument|11range_error|14overflow_error|15underflow_error|16nested_exception"
)
_TERMINATION = "9terminate|13get_terminate|14get_unexpected|15get_new_handler|18uncaught_exception|17current_exception|17__throw_bad_alloc"
# What libc++ itself may take from GCC's runtime: memory, and what throws, describes, catches and ends by exceptions. The two libraries
# define it alike (it is what LLVM's documentation of libc++ calls the ABI library, with libsupc++ as one choice).
_ABI_LIBRARY = re.compile(
    rf"__cxa_\w+|__gxx_personality_v0|_Unwind_\w+|_Z(?:nw|na|dl|da)\w+"
    rf"|_ZNK?St(?:{_EXCEPTIONS})(?:[CD][0-9]E|4what)\w*|_ZSt(?:{_TERMINATION})v"
    # Tables and names of types: of exceptions, of the ABI's own classes, of built-in types and pointers to these.
    rf"|_ZT[ISV](?:St(?:{_EXCEPTIONS})|N10__cxxabiv1\w+|(?:PK?)?(?:D[a-z]|[a-z]))"
)

_BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: (?:normal|weak|protected) symbol `([^']+)'")

Bindings = dict[tuple[str, str], set[str]]


def read(log: Iterable[str]) -> Bindings:
    """Reads the lines that LD_DEBUG=bindings makes the linker write (ld.so(8)), all of them with LD_BIND_NOW=1.

    Returns:
        Symbols by (name of the library that refers, name of the library that defines).
    """
    found: Bindings = collections.defaultdict(set)
    for line in log:
        if match := _BINDING.search(line):
            found[pathlib.Path(match[1]).name, pathlib.Path(match[2]).name].add(match[3])
    return found


def to(bindings: Bindings, source: str) -> dict[str, set[str]]:
    """What the library SOURCE takes: symbols by the library that defines them."""
    return {target: symbols for (origin, target), symbols in bindings.items() if origin == source}


def across(bindings: Bindings, source: str) -> set[str]:
    """The symbols that the library SOURCE takes from GCC's C++ runtime."""
    return set().union(*(to(bindings, source).get(runtime, set()) for runtime in LIBSTDCXX))


def is_abi_library(symbol: str) -> bool:
    """Whether libc++ may take SYMBOL from another ABI library than its own."""
    return _ABI_LIBRARY.fullmatch(symbol) is not None
