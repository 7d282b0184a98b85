#ifndef SHUFFLER_NATIVE_AGGREGATION_GROUP_BY_H_
#define SHUFFLER_NATIVE_AGGREGATION_GROUP_BY_H_

#include "shuffler/native/aggregation/aggregator.h"

namespace fcp {

// "fedsql_group_by": rows with the same keys are one row of the result. Inputs: key columns of any
// type, none for a single group. Inner intrinsics: "GoogleSQL:sum" of a column of numbers. Groups
// are in the order of their first appearance.
//
// grouping.h says what the state is.
extern const AggregatorFactory kGroupBy;

// "fedsql_dp_group_by": the same with (epsilon, delta)-differential privacy for contributions, one
// of which is replaced by another. Parameters: epsilon, delta, and the number of groups of a
// contribution that count (L0). Inner intrinsics: "GoogleSQL:$differential_privacy_sum", whose
// parameters are the bounds L-infinity, L1 and L2 of a contribution; L1 and L2 hold if positive.
//
// A contribution's groups beyond L0 are left out at random; its sum for a group is brought within
// L-infinity, and all its sums are made smaller by one factor that keeps L1 and L2. The report has
// noise in every sum, and only those groups of which every noisy sum reaches the threshold, in
// random order. Without keys the one group is always reported. Each inner intrinsic has an equal
// part of epsilon and delta.
//
// States hold no noise: they are as secret as the contributions.
extern const AggregatorFactory kDpGroupBy;

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_GROUP_BY_H_
