#include "shuffler/native/common/random_source.h"

#include <string.h>
#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace fcp {

uint64_t RandomSource::Below(uint64_t limit) {
  // Lemire, "Fast Random Integer Generation in an Interval": the high half of a product, and
  // another draw where the low half falls into the part that would make some results more frequent.
  unsigned __int128 product = static_cast<unsigned __int128>(Next()) * limit;
  if (static_cast<uint64_t>(product) < limit) {
    const uint64_t excess = -limit % limit;
    while (static_cast<uint64_t>(product) < excess)
      product = static_cast<unsigned __int128>(Next()) * limit;
  }
  return static_cast<uint64_t>(product >> 64);
}

SystemRandom::~SystemRandom() { explicit_bzero(words_.data(), sizeof words_); }

uint64_t SystemRandom::Next() {
  if (left_ == 0) {
    auto* bytes = reinterpret_cast<char*>(words_.data());
    for (size_t have = 0; have < sizeof words_;) {
      const ssize_t n = getrandom(bytes + have, sizeof words_ - have, 0);
      if (n > 0) {
        have += static_cast<size_t>(n);
      } else if (errno != EINTR) {
        std::perror("aggregation: the kernel gives no random numbers (getrandom)");
        std::abort();
      }
    }
    left_ = words_.size();
  }
  return words_[--left_];
}

}  // namespace fcp
