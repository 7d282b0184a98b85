// Decompression of Snappy's raw format: tables written by older TensorFlow versions use it.
// https://github.com/google/snappy/blob/main/format_description.txt
#ifndef SHUFFLER_NATIVE_CHECKPOINT_SNAPPY_H_
#define SHUFFLER_NATIVE_CHECKPOINT_SNAPPY_H_

#include <string>
#include <string_view>

#include "shuffler/native/common/status.h"

namespace fcp {

// INVALID_ARGUMENT if `compressed` is malformed; RESOURCE_EXHAUSTED if it stands for more than
// `limit` bytes.
Result<std::string> SnappyUncompress(std::string_view compressed, size_t limit);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_CHECKPOINT_SNAPPY_H_
