#include "shuffler/native/checkpoint/checkpoint.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

using ::testing::HasSubstr;

template <typename T>
Tensor MakeTensor(DataType dtype, Shape shape, const std::vector<T>& values) {
  Tensor tensor{dtype, std::move(shape), {}, {}};
  for (const T value : values) AppendFixed(value, &tensor.data);
  return tensor;
}

std::string Write(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  CheckpointWriter writer;
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(writer.Add(name, tensor).ok());
  return std::move(writer).Finish();
}

void ExpectRoundTrip(const Tensor& tensor) {
  const std::string file = Write({{"x", tensor}});
  const Result<CheckpointReader> reader = CheckpointReader::Open(file);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  const Result<Tensor> read = reader->Read({"x", tensor.dtype, tensor.shape});
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->numbers(), tensor.data);
  EXPECT_EQ(read->strings, tensor.strings);
}

// Slices and messages as TensorFlow would write them, and as it would not.
std::string Extent(int64_t start, int64_t length) {
  std::string extent, slice;
  AppendVarintField(1, static_cast<uint64_t>(start), &extent);
  AppendVarintField(2, static_cast<uint64_t>(length), &extent);
  AppendBytesField(1, extent, &slice);
  return slice;
}

std::string Message(uint32_t field, std::string_view bytes) {
  std::string message;
  AppendBytesField(field, bytes, &message);
  return message;
}

std::string Floats(size_t count) { return Message(5, std::string(4 * count, '\0')); }

// A checkpoint of one vector named "x" with the given length, by default of floats, of slices (key,
// slice, data).
struct RawSlice {
  std::string key;
  std::string slice;
  std::string data;
  std::string name = "x";
};

std::string Raw(uint64_t length, const std::vector<RawSlice>& slices, uint64_t type = 1) {
  std::string size;
  AppendVarintField(1, length, &size);
  std::string tensor = Message(1, "x") + Message(2, Message(2, size));
  AppendVarintField(3, type, &tensor);
  for (const RawSlice& slice : slices) tensor += Message(4, slice.slice);
  TableWriter writer;
  writer.Add("", Message(1, Message(1, tensor)));
  for (const RawSlice& slice : slices) {
    if (slice.key.empty()) continue;
    writer.Add(slice.key, Message(2, Message(1, slice.name) + Message(2, slice.slice) +
                                         Message(3, slice.data)));
  }
  return std::move(writer).Finish();
}

// Keys of slices of "x", of rank 1: 0, "x" and its terminator, rank 1, start and length in one byte
// each (0x80 ^ n).
std::string Key(int start, int length) {
  std::string key("\0x\0\1\1\1", 6);
  key.push_back(static_cast<char>(0x80 ^ start));
  key.push_back(static_cast<char>(0x80 ^ length));
  return key;
}

Status ReadX(const std::string& file, int64_t length) {
  const Result<CheckpointReader> reader = CheckpointReader::Open(file);
  if (!reader.ok()) return reader.status();
  return reader->Read({"x", DataType::kFloat, {length}}).status();
}

TEST(CheckpointTest, EveryTypeAndShapeComesBack) {
  ExpectRoundTrip(MakeTensor<float>(DataType::kFloat, {}, {1.5f}));
  ExpectRoundTrip(MakeTensor<float>(DataType::kFloat, {0, 3}, {}));
  ExpectRoundTrip(MakeTensor<double>(DataType::kDouble, {2, 1}, {-0.0, 1e308}));
  ExpectRoundTrip(MakeTensor<int32_t>(DataType::kInt32, {3}, {INT32_MIN, -1, INT32_MAX}));
  ExpectRoundTrip(MakeTensor<int64_t>(DataType::kInt64, {3}, {INT64_MIN, -1, INT64_MAX}));
  ExpectRoundTrip(MakeTensor<uint64_t>(DataType::kUint64, {2}, {0, UINT64_MAX}));
  ExpectRoundTrip(
      {DataType::kString, {2, 2}, {}, {"", "a", std::string("\0\xff", 2), std::string(1000, 'x')}});
  ExpectRoundTrip(
      MakeTensor<float>(DataType::kFloat, {500, 1000}, std::vector<float>(500000, 0.25f)));
}

TEST(CheckpointTest, LargeDimensionsHaveLargeKeys) {
  // Writes the length of a slice in one to four bytes of a key.
  for (const int64_t size : {63, 64, 8191, 8192, 1 << 20}) {
    const Tensor tensor = MakeTensor<float>(DataType::kFloat, {size},
                                            std::vector<float>(static_cast<size_t>(size), 1.0f));
    ExpectRoundTrip(tensor);
  }
}

TEST(CheckpointTest, ReadsOnlyWhatIsThere) {
  const std::string file = Write({{"x", MakeTensor<float>(DataType::kFloat, {2}, {1, 2})}});
  const CheckpointReader reader = *CheckpointReader::Open(file);
  EXPECT_THAT(reader.Read({"y", DataType::kFloat, {2}}).status().message(),
              HasSubstr("tensor y is missing"));
  EXPECT_THAT(reader.Read({"x", DataType::kDouble, {2}}).status().message(),
              HasSubstr("tensor x is float[2], expected double[2]"));
  EXPECT_THAT(reader.Read({"x", DataType::kFloat, {1, 2}}).status().message(),
              HasSubstr("tensor x is float[2], expected float[1,2]"));
}

TEST(CheckpointTest, SlicesAreJoined) {
  const std::string file =
      Raw(3, {{Key(0, 1), Extent(0, 1), Floats(1)}, {Key(1, 2), Extent(1, 2), Floats(2)}});
  EXPECT_TRUE(ReadX(file, 3).ok()) << ReadX(file, 3).message();
}

TEST(CheckpointTest, AnUnknownSizeFitsEverySize) {
  const std::string file = Write({{"x", MakeTensor<float>(DataType::kFloat, {2, 1}, {1, 2})}});
  const CheckpointReader reader = *CheckpointReader::Open(file);
  const Result<Tensor> tensor = reader.Read({"x", DataType::kFloat, {kUnknownSize, 1}});
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->shape, Shape({2, 1}));
  EXPECT_THAT(reader.Read({"x", DataType::kFloat, {kUnknownSize}}).status().message(),
              HasSubstr("expected float[-1]"));
}

TEST(CheckpointTest, RefusesWrongSlices) {
  const std::pair<std::string, const char*> cases[] = {
      {Raw(3, {}), "slices of tensor x have 0 values"},
      {Raw(3, {{Key(0, 1), Extent(0, 1), Floats(1)}}), "have 1 values for the shape [3]"},
      {Raw(3, {{Key(0, 3), Extent(0, 3), Floats(2)}}), "has 2 values for a slice of shape [3]"},
      {Raw(3, {{Key(0, 3), Extent(0, 3), Floats(4)}}), "has 4 values for a slice of shape [3]"},
      {Raw(3, {{Key(0, 4), Extent(0, 4), Floats(4)}}), "outside of the shape [3]"},
      {Raw(3, {{Key(0, 4), Extent(INT64_MAX, 1), Floats(4)}}), "outside of the shape [3]"},
      {Raw(3, {{Key(0, 4), Extent(0, INT64_MIN), Floats(4)}}), "outside of the shape [3]"},
      {Raw(3, {{Key(0, 4), Extent(-1, 2), Floats(4)}}), "outside of the shape [3]"},
      {Raw(3, {{Key(0, 3), Extent(0, 3) + Extent(0, 1), Floats(3)}}), "another rank"},
      {Raw(3, {{"", Extent(0, 3), ""}}), "a slice of tensor x is missing"},
      {Raw(3, {{Key(0, 3), Extent(0, 3), Floats(3), "y"}}), "has another name"},
      {Raw(4, {{Key(0, 2), Extent(0, 2), Floats(2)}, {Key(1, 2), Extent(1, 2), Floats(2)}}),
       "overlap"},
      {Raw(3, {{Key(0, 3), Extent(0, 3), Message(5, "abc")}}), "ends inside an element"},
      {Raw(UINT64_MAX, {}), "the shape [-1]"},
  };
  for (const auto& [file, message] : cases) {
    const int64_t length = file == cases[11].first ? 4 : 3;
    const Status status = ReadX(file, length);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr(message));
  }
}

TEST(CheckpointTest, AClaimedShapeTakesNoMemory) {
  EXPECT_FALSE(
      ReadX(Raw(INT64_MAX, {{Key(0, 1), Extent(0, INT64_MAX), Floats(1)}}), INT64_MAX).ok());
}

TEST(CheckpointTest, EveryTruncationIsRefused) {
  const std::string file = Write({{"x", MakeTensor<float>(DataType::kFloat, {2}, {1, 2})}});
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(CheckpointReader::Open(std::string_view(file).substr(0, size)).ok());
  }
}

TEST(CheckpointTest, TablesThatAreNoCheckpointsAreRefused) {
  EXPECT_THAT(CheckpointReader::Open(TableWriter().Finish()).status().message(),
              HasSubstr("list of tensors is missing"));
  TableWriter writer;
  writer.Add("", "\x08\x01");  // the header of a V2 checkpoint's index
  const std::string file = std::move(writer).Finish();
  EXPECT_THAT(CheckpointReader::Open(file).status().message(),
              HasSubstr("not an intact V1 checkpoint"));
}

TEST(CheckpointTest, OversizedTensorsAreFound) {
  const std::string file = Write({{"numbers", MakeTensor<double>(DataType::kDouble, {2}, {1, 2})},
                                  {"text", {DataType::kString, {1}, {}, {std::string(100, 'x')}}}});
  const CheckpointReader reader = *CheckpointReader::Open(file);
  EXPECT_TRUE(reader.CheckTensorSizes(1000).ok());
  EXPECT_THAT(reader.CheckTensorSizes(99).message(), HasSubstr("tensor text (string[1])"));
  EXPECT_THAT(reader.CheckTensorSizes(15).message(),
              HasSubstr("tensor numbers (double[2]) takes 16 bytes"));
}

TEST(CheckpointTest, NumbersThatAreNotFiniteAreFound) {
  const float infinity = std::numeric_limits<float>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor good = MakeTensor<float>(DataType::kFloat, {2}, {0x1.fffffep+127f, -0x1p-149f});
  const Tensor text{DataType::kString, {1}, {}, {"nan"}};
  const Tensor ones = MakeTensor<int64_t>(DataType::kInt64, {1}, {-1});
  const auto check = [](const std::string& file) {
    return CheckpointReader::Open(file)->CheckFinite();
  };
  EXPECT_TRUE(check(Write({{"good", good}, {"text", text}, {"ones", ones}})).ok());
  EXPECT_THAT(check(Write({{"good", good},
                           {"x", MakeTensor<float>(DataType::kFloat, {2}, {0, -infinity})}}))
                  .message(),
              HasSubstr("tensor x (float[2]) has a number that is not finite"));
  EXPECT_THAT(check(Write({{"x", MakeTensor<double>(DataType::kDouble, {}, {nan})}, {"y", good}}))
                  .message(),
              HasSubstr("tensor x (double[])"));

  // In the last slice, beyond the shape, and of types that are not aggregated.
  const auto raw = [&](uint64_t type, const std::string& data) {
    return check(
        Raw(2, {{Key(0, 1), Extent(0, 1), Floats(1)}, {Key(1, 1), Extent(1, 1), data}}, type));
  };
  std::string bad;
  AppendFixed(infinity, &bad);
  EXPECT_FALSE(raw(1, Message(5, bad)).ok());
  EXPECT_FALSE(raw(1, Floats(7) + Message(5, bad)).ok());
  EXPECT_FALSE(raw(8, Message(9, std::string(4, '\0') + bad)).ok());
  bad.clear();
  AppendFixed(nan, &bad);
  EXPECT_FALSE(raw(18, Message(12, bad)).ok());
  const std::pair<uint64_t, uint64_t> halves[] = {
      {19, 0x7c00}, {19, 0xfe00}, {14, 0x7f80}, {14, 0xffc0}};
  for (const auto& [type, bits] : halves) {
    bad.clear();
    AppendVarintField(13, bits, &bad);
    EXPECT_FALSE(raw(type, bad).ok()) << type;
    std::string finite;
    AppendVarintField(13, bits - 0x480, &finite);
    EXPECT_TRUE(raw(type, finite).ok()) << type;
  }
  EXPECT_FALSE(raw(1, Message(5, "abc")).ok());
}

TEST(CheckpointTest, WhatIsThereTwiceIsRefused) {
  // TensorFlow would read the values of both messages, we those of the last.
  const std::string slice = Extent(0, 1);
  const std::string data = Message(3, Floats(1));
  const std::string named = Message(1, "x") + Message(2, slice);
  for (const std::string& entry :
       {Message(2, named + data + data), Message(2, named + data) + Message(2, named + data)}) {
    TableWriter writer;
    std::string size;
    AppendVarintField(1, 1, &size);
    std::string tensor = Message(1, "x") + Message(2, Message(2, size));
    AppendVarintField(3, 1, &tensor);
    writer.Add("", Message(1, Message(1, tensor + Message(4, slice))));
    writer.Add(Key(0, 1), entry);
    EXPECT_THAT(ReadX(std::move(writer).Finish(), 1).message(), HasSubstr("has values twice"));
  }
  std::string size;
  AppendVarintField(1, 1, &size);
  const std::string shape = Message(2, Message(2, size));
  TableWriter writer;
  writer.Add("", Message(1, Message(1, Message(1, "x") + shape + shape)));
  EXPECT_THAT(ReadX(std::move(writer).Finish(), 1).message(), HasSubstr("two shapes"));
}

TEST(CheckpointTest, ATensorIsAddedOnce) {
  CheckpointWriter writer;
  EXPECT_TRUE(writer.Add("x", MakeTensor<float>(DataType::kFloat, {}, {1})).ok());
  EXPECT_EQ(writer.Add("x", MakeTensor<float>(DataType::kFloat, {}, {1})).code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace fcp
