// Preloaded into every process of an adverse rebuild: a locale, also where Bazel gives an action an
// environment without one.
#include <stdlib.h>

__attribute__((constructor)) static void SetLocale(void) {
  setenv("LC_ALL", "C.UTF-8", 1);
  setenv("LANGUAGE", "tr_TR", 1);
}
