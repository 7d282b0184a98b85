// TensorFlow's V1 checkpoints, read and written without TensorFlow: a table (table.h) whose first
// entry, under the empty key, lists names, types, shapes and slices of all tensors, and whose other
// entries are one slice of a tensor each. Source of the format:
// tensorflow/core/util/{saved_tensor_slice.proto, saved_tensor_slice_util.cc,
// tensor_slice_writer.cc}.
#ifndef SHUFFLER_NATIVE_CHECKPOINT_CHECKPOINT_H_
#define SHUFFLER_NATIVE_CHECKPOINT_CHECKPOINT_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/checkpoint/table.h"
#include "shuffler/native/common/status.h"
#include "shuffler/native/common/tensor.h"

namespace fcp {

// A part of a tensor: one range per dimension.
struct Slice {
  std::vector<int64_t> starts;
  std::vector<int64_t> sizes;
};

class CheckpointReader {
 public:
  // Reads the list of tensors and verifies all checksums. `file` must outlive the reader.
  // Errors: those of Table::Read; INVALID_ARGUMENT for a table that is no checkpoint.
  static Result<CheckpointReader> Open(std::string_view file);

  // The named tensor, put together from its slices. Numbers that stand in the file as they do in
  // memory are borrowed: the reader and its file must outlive the tensor.
  // INVALID_ARGUMENT if it is absent, of another type or shape than `spec` says, or if its slices
  // do not cover it exactly once.
  Result<Tensor> Read(const TensorSpec& spec) const;

  // OK if no tensor takes more than `max_bytes` in memory; else INVALID_ARGUMENT that names the
  // tensor. Knows all types of TensorFlow that can be in a checkpoint; of strings it counts the
  // bytes that are stored.
  Status CheckTensorSizes(uint64_t max_bytes) const;

  // OK if all numbers are finite; else INVALID_ARGUMENT that names the tensor. Looks at every
  // floating-point type that can be in a checkpoint, and at values beyond a tensor's shape, too.
  Status CheckFinite() const;

 private:
  struct StoredSlice {
    Slice slice;
    std::string_view data;  // TensorProto
  };
  struct StoredTensor {
    int32_t dtype = 0;  // tensorflow.DataType, maybe one that DataType lacks
    Shape shape;
    std::vector<StoredSlice> slices;
  };

  Status ReadFile(std::string_view file);
  Status AddMeta(std::string_view meta, const std::map<std::string_view, std::string_view>& values);
  Status AddTensor(std::string_view meta,
                   const std::map<std::string_view, std::string_view>& values);

  Table table_;
  std::map<std::string, StoredTensor> tensors_;
};

class CheckpointWriter {
 public:
  // Adds a whole tensor. INVALID_ARGUMENT if one of that name was added; RESOURCE_EXHAUSTED if it
  // is over 2 GiB, which no reader takes.
  Status Add(const std::string& name, const Tensor& tensor);
  // The file: the bytes that TensorFlow's Save operation writes for the same tensors.
  std::string Finish() &&;

 private:
  std::map<std::string, std::string>
      metas_;  // by tensor name, the order of TensorFlow's Save: SavedSliceMeta
  std::map<std::string, std::string> entries_;  // by key: SavedTensorSlices
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_CHECKPOINT_CHECKPOINT_H_
