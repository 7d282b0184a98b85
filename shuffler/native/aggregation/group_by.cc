#include "shuffler/native/aggregation/group_by.h"

#include <utility>

#include "shuffler/native/aggregation/grouping.h"
#include "shuffler/native/aggregation/noise.h"

namespace fcp {
namespace {

constexpr char kSum[] = "GoogleSQL:sum";
constexpr char kPrivateSum[] = "GoogleSQL:$differential_privacy_sum";

class GroupBy final : public Aggregator {
 public:
  explicit GroupBy(Grouping grouping) : grouping_(std::move(grouping)) {}

  Status CheckInputs(const std::vector<Tensor>& inputs) const override {
    return grouping_.CheckInputs(inputs);
  }
  void Accumulate(const std::vector<Tensor>& inputs, RandomSource&) override {
    grouping_.Accumulate(inputs);
  }
  Status CheckMerge(const Aggregator&) const override { return {}; }
  void Merge(const Aggregator& other) override {
    grouping_.Merge(static_cast<const GroupBy&>(other).grouping_);
  }
  Result<std::string> Serialize() const override { return grouping_.Serialize(); }

  Result<std::vector<Tensor>> Report(RandomSource&) const override {
    std::vector<Tensor> columns = grouping_.KeyColumns();
    for (const auto& sum : grouping_.sums()) {
      FCP_ASSIGN_OR_RETURN(Tensor column, sum->Report());
      columns.push_back(std::move(column));
    }
    return columns;
  }

 private:
  Grouping grouping_;
};

class DpGroupBy final : public Aggregator {
 public:
  DpGroupBy(Grouping grouping, size_t max_groups, std::vector<NoiseMechanism> mechanisms)
      : grouping_(std::move(grouping)),
        max_groups_(max_groups),
        mechanisms_(std::move(mechanisms)) {
    // That nobody contributed is not to be seen either.
    if (!grouping_.has_keys()) grouping_.MakeOneGroup();
  }

  Status CheckInputs(const std::vector<Tensor>& inputs) const override {
    return grouping_.CheckInputs(inputs);
  }
  void Accumulate(const std::vector<Tensor>& inputs, RandomSource& random) override {
    grouping_.AccumulateBounded(inputs, max_groups_, random);
  }
  Status CheckMerge(const Aggregator&) const override { return {}; }
  void Merge(const Aggregator& other) override {
    grouping_.Merge(static_cast<const DpGroupBy&>(other).grouping_);
  }
  Result<std::string> Serialize() const override { return grouping_.Serialize(); }

  Result<std::vector<Tensor>> Report(RandomSource& random) const override {
    std::vector<Tensor> columns = grouping_.KeyColumns();
    std::vector<bool> all_shown(grouping_.groups(), true);
    for (size_t i = 0; i < mechanisms_.size(); ++i) {
      std::vector<bool> shown;
      columns.push_back(grouping_.sums()[i]->ReportNoisy(mechanisms_[i], random, &shown));
      for (size_t group = 0; group < shown.size(); ++group) {
        if (!shown[group]) all_shown[group] = false;
      }
    }
    std::vector<size_t> rows;
    for (size_t group = 0; group < all_shown.size(); ++group) {
      if (all_shown[group] || !grouping_.has_keys()) rows.push_back(group);
    }
    // Their order tells who came first.
    for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.Below(i)]);
    for (Tensor& column : columns) column = Rows(column, rows);
    return columns;
  }

 private:
  static Tensor Rows(const Tensor& column, const std::vector<size_t>& rows) {
    Tensor chosen{column.dtype, {static_cast<int64_t>(rows.size())}};
    const size_t width = DataTypeSize(column.dtype);
    for (const size_t row : rows) {
      if (width > 0) {
        chosen.data += column.numbers().substr(row * width, width);
      } else {
        chosen.strings.push_back(column.strings[row]);
      }
    }
    return chosen;
  }

  Grouping grouping_;
  const size_t max_groups_;
  const std::vector<NoiseMechanism> mechanisms_;  // one per inner intrinsic
};

Result<std::unique_ptr<Aggregator>> CreateGroupBy(const Intrinsic& intrinsic,
                                                  const std::string_view* state) {
  FCP_RETURN_IF_ERROR(CheckGroupBy(intrinsic, kSum));
  FCP_RETURN_IF_ERROR(CheckForm(
      intrinsic, {intrinsic.inputs.size(), intrinsic.outputs.size(), 0, intrinsic.inner.size()}));
  std::vector<std::unique_ptr<GroupedSum>> sums;
  for (const Intrinsic& inner : intrinsic.inner) {
    FCP_ASSIGN_OR_RETURN(std::unique_ptr<GroupedSum> sum, CreateGroupedSum(inner));
    sums.push_back(std::move(sum));
  }
  Grouping grouping(intrinsic, std::move(sums));
  if (state != nullptr) FCP_RETURN_IF_ERROR(grouping.Restore(*state));
  return std::unique_ptr<Aggregator>(std::make_unique<GroupBy>(std::move(grouping)));
}

Result<std::unique_ptr<Aggregator>> CreateDpGroupBy(const Intrinsic& intrinsic,
                                                    const std::string_view* state) {
  FCP_RETURN_IF_ERROR(CheckGroupBy(intrinsic, kPrivateSum));
  FCP_RETURN_IF_ERROR(CheckForm(intrinsic, {intrinsic.inputs.size(), intrinsic.outputs.size(),
                                            /*parameters=*/3, intrinsic.inner.size()}));
  FCP_ASSIGN_OR_RETURN(const double epsilon, NumberParameter(intrinsic, 0, "epsilon"));
  FCP_ASSIGN_OR_RETURN(const double delta, NumberParameter(intrinsic, 1, "delta"));
  FCP_ASSIGN_OR_RETURN(const double l0, NumberParameter(intrinsic, 2, "L0 bound"));
  // The limits leave room for arithmetic; nobody would call the one privacy, or miss the other.
  if (epsilon < 1e-9 || epsilon > 1e9 || delta < 1e-100 || delta >= 1 || l0 < 1 || l0 > 0x1p+31) {
    return InvalidArgument(intrinsic.uri +
                           ": expected epsilon from 1e-9 to 1e9, delta from 1e-100 to below 1 and "
                           "an L0 bound from 1 to 2^31, found " +
                           std::to_string(epsilon) + ", " + std::to_string(delta) + " and " +
                           std::to_string(l0));
  }
  const int64_t max_groups = intrinsic.inputs.empty() ? 1 : static_cast<int64_t>(l0);
  const auto parts = static_cast<double>(intrinsic.inner.size());
  std::vector<std::unique_ptr<GroupedSum>> sums;
  std::vector<NoiseMechanism> mechanisms;
  for (const Intrinsic& inner : intrinsic.inner) {
    FCP_ASSIGN_OR_RETURN(BoundedSum bounded, CreateBoundedSum(inner, max_groups));
    FCP_ASSIGN_OR_RETURN(NoiseMechanism mechanism,
                         NoiseMechanism::Create(epsilon / parts, delta / parts, bounded.bounds,
                                                bounded.grid_exponent));
    sums.push_back(std::move(bounded.sum));
    mechanisms.push_back(mechanism);
  }
  Grouping grouping(intrinsic, std::move(sums));
  if (state != nullptr) FCP_RETURN_IF_ERROR(grouping.Restore(*state));
  return std::unique_ptr<Aggregator>(std::make_unique<DpGroupBy>(
      std::move(grouping), static_cast<size_t>(max_groups), std::move(mechanisms)));
}

}  // namespace

const AggregatorFactory kGroupBy = {
    "fedsql_group_by",
    [](const Intrinsic& intrinsic) { return CreateGroupBy(intrinsic, nullptr); },
    [](const Intrinsic& intrinsic, std::string_view serialized) {
      return CreateGroupBy(intrinsic, &serialized);
    },
};

const AggregatorFactory kDpGroupBy = {
    "fedsql_dp_group_by",
    [](const Intrinsic& intrinsic) { return CreateDpGroupBy(intrinsic, nullptr); },
    [](const Intrinsic& intrinsic, std::string_view serialized) {
      return CreateDpGroupBy(intrinsic, &serialized);
    },
};

}  // namespace fcp
