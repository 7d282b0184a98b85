#include "shuffler/native/checkpoint/table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shuffler/native/checkpoint/crc32c.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

using ::testing::HasSubstr;

std::string Write(const std::vector<std::pair<std::string, std::string>>& entries) {
  TableWriter writer;
  for (const auto& [key, value] : entries) writer.Add(key, value);
  return std::move(writer).Finish();
}

std::vector<std::pair<std::string, std::string>> ManyEntries() {
  std::vector<std::pair<std::string, std::string>> entries = {{"", "first"}};
  for (int i = 1000; i < 1500; ++i) {
    entries.emplace_back("key/" + std::to_string(i),
                         std::string(static_cast<size_t>(i), static_cast<char>(i)));
  }
  entries.emplace_back("large", std::string(1 << 20, 'x'));
  entries.emplace_back("zero", "");
  return entries;
}

// A block with its trailer, and its handle.
std::string AppendBlock(std::string block, char type, std::string* file) {
  std::string handle;
  AppendVarint(file->size(), &handle);
  AppendVarint(block.size(), &handle);
  block.push_back(type);
  file->append(block);
  AppendFixed(MaskCrc32c(ExtendCrc32c(0, block)), file);
  return handle;
}

std::string Entry(std::string_view key, std::string_view value) {
  std::string entry("\0", 1);
  AppendVarint(key.size(), &entry);
  AppendVarint(value.size(), &entry);
  return entry.append(key).append(value);
}

const std::string kRestarts("\0\0\0\0\1\0\0\0", 8);

std::string Finish(std::string file, const std::string& index_block) {
  const std::string meta = AppendBlock(kRestarts, 0, &file);
  std::string footer = meta + AppendBlock(index_block, 0, &file);
  footer.resize(40);
  return file + footer + "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
}

TEST(TableTest, ReadsWhatItWrites) {
  for (const auto& entries : {std::vector<std::pair<std::string, std::string>>{}, ManyEntries()}) {
    const std::string file = Write(entries);
    const Result<Table> table = Table::Read(file);
    ASSERT_TRUE(table.ok()) << table.status().message();
    ASSERT_EQ(table->entries().size(), entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(table->entries()[i].key, entries[i].first);
      EXPECT_EQ(table->entries()[i].value, entries[i].second);
    }
  }
}

TEST(TableTest, EndsInTheMagicNumber) {
  const std::string file = Write({{"", "x"}});
  EXPECT_EQ(file.substr(file.size() - 8), "\x57\xfb\x80\x8b\x24\x75\x47\xdb");
}

TEST(TableTest, ReadsSnappyBlocks) {
  const std::string block = Entry("key", "value") + kRestarts;
  std::string compressed;
  AppendVarint(block.size(), &compressed);
  compressed.push_back(static_cast<char>((block.size() - 1) << 2));
  std::string file;
  const std::string handle = AppendBlock(compressed + block, 1, &file);
  file = Finish(file, Entry("key", handle) + kRestarts);
  const Result<Table> table = Table::Read(file);
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->entries().at(0).value, "value");
}

TEST(TableTest, EveryFlippedBitOfABlockIsFound) {
  const std::string file = Write({{"", "first"}, {"key", "value"}});
  const size_t blocks = file.size() - 48;
  for (size_t at = 0; at < blocks; ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const Result<Table> table = Table::Read(damaged);
    if (table.ok()) {
      // Only the unused index of filters is not read: 8 bytes and its trailer.
      EXPECT_EQ(table->entries().at(1).value, "value");
      EXPECT_GE(at, blocks - 13 - 30);
    } else {
      EXPECT_EQ(table.status().code(), Code::kDataLoss);
    }
  }
}

TEST(TableTest, EveryTruncationIsRefused) {
  const std::string file = Write({{"", "first"}, {"key", "value"}});
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(Table::Read(std::string_view(file).substr(0, size)).ok()) << size;
  }
}

TEST(TableTest, RefusesMalformedTables) {
  std::string file;
  const std::string good = AppendBlock(Entry("b", "1") + kRestarts, 0, &file);
  const std::string empty = AppendBlock(kRestarts, 0, &file);
  const std::string restarts = AppendBlock(std::string("\xff\xff\xff\x7f", 4), 0, &file);
  const std::string tiny = AppendBlock("ab", 0, &file);
  const std::string shared = AppendBlock(std::string("\x01\x00\x00", 3) + kRestarts, 0, &file);
  const std::string beyond = AppendBlock(std::string("\x00\x01\x7f", 3) + kRestarts, 0, &file);
  const std::string unordered = AppendBlock(Entry("b", "") + Entry("a", "") + kRestarts, 0, &file);
  const std::string unknown = AppendBlock(Entry("b", "1") + kRestarts, 9, &file);
  std::string far_away;
  AppendVarint(UINT64_MAX, &far_away);
  AppendVarint(UINT64_MAX, &far_away);

  const std::pair<std::string, const char*> cases[] = {
      {Entry("k", empty), "an empty block"},
      {Entry("k", restarts), "too many restart points"},
      {Entry("k", tiny), "without restart points"},
      {Entry("k", shared), "malformed entry"},
      {Entry("k", beyond), "malformed entry"},
      {Entry("k", unordered), "not in order"},
      {Entry("k", unknown), "compression type 9"},
      {Entry("k", far_away), "beyond the end"},
      {Entry("k", ""), "malformed index"},
      {Entry("k", good) + Entry("l", good), "overlap"},
  };
  for (const auto& [index, message] : cases) {
    const std::string table = Finish(file, index + kRestarts);
    EXPECT_THAT(Table::Read(table).status().message(), HasSubstr(message));
  }
  EXPECT_TRUE(Table::Read(Finish(file, Entry("k", good) + kRestarts)).ok());
}

}  // namespace
}  // namespace fcp
