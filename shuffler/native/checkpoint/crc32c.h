// CRC-32C (Castagnoli), with the masking that LevelDB's and TensorFlow's tables apply to stored
// checksums.
#ifndef SHUFFLER_NATIVE_CHECKPOINT_CRC32C_H_
#define SHUFFLER_NATIVE_CHECKPOINT_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace fcp {

// The checksum of `crc`'s text followed by `bytes`; 0 is the checksum of the empty text. By the
// processor's instruction if it has one (SSE 4.2), else by tables.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);
// The same by tables, on every processor.
uint32_t ExtendCrc32cByTables(uint32_t crc, std::string_view bytes);

// The stored form: a checksum of data that itself holds checksums is weak (leveldb/util/crc32c.h).
inline uint32_t MaskCrc32c(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_CHECKPOINT_CRC32C_H_
