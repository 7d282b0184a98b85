#include "shuffler/native/common/wire.h"

namespace fcp {

bool ConsumeVarint(std::string_view* in, uint64_t* value) {
  uint64_t result = 0;
  for (size_t i = 0; i < in->size() && i < 10; ++i) {
    const auto byte = static_cast<uint8_t>((*in)[i]);
    if (i == 9 && byte > 1) return false;  // more than 64 bits
    result |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      in->remove_prefix(i + 1);
      *value = result;
      return true;
    }
  }
  return false;
}

bool WireReader::Next() {
  if (rest_.empty() || !status_.ok()) return false;
  uint64_t tag;
  if (!ConsumeVarint(&rest_, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
    status_ = Malformed("a malformed tag");
    return false;
  }
  number_ = static_cast<uint32_t>(tag >> 3);
  type_ = static_cast<WireType>(tag & 7);
  uint64_t size = 0;
  switch (type_) {
    case WireType::kVarint:
      if (ConsumeVarint(&rest_, &varint_)) return true;
      status_ = Malformed("a malformed varint");
      return false;
    case WireType::kFixed32:
      size = 4;
      break;
    case WireType::kFixed64:
      size = 8;
      break;
    case WireType::kBytes:
      if (ConsumeVarint(&rest_, &size)) break;
      status_ = Malformed("a malformed length");
      return false;
    default:
      status_ = Malformed("an unknown wire type");
      return false;
  }
  if (size > rest_.size()) {
    status_ = Malformed("a value beyond the end of the message");
    return false;
  }
  bytes_ = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

Result<uint64_t> WireReader::Varint() const {
  if (type_ != WireType::kVarint) return Malformed("a wire type other than varint");
  return varint_;
}

Result<std::string_view> WireReader::Bytes() const {
  if (type_ != WireType::kBytes) return Malformed("a wire type other than length-delimited");
  return bytes_;
}

Status WireReader::AppendVarints(size_t width, std::string* out) const {
  if (type_ == WireType::kVarint) {
    out->append(reinterpret_cast<const char*>(&varint_), width);
    return {};
  }
  if (type_ != WireType::kBytes) return Malformed("a wire type other than varint or packed");
  for (std::string_view rest = bytes_; !rest.empty();) {
    uint64_t value;
    if (!ConsumeVarint(&rest, &value)) return Malformed("a malformed packed varint");
    out->append(reinterpret_cast<const char*>(&value), width);
  }
  return {};
}

Result<std::string_view> WireReader::Fixed(size_t width) const {
  const WireType single = width == 4 ? WireType::kFixed32 : WireType::kFixed64;
  if (type_ != single && type_ != WireType::kBytes) {
    return Malformed("a wire type other than fixed-width or packed");
  }
  if (bytes_.size() % width != 0) return Malformed("a packed field that ends inside an element");
  return bytes_;
}

Status WireReader::Malformed(const char* what) const {
  return InvalidArgument(std::string(message_) + ": field " + std::to_string(number_) + " has " +
                         what);
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendTag(uint32_t number, WireType type, std::string* out) {
  AppendVarint(uint64_t{number} << 3 | static_cast<uint8_t>(type), out);
}

void AppendVarintField(uint32_t number, uint64_t value, std::string* out) {
  AppendTag(number, WireType::kVarint, out);
  AppendVarint(value, out);
}

void AppendBytesField(uint32_t number, std::string_view bytes, std::string* out) {
  AppendTag(number, WireType::kBytes, out);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

}  // namespace fcp
