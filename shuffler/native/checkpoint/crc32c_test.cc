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

TEST(Crc32cTest, MaskRotatesAndAdds) { EXPECT_EQ(MaskCrc32c(0x8000u), 0xa282ead9u); }

}  // namespace
}  // namespace fcp
