#include "shuffler/native/checkpoint/snappy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace fcp {
namespace {

using ::testing::HasSubstr;

constexpr size_t kNoLimit = SIZE_MAX;

std::string_view Bytes(const char* bytes, size_t size) { return {bytes, size}; }

TEST(SnappyTest, ReadsLiteralsAndCopies) {
  EXPECT_EQ(*SnappyUncompress(Bytes("\x00", 1), kNoLimit), "");
  EXPECT_EQ(*SnappyUncompress(Bytes("\x03\x08"
                                    "abc",
                                    5),
                              kNoLimit),
            "abc");
  // A copy of one-byte offset that overlaps itself: run-length encoding.
  EXPECT_EQ(*SnappyUncompress(Bytes("\x0a\x04"
                                    "ab\x11\x02",
                                    6),
                              kNoLimit),
            "ababababab");
  // Offsets of two and of four bytes.
  EXPECT_EQ(*SnappyUncompress(Bytes("\x06\x08"
                                    "abc\x0a\x03\x00",
                                    8),
                              kNoLimit),
            "abcabc");
  EXPECT_EQ(*SnappyUncompress(Bytes("\x06\x08"
                                    "abc\x0b\x03\x00\x00\x00",
                                    10),
                              kNoLimit),
            "abcabc");
}

TEST(SnappyTest, ReadsLongLiterals) {
  const std::string text(300, 'x');
  EXPECT_EQ(*SnappyUncompress(std::string("\xac\x02\xf4\x2b\x01", 5) + text, kNoLimit), text);
}

TEST(SnappyTest, RefusesWhatIsNotSnappy) {
  const std::pair<std::string_view, const char*> cases[] = {
      {Bytes("", 0), "malformed length"},
      {Bytes("\xff\xff\xff\xff\xff\x01", 6), "malformed length"},
      {Bytes("\x7f\x00", 2), "cannot have"},
      {Bytes("\x03\x08"
             "ab",
             4),
       "truncated literal"},
      {Bytes("\x02\x08"
             "abc",
             5),
       "more data"},
      {Bytes("\x04\x08"
             "abc",
             5),
       "less data"},
      {Bytes("\x06\x08"
             "abc\x0a\x04\x00",
             8),
       "before its start"},
      {Bytes("\x06\x08"
             "abc\x0a\x00\x00",
             8),
       "before its start"},
      {Bytes("\x05\x08"
             "abc\x0a\x03\x00",
             8),
       "more data"},
      {Bytes("\x06\x08"
             "abc\x0a\x03",
             7),
       "truncated"},
      {Bytes("\x06\xf4\x01", 3), "truncated"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_THAT(SnappyUncompress(bytes, kNoLimit).status().message(), HasSubstr(message));
  }
}

TEST(SnappyTest, RefusesMoreThanTheLimit) {
  EXPECT_EQ(SnappyUncompress(Bytes("\x03\x08"
                                   "abc",
                                   5),
                             2)
                .status()
                .code(),
            Code::kResourceExhausted);
}

}  // namespace
}  // namespace fcp
