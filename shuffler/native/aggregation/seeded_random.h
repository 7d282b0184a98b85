// Randomness with a seed, for statistical tests: what is drawn is the same in every run, so that
// none fails by chance. Nothing but tests can depend on it.
#ifndef SHUFFLER_NATIVE_AGGREGATION_SEEDED_RANDOM_H_
#define SHUFFLER_NATIVE_AGGREGATION_SEEDED_RANDOM_H_

#include <random>

#include "shuffler/native/common/random_source.h"

namespace fcp {

class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  uint64_t Next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;  // the standard says what it gives
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_SEEDED_RANDOM_H_
