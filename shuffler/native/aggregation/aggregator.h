// What one intrinsic does with its tensors.
#ifndef SHUFFLER_NATIVE_AGGREGATION_AGGREGATOR_H_
#define SHUFFLER_NATIVE_AGGREGATION_AGGREGATOR_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/aggregation/configuration.h"
#include "shuffler/native/common/random_source.h"
#include "shuffler/native/common/status.h"
#include "shuffler/native/common/tensor.h"

namespace fcp {

// Checks come first and change nothing; what was checked cannot fail. So several aggregators take
// in a contribution together or not at all.
class Aggregator {
 public:
  virtual ~Aggregator() = default;

  // OK if `inputs` can be taken in: a tensor per input of the intrinsic, then of its inner
  // intrinsics, each of the type and shape that the intrinsic says, and numbers only that are
  // finite.
  virtual Status CheckInputs(const std::vector<Tensor>& inputs) const = 0;
  // Takes in one contribution, which was checked.
  virtual void Accumulate(const std::vector<Tensor>& inputs, RandomSource& random) = 0;

  // OK if what `other`, made of the same intrinsic, has taken in can be taken in.
  virtual Status CheckMerge(const Aggregator& other) const = 0;
  // Takes in what `other` has taken in, which was checked.
  virtual void Merge(const Aggregator& other) = 0;

  // The state, from which AggregatorFactory::restore makes an equal aggregator. OUT_OF_RANGE if it
  // holds a number that is not finite: a sum of finite numbers went beyond its type.
  virtual Result<std::string> Serialize() const = 0;
  // The result: a tensor per output with a name, of the intrinsic and then of its inner intrinsics.
  // OUT_OF_RANGE as above; FAILED_PRECONDITION if there is none without contributions.
  virtual Result<std::vector<Tensor>> Report(RandomSource& random) const = 0;
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
