// Sorted string tables, the container of TensorFlow's V1 checkpoints: LevelDB's table format with
// another magic number. Source of the format: leveldb/doc/table_format.md;
// tsl/lib/io/{format,block_builder,table_builder}.cc.
#ifndef SHUFFLER_NATIVE_CHECKPOINT_TABLE_H_
#define SHUFFLER_NATIVE_CHECKPOINT_TABLE_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shuffler/native/common/status.h"

namespace fcp {

// All entries of a table, in the order of their keys.
class Table {
 public:
  struct Entry {
    std::string key;
    std::string_view value;
  };

  // Verifies magic, checksums, order and bounds of everything. `file` must outlive the table; time
  // and memory are linear in its size. DATA_LOSS: a checksum differs. INVALID_ARGUMENT: not a
  // table. RESOURCE_EXHAUSTED: over 2 GiB when uncompressed.
  static Result<Table> Read(std::string_view file);

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  Result<std::string_view> ReadBlock(std::string_view file, uint64_t offset, uint64_t size);

  std::vector<Entry> entries_;
  std::deque<std::string> uncompressed_;  // what views of compressed blocks point to
  uint64_t uncompressed_size_ = 0;
};

// Writes a table, uncompressed, in blocks of the size that TensorFlow uses.
class TableWriter {
 public:
  // Keys must come in strictly increasing order of their bytes.
  void Add(std::string_view key, std::string_view value);
  // The whole file; the writer is used up.
  std::string Finish() &&;

 private:
  // Entries with shared key prefixes, and restart points where a whole key stands.
  class Block {
   public:
    explicit Block(int restart_interval) : restart_interval_(restart_interval) {}
    void Add(std::string_view key, std::string_view value);
    bool empty() const { return bytes_.empty(); }
    // With the restart points that follow the entries.
    size_t size() const { return bytes_.size() + 4 * restarts_.size() + 4; }
    // The block's bytes; the block is empty afterwards.
    std::string Finish();

   private:
    int restart_interval_;
    int since_restart_ = 0;
    std::string bytes_;
    std::string last_key_;
    std::vector<uint32_t> restarts_ = {0};
  };

  // Appends a block with its trailer; returns its handle.
  std::string Write(std::string block);
  void Flush();

  std::string file_;
  Block data_{16};
  Block index_{1};
  std::string last_key_;
  std::string pending_handle_;  // of the last data block, until the next key is known
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_CHECKPOINT_TABLE_H_
