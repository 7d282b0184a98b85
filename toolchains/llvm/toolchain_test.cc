// What every C++ target of this repository can rely on.

#include <climits>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "expected -fno-exceptions and -fno-rtti"
#endif
static_assert(__clang_major__ == 16 && _LIBCPP_VERSION / 10000 == 16,
              "expected Clang and libc++ of LLVM 16");
static_assert(__cplusplus == 201703L, "expected C++17");

namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ToolchainTest, NothingOfABuildIsInAnObject) {
  EXPECT_STREQ(__DATE__, "redacted");
  EXPECT_STREQ(__TIME__, "redacted");
  EXPECT_STREQ(__TIMESTAMP__, "redacted");
  EXPECT_STREQ(__FILE__, "toolchains/llvm/toolchain_test.cc");
}

TEST(ToolchainTest, TheCxxRuntimeIsThatOfTheSysroot) {
  std::ifstream maps("/proc/self/maps");
  int found = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/libc++") == std::string::npos && line.find("/libunwind") == std::string::npos) {
      continue;
    }
    ++found;
    const std::string path = line.substr(line.find('/'));
    EXPECT_THAT(path, HasSubstr("debian12_sysroot"));
    EXPECT_THAT(path, Not(StartsWith("/usr/")));
  }
  EXPECT_GT(found, 0);
}

#if __has_feature(address_sanitizer)
TEST(ToolchainDeathTest, AddressSanitizerFindsAnOverflow) {
  const auto memory = std::make_unique<char[]>(8);
  volatile char* data = memory.get();
  EXPECT_DEATH(data[8] = 'x', "heap-buffer-overflow");
}
#endif

#if __has_feature(undefined_behavior_sanitizer)
TEST(ToolchainDeathTest, UndefinedBehaviorSanitizerFindsAnOverflow) {
  volatile int largest = INT_MAX;
  EXPECT_DEATH(largest = largest + 1, "signed integer overflow");
}
#endif

}  // namespace
