#include "shuffler/native/aggregation/federated_mean.h"

#include <cmath>

#include "shuffler/native/aggregation/numeric_vector.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

// V: type of the values. W: type of the weights; of the plain mean, whose state has a weight of
// zero, int32.
template <typename V, typename W>
class FederatedMean final : public Aggregator {
 public:
  static Result<std::unique_ptr<FederatedMean>> Create(const Intrinsic& intrinsic) {
    FCP_ASSIGN_OR_RETURN(NumericVector<V> sum, NumericVector<V>::Create(intrinsic.outputs[0]));
    return std::unique_ptr<FederatedMean>(new FederatedMean(intrinsic, std::move(sum)));
  }

  Status CheckInputs(const std::vector<Tensor>& inputs) const override {
    FCP_RETURN_IF_ERROR(CheckFinite(intrinsic_.inputs[0], inputs[0].numbers()));
    if (!weighted()) return {};
    const W weight = Load<W>(inputs[1].numbers().data());
    const std::string what = "tensor " + intrinsic_.inputs[1].name + ": the weight ";
    FCP_RETURN_IF_ERROR(CheckFinite(intrinsic_.inputs[1], inputs[1].numbers()));
    if (!(weight > 0)) return InvalidArgument(what + "is not positive");
    if (!WeightsSum(weight)) return InvalidArgument(what + "makes the sum of weights too large");
    bool finite = true;
    for (const char *at = inputs[0].numbers().data(), *end = at + inputs[0].numbers().size();
         at < end; at += sizeof(V)) {
      finite &= std::isfinite(Weighted(Load<V>(at), weight));
    }
    if (!finite) return InvalidArgument(what + "makes a value too large");
    return {};
  }

  void Accumulate(const std::vector<Tensor>& inputs, RandomSource&) override {
    if (weighted()) {
      const W weight = Load<W>(inputs[1].numbers().data());
      sum_.Add(inputs[0].numbers(), [weight](V value) { return Weighted(value, weight); });
      weights_sum_ = *WeightsSum(weight);
    } else {
      sum_.Add(inputs[0].numbers());
    }
    ++num_inputs_;
  }

  Status CheckMerge(const Aggregator& other) const override {
    if (!WeightsSum(static_cast<const FederatedMean&>(other).weights_sum_))
      return InvalidArgument(intrinsic_.uri + ": the sum of weights is too large");
    return {};
  }

  void Merge(const Aggregator& other) override {
    const auto& that = static_cast<const FederatedMean&>(other);
    sum_.Add(that.sum_.bytes());
    weights_sum_ = *WeightsSum(that.weights_sum_);
    num_inputs_ += that.num_inputs_;
  }

  Result<std::string> Serialize() const override {
    FCP_RETURN_IF_ERROR(CheckNoOverflow(intrinsic_.outputs[0], sum_.bytes()));
    std::string state;
    if (num_inputs_ > 0) AppendVarintField(1, num_inputs_, &state);
    AppendBytesField(2, {reinterpret_cast<const char*>(&weights_sum_), sizeof weights_sum_},
                     &state);
    if (sum_.size() > 0) AppendBytesField(3, sum_.bytes(), &state);
    return state;
  }

  Result<std::vector<Tensor>> Report(RandomSource&) const override {
    const TensorSpec& output = intrinsic_.outputs[0];
    if (num_inputs_ == 0) {
      return FailedPrecondition(intrinsic_.uri + ": there is no mean " + output.name +
                                " of no contributions");
    }
    FCP_RETURN_IF_ERROR(CheckNoOverflow(output, sum_.bytes()));
    const Common divisor =
        weighted() ? static_cast<Common>(weights_sum_) : static_cast<Common>(num_inputs_);
    Tensor mean{output.dtype, output.shape};
    mean.data.resize(sum_.bytes().size());
    for (size_t i = 0; i < sum_.size(); ++i) {
      const V value = static_cast<V>(sum_[i] / divisor);
      std::memcpy(mean.data.data() + i * sizeof value, &value, sizeof value);
    }
    return std::vector<Tensor>{std::move(mean)};
  }

  Status Restore(std::string_view serialized) {
    std::string_view weights, values;
    WireReader reader(serialized, "FederatedMeanAggregatorState");
    while (reader.Next()) {
      if (reader.number() == 1) {
        FCP_ASSIGN_OR_RETURN(num_inputs_, reader.Varint());
      } else if (reader.number() == 2) {
        FCP_ASSIGN_OR_RETURN(weights, reader.Bytes());
      } else if (reader.number() == 3) {
        FCP_ASSIGN_OR_RETURN(values, reader.Bytes());
      }
    }
    FCP_RETURN_IF_ERROR(reader.status());
    const TensorSpec& output = intrinsic_.outputs[0];
    if (values.size() != sum_.bytes().size() || weights.size() != sizeof(W)) {
      return InvalidArgument(intrinsic_.uri + ": the state of " + output.name + " has " +
                             std::to_string(values.size()) + " bytes of values and " +
                             std::to_string(weights.size()) + " of weights, expected " +
                             std::to_string(sum_.bytes().size()) + " and " +
                             std::to_string(sizeof(W)));
    }
    FCP_RETURN_IF_ERROR(CheckFinite(output, values));
    weights_sum_ = Load<W>(weights.data());
    const bool has_weight = weights_sum_ > 0;
    if (!std::isfinite(static_cast<double>(weights_sum_)) || weights_sum_ < 0 ||
        has_weight != (weighted() && num_inputs_ > 0)) {
      return InvalidArgument(intrinsic_.uri + ": the state of " + output.name +
                             " has a sum of weights that its " + std::to_string(num_inputs_) +
                             " contributions cannot have");
    }
    sum_.Add(values);
    return {};
  }

 private:
  FederatedMean(const Intrinsic& intrinsic, NumericVector<V> sum)
      : intrinsic_(intrinsic), sum_(std::move(sum)) {}

  // Products and quotients are of the type that C++ gives them: double if one of both is, else V.
  using Common = std::common_type_t<V, W>;

  static V Weighted(V value, W weight) {
    return static_cast<V>(static_cast<Common>(value) * static_cast<Common>(weight));
  }

  bool weighted() const { return intrinsic_.inputs.size() == 2; }

  // The sum of weights after another; none if it is beyond its type.
  std::optional<W> WeightsSum(W weight) const {
    W sum;
    if constexpr (std::is_integral_v<W>) {
      if (__builtin_add_overflow(weights_sum_, weight, &sum)) return std::nullopt;
    } else {
      sum = weights_sum_ + weight;
      if (!std::isfinite(sum)) return std::nullopt;
    }
    return sum;
  }

  const Intrinsic intrinsic_;
  NumericVector<V> sum_;
  W weights_sum_ = 0;
  uint64_t num_inputs_ = 0;
};

template <typename V, typename W>
Result<std::unique_ptr<Aggregator>> Make(const Intrinsic& intrinsic,
                                         const std::string_view* state) {
  using Mean = FederatedMean<V, W>;
  FCP_ASSIGN_OR_RETURN(std::unique_ptr<Mean> mean, Mean::Create(intrinsic));
  if (state != nullptr) FCP_RETURN_IF_ERROR(mean->Restore(*state));
  return std::unique_ptr<Aggregator>(std::move(mean));
}

template <typename V>
Result<std::unique_ptr<Aggregator>> DispatchWeight(const Intrinsic& intrinsic,
                                                   const std::string_view* state) {
  if (intrinsic.inputs.size() == 1) return Make<V, int32_t>(intrinsic, state);
  const TensorSpec& weight = intrinsic.inputs[1];
  if (ElementCount(weight.shape) == 1) {
    switch (weight.dtype) {
      case DataType::kFloat:
        return Make<V, float>(intrinsic, state);
      case DataType::kDouble:
        return Make<V, double>(intrinsic, state);
      case DataType::kInt32:
        return Make<V, int32_t>(intrinsic, state);
      case DataType::kInt64:
        return Make<V, int64_t>(intrinsic, state);
      case DataType::kUint64:
        return Make<V, uint64_t>(intrinsic, state);
      case DataType::kString:
        break;
    }
  }
  return InvalidArgument(intrinsic.uri + ": the weight " + weight.name + " is " +
                         DataTypeName(weight.dtype) + ShapeString(weight.shape) +
                         ", expected one number");
}

Result<std::unique_ptr<Aggregator>> Dispatch(const Intrinsic& intrinsic, size_t inputs,
                                             const std::string_view* state) {
  FCP_RETURN_IF_ERROR(CheckForm(intrinsic, {inputs, /*outputs=*/1}));
  const TensorSpec& input = intrinsic.inputs[0];
  FCP_RETURN_IF_ERROR(CheckSameTypeAndShape(intrinsic, input, intrinsic.outputs[0]));
  if (input.dtype == DataType::kFloat) return DispatchWeight<float>(intrinsic, state);
  if (input.dtype == DataType::kDouble) return DispatchWeight<double>(intrinsic, state);
  return InvalidArgument(intrinsic.uri + ": input " + input.name + " is " +
                         DataTypeName(input.dtype) + ", expected float or double");
}

}  // namespace

const AggregatorFactory kFederatedMean = {
    "federated_mean",
    [](const Intrinsic& intrinsic) { return Dispatch(intrinsic, 1, nullptr); },
    [](const Intrinsic& intrinsic, std::string_view serialized) {
      return Dispatch(intrinsic, 1, &serialized);
    },
};

const AggregatorFactory kFederatedWeightedMean = {
    "federated_weighted_mean",
    [](const Intrinsic& intrinsic) { return Dispatch(intrinsic, 2, nullptr); },
    [](const Intrinsic& intrinsic, std::string_view serialized) {
      return Dispatch(intrinsic, 2, &serialized);
    },
};

}  // namespace fcp
