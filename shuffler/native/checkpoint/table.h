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
  // Makes room for a file with `bytes` of keys and values, so that it does not move while it grows.
  void Reserve(size_t bytes) { file_.reserve(bytes + bytes / 64 + 4096); }
  // Keys must come in strictly increasing order of their bytes.
  void Add(std::string_view key, std::string_view value);
  // The whole file; the writer is used up.
  std::string Finish() &&;

 private:
  // Entries with shared key prefixes, and restart points where a whole key stands.
  class Block {
   public:
    explicit Block(int restart_interval) : restart_interval_(restart_interval) {}
    // Appends an entry to `out`, which ends with the entries before it.
    void Add(std::string_view key, std::string_view value, std::string* out);
    bool empty() const { return size_ == 0; }
    size_t entries_size() const { return size_; }
    // With the restart points that follow the entries.
    size_t size() const { return size_ + 4 * restarts_.size() + 4; }
    // Appends the restart points to the entries; the block is empty afterwards.
    void Finish(std::string* out);

   private:
    int restart_interval_;
    int since_restart_ = 0;
    size_t size_ = 0;  // of the entries
    std::string last_key_;
    std::vector<uint32_t> restarts_ = {0};
  };

  // Appends the trailer of the block that starts at `start` and goes on to the end of the file;
  // returns its handle.
  std::string Seal(size_t start);
  void Flush();

  std::string file_;  // ends with the entries of the current data block
  Block data_{16};
  Block index_{1};
  std::string index_entries_;
  std::string last_key_;
  std::string pending_handle_;  // of the last data block, until the next key is known
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_CHECKPOINT_TABLE_H_
