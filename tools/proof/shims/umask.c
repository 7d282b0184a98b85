// Preloaded into every process of an adverse rebuild: new files are for their owner only. The
// caller's own mask would not do: Bazel's server starts with one that it sets itself.
#include <sys/stat.h>

__attribute__((constructor)) static void SetMask(void) { umask(0077); }
