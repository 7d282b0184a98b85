// What one intrinsic does with its tensors.
#ifndef SHUFFLER_NATIVE_AGGREGATION_AGGREGATOR_H_
#define SHUFFLER_NATIVE_AGGREGATION_AGGREGATOR_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/aggregation/configuration.h"
#include "shuffler/native/common/status.h"
#include "shuffler/native/common/tensor.h"

namespace fcp {

class Aggregator {
 public:
  virtual ~Aggregator() = default;

  // Takes in one contribution: a tensor per input of the intrinsic, of its type and shape.
  // On an error the aggregator is of no further use.
  virtual Status Accumulate(const std::vector<Tensor>& inputs) = 0;
  // Takes in what `other`, made of the same intrinsic, has taken in.
  virtual Status Merge(const Aggregator& other) = 0;
  // The state, from which AggregatorFactory::restore makes an equal aggregator.
  virtual std::string Serialize() const = 0;
  // The result: a tensor per output of the intrinsic.
  virtual Result<std::vector<Tensor>> Report() const = 0;
};

// One per uri. Another intrinsic is added by a factory in the list of checkpoint_aggregator.cc.
struct AggregatorFactory {
  const char* uri;
  // An aggregator that has taken in nothing. INVALID_ARGUMENT if the intrinsic's arguments and
  // outputs do not fit the uri.
  Result<std::unique_ptr<Aggregator>> (*create)(const Intrinsic& intrinsic);
  // One with the state `serialized`. INVALID_ARGUMENT if the state does not fit the intrinsic.
  Result<std::unique_ptr<Aggregator>> (*restore)(const Intrinsic& intrinsic,
                                                 std::string_view serialized);
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_AGGREGATOR_H_
