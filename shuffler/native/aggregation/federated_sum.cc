#include "shuffler/native/aggregation/federated_sum.h"

#include "shuffler/native/aggregation/numeric_vector.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

template <typename T>
class FederatedSum final : public Aggregator {
 public:
  static Result<std::unique_ptr<FederatedSum>> Create(const Intrinsic& intrinsic) {
    FCP_ASSIGN_OR_RETURN(NumericVector<T> sum, NumericVector<T>::Create(intrinsic.outputs[0]));
    return std::unique_ptr<FederatedSum>(
        new FederatedSum(intrinsic.inputs[0], intrinsic.outputs[0], std::move(sum)));
  }

  Status CheckInputs(const std::vector<Tensor>& inputs) const override {
    return CheckFinite(input_, inputs[0].numbers());
  }

  void Accumulate(const std::vector<Tensor>& inputs, RandomSource&) override {
    sum_.Add(inputs[0].numbers());
    ++num_inputs_;
  }

  Status CheckMerge(const Aggregator&) const override { return {}; }

  void Merge(const Aggregator& other) override {
    const auto& that = static_cast<const FederatedSum&>(other);
    sum_.Add(that.sum_.bytes());
    num_inputs_ += that.num_inputs_;
  }

  Result<std::string> Serialize() const override {
    FCP_RETURN_IF_ERROR(CheckNoOverflow(output_, sum_.bytes()));
    std::string state;
    if (num_inputs_ > 0) AppendVarintField(1, num_inputs_, &state);
    if (sum_.size() > 0) AppendBytesField(2, sum_.bytes(), &state);
    return state;
  }

  Result<std::vector<Tensor>> Report(RandomSource&) const override {
    FCP_RETURN_IF_ERROR(CheckNoOverflow(output_, sum_.bytes()));
    return std::vector<Tensor>{{output_.dtype, output_.shape, {}, {}, sum_.bytes()}};
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
    if (data.size() != sum_.bytes().size()) {
      return InvalidArgument("federated_sum: the state of " + output_.name + " has " +
                             std::to_string(data.size()) + " bytes, expected " +
                             std::to_string(sum_.bytes().size()));
    }
    FCP_RETURN_IF_ERROR(CheckFinite(output_, data));
    sum_.Add(data);
    return {};
  }

 private:
  FederatedSum(TensorSpec input, TensorSpec output, NumericVector<T> sum)
      : input_(std::move(input)), output_(std::move(output)), sum_(std::move(sum)) {}

  const TensorSpec input_, output_;
  NumericVector<T> sum_;
  uint64_t num_inputs_ = 0;
};

template <typename T>
Result<std::unique_ptr<Aggregator>> Make(const Intrinsic& intrinsic,
                                         const std::string_view* state) {
  FCP_ASSIGN_OR_RETURN(std::unique_ptr<FederatedSum<T>> sum, FederatedSum<T>::Create(intrinsic));
  if (state != nullptr) FCP_RETURN_IF_ERROR(sum->Restore(*state));
  return std::unique_ptr<Aggregator>(std::move(sum));
}

Result<std::unique_ptr<Aggregator>> Dispatch(const Intrinsic& intrinsic,
                                             const std::string_view* state) {
  FCP_RETURN_IF_ERROR(CheckForm(intrinsic, {/*inputs=*/1, /*outputs=*/1}));
  const TensorSpec& input = intrinsic.inputs[0];
  FCP_RETURN_IF_ERROR(CheckSameTypeAndShape(intrinsic, input, intrinsic.outputs[0]));
  switch (input.dtype) {
    case DataType::kFloat:
      return Make<float>(intrinsic, state);
    case DataType::kDouble:
      return Make<double>(intrinsic, state);
    case DataType::kInt32:
      return Make<int32_t>(intrinsic, state);
    case DataType::kInt64:
      return Make<int64_t>(intrinsic, state);
    case DataType::kUint64:
      return Make<uint64_t>(intrinsic, state);
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
