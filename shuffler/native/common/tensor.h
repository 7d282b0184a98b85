// Dense tensors of the types that federated aggregation works on.
#ifndef SHUFFLER_NATIVE_COMMON_TENSOR_H_
#define SHUFFLER_NATIVE_COMMON_TENSOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fcp {

// tensorflow/core/framework/types.proto; fcp.aggregation.DataType is a subset with the same
// numbers.
enum class DataType : int32_t {
  kFloat = 1,
  kDouble = 2,
  kInt32 = 3,
  kString = 7,
  kInt64 = 9,
  kUint64 = 23,
};

// "float", "string", ...; nullptr if `type` is none of the above.
const char* DataTypeName(DataType type);
// Bytes of one element in memory; 0 for strings.
size_t DataTypeSize(DataType type);

// Sizes of the dimensions, none negative. Empty: a scalar.
using Shape = std::vector<int64_t>;

// Stands in the shape of a specification for a size that the data tells.
constexpr int64_t kUnknownSize = -1;

// The product of the dimensions; none if a dimension is negative or the product exceeds 63 bits.
std::optional<int64_t> ElementCount(const Shape& shape);
// "[2,3]"
std::string ShapeString(const Shape& shape);
// True if both have the same sizes, where `expected` knows them.
bool ShapeFits(const Shape& shape, const Shape& expected);

struct TensorSpec {
  std::string name;
  DataType dtype = DataType::kFloat;
  Shape shape;  // may hold kUnknownSize

  friend bool operator==(const TensorSpec& a, const TensorSpec& b) {
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
  }
};

// Elements in row-major order: little-endian numbers, or the elements of a string tensor.
struct Tensor {
  DataType dtype = DataType::kFloat;
  Shape shape = {};
  std::string data = {};
  std::vector<std::string> strings = {};
  // The numbers, where they are somebody else's and `data` is empty.
  std::string_view borrowed = {};

  std::string_view numbers() const { return borrowed.empty() ? data : borrowed; }
  size_t size() const {
    return dtype == DataType::kString ? strings.size() : numbers().size() / DataTypeSize(dtype);
  }
};

// The index of the first element that is an infinity or not a number; none for other types.
std::optional<size_t> FirstNonFinite(DataType dtype, std::string_view numbers);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_TENSOR_H_
