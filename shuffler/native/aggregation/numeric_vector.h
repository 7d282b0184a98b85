// The elements of a tensor that grow by others of its kind.
#ifndef SHUFFLER_NATIVE_AGGREGATION_NUMERIC_VECTOR_H_
#define SHUFFLER_NATIVE_AGGREGATION_NUMERIC_VECTOR_H_

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "shuffler/native/common/status.h"
#include "shuffler/native/common/tensor.h"
#include "shuffler/native/common/wire.h"

namespace fcp {

// The sum of two numbers; integers wrap around, as in TensorFlow.
template <typename T>
T Plus(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;  // signed overflow is undefined
    return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

// INVALID_ARGUMENT, with the index, if a number of the tensor `spec` is not finite.
inline Status CheckFinite(const TensorSpec& spec, std::string_view numbers) {
  if (const auto index = FirstNonFinite(spec.dtype, numbers)) {
    return InvalidArgument("tensor " + spec.name + ": element " + std::to_string(*index) +
                           " is not finite");
  }
  return {};
}

// OUT_OF_RANGE, with the index, if a sum of finite numbers is not.
inline Status CheckNoOverflow(const TensorSpec& spec, std::string_view numbers) {
  if (const auto index = FirstNonFinite(spec.dtype, numbers)) {
    return OutOfRange("tensor " + spec.name + ": the sum for element " + std::to_string(*index) +
                      " is beyond the type " + DataTypeName(spec.dtype));
  }
  return {};
}

// Zeros at first, of a number and shape that are known.
template <typename T>
class NumericVector {
 public:
  // RESOURCE_EXHAUSTED if there is no memory.
  static Result<NumericVector> Create(const TensorSpec& spec) {
    const auto count = static_cast<size_t>(*ElementCount(spec.shape));
    NumericVector vector;
    vector.count_ = count;
    // Zeroed pages cost nothing until a value comes; and no exception tells that there is no
    // memory.
    vector.values_.reset(static_cast<T*>(std::calloc(count > 0 ? count : 1, sizeof(T))));
    if (vector.values_ == nullptr) {
      return ResourceExhausted("no memory for tensor " + spec.name + " of shape " +
                               ShapeString(spec.shape));
    }
    return vector;
  }

  // The elements as they are in memory, little-endian.
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(values_.get()), count_ * sizeof(T)};
  }
  size_t size() const { return count_; }
  T operator[](size_t i) const { return values_[i]; }

  // Adds `change(x)` for each x of `numbers`, as many as there are here, at any address.
  template <typename Change>
  void Add(std::string_view numbers, Change change) {
    T* __restrict to = values_.get();
    const char* __restrict from = numbers.data();
    for (size_t i = 0; i < count_; ++i) {
      T value;
      __builtin_memcpy(&value, from + i * sizeof(T), sizeof(T));
      to[i] = Plus(to[i], change(value));
    }
  }
  void Add(std::string_view numbers) {
    Add(numbers, [](T value) { return value; });
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  NumericVector() = default;

  size_t count_ = 0;
  std::unique_ptr<T[], Free> values_;
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_NUMERIC_VECTOR_H_
