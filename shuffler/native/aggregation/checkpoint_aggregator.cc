#include "shuffler/native/aggregation/checkpoint_aggregator.h"

#include "shuffler/native/aggregation/federated_mean.h"
#include "shuffler/native/aggregation/federated_sum.h"
#include "shuffler/native/aggregation/group_by.h"
#include "shuffler/native/checkpoint/checkpoint.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

const AggregatorFactory* const kFactories[] = {
    &kFederatedSum, &kFederatedMean, &kFederatedWeightedMean, &kGroupBy, &kDpGroupBy,
};

Result<const AggregatorFactory*> FactoryOf(const Intrinsic& intrinsic) {
  std::string known;
  for (const AggregatorFactory* factory : kFactories) {
    if (intrinsic.uri == factory->uri) return factory;
    known += std::string(known.empty() ? "" : ", ") + factory->uri;
  }
  return InvalidArgument("configuration: intrinsic \"" + intrinsic.uri +
                         "\" is not supported, only " + known);
}

}  // namespace

Result<CheckpointAggregator> CheckpointAggregator::Create(std::string_view configuration) {
  FCP_ASSIGN_OR_RETURN(std::vector<Intrinsic> intrinsics, ParseConfiguration(configuration));
  CheckpointAggregator aggregator(std::move(intrinsics));
  FCP_RETURN_IF_ERROR(aggregator.CreateAggregators());
  return aggregator;
}

Result<CheckpointAggregator> CheckpointAggregator::Empty() const {
  CheckpointAggregator aggregator(intrinsics_);
  FCP_RETURN_IF_ERROR(aggregator.CreateAggregators());
  return aggregator;
}

Status CheckpointAggregator::CreateAggregators() {
  for (const Intrinsic& intrinsic : intrinsics_) {
    FCP_ASSIGN_OR_RETURN(const AggregatorFactory* factory, FactoryOf(intrinsic));
    FCP_ASSIGN_OR_RETURN(std::unique_ptr<Aggregator> aggregator, factory->create(intrinsic));
    aggregators_.push_back(std::move(aggregator));
  }
  return {};
}

Status CheckpointAggregator::Accumulate(std::string_view checkpoint, RandomSource& random) {
  FCP_ASSIGN_OR_RETURN(const CheckpointReader reader, CheckpointReader::Open(checkpoint));
  std::vector<std::vector<Tensor>> inputs;
  for (size_t i = 0; i < intrinsics_.size(); ++i) {
    std::vector<Tensor> tensors;
    for (const TensorSpec& spec : AllInputs(intrinsics_[i])) {
      FCP_ASSIGN_OR_RETURN(Tensor tensor, reader.Read(spec));
      tensors.push_back(std::move(tensor));
    }
    FCP_RETURN_IF_ERROR(aggregators_[i]->CheckInputs(tensors));
    inputs.push_back(std::move(tensors));
  }
  for (size_t i = 0; i < aggregators_.size(); ++i) aggregators_[i]->Accumulate(inputs[i], random);
  return {};
}

Status CheckpointAggregator::MergeSerialized(std::string_view state) {
  CheckpointAggregator restored(intrinsics_);
  size_t found = 0;
  WireReader reader(state, "CheckpointAggregatorState");
  while (reader.Next()) {
    if (reader.number() != 1) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view field, reader.Bytes());
    if (++found > intrinsics_.size()) continue;  // said below
    const Intrinsic& intrinsic = intrinsics_[found - 1];
    FCP_ASSIGN_OR_RETURN(const AggregatorFactory* factory, FactoryOf(intrinsic));
    FCP_ASSIGN_OR_RETURN(std::unique_ptr<Aggregator> aggregator,
                         factory->restore(intrinsic, field));
    restored.aggregators_.push_back(std::move(aggregator));
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (found != intrinsics_.size()) {
    return InvalidArgument("aggregation state: expected the states of " +
                           std::to_string(intrinsics_.size()) + " intrinsics, found " +
                           std::to_string(found));
  }
  return Merge(restored);
}

Status CheckpointAggregator::Merge(const CheckpointAggregator& other) {
  for (size_t i = 0; i < aggregators_.size(); ++i)
    FCP_RETURN_IF_ERROR(aggregators_[i]->CheckMerge(*other.aggregators_[i]));
  for (size_t i = 0; i < aggregators_.size(); ++i) aggregators_[i]->Merge(*other.aggregators_[i]);
  return {};
}

Result<std::string> CheckpointAggregator::Serialize() const {
  std::string state;
  for (const auto& aggregator : aggregators_) {
    FCP_ASSIGN_OR_RETURN(const std::string serialized, aggregator->Serialize());
    AppendBytesField(1, serialized, &state);
  }
  return state;
}

Result<std::string> CheckpointAggregator::Report(RandomSource& random) const {
  CheckpointWriter writer;
  for (size_t i = 0; i < aggregators_.size(); ++i) {
    FCP_ASSIGN_OR_RETURN(const std::vector<Tensor> tensors, aggregators_[i]->Report(random));
    const std::vector<TensorSpec> outputs = AllOutputs(intrinsics_[i]);
    for (size_t k = 0; k < tensors.size(); ++k)
      FCP_RETURN_IF_ERROR(writer.Add(outputs[k].name, tensors[k]));
  }
  return std::move(writer).Finish();
}

}  // namespace fcp
