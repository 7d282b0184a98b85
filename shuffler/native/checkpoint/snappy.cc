#include "shuffler/native/checkpoint/snappy.h"

#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

// A copy of three bytes stands for at most 64: no valid text grows more than this, so a claim
// beyond it is refused before memory is taken.
constexpr uint64_t kMaxGrowth = 22;

Status Malformed(const char* what) { return InvalidArgument(std::string("snappy block: ") + what); }

// Moves `*in` past a little-endian number of `width` bytes.
bool ConsumeNumber(std::string_view* in, size_t width, uint32_t* value) {
  if (in->size() < width) return false;
  *value = 0;
  for (size_t i = 0; i < width; ++i) *value |= uint32_t{static_cast<uint8_t>((*in)[i])} << (8 * i);
  in->remove_prefix(width);
  return true;
}

}  // namespace

Result<std::string> SnappyUncompress(std::string_view in, size_t limit) {
  const size_t compressed_size = in.size();
  uint64_t size;
  if (!ConsumeVarint(&in, &size) || size > UINT32_MAX) return Malformed("malformed length");
  if (size > limit) return ResourceExhausted("snappy block: too large when uncompressed");
  if (size > kMaxGrowth * compressed_size) return Malformed("a length that its data cannot have");
  std::string out;
  out.reserve(size);
  while (!in.empty()) {
    const auto tag = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
    uint32_t length, offset;
    switch (tag & 3) {
      case 0:  // literal
        length = tag >> 2;
        if (length >= 60 && !ConsumeNumber(&in, length - 59, &length))
          return Malformed("truncated");
        if (length >= in.size()) return Malformed("truncated literal");  // stored is length - 1
        if (length >= size - out.size()) return Malformed("more data than its length");
        out.append(in.substr(0, size_t{length} + 1));
        in.remove_prefix(size_t{length} + 1);
        continue;
      case 1:
        length = 4 + (tag >> 2 & 7);
        if (!ConsumeNumber(&in, 1, &offset)) return Malformed("truncated");
        offset |= uint32_t{tag} >> 5 << 8;
        break;
      case 2:
        length = 1 + (tag >> 2);
        if (!ConsumeNumber(&in, 2, &offset)) return Malformed("truncated");
        break;
      default:
        length = 1 + (tag >> 2);
        if (!ConsumeNumber(&in, 4, &offset)) return Malformed("truncated");
    }
    if (offset == 0 || offset > out.size()) return Malformed("a copy from before its start");
    if (length > size - out.size()) return Malformed("more data than its length");
    // The copy may overlap what it writes.
    for (; length > 0; --length) out.push_back(out[out.size() - offset]);
  }
  if (out.size() != size) return Malformed("less data than its length");
  return out;
}

}  // namespace fcp
