// Where randomness comes from.
#ifndef SHUFFLER_NATIVE_COMMON_RANDOM_SOURCE_H_
#define SHUFFLER_NATIVE_COMMON_RANDOM_SOURCE_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace fcp {

// An interface so that statistical tests can have a fixed seed. Not thread-safe.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  // 64 independent, uniform bits.
  virtual uint64_t Next() = 0;

  // Uniform in 0..limit-1, exactly; `limit` is positive.
  uint64_t Below(uint64_t limit);
};

// The kernel's generator, getrandom(2), which is seeded and cryptographically strong. Ends the
// process if the kernel has none: noise that is not random protects nobody.
class SystemRandom final : public RandomSource {
 public:
  ~SystemRandom() override;
  uint64_t Next() override;

 private:
  std::array<uint64_t, 256> words_;
  size_t left_ = 0;
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_RANDOM_SOURCE_H_
