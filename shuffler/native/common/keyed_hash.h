// A hash for tables whose keys somebody else chooses.
#ifndef SHUFFLER_NATIVE_COMMON_KEYED_HASH_H_
#define SHUFFLER_NATIVE_COMMON_KEYED_HASH_H_

#include <cstdint>
#include <string_view>

namespace fcp {

struct HashKey {
  uint64_t low;
  uint64_t high;
};

// SipHash-2-4 (Aumasson and Bernstein 2012): who does not know the key finds no two texts with the
// same hash, nor with hashes that are alike.
uint64_t KeyedHash(const HashKey& key, std::string_view bytes);

// The key of this process, which is random.
const HashKey& ProcessHashKey();

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_KEYED_HASH_H_
