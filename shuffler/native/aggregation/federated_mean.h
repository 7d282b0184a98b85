#ifndef SHUFFLER_NATIVE_AGGREGATION_FEDERATED_MEAN_H_
#define SHUFFLER_NATIVE_AGGREGATION_FEDERATED_MEAN_H_

#include "shuffler/native/aggregation/aggregator.h"

namespace fcp {

// "federated_mean": the element-wise mean of one tensor of floats or doubles. Without
// contributions: FAILED_PRECONDITION.
//
// The state is that of TensorFlow Federated, little-endian elements:
//   FederatedMeanAggregatorState { uint64 num_inputs = 1; bytes weights_sum = 2;
//                                  bytes weighted_values_sum = 3; }
extern const AggregatorFactory kFederatedMean;

// "federated_weighted_mean": the same with a second input, the weight of the contribution: one
// positive number of any type. Sums of weights that are integers do not wrap around: the
// contribution is refused.
extern const AggregatorFactory kFederatedWeightedMean;

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_FEDERATED_MEAN_H_
