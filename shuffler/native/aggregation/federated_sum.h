#ifndef SHUFFLER_NATIVE_AGGREGATION_FEDERATED_SUM_H_
#define SHUFFLER_NATIVE_AGGREGATION_FEDERATED_SUM_H_

#include "shuffler/native/aggregation/aggregator.h"

namespace fcp {

// "federated_sum": the element-wise sum of one numeric tensor; integers wrap around. Without
// contributions: zeros.
//
// The state is that of TensorFlow Federated:
//   AggVectorAggregatorState { uint64 num_inputs = 1; bytes vector_data = 2; }  (little-endian
//   elements)
extern const AggregatorFactory kFederatedSum;

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_FEDERATED_SUM_H_
