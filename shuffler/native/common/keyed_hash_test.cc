#include "shuffler/native/common/keyed_hash.h"

#include <string>

#include "gtest/gtest.h"

namespace fcp {
namespace {

TEST(KeyedHashTest, HashesAreAsPublished) {
  // Of the reference implementation: the key 00 01 .. 0f, and the text 00 01 .. of each length.
  const HashKey key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string text;
  const auto hash = [&](size_t size) {
    while (text.size() < size) text.push_back(static_cast<char>(text.size()));
    return KeyedHash(key, std::string_view(text).substr(0, size));
  };
  EXPECT_EQ(hash(0), 0x726fdb47dd0e0e31);
  EXPECT_EQ(hash(1), 0x74f839c593dc67fd);
  EXPECT_EQ(hash(7), 0xab0200f58b01d137);
  EXPECT_EQ(hash(8), 0x93f5f5799a932462);
  EXPECT_EQ(hash(15), 0xa129ca6149be45e5);
  EXPECT_EQ(hash(63), 0x958a324ceb064572);
}

TEST(KeyedHashTest, EveryBitOfTheKeyCounts) {
  const HashKey key = {1, 2};
  EXPECT_EQ(KeyedHash(key, "text"), KeyedHash(key, "text"));
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t flipped = uint64_t{1} << bit;
    EXPECT_NE(KeyedHash(key, "text"), KeyedHash({key.low ^ flipped, key.high}, "text"));
    EXPECT_NE(KeyedHash(key, "text"), KeyedHash({key.low, key.high ^ flipped}, "text"));
  }
}

TEST(KeyedHashTest, AProcessHasOneKey) {
  EXPECT_EQ(&ProcessHashKey(), &ProcessHashKey());
  EXPECT_TRUE(ProcessHashKey().low != 0 || ProcessHashKey().high != 0);
}

}  // namespace
}  // namespace fcp
