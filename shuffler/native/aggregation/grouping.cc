#include "shuffler/native/aggregation/grouping.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "shuffler/native/aggregation/numeric_vector.h"
#include "shuffler/native/common/keyed_hash.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

// Bits between the bound of a value and the grid that floats are cut to. A double has 53, so that
// sums of 2^27 contributions are exact.
constexpr int kGridBits = 26;

const Shape kColumn = {kUnknownSize};

// A number for a sum of one contribution's values: wide enough for 2^31 rows of In.
template <typename In>
using Wide = std::conditional_t<std::is_floating_point_v<In>, double, Int128>;

template <typename T>
T Clamp(Int128 value) {
  return static_cast<T>(
      std::clamp<Int128>(value, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

template <typename In, typename Out>
class Sum final : public GroupedSum {
 public:
  Sum(TensorSpec output, const ContributionBounds& bounds, int grid_exponent)
      : output_(std::move(output)), bounds_(bounds), grid_exponent_(grid_exponent) {}

  void Add(const Tensor& values, const std::vector<size_t>& group_of_row, size_t groups) override {
    sums_.resize(groups);
    for (size_t row = 0; row < group_of_row.size(); ++row) {
      Out& sum = sums_[group_of_row[row]];
      sum = Plus(sum, static_cast<Out>(Value(values, row)));
    }
  }

  void AddBounded(const Tensor& values, const std::vector<size_t>& group_of_row,
                  size_t groups) override {
    sums_.resize(groups);
    // The values of a group in the order of their rows. Not by stable_sort, which takes memory from
    // an operator new that the process must not share with libstdc++ (bindings_test).
    std::vector<std::pair<size_t, size_t>> rows;  // group and row
    for (size_t row = 0; row < group_of_row.size(); ++row)
      if (group_of_row[row] != kNoGroup) rows.emplace_back(group_of_row[row], row);
    std::sort(rows.begin(), rows.end());
    std::vector<std::pair<size_t, Wide<In>>> contribution;
    for (const auto& [group, row] : rows) {
      if (contribution.empty() || contribution.back().first != group)
        contribution.emplace_back(group, 0);
      contribution.back().second += Value(values, row);
    }
    const auto limit = static_cast<Wide<In>>(bounds_.value);
    double l1 = 0, squares = 0;
    for (auto& [group, value] : contribution) {
      value = std::clamp<Wide<In>>(value, -limit, limit);
      const auto magnitude = std::abs(static_cast<double>(value));
      l1 += magnitude;
      squares += magnitude * magnitude;
    }
    double factor = 1;
    if (bounds_.l1 > 0 && l1 > bounds_.l1) factor = bounds_.l1 / l1;
    const double l2 = std::sqrt(squares);
    if (bounds_.l2 > 0 && l2 > bounds_.l2) factor = std::min(factor, bounds_.l2 / l2);
    for (const auto& [group, value] : contribution)
      sums_[group] = Saturated(sums_[group], OnGrid(value, factor, limit));
  }

  void Merge(const GroupedSum& other, const std::vector<size_t>& group_of_group,
             size_t groups) override {
    const auto& that = static_cast<const Sum&>(other);
    sums_.resize(groups);
    for (size_t i = 0; i < group_of_group.size(); ++i) {
      Out& sum = sums_[group_of_group[i]];
      sum = bounded() ? Saturated(sum, Steps(that.sums_[i])) : Plus(sum, that.sums_[i]);
    }
  }

  void Resize(size_t groups) override { sums_.resize(groups); }

  Result<std::string> Serialize(uint64_t num_inputs) const override {
    FCP_RETURN_IF_ERROR(CheckNoOverflow(output_, bytes()));
    std::string state;
    if (num_inputs > 0) AppendVarintField(1, num_inputs, &state);
    if (!sums_.empty()) AppendBytesField(2, bytes(), &state);
    return state;
  }

  Status Restore(std::string_view serialized, size_t groups) override {
    std::string_view data;
    WireReader reader(serialized, "OneDimGroupingAggregatorState");
    while (reader.Next()) {
      if (reader.number() == 2) {
        FCP_ASSIGN_OR_RETURN(data, reader.Bytes());
      }
    }
    FCP_RETURN_IF_ERROR(reader.status());
    if (data.size() / sizeof(Out) != groups || data.size() % sizeof(Out) != 0) {
      return InvalidArgument("group by: the state of " + output_.name + " has " +
                             std::to_string(data.size()) + " bytes, expected " +
                             std::to_string(sizeof(Out)) + " for each of " +
                             std::to_string(groups) + " groups");
    }
    FCP_RETURN_IF_ERROR(CheckFinite(output_, data));
    sums_.resize(groups);
    for (size_t i = 0; i < groups; ++i) {
      sums_[i] = Load<Out>(data.data() + i * sizeof(Out));
      if (bounded() && !OnGrid(sums_[i])) {
        return InvalidArgument("group by: the state of " + output_.name +
                               " has a sum that no bounded contributions have");
      }
    }
    return {};
  }

  Result<Tensor> Report() const override {
    FCP_RETURN_IF_ERROR(CheckNoOverflow(output_, bytes()));
    return Tensor{output_.dtype, {static_cast<int64_t>(sums_.size())}, std::string(bytes())};
  }

  Tensor ReportNoisy(const NoiseMechanism& mechanism, RandomSource& random,
                     std::vector<bool>* shown) const override {
    Tensor tensor{output_.dtype, {static_cast<int64_t>(sums_.size())}};
    for (const Out sum : sums_) {
      const NoiseMechanism::Noisy noisy = mechanism.Apply(Steps(sum), random);
      shown->push_back(noisy.shown);
      AppendFixed(FromSteps(noisy.sum), &tensor.data);
    }
    return tensor;
  }

 private:
  static constexpr bool kFloating = std::is_floating_point_v<Out>;
  // A double holds every integer up to here.
  static constexpr Int128 kMaxSteps = Int128{1} << 53;

  bool bounded() const { return bounds_.value > 0; }
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(sums_.data()), sums_.size() * sizeof(Out)};
  }
  static In Value(const Tensor& values, size_t row) {
    return Load<In>(values.numbers().data() + row * sizeof(In));
  }

  // A bounded sum as a number of steps of the grid, and back.
  Int128 Steps(Out sum) const {
    if constexpr (kFloating) {
      return static_cast<Int128>(std::ldexp(static_cast<double>(sum), -grid_exponent_));
    } else {
      return sum;
    }
  }
  Out FromSteps(Int128 steps) const {
    if constexpr (kFloating) {
      return static_cast<Out>(std::ldexp(static_cast<double>(steps), grid_exponent_));
    } else {
      return Clamp<Out>(steps);
    }
  }
  bool OnGrid(Out sum) const {
    if constexpr (kFloating) {
      const double steps = std::ldexp(static_cast<double>(sum), -grid_exponent_);
      return std::abs(steps) <= static_cast<double>(kMaxSteps) && steps == std::trunc(steps);
    } else {
      return true;
    }
  }
  // A value of a contribution, made smaller by `factor` and cut towards zero, in steps.
  Int128 OnGrid(Wide<In> value, double factor, Wide<In> limit) const {
    if constexpr (kFloating) {
      return static_cast<Int128>(std::ldexp(value * factor, -grid_exponent_));
    } else {
      if (factor == 1) return value;
      return std::clamp<Int128>(static_cast<Int128>(static_cast<double>(value) * factor), -limit,
                                limit);
    }
  }
  Out Saturated(Out sum, Int128 steps) const {
    const Int128 result = Steps(sum) + steps;
    return FromSteps(kFloating ? std::clamp<Int128>(result, -kMaxSteps, kMaxSteps) : result);
  }

  const TensorSpec output_;
  const ContributionBounds bounds_;
  const int grid_exponent_;
  std::vector<Out> sums_;
};

Result<std::unique_ptr<GroupedSum>> CreateSum(const Intrinsic& inner,
                                              const ContributionBounds& bounds, int grid_exponent) {
  const TensorSpec& input = inner.inputs[0];
  const TensorSpec& output = inner.outputs[0];
  const auto make = [&](auto in, auto out) -> Result<std::unique_ptr<GroupedSum>> {
    return std::unique_ptr<GroupedSum>(
        std::make_unique<Sum<decltype(in), decltype(out)>>(output, bounds, grid_exponent));
  };
  if (input.shape == kColumn && output.shape == kColumn) {
    const bool same = input.dtype == output.dtype;
    switch (input.dtype) {
      case DataType::kFloat:
        if (same) return make(float{}, float{});
        if (output.dtype == DataType::kDouble) return make(float{}, double{});
        break;
      case DataType::kDouble:
        if (same) return make(double{}, double{});
        break;
      case DataType::kInt32:
        if (same) return make(int32_t{}, int32_t{});
        if (output.dtype == DataType::kInt64) return make(int32_t{}, int64_t{});
        break;
      case DataType::kInt64:
        if (same) return make(int64_t{}, int64_t{});
        break;
      case DataType::kUint64:
        if (same) return make(uint64_t{}, uint64_t{});
        break;
      case DataType::kString:
        break;
    }
  }
  return InvalidArgument(inner.uri + ": input " + input.name + " is " + DataTypeName(input.dtype) +
                         ShapeString(input.shape) + " and output " + output.name + " is " +
                         DataTypeName(output.dtype) + ShapeString(output.shape) +
                         ", expected two columns [-1] of one numeric type, or int64 for int32 or "
                         "double for float");
}

// As TensorFlow Federated writes it.
std::string SerializeColumn(const Tensor& column) {
  std::string size, proto;
  AppendVarint(column.size(), &size);
  std::string shape;
  AppendBytesField(1, size, &shape);
  AppendVarintField(1, static_cast<uint64_t>(column.dtype), &proto);
  AppendBytesField(2, shape, &proto);
  std::string content;
  if (column.dtype == DataType::kString) {
    for (const std::string& text : column.strings) AppendVarint(text.size(), &content);
    for (const std::string& text : column.strings) content += text;
  } else {
    content = column.numbers();
  }
  if (!content.empty()) AppendBytesField(4, content, &proto);
  return proto;
}

Result<Tensor> ParseColumn(const TensorSpec& key, std::string_view bytes) {
  const auto malformed = [&](const char* what) {
    return InvalidArgument("group by: the state of key " + key.name + " has " + what);
  };
  uint64_t dtype = 0, size = 0;
  std::string_view content;
  bool has_shape = false;
  WireReader reader(bytes, "TensorProto");
  while (reader.Next()) {
    if (reader.number() == 1) {
      FCP_ASSIGN_OR_RETURN(dtype, reader.Varint());
    } else if (reader.number() == 2) {
      FCP_ASSIGN_OR_RETURN(const std::string_view shape, reader.Bytes());
      std::string sizes;
      WireReader dimensions(shape, "TensorShapeProto");
      while (dimensions.Next()) {
        if (dimensions.number() == 1) FCP_RETURN_IF_ERROR(dimensions.AppendVarints(8, &sizes));
      }
      FCP_RETURN_IF_ERROR(dimensions.status());
      if (sizes.size() != 8) return malformed("not one dimension");
      size = Load<uint64_t>(sizes.data());
      has_shape = true;
    } else if (reader.number() == 4) {
      FCP_ASSIGN_OR_RETURN(content, reader.Bytes());
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (dtype != static_cast<uint64_t>(key.dtype)) return malformed("another type");
  if (!has_shape) return malformed("no shape");
  Tensor column{key.dtype};
  if (key.dtype == DataType::kString) {
    // A text has a byte of length at least.
    if (size > content.size()) return malformed("less content than texts");
    std::vector<uint64_t> lengths(size);
    for (uint64_t& length : lengths) {
      if (!ConsumeVarint(&content, &length)) return malformed("less content than texts");
    }
    for (const uint64_t length : lengths) {
      if (length > content.size()) return malformed("less content than texts");
      column.strings.emplace_back(content.substr(0, length));
      content.remove_prefix(length);
    }
    if (!content.empty()) return malformed("more content than texts");
  } else {
    if (content.size() / DataTypeSize(key.dtype) != size ||
        content.size() % DataTypeSize(key.dtype) != 0)
      return malformed("content of another size");
    column.data.assign(content);
  }
  return column;
}

}  // namespace

size_t KeyTable::GroupOf(const std::vector<Tensor>& columns, size_t row) {
  row_key_.clear();
  for (size_t i = 0; i < types_.size(); ++i) {
    if (const size_t width = DataTypeSize(types_[i]); width > 0) {
      row_key_ += columns[i].numbers().substr(row * width, width);
    } else {
      // After its length: two texts together cannot be mistaken for two others.
      const std::string& text = columns[i].strings[row];
      AppendFixed(static_cast<uint64_t>(text.size()), &row_key_);
      row_key_ += text;
    }
  }
  return GroupOf(row_key_, KeyedHash(ProcessHashKey(), row_key_));
}

size_t KeyTable::GroupOf(std::string_view key, uint64_t hash) {
  if (2 * (size() + 1) > slots_.size()) {
    slots_.assign(std::max<size_t>(16, 2 * slots_.size()), 0);
    for (size_t group = 0; group < size(); ++group) Insert(group);
  }
  for (size_t slot = hash & (slots_.size() - 1); slots_[slot] != 0;
       slot = (slot + 1) & (slots_.size() - 1)) {
    const size_t group = slots_[slot] - 1;
    if (hashes_[group] == hash && Key(group) == key) return group;
  }
  keys_ += key;
  ends_.push_back(keys_.size());
  hashes_.push_back(hash);
  Insert(size() - 1);
  return size() - 1;
}

void KeyTable::Insert(size_t group) {
  size_t slot = hashes_[group] & (slots_.size() - 1);
  while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = group + 1;
}

std::string_view KeyTable::Key(size_t group) const {
  const size_t start = group == 0 ? 0 : ends_[group - 1];
  return std::string_view(keys_).substr(start, ends_[group] - start);
}

Tensor KeyTable::Column(size_t column) const {
  Tensor tensor{types_[column], {static_cast<int64_t>(size())}};
  for (size_t group = 0; group < size(); ++group) {
    std::string_view rest = Key(group);
    for (size_t i = 0;; ++i) {
      size_t size = DataTypeSize(types_[i]);
      if (size == 0) {
        size = Load<uint64_t>(rest.data());
        rest.remove_prefix(sizeof(uint64_t));
      }
      if (i == column) {
        if (types_[i] == DataType::kString) {
          tensor.strings.emplace_back(rest.substr(0, size));
        } else {
          tensor.data += rest.substr(0, size);
        }
        break;
      }
      rest.remove_prefix(size);
    }
  }
  return tensor;
}

Result<std::unique_ptr<GroupedSum>> CreateGroupedSum(const Intrinsic& inner) {
  FCP_RETURN_IF_ERROR(CheckForm(inner, {/*inputs=*/1, /*outputs=*/1}));
  return CreateSum(inner, {}, 0);
}

Result<BoundedSum> CreateBoundedSum(const Intrinsic& inner, int64_t max_groups) {
  FCP_RETURN_IF_ERROR(CheckForm(inner, {/*inputs=*/1, /*outputs=*/1, /*parameters=*/3}));
  BoundedSum bounded{nullptr, {max_groups}, 0};
  FCP_ASSIGN_OR_RETURN(bounded.bounds.value, NumberParameter(inner, 0, "L-infinity bound"));
  FCP_ASSIGN_OR_RETURN(bounded.bounds.l1, NumberParameter(inner, 1, "L1 bound"));
  FCP_ASSIGN_OR_RETURN(bounded.bounds.l2, NumberParameter(inner, 2, "L2 bound"));
  double& value = bounded.bounds.value;
  const DataType input = inner.inputs[0].dtype;
  const bool floating = input == DataType::kFloat || input == DataType::kDouble;
  if (floating && inner.outputs[0].dtype != DataType::kDouble) {
    return InvalidArgument(inner.uri + ": output " + inner.outputs[0].name + " is " +
                           DataTypeName(inner.outputs[0].dtype) +
                           ", expected double: other types cannot hold private sums exactly");
  }
  // Integers are bounded by an integer. Beyond these limits no grid is left.
  if (!floating) value = std::floor(value);
  const double most = floating ? 0x1p+900 : 0x1p+62;
  const double least = floating ? 0x1p-900 : 1;
  if (value < least || value > most) {
    return InvalidArgument(inner.uri + ": expected a positive L-infinity bound of " +
                           inner.inputs[0].name + " that its type can hold, found " +
                           std::to_string(value));
  }
  if (floating) bounded.grid_exponent = std::ilogb(value) - kGridBits;
  FCP_ASSIGN_OR_RETURN(bounded.sum, CreateSum(inner, bounded.bounds, bounded.grid_exponent));
  return bounded;
}

Status CheckGroupBy(const Intrinsic& intrinsic, std::string_view inner_uri) {
  if (intrinsic.inner.empty() || intrinsic.inputs.size() != intrinsic.outputs.size()) {
    return InvalidArgument(intrinsic.uri +
                           ": expected inner intrinsics and as many outputs as keys, found " +
                           std::to_string(intrinsic.inner.size()) + " inner intrinsics and " +
                           std::to_string(intrinsic.outputs.size()) + " outputs for " +
                           std::to_string(intrinsic.inputs.size()) + " keys");
  }
  for (size_t i = 0; i < intrinsic.inputs.size(); ++i) {
    const TensorSpec& input = intrinsic.inputs[i];
    if (input.shape != kColumn || intrinsic.outputs[i].shape != kColumn ||
        input.dtype != intrinsic.outputs[i].dtype) {
      return InvalidArgument(
          intrinsic.uri + ": key " + input.name + " is " + DataTypeName(input.dtype) +
          ShapeString(input.shape) + " and its output " + DataTypeName(intrinsic.outputs[i].dtype) +
          ShapeString(intrinsic.outputs[i].shape) + ", expected two columns [-1] of one type");
    }
  }
  for (const Intrinsic& inner : intrinsic.inner) {
    if (inner.uri != inner_uri) {
      return InvalidArgument(intrinsic.uri + ": inner intrinsic \"" + inner.uri +
                             "\" is not supported, only " + std::string(inner_uri));
    }
  }
  return {};
}

Grouping::Grouping(const Intrinsic& intrinsic, std::vector<std::unique_ptr<GroupedSum>> sums)
    : intrinsic_(intrinsic),
      keys_([&intrinsic] {
        std::vector<DataType> types;
        for (const TensorSpec& key : intrinsic.inputs) types.push_back(key.dtype);
        return types;
      }()),
      sums_(std::move(sums)) {}

Status Grouping::CheckInputs(const std::vector<Tensor>& inputs) const {
  const std::vector<TensorSpec> specs = AllInputs(intrinsic_);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].shape != inputs[0].shape) {
      return InvalidArgument("tensor " + specs[i].name + " has the shape " +
                             ShapeString(inputs[i].shape) + " but tensor " + specs[0].name + " " +
                             ShapeString(inputs[0].shape) + ", expected columns of one length");
    }
    FCP_RETURN_IF_ERROR(CheckFinite(specs[i], inputs[i].numbers()));
  }
  return {};
}

void Grouping::Accumulate(const std::vector<Tensor>& inputs) {
  std::vector<size_t> group_of_row(inputs[0].size(), 0);
  if (has_keys()) {
    for (size_t row = 0; row < group_of_row.size(); ++row)
      group_of_row[row] = keys_.GroupOf(inputs, row);
    groups_ = keys_.size();
  } else if (!group_of_row.empty()) {
    groups_ = 1;
  }
  for (size_t i = 0; i < sums_.size(); ++i)
    sums_[i]->Add(inputs[intrinsic_.inputs.size() + i], group_of_row, groups_);
  ++num_inputs_;
}

void Grouping::AccumulateBounded(const std::vector<Tensor>& inputs, size_t max_groups,
                                 RandomSource& random) {
  std::vector<size_t> group_of_row(inputs[0].size(), 0);
  if (has_keys()) {
    // First the groups of this contribution alone, of which some are chosen: what is not chosen
    // leaves no trace in the keys.
    KeyTable own_keys = keys_.Empty();
    for (size_t row = 0; row < group_of_row.size(); ++row)
      group_of_row[row] = own_keys.GroupOf(inputs, row);
    std::vector<size_t> order(own_keys.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::vector<size_t> group_of_own(own_keys.size(), GroupedSum::kNoGroup);
    for (size_t i = 0; i < order.size() && i < max_groups; ++i) {
      std::swap(order[i], order[i + random.Below(order.size() - i)]);
      group_of_own[order[i]] = keys_.GroupOf(own_keys, order[i]);
    }
    for (size_t& group : group_of_row) group = group_of_own[group];
    groups_ = keys_.size();
  } else {
    groups_ = 1;
  }
  for (size_t i = 0; i < sums_.size(); ++i)
    sums_[i]->AddBounded(inputs[intrinsic_.inputs.size() + i], group_of_row, groups_);
  ++num_inputs_;
}

void Grouping::Merge(const Grouping& other) {
  std::vector<size_t> group_of_group(other.groups_, 0);
  if (has_keys()) {
    for (size_t i = 0; i < group_of_group.size(); ++i)
      group_of_group[i] = keys_.GroupOf(other.keys_, i);
    groups_ = keys_.size();
  } else {
    groups_ = std::max(groups_, other.groups_);
  }
  for (size_t i = 0; i < sums_.size(); ++i)
    sums_[i]->Merge(*other.sums_[i], group_of_group, groups_);
  num_inputs_ += other.num_inputs_;
}

void Grouping::MakeOneGroup() { SetGroups(1); }

void Grouping::SetGroups(size_t groups) {
  groups_ = groups;
  for (const auto& sum : sums_) sum->Resize(groups);
}

Result<std::string> Grouping::Serialize() const {
  std::string state;
  if (num_inputs_ > 0) AppendVarintField(1, num_inputs_, &state);
  for (size_t i = 0; i < intrinsic_.inputs.size(); ++i)
    AppendBytesField(2, SerializeColumn(keys_.Column(i)), &state);
  for (const auto& sum : sums_) {
    FCP_ASSIGN_OR_RETURN(const std::string nested, sum->Serialize(num_inputs_));
    AppendBytesField(3, nested, &state);
  }
  return state;
}

Status Grouping::Restore(std::string_view serialized) {
  std::vector<Tensor> columns;
  std::vector<std::string_view> nested;
  WireReader reader(serialized, "GroupByAggregatorState");
  while (reader.Next()) {
    if (reader.number() == 1) {
      FCP_ASSIGN_OR_RETURN(num_inputs_, reader.Varint());
    } else if (reader.number() == 2) {
      FCP_ASSIGN_OR_RETURN(const std::string_view column, reader.Bytes());
      if (columns.size() == intrinsic_.inputs.size())
        return InvalidArgument("group by: the state has too many keys");
      FCP_ASSIGN_OR_RETURN(Tensor keys, ParseColumn(intrinsic_.inputs[columns.size()], column));
      columns.push_back(std::move(keys));
    } else if (reader.number() == 3) {
      FCP_ASSIGN_OR_RETURN(const std::string_view sum, reader.Bytes());
      nested.push_back(sum);
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (columns.size() != intrinsic_.inputs.size() || nested.size() != sums_.size()) {
    return InvalidArgument("group by: the state has " + std::to_string(columns.size()) +
                           " keys and " + std::to_string(nested.size()) + " sums, expected " +
                           std::to_string(intrinsic_.inputs.size()) + " and " +
                           std::to_string(sums_.size()));
  }
  if (has_keys()) {
    groups_ = columns[0].size();
    for (const Tensor& column : columns) {
      if (column.size() != groups_)
        return InvalidArgument("group by: the state has keys of different lengths");
    }
    for (size_t row = 0; row < groups_; ++row) {
      if (keys_.GroupOf(columns, row) != row)
        return InvalidArgument("group by: the state has a group twice");
    }
  } else {
    // A sum tells whether there is the one group.
    for (WireReader sum(nested[0], "OneDimGroupingAggregatorState"); sum.Next();)
      if (sum.number() == 2) groups_ = 1;
  }
  for (size_t i = 0; i < sums_.size(); ++i)
    FCP_RETURN_IF_ERROR(sums_[i]->Restore(nested[i], groups_));
  return {};
}

std::vector<Tensor> Grouping::KeyColumns() const {
  std::vector<Tensor> columns;
  for (size_t i = 0; i < intrinsic_.outputs.size(); ++i) {
    if (!intrinsic_.outputs[i].name.empty()) columns.push_back(keys_.Column(i));
  }
  return columns;
}

}  // namespace fcp
