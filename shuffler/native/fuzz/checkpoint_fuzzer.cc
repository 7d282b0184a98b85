// Reads any bytes as a checkpoint with tensors of every type.

#include <cstdlib>

#include "shuffler/native/checkpoint/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fcp::DataType;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const fcp::Result<fcp::CheckpointReader> reader = fcp::CheckpointReader::Open(file);
  if (!reader.ok()) return 0;
  (void)reader->CheckTensorSizes(1000);
  (void)reader->CheckFinite();
  const fcp::TensorSpec specs[] = {
      {"f", DataType::kFloat, {2, 3}}, {"d", DataType::kDouble, {}},
      {"i", DataType::kInt32, {-1}},   {"l", DataType::kInt64, {-1, -1}},
      {"u", DataType::kUint64, {-1}},  {"s", DataType::kString, {-1}},
  };
  fcp::CheckpointWriter writer;
  for (const fcp::TensorSpec& spec : specs) {
    const fcp::Result<fcp::Tensor> tensor = reader->Read(spec);
    if (!tensor.ok()) continue;
    if (static_cast<int64_t>(tensor->size()) != fcp::ElementCount(tensor->shape)) std::abort();
    if (!writer.Add(spec.name, *tensor).ok()) std::abort();
  }
  // What was read can be written and read.
  const std::string copy = std::move(writer).Finish();
  if (!fcp::CheckpointReader::Open(copy).ok()) std::abort();
  return 0;
}
