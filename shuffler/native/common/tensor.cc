#include "shuffler/native/common/tensor.h"

#include <algorithm>
#include <cstring>

namespace fcp {
namespace {

// A number is not finite exactly if all bits of its exponent are set. Blocks are looked at without
// a branch for each element, so that the compiler can take several at once.
template <typename Bits>
std::optional<size_t> FirstWithFullExponent(std::string_view numbers, Bits exponent) {
  constexpr size_t kBlock = 4096;
  const size_t count = numbers.size() / sizeof(Bits);
  const auto full = [&](size_t i) {
    Bits bits;
    std::memcpy(&bits, numbers.data() + i * sizeof bits, sizeof bits);
    return (bits & exponent) == exponent;
  };
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, count);
    Bits found = 0;
    for (size_t i = begin; i < end; ++i) found |= full(i);
    if (found == 0) continue;
    for (size_t i = begin; i < end; ++i) {
      if (full(i)) return i;
    }
  }
  return std::nullopt;
}

}  // namespace

const char* DataTypeName(DataType type) {
  switch (type) {
    case DataType::kFloat:
      return "float";
    case DataType::kDouble:
      return "double";
    case DataType::kInt32:
      return "int32";
    case DataType::kString:
      return "string";
    case DataType::kInt64:
      return "int64";
    case DataType::kUint64:
      return "uint64";
  }
  return nullptr;
}

size_t DataTypeSize(DataType type) {
  switch (type) {
    case DataType::kFloat:
    case DataType::kInt32:
      return 4;
    case DataType::kDouble:
    case DataType::kInt64:
    case DataType::kUint64:
      return 8;
    case DataType::kString:
      return 0;
  }
  return 0;
}

std::optional<int64_t> ElementCount(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return std::nullopt;
  }
  return count;
}

std::optional<size_t> FirstNonFinite(DataType dtype, std::string_view numbers) {
  if (dtype == DataType::kFloat) return FirstWithFullExponent<uint32_t>(numbers, 0x7f800000);
  if (dtype == DataType::kDouble)
    return FirstWithFullExponent<uint64_t>(numbers, 0x7ff0000000000000);
  return std::nullopt;
}

std::string ShapeString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ",";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

bool ShapeFits(const Shape& shape, const Shape& expected) {
  return std::equal(
      shape.begin(), shape.end(), expected.begin(), expected.end(),
      [](int64_t found, int64_t size) { return size == kUnknownSize || found == size; });
}

}  // namespace fcp
