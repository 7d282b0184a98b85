#include "shuffler/native/checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

constexpr int64_t kFullExtent = -1;

Status InCheckpoint(const Status& status) {
  if (status.ok()) return status;
  return {status.code(), "not an intact V1 checkpoint: " + status.message()};
}

// --- Keys: tensorflow/core/lib/strings/ordered_code.cc
// -----------------------------------------------------------

// Big-endian without leading zeros, after its length.
void AppendOrderedNumber(uint64_t value, std::string* out) {
  char bytes[8];
  size_t size = 0;
  for (; value > 0; value >>= 8) bytes[7 - size++] = static_cast<char>(value);
  out->push_back(static_cast<char>(size));
  out->append(bytes + 8 - size, size);
}

// Two's complement in the fewest bytes, whose count stands in the leading bits.
void AppendOrderedSigned(int64_t value, std::string* out) {
  const uint64_t magnitude = static_cast<uint64_t>(value < 0 ? ~value : value);
  size_t bits = 0;
  while (bits < 64 && magnitude >> bits != 0) ++bits;
  const size_t size = bits / 7 + 1;  // 1..10
  char bytes[10];
  for (size_t i = 0; i < 10; ++i) {
    // Arithmetic shift: the sign fills the two bytes above 64 bits.
    bytes[9 - i] = static_cast<char>(i < 8 ? value >> (8 * i) : value < 0 ? -1 : 0);
  }
  // `size` leading one bits (then a zero bit), or their complement for a negative number.
  char* begin = bytes + 10 - size;
  const uint16_t header = static_cast<uint16_t>(0xffffu << (16 - size));
  begin[0] = static_cast<char>(begin[0] ^ (header >> 8));
  if (size > 1) begin[1] = static_cast<char>(begin[1] ^ (header & 0xff));
  out->append(begin, size);
}

// Terminated, with the two bytes escaped that could be mistaken for the end.
void AppendOrderedString(std::string_view text, std::string* out) {
  for (const char c : text) {
    out->push_back(c);
    if (c == '\0') out->push_back('\xff');
    if (c == '\xff') out->push_back('\0');
  }
  out->append(std::string_view("\0\1", 2));
}

struct Extent {
  int64_t start = 0;
  int64_t length = kFullExtent;
};

std::string SliceKey(std::string_view name, const std::vector<Extent>& extents) {
  std::string key;
  AppendOrderedNumber(0, &key);  // after the empty key of the list of tensors
  AppendOrderedString(name, &key);
  AppendOrderedNumber(extents.size(), &key);
  for (const Extent& extent : extents) {
    AppendOrderedSigned(extent.start, &key);
    AppendOrderedSigned(extent.length, &key);
  }
  return key;
}

// --- Messages
// -----------------------------------------------------------------------------------------------------

Result<Shape> ParseShape(std::string_view bytes) {
  Shape shape;
  WireReader reader(bytes, "TensorShapeProto");
  while (reader.Next()) {
    if (reader.number() == 3) return InvalidArgument("a shape of unknown rank");
    if (reader.number() != 2) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view dimension, reader.Bytes());
    int64_t size = 0;
    WireReader fields(dimension, "TensorShapeProto.Dim");
    while (fields.Next()) {
      if (fields.number() != 1) continue;
      FCP_ASSIGN_OR_RETURN(const uint64_t value, fields.Varint());
      size = static_cast<int64_t>(value);
    }
    FCP_RETURN_IF_ERROR(fields.status());
    shape.push_back(size);
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (!ElementCount(shape)) return InvalidArgument("the shape " + ShapeString(shape));
  return shape;
}

Result<std::vector<Extent>> ParseExtents(std::string_view bytes) {
  std::vector<Extent> extents;
  WireReader reader(bytes, "TensorSliceProto");
  while (reader.Next()) {
    if (reader.number() != 1) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view extent_bytes, reader.Bytes());
    Extent extent;
    WireReader fields(extent_bytes, "TensorSliceProto.Extent");
    while (fields.Next()) {
      if (fields.number() != 1 && fields.number() != 2) continue;
      FCP_ASSIGN_OR_RETURN(const uint64_t value, fields.Varint());
      (fields.number() == 1 ? extent.start : extent.length) = static_cast<int64_t>(value);
    }
    FCP_RETURN_IF_ERROR(fields.status());
    extents.push_back(extent);
  }
  FCP_RETURN_IF_ERROR(reader.status());
  return extents;
}

Result<Slice> ResolveSlice(const std::vector<Extent>& extents, const Shape& shape) {
  if (extents.size() != shape.size())
    return InvalidArgument("a slice of another rank than its tensor");
  Slice slice;
  for (size_t d = 0; d < shape.size(); ++d) {
    const auto [start, length] = extents[d];
    const int64_t size = length == kFullExtent ? shape[d] : length;
    if (start < 0 || size < 0 || start > shape[d] - size || (length == kFullExtent && start != 0)) {
      return InvalidArgument("a slice outside of the shape " + ShapeString(shape));
    }
    slice.starts.push_back(start);
    slice.sizes.push_back(size);
  }
  return slice;
}

// The values of a TensorProto as SavedSlice holds it: only the repeated field of the type, without
// type and shape. Numbers that lie in `bytes` as they are in memory are borrowed.
Status AppendValues(std::string_view bytes, Tensor* tensor) {
  WireReader reader(bytes, "TensorProto");
  const size_t width = DataTypeSize(tensor->dtype);
  while (reader.Next()) {
    switch (tensor->dtype) {
      case DataType::kFloat:
      case DataType::kDouble: {
        if (reader.number() != (tensor->dtype == DataType::kFloat ? 5 : 6)) break;
        FCP_ASSIGN_OR_RETURN(const std::string_view values, reader.Fixed(width));
        if (tensor->data.empty() && tensor->borrowed.empty()) {
          tensor->borrowed = values;
        } else {
          if (tensor->data.empty()) tensor->data.assign(std::exchange(tensor->borrowed, {}));
          tensor->data.append(values);
        }
        break;
      }
      case DataType::kInt32:
        if (reader.number() == 7) FCP_RETURN_IF_ERROR(reader.AppendVarints(width, &tensor->data));
        break;
      case DataType::kString:
        if (reader.number() == 8) {
          FCP_ASSIGN_OR_RETURN(const std::string_view value, reader.Bytes());
          tensor->strings.emplace_back(value);
        }
        break;
      case DataType::kInt64:
        if (reader.number() == 10) FCP_RETURN_IF_ERROR(reader.AppendVarints(width, &tensor->data));
        break;
      case DataType::kUint64:
        if (reader.number() == 17) FCP_RETURN_IF_ERROR(reader.AppendVarints(width, &tensor->data));
        break;
    }
  }
  return reader.status();
}

// Copies the elements of `part` to the place of `slice` in `whole`; `taken` says which elements
// were written. False if one was already.
bool CopySlice(const Slice& slice, Tensor part, Tensor* whole, std::vector<bool>* taken) {
  const size_t width = DataTypeSize(whole->dtype);
  const size_t count = part.size();
  const std::string_view numbers = part.numbers();
  // Elements that follow each other in both: the last dimensions that the slice has in full, and
  // its part of the one before them. `rank` dimensions are left to walk.
  size_t rank = whole->shape.size();
  size_t run = 1;
  while (rank > 0) {
    --rank;
    run *= static_cast<size_t>(slice.sizes[rank]);
    if (slice.sizes[rank] != whole->shape[rank]) break;
  }
  std::vector<int64_t> at(rank, 0);
  for (size_t from = 0; from < count; from += run) {
    size_t to = 0;
    for (size_t d = 0; d < whole->shape.size(); ++d) {
      to = to * static_cast<size_t>(whole->shape[d]) +
           static_cast<size_t>(slice.starts[d] + (d < rank ? at[d] : 0));
    }
    const auto first = taken->begin() + static_cast<ptrdiff_t>(to);
    const auto last = first + static_cast<ptrdiff_t>(run);
    if (std::find(first, last, true) != last) return false;
    std::fill(first, last, true);
    if (width == 0) {
      std::move(part.strings.begin() + static_cast<ptrdiff_t>(from),
                part.strings.begin() + static_cast<ptrdiff_t>(from + run),
                whole->strings.begin() + static_cast<ptrdiff_t>(to));
    } else {
      std::memcpy(whole->data.data() + to * width, numbers.data() + from * width, run * width);
    }
    for (size_t d = rank; d-- > 0;) {
      if (++at[d] < slice.sizes[d]) break;
      at[d] = 0;
    }
  }
  return true;
}

// Bytes of an element in memory, for every type that a checkpoint can hold; 0 for strings and what
// we do not know.
size_t WidthOf(int32_t tensorflow_type) {
  switch (tensorflow_type) {
    case 4:   // uint8
    case 6:   // int8
    case 10:  // bool
    case 11:  // qint8
    case 12:  // quint8
      return 1;
    case 5:   // int16
    case 14:  // bfloat16
    case 15:  // qint16
    case 16:  // quint16
    case 17:  // uint16
    case 19:  // half
      return 2;
    case 13:  // qint32
    case 22:  // uint32
      return 4;
    case 8:  // complex64
      return 8;
    case 18:  // complex128
      return 16;
    default:
      return DataTypeSize(static_cast<DataType>(tensorflow_type));
  }
}

// Whether all values of a TensorProto of the type are finite.
Result<bool> AllFinite(int32_t tensorflow_type, std::string_view bytes) {
  uint32_t field = 0;
  DataType part = DataType::kFloat;
  uint32_t exponent = 0;  // its bits, where values are varints
  switch (tensorflow_type) {
    case 1:  // float
      field = 5;
      break;
    case 2:  // double
      field = 6;
      part = DataType::kDouble;
      break;
    case 8:  // complex64
      field = 9;
      break;
    case 14:  // bfloat16
      field = 13;
      exponent = 0x7f80;
      break;
    case 18:  // complex128
      field = 12;
      part = DataType::kDouble;
      break;
    case 19:  // half
      field = 13;
      exponent = 0x7c00;
      break;
    default:
      return true;
  }
  WireReader reader(bytes, "TensorProto");
  while (reader.Next()) {
    if (reader.number() != field) continue;
    if (exponent == 0) {
      FCP_ASSIGN_OR_RETURN(const std::string_view values, reader.Fixed(DataTypeSize(part)));
      if (FirstNonFinite(part, values)) return false;
    } else {
      std::string values;
      FCP_RETURN_IF_ERROR(reader.AppendVarints(sizeof(uint32_t), &values));
      for (size_t at = 0; at < values.size(); at += sizeof(uint32_t)) {
        if ((Load<uint32_t>(values.data() + at) & exponent) == exponent) return false;
      }
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  return true;
}

std::string TypeName(int32_t tensorflow_type) {
  const char* name = DataTypeName(static_cast<DataType>(tensorflow_type));
  return name ? name : "type " + std::to_string(tensorflow_type);
}

}  // namespace

Result<CheckpointReader> CheckpointReader::Open(std::string_view file) {
  CheckpointReader reader;
  FCP_RETURN_IF_ERROR(InCheckpoint(reader.ReadFile(file)));
  return reader;
}

Status CheckpointReader::ReadFile(std::string_view file) {
  FCP_ASSIGN_OR_RETURN(table_, Table::Read(file));
  const std::vector<Table::Entry>& entries = table_.entries();
  if (entries.empty() || !entries[0].key.empty())
    return InvalidArgument("the list of tensors is missing");
  std::map<std::string_view, std::string_view> values;
  for (size_t i = 1; i < entries.size(); ++i)
    values.emplace_hint(values.end(), entries[i].key, entries[i].value);

  WireReader fields(entries[0].value, "SavedTensorSlices");
  while (fields.Next()) {
    if (fields.number() != 1) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view meta, fields.Bytes());
    FCP_RETURN_IF_ERROR(AddMeta(meta, values));
  }
  return fields.status();
}

Status CheckpointReader::AddMeta(std::string_view meta,
                                 const std::map<std::string_view, std::string_view>& values) {
  WireReader fields(meta, "SavedTensorSliceMeta");
  while (fields.Next()) {
    if (fields.number() != 1) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view tensor, fields.Bytes());
    FCP_RETURN_IF_ERROR(AddTensor(tensor, values));
  }
  return fields.status();
}

Status CheckpointReader::AddTensor(std::string_view meta,
                                   const std::map<std::string_view, std::string_view>& values) {
  std::string name;
  StoredTensor tensor;
  std::vector<std::string_view> slices;
  // A message that is there twice is one to TensorFlow, of both; the second alone to us. So that
  // both see the same checkpoint, no message may be.
  bool has_shape = false;
  WireReader fields(meta, "SavedSliceMeta");
  while (fields.Next()) {
    switch (fields.number()) {
      case 1: {
        FCP_ASSIGN_OR_RETURN(const std::string_view bytes, fields.Bytes());
        name.assign(bytes);
        break;
      }
      case 2: {
        FCP_ASSIGN_OR_RETURN(const std::string_view bytes, fields.Bytes());
        if (has_shape) return InvalidArgument("a tensor has two shapes");
        has_shape = true;
        FCP_ASSIGN_OR_RETURN(tensor.shape, ParseShape(bytes));
        break;
      }
      case 3: {
        FCP_ASSIGN_OR_RETURN(const uint64_t type, fields.Varint());
        tensor.dtype = static_cast<int32_t>(type);
        break;
      }
      case 4: {
        FCP_ASSIGN_OR_RETURN(const std::string_view slice, fields.Bytes());
        slices.push_back(slice);
        break;
      }
      default:
        break;
    }
  }
  FCP_RETURN_IF_ERROR(fields.status());

  std::set<std::string> keys;
  for (const std::string_view bytes : slices) {
    FCP_ASSIGN_OR_RETURN(const std::vector<Extent> extents, ParseExtents(bytes));
    StoredSlice slice;
    FCP_ASSIGN_OR_RETURN(slice.slice, ResolveSlice(extents, tensor.shape));
    const std::string key = SliceKey(name, extents);
    const auto value = values.find(key);
    if (value == values.end()) return InvalidArgument("a slice of tensor " + name + " is missing");
    if (!keys.insert(key).second)
      return InvalidArgument("a slice of tensor " + name + " is listed twice");

    bool has_data = false;
    WireReader saved(value->second, "SavedTensorSlices");
    while (saved.Next()) {
      if (saved.number() != 2) continue;
      FCP_ASSIGN_OR_RETURN(const std::string_view saved_slice, saved.Bytes());
      WireReader parts(saved_slice, "SavedSlice");
      while (parts.Next()) {
        if (parts.number() != 1 && parts.number() != 3) continue;
        FCP_ASSIGN_OR_RETURN(const std::string_view part, parts.Bytes());
        if (parts.number() == 1 && part != name)
          return InvalidArgument("a slice of tensor " + name + " has another name");
        if (parts.number() == 3) {
          if (has_data) return InvalidArgument("a slice of tensor " + name + " has values twice");
          has_data = true;
          slice.data = part;
        }
      }
      FCP_RETURN_IF_ERROR(parts.status());
    }
    FCP_RETURN_IF_ERROR(saved.status());
    tensor.slices.push_back(std::move(slice));
  }
  if (!tensors_.emplace(name, std::move(tensor)).second)
    return InvalidArgument("tensor " + name + " is listed twice");
  return {};
}

Result<Tensor> CheckpointReader::Read(const TensorSpec& spec) const {
  const auto found = tensors_.find(spec.name);
  if (found == tensors_.end())
    return InvalidArgument("checkpoint: tensor " + spec.name + " is missing");
  const StoredTensor& stored = found->second;
  if (stored.dtype != static_cast<int32_t>(spec.dtype) || !ShapeFits(stored.shape, spec.shape)) {
    return InvalidArgument("checkpoint: tensor " + spec.name + " is " + TypeName(stored.dtype) +
                           ShapeString(stored.shape) + ", expected " + DataTypeName(spec.dtype) +
                           ShapeString(spec.shape));
  }
  // All values first: no memory is taken for a shape before its values are there.
  std::vector<Tensor> parts;
  uint64_t total = 0;
  for (const StoredSlice& slice : stored.slices) {
    Tensor part{spec.dtype, slice.slice.sizes};
    FCP_RETURN_IF_ERROR(InCheckpoint(AppendValues(slice.data, &part)));
    if (part.size() != static_cast<uint64_t>(*ElementCount(part.shape))) {
      return InvalidArgument("checkpoint: tensor " + spec.name + " has " +
                             std::to_string(part.size()) + " values for a slice of shape " +
                             ShapeString(part.shape));
    }
    total += part.size();
    parts.push_back(std::move(part));
  }
  if (parts.empty() || total != static_cast<uint64_t>(*ElementCount(stored.shape))) {
    return InvalidArgument("checkpoint: the slices of tensor " + spec.name + " have " +
                           std::to_string(total) + " values for the shape " +
                           ShapeString(stored.shape));
  }
  if (parts.size() == 1) {
    parts[0].shape = stored.shape;
    return std::move(parts[0]);
  }

  Tensor whole{spec.dtype, stored.shape};
  if (spec.dtype == DataType::kString) {
    whole.strings.resize(total);
  } else {
    whole.data.resize(total * DataTypeSize(spec.dtype));
  }
  std::vector<bool> taken(total);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!CopySlice(stored.slices[i].slice, std::move(parts[i]), &whole, &taken)) {
      return InvalidArgument("checkpoint: slices of tensor " + spec.name + " overlap");
    }
  }
  return whole;
}

Status CheckpointReader::CheckTensorSizes(uint64_t max_bytes) const {
  for (const auto& [name, tensor] : tensors_) {
    uint64_t size = 0;
    if (const size_t width = WidthOf(tensor.dtype); width > 0) {
      if (__builtin_mul_overflow(static_cast<uint64_t>(*ElementCount(tensor.shape)), width, &size))
        size = UINT64_MAX;
    } else {
      for (const StoredSlice& slice : tensor.slices) size += slice.data.size();
    }
    if (size > max_bytes) {
      return InvalidArgument("checkpoint: tensor " + name + " (" + TypeName(tensor.dtype) +
                             ShapeString(tensor.shape) + ") takes " + std::to_string(size) +
                             " bytes, at most " + std::to_string(max_bytes) + " are allowed");
    }
  }
  return {};
}

Status CheckpointReader::CheckFinite() const {
  for (const auto& [name, tensor] : tensors_) {
    for (const StoredSlice& slice : tensor.slices) {
      const Result<bool> finite = AllFinite(tensor.dtype, slice.data);
      FCP_RETURN_IF_ERROR(InCheckpoint(finite.status()));
      if (!*finite) {
        return InvalidArgument("checkpoint: tensor " + name + " (" + TypeName(tensor.dtype) +
                               ShapeString(tensor.shape) + ") has a number that is not finite");
      }
    }
  }
  return {};
}

Status CheckpointWriter::Add(const std::string& name, const Tensor& tensor) {
  const size_t rank = tensor.shape.size();
  // tensor_slice.cc: a full extent is recorded by an empty message.
  std::string slice;
  std::string shape;
  for (const int64_t size : tensor.shape) {
    std::string dimension;
    if (size != 0) AppendVarintField(1, static_cast<uint64_t>(size), &dimension);
    AppendBytesField(2, dimension, &shape);
    AppendBytesField(1, "", &slice);
  }

  // The field of the tensor's values: its beginning, and values that are as they are in memory.
  std::string data;
  std::string_view values;
  const std::string_view numbers = tensor.numbers();
  const auto add_varints = [&data, numbers](uint32_t field, auto element) {
    using T = decltype(element);
    std::string packed;
    for (size_t at = 0; at < numbers.size(); at += sizeof(T)) {
      // Negative numbers of 32 bits are sign-extended to 64, as in every protobuf.
      AppendVarint(static_cast<uint64_t>(static_cast<int64_t>(Load<T>(numbers.data() + at))),
                   &packed);
    }
    if (!packed.empty()) AppendBytesField(field, packed, &data);
  };
  switch (tensor.dtype) {
    case DataType::kFloat:
    case DataType::kDouble:
      if (numbers.empty()) break;
      AppendTag(tensor.dtype == DataType::kFloat ? 5 : 6, WireType::kBytes, &data);
      AppendVarint(numbers.size(), &data);
      values = numbers;
      break;
    case DataType::kInt32:
      add_varints(7, int32_t{});
      break;
    case DataType::kString:
      for (const std::string& value : tensor.strings) AppendBytesField(8, value, &data);
      break;
    case DataType::kInt64:
      add_varints(10, int64_t{});
      break;
    case DataType::kUint64:
      add_varints(17, uint64_t{});
      break;
  }

  std::string saved;
  if (!name.empty()) AppendBytesField(1, name, &saved);
  AppendBytesField(2, slice, &saved);
  AppendTag(3, WireType::kBytes, &saved);
  AppendVarint(data.size() + values.size(), &saved);
  const size_t size = saved.size() + data.size() + values.size();
  if (size > INT32_MAX - 64) {
    return ResourceExhausted("checkpoint: tensor " + name + " takes " + std::to_string(size) +
                             " bytes, over 2 GiB");
  }
  std::string entry;
  entry.reserve(size + 16);
  AppendTag(2, WireType::kBytes, &entry);
  AppendVarint(size, &entry);
  entry.append(saved).append(data).append(values);

  std::string meta;
  if (!name.empty()) AppendBytesField(1, name, &meta);
  AppendBytesField(2, shape, &meta);
  AppendVarintField(3, static_cast<uint64_t>(tensor.dtype), &meta);
  AppendBytesField(4, slice, &meta);

  if (!metas_.emplace(name, std::move(meta)).second) {
    return InvalidArgument("checkpoint: tensor " + name + " was added twice");
  }
  entries_.emplace(SliceKey(name, std::vector<Extent>(rank)), std::move(entry));
  return {};
}

std::string CheckpointWriter::Finish() && {
  std::string meta;
  for (const auto& [name, tensor] : metas_) AppendBytesField(1, tensor, &meta);
  std::string versions;
  AppendVarintField(
      1, 1, &versions);  // producer = TF_CHECKPOINT_VERSION, tensorflow/core/public/version.h
  AppendBytesField(2, versions, &meta);
  std::string first;
  AppendBytesField(1, meta, &first);

  TableWriter table;
  size_t bytes = first.size();
  for (const auto& [key, entry] : entries_) bytes += key.size() + entry.size();
  table.Reserve(bytes);
  table.Add("", first);
  for (auto& [key, entry] : entries_) {
    table.Add(key, entry);
    std::string().swap(entry);  // the file is a second copy
  }
  return std::move(table).Finish();
}

}  // namespace fcp
