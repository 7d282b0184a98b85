// The protobuf wire format, as far as checkpoints, tensors and aggregation states need it.
//
// Written by hand, because a C++ protobuf runtime that is compiled against libc++ is not among our
// inputs, and the one inside libtensorflow_cc.so is not ours to call. The messages are few and
// frozen. Strict: truncated data, overlong varints, groups and a known field with a foreign wire
// type are errors; unknown fields are passed over, as in proto3.
// https://protobuf.dev/programming-guides/encoding/
#ifndef SHUFFLER_NATIVE_COMMON_WIRE_H_
#define SHUFFLER_NATIVE_COMMON_WIRE_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "shuffler/native/common/status.h"

namespace fcp {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Moves `*in` past a varint. False if it is truncated or longer than 64 bits.
bool ConsumeVarint(std::string_view* in, uint64_t* value);

// Walks the fields of one message in their order:
//
//   for (WireReader reader(bytes, "Shape"); reader.Next();) {
//     if (reader.number() == 1) { FCP_ASSIGN_OR_RETURN(size, reader.Varint()); }
//     ...
//   } and then FCP_RETURN_IF_ERROR(reader.status()).
class WireReader {
 public:
  // `message` names it in errors. `bytes` must outlive the reader and the views that it gives.
  WireReader(std::string_view bytes, const char* message) : rest_(bytes), message_(message) {}

  // Goes to the next field. False at the end and on malformed data: see status().
  bool Next();
  const Status& status() const { return status_; }

  uint32_t number() const { return number_; }
  Result<uint64_t> Varint() const;
  Result<std::string_view> Bytes() const;
  // Appends the elements of a repeated varint field, packed or not, as little-endian numbers of
  // `width` (4, 8) bytes.
  Status AppendVarints(size_t width, std::string* out) const;
  // The bytes of a repeated fixed-width field, packed or not: little-endian elements of `width` (4,
  // 8) bytes.
  Result<std::string_view> Fixed(size_t width) const;

 private:
  Status Malformed(const char* what) const;

  std::string_view rest_;
  const char* message_;
  Status status_;
  uint32_t number_ = 0;
  WireType type_ = WireType::kVarint;
  uint64_t varint_ = 0;
  std::string_view bytes_;  // of kBytes, kFixed32 and kFixed64
};

void AppendVarint(uint64_t value, std::string* out);
void AppendTag(uint32_t number, WireType type, std::string* out);
// Appends a varint field, even where the value is the default.
void AppendVarintField(uint32_t number, uint64_t value, std::string* out);
// Appends a length-delimited field: bytes, string or message.
void AppendBytesField(uint32_t number, std::string_view bytes, std::string* out);

// Little-endian numbers in memory; this code runs on x86-64 only.
template <typename T>
T Load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void AppendFixed(T value, std::string* out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof value);
}

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_WIRE_H_
