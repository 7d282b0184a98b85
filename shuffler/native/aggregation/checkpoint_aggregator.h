// Aggregation of checkpoints: every contribution is a V1 checkpoint, and so is the result.
#ifndef SHUFFLER_NATIVE_AGGREGATION_CHECKPOINT_AGGREGATOR_H_
#define SHUFFLER_NATIVE_AGGREGATION_CHECKPOINT_AGGREGATOR_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/aggregation/aggregator.h"
#include "shuffler/native/aggregation/configuration.h"
#include "shuffler/native/common/status.h"

namespace fcp {

// Not thread-safe. Every call takes in all or nothing; Empty() and Merge() extend that to several
// calls.
class CheckpointAggregator {
 public:
  // `configuration`: fcp.aggregation.Configuration. INVALID_ARGUMENT if it is malformed or names an
  // unsupported intrinsic.
  static Result<CheckpointAggregator> Create(std::string_view configuration);

  // One of the same configuration that has taken in nothing.
  Result<CheckpointAggregator> Empty() const;
  // True if `other` aggregates the same.
  bool Fits(const CheckpointAggregator& other) const { return intrinsics_ == other.intrinsics_; }

  // Takes in one V1 checkpoint, which may hold further tensors. On an error nothing was taken in.
  Status Accumulate(std::string_view checkpoint, RandomSource& random);
  // Takes in what Serialize() of an equal configuration wrote. On an error nothing was taken in.
  Status MergeSerialized(std::string_view state);
  // Takes in another that fits. On an error nothing was taken in.
  Status Merge(const CheckpointAggregator& other);

  // CheckpointAggregatorState { repeated bytes aggregators = 1; }, one per intrinsic, as TensorFlow
  // Federated writes it. OUT_OF_RANGE if a sum is beyond its type.
  Result<std::string> Serialize() const;
  // The result as a V1 checkpoint. OUT_OF_RANGE as above; FAILED_PRECONDITION if an intrinsic has
  // no result without contributions.
  Result<std::string> Report(RandomSource& random) const;

 private:
  explicit CheckpointAggregator(std::vector<Intrinsic> intrinsics)
      : intrinsics_(std::move(intrinsics)) {}
  Status CreateAggregators();

  std::vector<Intrinsic> intrinsics_;
  std::vector<std::unique_ptr<Aggregator>> aggregators_;  // one per intrinsic
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_CHECKPOINT_AGGREGATOR_H_
