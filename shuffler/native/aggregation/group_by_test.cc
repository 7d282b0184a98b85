#include "shuffler/native/aggregation/group_by.h"

#include <cmath>
#include <map>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shuffler/native/aggregation/noise.h"
#include "shuffler/native/aggregation/seeded_random.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
Tensor Column(DataType dtype, const std::vector<T>& values) {
  Tensor tensor{dtype, {static_cast<int64_t>(values.size())}};
  for (const T value : values) AppendFixed(value, &tensor.data);
  return tensor;
}

Tensor Texts(const std::vector<std::string>& texts) {
  return {DataType::kString, {static_cast<int64_t>(texts.size())}, {}, texts};
}

template <typename T>
std::vector<T> Values(const Tensor& tensor) {
  std::vector<T> values;
  for (size_t at = 0; at < tensor.numbers().size(); at += sizeof(T))
    values.push_back(Load<T>(tensor.numbers().data() + at));
  return values;
}

std::string Number(double value) {
  std::string proto, content;
  AppendVarintField(1, static_cast<uint64_t>(DataType::kDouble), &proto);
  AppendFixed(value, &content);
  AppendBytesField(4, content, &proto);
  return proto;
}

TensorSpec Spec(const std::string& name, DataType dtype) { return {name, dtype, {kUnknownSize}}; }

Intrinsic SumIntrinsic(DataType in, DataType out) {
  return {"GoogleSQL:sum", {Spec("x", in)}, {}, {Spec("sum", out)}, {}};
}

Intrinsic GroupByText() {
  return {"fedsql_group_by",
          {Spec("k", DataType::kString)},
          {},
          {Spec("k", DataType::kString)},
          {SumIntrinsic(DataType::kInt32, DataType::kInt64)}};
}

struct Bounds {
  double value;
  double l1 = -1, l2 = -1;
};

Intrinsic Private(DataType in, DataType out, double epsilon, double delta, double l0,
                  const Bounds& bounds) {
  return {"fedsql_dp_group_by",
          {Spec("k", DataType::kInt64)},
          {Number(epsilon), Number(delta), Number(l0)},
          {Spec("k", DataType::kInt64)},
          {{"GoogleSQL:$differential_privacy_sum",
            {Spec("x", in)},
            {Number(bounds.value), Number(bounds.l1), Number(bounds.l2)},
            {Spec("sum", out)},
            {}}}};
}

std::unique_ptr<Aggregator> Make(const AggregatorFactory& factory, const Intrinsic& intrinsic) {
  Result<std::unique_ptr<Aggregator>> aggregator = factory.create(intrinsic);
  EXPECT_TRUE(aggregator.ok()) << aggregator.status().message();
  return *std::move(aggregator);
}

TEST(GroupByTest, TheStateIsThatOfTensorFlowFederated) {
  SeededRandom random(1);
  const auto aggregator = Make(kGroupBy, GroupByText());
  aggregator->Accumulate({Texts({"b", "", "b"}), Column<int32_t>(DataType::kInt32, {1, 2, 4})},
                         random);
  EXPECT_EQ(*aggregator->Serialize(),
            std::string("\x08\x01"                              // num_inputs: 1
                        "\x12\x0c\x08\x07\x12\x03\x0a\x01\x02"  // keys: DT_STRING, [2],
                        "\x22\x03\x01\x00\x62"                  // lengths 1 and 0, "b"
                        "\x1a\x14\x08\x01\x12\x10"              // sums: num_inputs: 1,
                        "\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0",
                        38));  // 5 and 2 as int64
  EXPECT_EQ(*Make(kGroupBy, GroupByText())->Serialize(),
            std::string("\x12\x07\x08\x07\x12\x03\x0a\x01\x00\x1a\x00", 11));
}

TEST(GroupByTest, StatesComeBackAndMerge) {
  SeededRandom random(1);
  const Intrinsic intrinsic = GroupByText();
  const auto whole = Make(kGroupBy, intrinsic);
  whole->Accumulate({Texts({"b", "a"}), Column<int32_t>(DataType::kInt32, {1, 2})}, random);
  const auto part = Make(kGroupBy, intrinsic);
  part->Accumulate({Texts({"c", "b"}), Column<int32_t>(DataType::kInt32, {INT32_MIN, 8})}, random);
  const auto restored = kGroupBy.restore(intrinsic, *part->Serialize());
  ASSERT_TRUE(restored.ok()) << restored.status().message();
  EXPECT_EQ(*(*restored)->Serialize(), *part->Serialize());
  whole->Merge(**restored);
  const std::vector<Tensor> report = *whole->Report(random);
  EXPECT_THAT(report[0].strings, ElementsAre("b", "a", "c"));
  EXPECT_THAT(Values<int64_t>(report[1]), ElementsAre(9, 2, INT32_MIN));
}

TEST(GroupByTest, ManyGroupsAreInTheOrderOfTheirFirstAppearance) {
  SeededRandom random(1);
  Intrinsic intrinsic = GroupByText();
  intrinsic.inputs.push_back(Spec("n", DataType::kInt64));
  intrinsic.outputs.push_back(Spec("n", DataType::kInt64));
  const auto whole = Make(kGroupBy, intrinsic);
  std::map<std::pair<std::string, int64_t>, int64_t> sums;
  std::vector<std::string> texts_in_order;
  std::vector<int64_t> numbers_in_order;
  for (int contribution = 0; contribution < 3; ++contribution) {
    std::vector<std::string> texts;
    std::vector<int64_t> numbers;
    std::vector<int32_t> values;
    for (int row = 0; row < 30000; ++row) {
      texts.push_back(std::string(random.Below(3), 'x') + std::to_string(random.Below(500)));
      numbers.push_back(static_cast<int64_t>(random.Below(20)) - 10);
      values.push_back(row);
      const auto [sum, is_new] = sums.try_emplace({texts.back(), numbers.back()}, 0);
      sum->second += row;
      if (is_new) {
        texts_in_order.push_back(texts.back());
        numbers_in_order.push_back(numbers.back());
      }
    }
    const std::vector<Tensor> inputs = {Texts(texts), Column<int64_t>(DataType::kInt64, numbers),
                                        Column<int32_t>(DataType::kInt32, values)};
    if (contribution == 0) {
      whole->Accumulate(inputs, random);
    } else {
      const auto part = Make(kGroupBy, intrinsic);
      part->Accumulate(inputs, random);
      whole->Merge(**kGroupBy.restore(intrinsic, *part->Serialize()));
    }
  }
  const std::vector<Tensor> report = *whole->Report(random);
  ASSERT_GT(sums.size(), 20000u);
  EXPECT_EQ(report[0].strings, texts_in_order);
  EXPECT_EQ(Values<int64_t>(report[1]), numbers_in_order);
  const std::vector<int64_t> reported = Values<int64_t>(report[2]);
  ASSERT_EQ(reported.size(), sums.size());
  for (size_t group = 0; group < reported.size(); ++group)
    EXPECT_EQ(reported[group], (sums[{texts_in_order[group], numbers_in_order[group]}]));
}

TEST(GroupByTest, IntegersWrapAround) {
  SeededRandom random(1);
  Intrinsic intrinsic = GroupByText();
  intrinsic.inner = {SumIntrinsic(DataType::kUint64, DataType::kUint64)};
  const auto aggregator = Make(kGroupBy, intrinsic);
  aggregator->Accumulate({Texts({"", ""}), Column<uint64_t>(DataType::kUint64, {UINT64_MAX, 3})},
                         random);
  EXPECT_THAT(Values<uint64_t>((*aggregator->Report(random))[1]), ElementsAre(2));
}

TEST(GroupByTest, RefusesColumnsThatDoNotFit) {
  const auto aggregator = Make(kGroupBy, GroupByText());
  EXPECT_THAT(
      aggregator->CheckInputs({Texts({"a"}), Column<int32_t>(DataType::kInt32, {1, 2})}).message(),
      HasSubstr("tensor x has the shape [2] but tensor k [1]"));
  Intrinsic floats = GroupByText();
  floats.inner = {SumIntrinsic(DataType::kFloat, DataType::kFloat)};
  EXPECT_THAT(Make(kGroupBy, floats)
                  ->CheckInputs({Texts({"a"}), Column<float>(DataType::kFloat, {NAN})})
                  .message(),
              HasSubstr("tensor x: element 0 is not finite"));
}

TEST(GroupByTest, RefusesIntrinsicsOfAnotherForm) {
  const auto refused = [](const AggregatorFactory& factory, const Intrinsic& intrinsic,
                          const char* message) {
    EXPECT_THAT(factory.create(intrinsic).status().message(), HasSubstr(message));
  };
  Intrinsic intrinsic = GroupByText();
  intrinsic.inner.clear();
  refused(kGroupBy, intrinsic, "found 0 inner intrinsics");
  intrinsic = GroupByText();
  intrinsic.outputs.clear();
  refused(kGroupBy, intrinsic, "0 outputs for 1 keys");
  intrinsic = GroupByText();
  intrinsic.inputs[0].shape = {3};
  refused(kGroupBy, intrinsic, "key k is string[3]");
  intrinsic = GroupByText();
  intrinsic.parameters = {Number(1)};
  refused(kGroupBy, intrinsic, "found 1 inputs, 1 outputs, 1 parameters");
  intrinsic = GroupByText();
  intrinsic.inner[0].uri = "GoogleSQL:max";
  refused(kGroupBy, intrinsic, "\"GoogleSQL:max\" is not supported, only GoogleSQL:sum");
  intrinsic = GroupByText();
  intrinsic.inner = {SumIntrinsic(DataType::kInt64, DataType::kInt32)};
  refused(kGroupBy, intrinsic, "input x is int64[-1] and output sum is int32[-1]");
  intrinsic.inner = {SumIntrinsic(DataType::kString, DataType::kString)};
  refused(kGroupBy, intrinsic, "input x is string[-1]");

  refused(kDpGroupBy, Private(DataType::kFloat, DataType::kFloat, 1, 1e-6, 1, {1}),
          "expected double: other types cannot hold private sums exactly");
  refused(kDpGroupBy, Private(DataType::kInt64, DataType::kInt64, 1, 1e-6, 1, {0.5}),
          "positive L-infinity bound");
  intrinsic = Private(DataType::kFloat, DataType::kDouble, 1, 1e-6, 1, {1});
  intrinsic.parameters[0] = "\x08\x07";
  refused(kDpGroupBy, intrinsic, "parameter 0 (epsilon) is not a finite number alone");
  intrinsic.parameters.pop_back();
  refused(kDpGroupBy, intrinsic, "2 parameters");
}

TEST(GroupByTest, RefusesStatesThatDoNotFit) {
  const auto column = [](const std::string& proto) {
    std::string state;
    AppendBytesField(2, proto, &state);
    return state;
  };
  const std::string sums("\x1a\x0a\x12\x08\0\0\0\0\0\0\0\0", 12);
  const std::string one_key = column(std::string("\x08\x07\x12\x03\x0a\x01\x01\x22\x02\x01z", 11));
  const std::pair<std::string, const char*> cases[] = {
      {"", "0 keys and 0 sums, expected 1 and 1"},
      {one_key + one_key + sums, "too many keys"},
      {one_key + sums + sums, "1 keys and 2 sums"},
      {one_key + std::string("\x1a\x00", 2), "0 bytes, expected 8 for each of 1 groups"},
      {column("\x08\x09\x12\x03\x0a\x01\x01") + sums, "another type"},
      {column("\x08\x07") + sums, "no shape"},
      {column("\x08\x07\x12\x04\x0a\x02\x01\x01") + sums, "not one dimension"},
      {column("\x08\x07\x12\x03\x0a\x01\x05\x22\x01\x01") + sums, "less content than texts"},
      {column("\x08\x07\x12\x03\x0a\x01\x01\x22\x01\x09") + sums, "less content than texts"},
      {column("\x08\x07\x12\x03\x0a\x01\x01\x22\x03\x01zz") + sums, "more content than texts"},
      {column("\x08\x07\x12\x03\x0a\x01\x02\x22\x04\x01\x01zz") + sums, "a group twice"},
  };
  for (const auto& [state, message] : cases) {
    EXPECT_THAT(kGroupBy.restore(GroupByText(), state).status().message(), HasSubstr(message));
  }
  EXPECT_TRUE(kGroupBy.restore(GroupByText(), one_key + sums).ok());
}

constexpr int kContributions = 3;

// Sums of as many equal contributions to a private aggregator whose noise is less than a
// thousandth.
std::map<int64_t, double> NearlyExact(DataType in, DataType out, double l0, const Bounds& bounds,
                                      const Tensor& keys, const Tensor& values) {
  SeededRandom random(2);
  const auto aggregator = Make(kDpGroupBy, Private(in, out, 1e9, 0.5, l0, bounds));
  EXPECT_TRUE(aggregator->CheckInputs({keys, values}).ok());
  for (int i = 0; i < kContributions; ++i) aggregator->Accumulate({keys, values}, random);
  const std::vector<Tensor> report = *aggregator->Report(random);
  std::map<int64_t, double> sums;
  const std::vector<int64_t> groups = Values<int64_t>(report[0]);
  for (size_t i = 0; i < groups.size(); ++i) {
    const char* at = report[1].numbers().data() + i * DataTypeSize(out);
    sums[groups[i]] = out == DataType::kDouble   ? Load<double>(at)
                      : out == DataType::kInt32  ? Load<int32_t>(at)
                      : out == DataType::kUint64 ? static_cast<double>(Load<uint64_t>(at))
                                                 : static_cast<double>(Load<int64_t>(at));
  }
  return sums;
}

TEST(DpGroupByTest, TheValuesOfOneContributionCountTogether) {
  // For group 1 the values add up to 9, for group 2 to -9.
  const Tensor keys = Column<int64_t>(DataType::kInt64, {1, 2, 1, 2});
  const auto expect = [&](DataType in, DataType out, const Tensor& values, const Bounds& bounds,
                          double each) {
    const std::map<int64_t, double> sums = NearlyExact(in, out, 2, bounds, keys, values);
    ASSERT_EQ(sums.size(), 2u);
    EXPECT_NEAR(sums.at(1), kContributions * each, 1e-5);
    EXPECT_NEAR(sums.at(2), -kContributions * each, 1e-5);
  };
  const Tensor floats = Column<float>(DataType::kFloat, {4, -4, 5, -5});
  expect(DataType::kFloat, DataType::kDouble, floats, {6}, 6);
  expect(DataType::kFloat, DataType::kDouble, floats, {6, 10}, 5);
  expect(DataType::kFloat, DataType::kDouble, floats, {6, 100, 5}, 5 / std::sqrt(2));
  const Tensor ints = Column<int32_t>(DataType::kInt32, {4, -4, 5, -5});
  expect(DataType::kInt32, DataType::kInt64, ints, {6}, 6);
  expect(DataType::kInt32, DataType::kInt32, ints, {6, 10}, 5);
  expect(DataType::kInt32, DataType::kInt64, ints, {6, 100, 5}, 3);  // 3.53, towards zero
  const Tensor longs = Column<int64_t>(DataType::kInt64, {4, -4, 5, -5});
  expect(DataType::kInt64, DataType::kInt64, longs, {6}, 6);
}

TEST(DpGroupByTest, SumsStayAtTheEndOfTheirType) {
  const Tensor key = Column<int64_t>(DataType::kInt64, {1});
  // Noise has the scale of a bound divided by 5e8.
  EXPECT_NEAR(NearlyExact(DataType::kInt32, DataType::kInt32, 1, {0x1p+30}, key,
                          Column<int32_t>(DataType::kInt32, {INT32_MAX}))
                  .at(1),
              INT32_MAX, 100);
  EXPECT_NEAR(NearlyExact(DataType::kUint64, DataType::kUint64, 1, {0x1p+62}, key,
                          Column<uint64_t>(DataType::kUint64, {UINT64_MAX}))
                  .at(1),
              0x3p+62, 0x1p+40);
  // Values of one contribution that are beyond every float together.
  EXPECT_NEAR(NearlyExact(DataType::kDouble, DataType::kDouble, 1, {1},
                          Column<int64_t>(DataType::kInt64, {1, 1}),
                          Column<double>(DataType::kDouble, {1.7e308, 1.7e308}))
                  .at(1),
              kContributions, 1e-5);
}

TEST(DpGroupByTest, SumsDoNotDependOnTheOrder) {
  // Numbers whose floating-point sum depends on their order; the private one is exact on its grid.
  const Intrinsic intrinsic = Private(DataType::kDouble, DataType::kDouble, 1, 1e-6, 1, {1});
  SeededRandom random(3);
  std::vector<double> values(1000);
  for (double& value : values) value = std::ldexp(static_cast<double>(random.Next()), -64) - 0.3;
  const auto state = [&](bool forward, size_t chunk) {
    const auto whole = Make(kDpGroupBy, intrinsic);
    for (size_t begin = 0; begin < values.size(); begin += chunk) {
      const auto part = Make(kDpGroupBy, intrinsic);
      for (size_t i = begin; i < begin + chunk; ++i) {
        part->Accumulate(
            {Column<int64_t>(DataType::kInt64, {1}),
             Column<double>(DataType::kDouble, {values[forward ? i : values.size() - 1 - i]})},
            random);
      }
      whole->Merge(**kDpGroupBy.restore(intrinsic, *part->Serialize()));
    }
    return *whole->Serialize();
  };
  EXPECT_EQ(state(true, 1000), state(false, 1000));
  EXPECT_EQ(state(true, 1000), state(false, 10));
}

TEST(DpGroupByTest, NoiseHasTheScaleOfTheMechanism) {
  // 20000 groups far above the threshold, one contribution's bound of 20000 groups.
  constexpr int kGroups = 20000;
  for (const double epsilon : {0.5, 4.0}) {
    const Intrinsic intrinsic =
        Private(DataType::kFloat, DataType::kDouble, epsilon, 1e-6, kGroups, {2, 10});
    const auto aggregator = Make(kDpGroupBy, intrinsic);
    std::vector<int64_t> keys(kGroups);
    std::iota(keys.begin(), keys.end(), 0);
    // A state instead of a great many contributions: every sum is a million.
    std::vector<double> sums(kGroups, 1e6);
    std::string key_column, content, size, shape, nested, state;
    for (const int64_t key : keys) AppendFixed(key, &content);
    AppendVarint(kGroups, &size);
    AppendBytesField(1, size, &shape);
    AppendVarintField(1, static_cast<uint64_t>(DataType::kInt64), &key_column);
    AppendBytesField(2, shape, &key_column);
    AppendBytesField(4, content, &key_column);
    content.clear();
    for (const double sum : sums) AppendFixed(sum, &content);
    AppendBytesField(2, content, &nested);
    AppendVarintField(1, 1000000, &state);
    AppendBytesField(2, key_column, &state);
    AppendBytesField(3, nested, &state);
    const auto restored = kDpGroupBy.restore(intrinsic, state);
    ASSERT_TRUE(restored.ok()) << restored.status().message();

    SeededRandom random(4);
    const std::vector<Tensor> report = *(*restored)->Report(random);
    const std::vector<double> noisy = Values<double>(report[1]);
    ASSERT_EQ(noisy.size(), static_cast<size_t>(kGroups));
    double mean = 0, squares = 0;
    for (const double sum : noisy) {
      mean += (sum - 1e6) / kGroups;
      squares += (sum - 1e6) * (sum - 1e6) / kGroups;
    }
    // Laplace for the L1 bound: b = 2 * 10 / epsilon, a variance of 2 b^2.
    const double b = 20 / epsilon;
    EXPECT_NEAR(mean, 0, 0.04 * b);
    EXPECT_NEAR(squares, 2 * b * b, 0.1 * b * b);
    // Rows are in another order than the groups.
    EXPECT_NE(Values<int64_t>(report[0]), keys);
  }
}

TEST(DpGroupByTest, WithoutKeysTheOneGroupIsAlwaysThere) {
  Intrinsic intrinsic = Private(DataType::kInt64, DataType::kInt64, 1, 1e-6, 1, {1});
  intrinsic.inputs.clear();
  intrinsic.outputs.clear();
  SeededRandom random(5);
  const auto aggregator = Make(kDpGroupBy, intrinsic);
  EXPECT_EQ((*aggregator->Report(random))[0].size(), 1u);
  const auto restored = kDpGroupBy.restore(intrinsic, *aggregator->Serialize());
  ASSERT_TRUE(restored.ok()) << restored.status().message();
  (*restored)->Accumulate({Column<int64_t>(DataType::kInt64, {1, 2})}, random);
  EXPECT_EQ((*(*restored)->Report(random))[0].size(), 1u);
}

TEST(DpGroupByTest, RefusesStatesOffTheGrid) {
  const Intrinsic intrinsic = Private(DataType::kFloat, DataType::kDouble, 1, 1e-6, 1, {1});
  std::string key("\x08\x09\x12\x03\x0a\x01\x01\x22\x08\0\0\0\0\0\0\0\0", 17);
  for (const double sum : {0x1p-30, 0x1p+40, static_cast<double>(INFINITY)}) {
    std::string content, nested, state;
    AppendFixed(sum, &content);
    AppendBytesField(2, content, &nested);
    AppendBytesField(2, key, &state);
    AppendBytesField(3, nested, &state);
    EXPECT_EQ(kDpGroupBy.restore(intrinsic, state).status().code(), Code::kInvalidArgument) << sum;
  }
}

}  // namespace
}  // namespace fcp
