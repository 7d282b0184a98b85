#include "shuffler/native/common/wire.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fcp {
namespace {

using ::testing::HasSubstr;

Status Walk(std::string_view bytes) {
  WireReader reader(bytes, "M");
  while (reader.Next()) {
  }
  return reader.status();
}

TEST(WireTest, ReadsWhatItWrites) {
  std::string bytes;
  AppendVarintField(1, UINT64_MAX, &bytes);
  AppendBytesField(2, "abc", &bytes);
  AppendTag(3, WireType::kFixed32, &bytes);
  AppendFixed(1.5f, &bytes);

  WireReader reader(bytes, "M");
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.number(), 1u);
  EXPECT_EQ(*reader.Varint(), UINT64_MAX);
  EXPECT_FALSE(reader.Bytes().ok());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(*reader.Bytes(), "abc");
  EXPECT_FALSE(reader.Varint().ok());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(Load<float>(reader.Fixed(4)->data()), 1.5f);
  EXPECT_FALSE(reader.Fixed(8).ok());
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.status().ok());
}

TEST(WireTest, RepeatedNumbersMayBePackedOrNot) {
  std::string bytes;
  AppendVarintField(1, 7, &bytes);
  AppendBytesField(1, std::string("\x08\x96\x01", 3), &bytes);
  std::string values;
  WireReader reader(bytes, "M");
  while (reader.Next()) ASSERT_TRUE(reader.AppendVarints(4, &values).ok());
  EXPECT_EQ(values, std::string("\7\0\0\0\x08\0\0\0\x96\0\0\0", 12));
}

TEST(WireTest, VarintsTakeSevenBitsAByte) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit}) {
      std::string bytes;
      AppendVarint(value, &bytes);
      EXPECT_EQ(bytes.size(), value < 128 ? 1u : (64u - __builtin_clzll(value) + 6) / 7);
      std::string_view rest = bytes;
      uint64_t read;
      ASSERT_TRUE(ConsumeVarint(&rest, &read));
      EXPECT_EQ(read, value);
      EXPECT_TRUE(rest.empty());
    }
  }
}

TEST(WireTest, RefusesMalformedMessages) {
  const std::pair<std::string_view, const char*> cases[] = {
      {std::string_view("\x00", 1), "malformed tag"},
      {"\x08", "malformed varint"},
      {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "malformed varint"},
      {"\x0a", "malformed length"},
      {"\x0a\x02x", "beyond the end"},
      {"\x0d\x01\x02\x03", "beyond the end"},
      {"\x09\x01\x02\x03", "beyond the end"},
      {"\x0b", "unknown wire type"},
      {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "beyond the end"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_THAT(Walk(bytes).message(), HasSubstr(message));
  }
}

}  // namespace
}  // namespace fcp
