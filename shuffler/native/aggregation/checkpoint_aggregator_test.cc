#include "shuffler/native/aggregation/checkpoint_aggregator.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shuffler/native/checkpoint/checkpoint.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

using ::testing::HasSubstr;

SystemRandom random_source;

std::string Message(uint32_t field, std::string_view bytes) {
  std::string message;
  AppendBytesField(field, bytes, &message);
  return message;
}

std::string Spec(std::string_view name, DataType dtype, const Shape& shape) {
  std::string spec = Message(1, name);
  AppendVarintField(2, static_cast<uint64_t>(dtype), &spec);
  std::string sizes;
  for (const int64_t size : shape) AppendVarint(static_cast<uint64_t>(size), &sizes);
  return spec + Message(3, Message(1, sizes));
}

std::string Sum(std::string_view input, std::string_view output, DataType dtype,
                const Shape& shape) {
  return Message(2, Message(1, "federated_sum") +
                        Message(4, Message(2, Spec(input, dtype, shape))) +
                        Message(5, Spec(output, dtype, shape)));
}

template <typename T>
std::string Checkpoint(std::string_view name, DataType dtype, const std::vector<T>& values) {
  Tensor tensor{dtype, {static_cast<int64_t>(values.size())}, {}, {}};
  for (const T value : values) AppendFixed(value, &tensor.data);
  CheckpointWriter writer;
  EXPECT_TRUE(writer.Add(std::string(name), tensor).ok());
  return std::move(writer).Finish();
}

template <typename T>
std::vector<T> Reported(const CheckpointAggregator& aggregator, std::string_view name,
                        DataType dtype, int64_t size) {
  const Result<std::string> report = aggregator.Report(random_source);
  EXPECT_TRUE(report.ok()) << report.status().message();
  const Result<CheckpointReader> reader = CheckpointReader::Open(*report);
  EXPECT_TRUE(reader.ok()) << reader.status().message();
  const Result<Tensor> tensor = reader->Read({std::string(name), dtype, {size}});
  EXPECT_TRUE(tensor.ok()) << tensor.status().message();
  std::vector<T> values;
  for (size_t at = 0; at < tensor->numbers().size(); at += sizeof(T))
    values.push_back(Load<T>(tensor->numbers().data() + at));
  return values;
}

template <typename T>
void ExpectSum(DataType dtype, const std::vector<T>& a, const std::vector<T>& b,
               const std::vector<T>& sum) {
  const auto size = static_cast<int64_t>(sum.size());
  CheckpointAggregator aggregator = *CheckpointAggregator::Create(Sum("x", "y", dtype, {size}));
  ASSERT_TRUE(aggregator.Accumulate(Checkpoint("x", dtype, a), random_source).ok());
  ASSERT_TRUE(aggregator.Accumulate(Checkpoint("x", dtype, b), random_source).ok());
  EXPECT_EQ(Reported<T>(aggregator, "y", dtype, size), sum);
}

TEST(CheckpointAggregatorTest, SumsEveryNumericType) {
  ExpectSum<float>(DataType::kFloat, {1.5f, -2}, {0.25f, 2}, {1.75f, 0});
  ExpectSum<double>(DataType::kDouble, {1e300}, {1e300}, {2e300});
  ExpectSum<int32_t>(DataType::kInt32, {1, INT32_MAX}, {-3, 1}, {-2, INT32_MIN});
  ExpectSum<int64_t>(DataType::kInt64, {INT64_MAX}, {1}, {INT64_MIN});
  ExpectSum<uint64_t>(DataType::kUint64, {UINT64_MAX, 2}, {1, 3}, {0, 5});
}

TEST(CheckpointAggregatorTest, TheStateIsThatOfTensorFlowFederated) {
  CheckpointAggregator aggregator =
      *CheckpointAggregator::Create(Sum("x", "y", DataType::kInt32, {2}));
  EXPECT_EQ(*aggregator.Serialize(), Message(1, Message(2, std::string(8, '\0'))));
  ASSERT_TRUE(
      aggregator.Accumulate(Checkpoint<int32_t>("x", DataType::kInt32, {1, 2}), random_source)
          .ok());
  ASSERT_TRUE(
      aggregator.Accumulate(Checkpoint<int32_t>("x", DataType::kInt32, {3, 4}), random_source)
          .ok());
  // CheckpointAggregatorState { aggregators: AggVectorAggregatorState { num_inputs: 2, vector_data:
  // 4, 6 } }
  EXPECT_EQ(*aggregator.Serialize(),
            std::string("\x0a\x0c\x08\x02\x12\x08\x04\0\0\0\x06\0\0\0", 14));
}

TEST(CheckpointAggregatorTest, StatesAreMerged) {
  const std::string configuration =
      Sum("a", "a", DataType::kFloat, {1}) + Sum("b", "b", DataType::kInt64, {1});
  const auto contribution = [](float a, int64_t b) {
    Tensor floats{DataType::kFloat, {1}, {}, {}}, ints{DataType::kInt64, {1}, {}, {}};
    AppendFixed(a, &floats.data);
    AppendFixed(b, &ints.data);
    CheckpointWriter writer;
    EXPECT_TRUE(writer.Add("a", floats).ok() && writer.Add("b", ints).ok());
    return std::move(writer).Finish();
  };
  CheckpointAggregator first = *CheckpointAggregator::Create(configuration);
  CheckpointAggregator second = *first.Empty();
  CheckpointAggregator third = *first.Empty();
  ASSERT_TRUE(first.Accumulate(contribution(1, 10), random_source).ok());
  ASSERT_TRUE(second.Accumulate(contribution(2, 20), random_source).ok());
  ASSERT_TRUE(third.Accumulate(contribution(4, 40), random_source).ok());
  ASSERT_TRUE(first.MergeSerialized(*second.Serialize()).ok());
  ASSERT_TRUE(first.Fits(third));
  ASSERT_TRUE(first.Merge(third).ok());
  EXPECT_EQ(Reported<float>(first, "a", DataType::kFloat, 1), std::vector<float>{7});
  EXPECT_EQ(Reported<int64_t>(first, "b", DataType::kInt64, 1), std::vector<int64_t>{70});
}

TEST(CheckpointAggregatorTest, WhatCannotBeReadChangesNothing) {
  const std::string configuration =
      Sum("a", "a", DataType::kFloat, {1}) + Sum("b", "b", DataType::kFloat, {1});
  CheckpointAggregator aggregator = *CheckpointAggregator::Create(configuration);
  const std::string before = *aggregator.Serialize();
  // "a" is there, "b" is not; a state of the first intrinsic only; states of another size.
  EXPECT_THAT(
      aggregator.Accumulate(Checkpoint<float>("a", DataType::kFloat, {1}), random_source).message(),
      HasSubstr("tensor b"));
  EXPECT_FALSE(aggregator.Accumulate("no checkpoint", random_source).ok());
  const std::string state = Message(2, std::string("\x01\0\0\0", 4));
  EXPECT_THAT(aggregator.MergeSerialized(Message(1, state)).message(), HasSubstr("found 1"));
  EXPECT_THAT(aggregator.MergeSerialized(Message(1, state) + Message(1, state) + Message(1, state))
                  .message(),
              HasSubstr("found 3"));
  EXPECT_THAT(aggregator.MergeSerialized(Message(1, state) + Message(1, "")).message(),
              HasSubstr("expected 4"));
  EXPECT_FALSE(aggregator.MergeSerialized("\x0a").ok());
  EXPECT_EQ(*aggregator.Serialize(), before);
  EXPECT_TRUE(aggregator.MergeSerialized(Message(1, state) + Message(1, state)).ok());
}

TEST(CheckpointAggregatorTest, ConfigurationsAreCompared) {
  const CheckpointAggregator aggregator =
      *CheckpointAggregator::Create(Sum("x", "y", DataType::kFloat, {2}));
  EXPECT_TRUE(aggregator.Fits(*CheckpointAggregator::Create(Sum("x", "y", DataType::kFloat, {2}))));
  EXPECT_FALSE(
      aggregator.Fits(*CheckpointAggregator::Create(Sum("x", "z", DataType::kFloat, {2}))));
  EXPECT_FALSE(
      aggregator.Fits(*CheckpointAggregator::Create(Sum("x", "y", DataType::kFloat, {3}))));
}

TEST(CheckpointAggregatorTest, RefusesWhatItDoesNotSupport) {
  const auto intrinsic = [](std::string_view fields) { return Message(2, fields); };
  const std::string uri = Message(1, "federated_sum");
  const std::string input = Message(4, Message(2, Spec("x", DataType::kFloat, {1})));
  const std::string output = Message(5, Spec("x", DataType::kFloat, {1}));
  const std::pair<std::string, const char*> cases[] = {
      {"", "at least one intrinsic"},
      {intrinsic(input + output), "\"\" is not supported, only federated_sum"},
      {intrinsic(Message(1, "federated_max") + input + output),
       "\"federated_max\" is not supported, only federated_sum, federated_mean, "
       "federated_weighted_mean, fedsql_group_by, fedsql_dp_group_by"},
      {intrinsic(uri + output), "found 0 inputs"},
      {intrinsic(uri + input + input + output), "found 2 inputs"},
      {intrinsic(uri + input), "0 outputs"},
      {intrinsic(uri + input + output + Message(6, uri)), ", 1 inner intrinsics"},
      {intrinsic(uri + input + output + Message(4, Message(3, ""))), "1 parameters"},
      {intrinsic(uri + Message(4, "") + output), "neither an input tensor nor a parameter"},
      {intrinsic(uri + input + Message(5, Spec("y", DataType::kFloat, {2}))),
       "input x is float[1] but output y is float[2]"},
      {Sum("x", "y", DataType::kString, {1}), "is a string"},
      {Sum("x", "y", static_cast<DataType>(10), {1}), "unknown type 10"},
      {Sum("x", "y", static_cast<DataType>(0), {1}), "unknown type 0"},
      {Sum("", "y", DataType::kFloat, {1}), "has no name"},
      {Sum("x", "y", DataType::kFloat, {-1}), "is float[-1], expected known sizes"},
      {Sum("x", "y", DataType::kFloat, {-2}), "impossible shape [-2]"},
      {Sum("x", "y", DataType::kFloat, {INT64_MAX, 2}), "impossible shape"},
      {Sum("x", "y", DataType::kFloat, {1}) + Sum("z", "y", DataType::kFloat, {1}),
       "two outputs are named y"},
      {"\x12", "malformed length"},
  };
  for (const auto& [configuration, message] : cases) {
    const Result<CheckpointAggregator> aggregator = CheckpointAggregator::Create(configuration);
    EXPECT_FALSE(aggregator.ok());
    EXPECT_THAT(aggregator.status().message(), HasSubstr(message));
  }
  std::string nested = uri;
  for (int depth = 0; depth < 20; ++depth) nested = Message(6, nested);
  EXPECT_THAT(CheckpointAggregator::Create(Message(2, nested)).status().message(),
              HasSubstr("nested too deeply"));
}

TEST(CheckpointAggregatorTest, ASumBeyondTheMachineIsAnError) {
  EXPECT_EQ(CheckpointAggregator::Create(Sum("x", "y", DataType::kDouble, {INT64_MAX / 8}))
                .status()
                .code(),
            Code::kResourceExhausted);
}

}  // namespace
}  // namespace fcp
