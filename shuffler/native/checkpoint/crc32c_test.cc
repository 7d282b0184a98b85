#include "shuffler/native/checkpoint/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace fcp {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32cTest, AgreesWithTheExamplesOfTheStandard) {
  EXPECT_EQ(ExtendCrc32c(0, std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(ExtendCrc32c(0, std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  EXPECT_EQ(ExtendCrc32c(0, ascending), 0x46dd794eu);
  EXPECT_EQ(ExtendCrc32c(0, "123456789"), 0xe3069283u);
}

TEST(Crc32cTest, IsTheSameInPieces) {
  const std::string text = "a text that is longer than one step of eight bytes";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(ExtendCrc32c(ExtendCrc32c(0, text.substr(0, cut)), text.substr(cut)),
              ExtendCrc32c(0, text));
  }
}

TEST(Crc32cTest, TheInstructionAndTheTablesAgree) {
  // Around one and several times the three stretches that are taken side by side.
  std::string text;
  uint32_t state = 1;
  for (size_t i = 0; i < 40000; ++i) {
    state = state * 1664525 + 1013904223;
    text.push_back(static_cast<char>(state >> 24));
  }
  for (const size_t size : {0, 1, 7, 8, 9, 12287, 12288, 12289, 24576, 24583, 40000}) {
    for (const size_t offset : {0, 1, 3}) {
      const std::string_view part = std::string_view(text).substr(offset, size);
      EXPECT_EQ(ExtendCrc32c(0x12345678, part), ExtendCrc32cByTables(0x12345678, part));
    }
  }
}

TEST(Crc32cTest, MaskRotatesAndAdds) { EXPECT_EQ(MaskCrc32c(0x8000u), 0xa282ead9u); }

}  // namespace
}  // namespace fcp
