// Dense tensors of the types that federated aggregation works on.
#ifndef SHUFFLER_NATIVE_COMMON_TENSOR_H_
#define SHUFFLER_NATIVE_COMMON_TENSOR_H_

#include <cstdint>
#include <optional>
#include <string>
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

// The product of the dimensions; none if a dimension is negative or the product exceeds 63 bits.
std::optional<int64_t> ElementCount(const Shape& shape);
// "[2,3]"
std::string ShapeString(const Shape& shape);

struct TensorSpec {
  std::string name;
  DataType dtype = DataType::kFloat;
  Shape shape;

  friend bool operator==(const TensorSpec& a, const TensorSpec& b) {
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
  }
};

// Elements in row-major order: `data` holds little-endian numbers, `strings` the elements of a
// string tensor.
struct Tensor {
  DataType dtype = DataType::kFloat;
  Shape shape;
  std::string data;
  std::vector<std::string> strings;
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_TENSOR_H_
