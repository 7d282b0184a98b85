#include "shuffler/native/checkpoint/table.h"

#include <algorithm>

#include "shuffler/native/checkpoint/crc32c.h"
#include "shuffler/native/checkpoint/snappy.h"
#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

constexpr uint64_t kMagic = 0xdb4775248b80fb57;  // in the file: 57 fb 80 8b 24 75 47 db
constexpr size_t kFooterSize = 48;  // two block handles, padded to 40 bytes, and the magic number
constexpr size_t kTrailerSize = 5;  // compression type and checksum
constexpr char kUncompressed = 0;
constexpr char kSnappy = 1;
constexpr size_t kBlockSize = 262144;  // tsl/lib/io/table_options.h
constexpr uint64_t kMaxUncompressed = INT32_MAX;

// A fuzzer would not get past checksums.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr bool kCheckChecksums = false;
#else
constexpr bool kCheckChecksums = true;
#endif

Status Malformed(std::string what) {
  return InvalidArgument("malformed table: " + std::move(what));
}

struct Handle {
  uint64_t offset;
  uint64_t size;
};

bool ConsumeHandle(std::string_view* in, Handle* handle) {
  return ConsumeVarint(in, &handle->offset) && ConsumeVarint(in, &handle->size);
}

// Calls `visit(key, value)`, which returns a Status, for each entry. A block is entries, then
// restart points and their count.
template <typename Visit>
Status VisitEntries(std::string_view block, Visit visit) {
  if (block.size() < 4) return Malformed("a block without restart points");
  const uint64_t restarts = Load<uint32_t>(block.data() + block.size() - 4);
  if (restarts > (block.size() - 4) / 4) return Malformed("a block with too many restart points");
  std::string_view rest = block.substr(0, block.size() - 4 - 4 * restarts);
  std::string key;
  while (!rest.empty()) {
    uint64_t shared, unshared, value_size;
    if (!ConsumeVarint(&rest, &shared) || !ConsumeVarint(&rest, &unshared) ||
        !ConsumeVarint(&rest, &value_size) || shared > key.size() || unshared > rest.size() ||
        value_size > rest.size() - unshared) {
      return Malformed("a malformed entry");
    }
    key.resize(shared);
    key.append(rest.substr(0, unshared));
    FCP_RETURN_IF_ERROR(visit(key, rest.substr(unshared, value_size)));
    rest.remove_prefix(unshared + value_size);
  }
  return {};
}

// The shortest text that is at least `start` and below `limit`, or `start`
// (leveldb/util/comparator.cc).
std::string ShortestSeparator(std::string start, std::string_view limit) {
  const size_t common = std::min(start.size(), limit.size());
  size_t i = 0;
  while (i < common && start[i] == limit[i]) ++i;
  if (i == common) return start;  // one is a prefix of the other
  const auto byte = static_cast<uint8_t>(start[i]);
  if (byte < 0xff && byte + 1 < static_cast<uint8_t>(limit[i])) {
    start[i] = static_cast<char>(byte + 1);
    start.resize(i + 1);
  }
  return start;
}

// A short text that is at least `key`.
std::string ShortSuccessor(std::string key) {
  for (size_t i = 0; i < key.size(); ++i) {
    if (static_cast<uint8_t>(key[i]) != 0xff) {
      ++key[i];
      key.resize(i + 1);
      break;
    }
  }
  return key;
}

}  // namespace

Result<std::string_view> Table::ReadBlock(std::string_view file, uint64_t offset, uint64_t size) {
  if (file.size() < kTrailerSize || size > file.size() - kTrailerSize ||
      offset > file.size() - kTrailerSize - size) {
    return Malformed("a block beyond the end of the file");
  }
  const std::string_view block = file.substr(offset, size);
  const char type = file[offset + size];
  const uint32_t checksum = MaskCrc32c(ExtendCrc32c(0, file.substr(offset, size + 1)));
  if (kCheckChecksums && checksum != Load<uint32_t>(file.data() + offset + size + 1)) {
    return DataLoss("the checksum of the block at byte " + std::to_string(offset) + " differs");
  }
  if (type == kUncompressed) return block;
  if (type != kSnappy)
    return Malformed("compression type " + std::to_string(type) + " of a block is unknown");
  FCP_ASSIGN_OR_RETURN(std::string whole,
                       SnappyUncompress(block, kMaxUncompressed - uncompressed_size_));
  uncompressed_size_ += whole.size();
  return std::string_view(uncompressed_.emplace_back(std::move(whole)));
}

Result<Table> Table::Read(std::string_view file) {
  if (file.size() < kFooterSize) {
    return Malformed("expected at least 48 bytes, found " + std::to_string(file.size()));
  }
  std::string_view footer = file.substr(file.size() - kFooterSize);
  if (Load<uint64_t>(footer.data() + 40) != kMagic)
    return Malformed("the magic number at the end is missing");
  Handle meta_index, index;
  if (!ConsumeHandle(&footer, &meta_index) || !ConsumeHandle(&footer, &index)) {
    return Malformed("a malformed footer");
  }
  file.remove_suffix(kFooterSize);

  Table table;
  FCP_ASSIGN_OR_RETURN(const std::string_view index_block,
                       table.ReadBlock(file, index.offset, index.size));
  // Blocks stand one after the other and none is empty, so that no file can make us read its bytes
  // twice.
  uint64_t end = 0;
  FCP_RETURN_IF_ERROR(
      VisitEntries(index_block, [&](const std::string&, std::string_view value) -> Status {
        Handle handle;
        if (!ConsumeHandle(&value, &handle)) return Malformed("a malformed index");
        if (handle.offset < end) return Malformed("blocks overlap");
        FCP_ASSIGN_OR_RETURN(const std::string_view block,
                             table.ReadBlock(file, handle.offset, handle.size));
        end = handle.offset + handle.size + kTrailerSize;
        const size_t before = table.entries_.size();
        FCP_RETURN_IF_ERROR(
            VisitEntries(block, [&](const std::string& key, std::string_view entry) -> Status {
              if (!table.entries_.empty() && key <= table.entries_.back().key)
                return Malformed("keys are not in order");
              table.entries_.push_back({key, entry});
              return {};
            }));
        if (table.entries_.size() == before) return Malformed("an empty block");
        return {};
      }));
  return table;
}

void TableWriter::Block::Add(std::string_view key, std::string_view value, std::string* out) {
  size_t shared = 0;
  if (since_restart_ < restart_interval_) {
    const size_t common = std::min(last_key_.size(), key.size());
    while (shared < common && last_key_[shared] == key[shared]) ++shared;
  } else {
    restarts_.push_back(static_cast<uint32_t>(size_));
    since_restart_ = 0;
  }
  const size_t before = out->size();
  AppendVarint(shared, out);
  AppendVarint(key.size() - shared, out);
  AppendVarint(value.size(), out);
  out->append(key.substr(shared)).append(value);
  size_ += out->size() - before;
  last_key_.assign(key);
  ++since_restart_;
}

void TableWriter::Block::Finish(std::string* out) {
  for (const uint32_t restart : restarts_) AppendFixed(restart, out);
  AppendFixed(static_cast<uint32_t>(restarts_.size()), out);
  *this = Block(restart_interval_);
}

std::string TableWriter::Seal(size_t start) {
  std::string handle;
  AppendVarint(start, &handle);
  AppendVarint(file_.size() - start, &handle);
  file_.push_back(kUncompressed);
  AppendFixed(MaskCrc32c(ExtendCrc32c(0, std::string_view(file_).substr(start))), &file_);
  return handle;
}

void TableWriter::Flush() {
  if (data_.empty()) return;
  const size_t start = file_.size() - data_.entries_size();
  data_.Finish(&file_);
  pending_handle_ = Seal(start);
}

void TableWriter::Add(std::string_view key, std::string_view value) {
  // A large entry gets a block of its own, as in TensorFlow's tables.
  if (key.size() + value.size() >= 2 * kBlockSize) Flush();
  if (!pending_handle_.empty()) {
    index_.Add(ShortestSeparator(last_key_, key), pending_handle_, &index_entries_);
    pending_handle_.clear();
  }
  data_.Add(key, value, &file_);
  last_key_.assign(key);
  if (data_.size() >= kBlockSize) Flush();
}

std::string TableWriter::Finish() && {
  Flush();
  const size_t meta_start = file_.size();
  Block(16).Finish(&file_);  // we have no filters
  std::string footer = Seal(meta_start);
  if (!pending_handle_.empty())
    index_.Add(ShortSuccessor(last_key_), pending_handle_, &index_entries_);
  index_.Finish(&index_entries_);
  const size_t index_start = file_.size();
  file_.append(index_entries_);
  footer += Seal(index_start);
  footer.resize(kFooterSize - 8);
  AppendFixed(kMagic, &footer);
  return std::move(file_.append(footer));
}

}  // namespace fcp
