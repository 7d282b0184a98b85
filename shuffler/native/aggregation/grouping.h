// Sums by groups, as both group-by intrinsics hold them: composite keys, numbered in the order of
// their first appearance, and one sum per group and inner intrinsic.
//
// The state is that of TensorFlow Federated:
//   GroupByAggregatorState        { uint64 num_inputs = 1; repeated TensorProto keys = 2;
//                                   repeated OneDimGroupingAggregatorState nested_aggregators = 3;
//                                   }
//   OneDimGroupingAggregatorState { uint64 num_inputs = 1; bytes vector_data = 2; }
//   TensorProto                   { DataType dtype = 1; TensorShapeProto shape = 2;
//                                   bytes content = 4; }
// Numbers are little-endian; the content of strings is all lengths as varints, then all bytes.
#ifndef SHUFFLER_NATIVE_AGGREGATION_GROUPING_H_
#define SHUFFLER_NATIVE_AGGREGATION_GROUPING_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/aggregation/configuration.h"
#include "shuffler/native/aggregation/noise.h"
#include "shuffler/native/common/random_source.h"
#include "shuffler/native/common/status.h"
#include "shuffler/native/common/tensor.h"

namespace fcp {

// The composite keys of groups, found by their hashes. Devices choose the keys, so the hash has a
// random key of its own; groups are numbered as they come, so nothing else depends on it.
class KeyTable {
 public:
  // Of key columns of these types.
  explicit KeyTable(std::vector<DataType> types) : types_(std::move(types)) {}

  // Of the same columns, without groups.
  KeyTable Empty() const { return KeyTable(types_); }
  size_t size() const { return ends_.size(); }
  // The number of the group of row `row` of the key columns, the first tensors of `columns`; a new
  // one if the key is new.
  size_t GroupOf(const std::vector<Tensor>& columns, size_t row);
  // The number of another table's group, likewise.
  size_t GroupOf(const KeyTable& other, size_t group) {
    return GroupOf(other.Key(group), other.hashes_[group]);
  }
  // A column of the keys of all groups, in their order.
  Tensor Column(size_t column) const;

 private:
  std::string_view Key(size_t group) const;
  size_t GroupOf(std::string_view key, uint64_t hash);
  // Puts a group into the first free slot from where its hash leads.
  void Insert(size_t group);

  std::vector<DataType> types_;
  std::string row_key_;  // of the row that is looked for
  // By group: its key, all of them after each other, and its hash.
  std::string keys_;
  std::vector<size_t> ends_;
  std::vector<uint64_t> hashes_;
  // At most half of them taken: the number of a group and one, or zero. A power of two.
  std::vector<size_t> slots_;
};

// One sum per group.
class GroupedSum {
 public:
  virtual ~GroupedSum() = default;

  // Adds values to the groups of their rows. A new group has a sum of zero.
  virtual void Add(const Tensor& values, const std::vector<size_t>& group_of_row,
                   size_t groups) = 0;
  // The same for one contribution, whose values for a group are first added up and then brought
  // within the bounds; rows of `kNoGroup` do not count.
  virtual void AddBounded(const Tensor& values, const std::vector<size_t>& group_of_row,
                          size_t groups) = 0;
  // Adds the sums of `other`, whose group i is group `group_of_group[i]` here.
  virtual void Merge(const GroupedSum& other, const std::vector<size_t>& group_of_group,
                     size_t groups) = 0;
  // Makes room for so many groups.
  virtual void Resize(size_t groups) = 0;
  // OUT_OF_RANGE as in Aggregator::Serialize().
  virtual Result<std::string> Serialize(uint64_t num_inputs) const = 0;
  // From a state with the sums of `groups` groups.
  virtual Status Restore(std::string_view serialized, size_t groups) = 0;
  // OUT_OF_RANGE as above.
  virtual Result<Tensor> Report() const = 0;
  // With noise, and whether each group can be shown.
  virtual Tensor ReportNoisy(const NoiseMechanism& mechanism, RandomSource& random,
                             std::vector<bool>* shown) const = 0;

  static constexpr size_t kNoGroup = SIZE_MAX;
};

// A sum for the inner intrinsic `inner`: one input, and one output of the same type or, as in SQL,
// int64 for int32 and double for float. Integers wrap around. INVALID_ARGUMENT if it is another.
Result<std::unique_ptr<GroupedSum>> CreateGroupedSum(const Intrinsic& inner);

// How a sum that will be made private takes in contributions, so that no rounding shows through:
// floats are cut to multiples of 2^grid_exponent, of which a double holds all sums of up to 2^27
// contributions exactly, in any order; sums that would be beyond their type stay at its end.
struct BoundedSum {
  std::unique_ptr<GroupedSum> sum;
  ContributionBounds bounds;
  int grid_exponent;  // 0 for integers
};

// A bounded sum for the inner intrinsic, for contributions to at most `max_groups` groups.
// Parameters: bounds of L-infinity (positive), L1 and L2. INVALID_ARGUMENT as above, and if a float
// has no output of doubles.
Result<BoundedSum> CreateBoundedSum(const Intrinsic& inner, int64_t max_groups);

// Keys and sums together.
class Grouping {
 public:
  Grouping(const Intrinsic& intrinsic, std::vector<std::unique_ptr<GroupedSum>> sums);

  // As Aggregator::CheckInputs(): columns of one length.
  Status CheckInputs(const std::vector<Tensor>& inputs) const;
  void Accumulate(const std::vector<Tensor>& inputs);
  // Rows of at most `max_groups` groups, which are chosen at random.
  void AccumulateBounded(const std::vector<Tensor>& inputs, size_t max_groups,
                         RandomSource& random);
  void Merge(const Grouping& other);
  Result<std::string> Serialize() const;
  Status Restore(std::string_view serialized);

  // Without keys everything is one group.
  bool has_keys() const { return !intrinsic_.inputs.empty(); }
  // Makes the one group of a grouping without keys, though nothing was contributed.
  void MakeOneGroup();
  size_t groups() const { return groups_; }
  const std::vector<std::unique_ptr<GroupedSum>>& sums() const { return sums_; }
  // The key columns that have a name in the output.
  std::vector<Tensor> KeyColumns() const;

 private:
  void SetGroups(size_t groups);

  const Intrinsic intrinsic_;
  KeyTable keys_;
  std::vector<std::unique_ptr<GroupedSum>> sums_;
  size_t groups_ = 0;
  uint64_t num_inputs_ = 0;
};

// INVALID_ARGUMENT if the keys of a group-by intrinsic are no columns of unknown length with
// outputs like them, or if there is no inner intrinsic, or one with another uri.
Status CheckGroupBy(const Intrinsic& intrinsic, std::string_view inner_uri);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_GROUPING_H_
