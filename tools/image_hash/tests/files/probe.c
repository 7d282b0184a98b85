// A library of which variants differ in exactly one thing each (BUILD.bazel).

#ifndef FACTOR
#define FACTOR 2
#endif

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int multiply(int number) { return FACTOR * number; }

#ifdef MADE
// What __FILE__ and __DATE__ would leave.
EXPORTED const char *probe_made = MADE;
#endif

#ifdef DEBUG_LINK
// As objcopy --add-gnu-debuglink writes it: a name, and a check sum.
__attribute__((section(".gnu_debuglink"), retain, used)) static const char debug_link[] =
    DEBUG_LINK "\0\1\2\3";
#endif
