#include "shuffler/native/aggregation/federated_sum.h"

#include <cstdlib>
#include <type_traits>

#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

template <typename T>
class FederatedSum final : public Aggregator {
 public:
  static Result<std::unique_ptr<FederatedSum>> Create(const TensorSpec& output) {
    const auto count = static_cast<size_t>(*ElementCount(output.shape));
    // Zeroed pages cost nothing until a value comes; and no exception tells that there is no
    // memory.
    T* sum = static_cast<T*>(std::calloc(count > 0 ? count : 1, sizeof(T)));
    if (sum == nullptr) {
      return ResourceExhausted("federated_sum: no memory for tensor " + output.name + " of shape " +
                               ShapeString(output.shape));
    }
    return std::unique_ptr<FederatedSum>(new FederatedSum(output, count, sum));
  }

  Status Accumulate(const std::vector<Tensor>& inputs) override {
    AddRaw(inputs[0].data);
    ++num_inputs_;
    return {};
  }

  Status Merge(const Aggregator& other) override {
    const auto& that = static_cast<const FederatedSum&>(other);
    AddRaw(that.Raw());
    num_inputs_ += that.num_inputs_;
    return {};
  }

  std::string Serialize() const override {
    std::string state;
    if (num_inputs_ > 0) AppendVarintField(1, num_inputs_, &state);
    if (count_ > 0) AppendBytesField(2, Raw(), &state);
    return state;
  }

  Result<std::vector<Tensor>> Report() const override {
    return std::vector<Tensor>{{output_.dtype, output_.shape, std::string(Raw()), {}}};
  }

  Status Restore(std::string_view serialized) {
    std::string_view data;
    WireReader reader(serialized, "AggVectorAggregatorState");
    while (reader.Next()) {
      if (reader.number() == 1) {
        FCP_ASSIGN_OR_RETURN(num_inputs_, reader.Varint());
      } else if (reader.number() == 2) {
        FCP_ASSIGN_OR_RETURN(data, reader.Bytes());
      }
    }
    FCP_RETURN_IF_ERROR(reader.status());
    if (data.size() != Raw().size()) {
      return InvalidArgument("federated_sum: the state of " + output_.name + " has " +
                             std::to_string(data.size()) + " bytes, expected " +
                             std::to_string(Raw().size()));
    }
    AddRaw(data);
    return {};
  }

 private:
  FederatedSum(TensorSpec output, size_t count, T* sum)
      : output_(std::move(output)), count_(count), sum_(sum) {}

  std::string_view Raw() const {
    return {reinterpret_cast<const char*>(sum_.get()), count_ * sizeof(T)};
  }

  // Adds `count_` elements; they may lie at any address.
  void AddRaw(std::string_view data) {
    for (size_t i = 0; i < count_; ++i) {
      const T value = Load<T>(data.data() + i * sizeof(T));
      if constexpr (std::is_integral_v<T>) {
        using Unsigned = std::make_unsigned_t<T>;  // signed overflow is undefined
        sum_[i] = static_cast<T>(static_cast<Unsigned>(sum_[i]) + static_cast<Unsigned>(value));
      } else {
        sum_[i] += value;
      }
    }
  }

  const TensorSpec output_;
  const size_t count_;
  const std::unique_ptr<T[], Free> sum_;
  uint64_t num_inputs_ = 0;
};

template <typename T>
Result<std::unique_ptr<Aggregator>> Make(const TensorSpec& output, const std::string_view* state) {
  FCP_ASSIGN_OR_RETURN(std::unique_ptr<FederatedSum<T>> sum, FederatedSum<T>::Create(output));
  if (state != nullptr) FCP_RETURN_IF_ERROR(sum->Restore(*state));
  return std::unique_ptr<Aggregator>(std::move(sum));
}

Result<std::unique_ptr<Aggregator>> Dispatch(const Intrinsic& intrinsic,
                                             const std::string_view* state) {
  if (intrinsic.inputs.size() != 1 || intrinsic.outputs.size() != 1 ||
      !intrinsic.parameters.empty() || !intrinsic.inner.empty()) {
    return InvalidArgument(
        "federated_sum: expected one input tensor and one output tensor and nothing else, found " +
        std::to_string(intrinsic.inputs.size()) + " inputs, " +
        std::to_string(intrinsic.outputs.size()) + " outputs, " +
        std::to_string(intrinsic.parameters.size()) + " parameters, " +
        std::to_string(intrinsic.inner.size()) + " inner intrinsics");
  }
  const TensorSpec& input = intrinsic.inputs[0];
  const TensorSpec& output = intrinsic.outputs[0];
  if (input.dtype != output.dtype || input.shape != output.shape) {
    return InvalidArgument("federated_sum: input " + input.name + " is " +
                           DataTypeName(input.dtype) + ShapeString(input.shape) + " but output " +
                           output.name + " is " + DataTypeName(output.dtype) +
                           ShapeString(output.shape));
  }
  switch (input.dtype) {
    case DataType::kFloat:
      return Make<float>(output, state);
    case DataType::kDouble:
      return Make<double>(output, state);
    case DataType::kInt32:
      return Make<int32_t>(output, state);
    case DataType::kInt64:
      return Make<int64_t>(output, state);
    case DataType::kUint64:
      return Make<uint64_t>(output, state);
    case DataType::kString:
      break;
  }
  return InvalidArgument("federated_sum: input " + input.name +
                         " is a string, expected a numeric type");
}

}  // namespace

const AggregatorFactory kFederatedSum = {
    "federated_sum",
    [](const Intrinsic& intrinsic) { return Dispatch(intrinsic, nullptr); },
    [](const Intrinsic& intrinsic, std::string_view serialized) {
      return Dispatch(intrinsic, &serialized);
    },
};

}  // namespace fcp
