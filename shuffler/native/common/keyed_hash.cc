#include "shuffler/native/common/keyed_hash.h"

#include <cstddef>
#include <cstring>

#include "shuffler/native/common/random_source.h"

namespace fcp {
namespace {

uint64_t Rotated(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v2 += v3;
    v1 = Rotated(v1, 13) ^ v0;
    v3 = Rotated(v3, 16) ^ v2;
    v0 = Rotated(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = Rotated(v1, 17) ^ v2;
    v3 = Rotated(v3, 21) ^ v0;
    v2 = Rotated(v2, 32);
  }

  void Add(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t KeyedHash(const HashKey& key, std::string_view bytes) {
  State state = {key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d,
                 key.low ^ 0x6c7967656e657261, key.high ^ 0x7465646279746573};
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= bytes.size(); at += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    state.Add(word);
  }
  // What is left, and the length in the last byte.
  uint64_t last = 0;
  std::memcpy(&last, bytes.data() + at, bytes.size() - at);
  state.Add(last | static_cast<uint64_t>(bytes.size()) << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

const HashKey& ProcessHashKey() {
  static const HashKey key = [] {
    SystemRandom random;
    return HashKey{random.Next(), random.Next()};
  }();
  return key;
}

}  // namespace fcp
