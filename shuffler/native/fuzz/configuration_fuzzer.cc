// Reads any bytes as a configuration, and takes in an empty aggregator's state.

#include <cstdlib>

#include "shuffler/native/aggregation/checkpoint_aggregator.h"

namespace {

// Aggregators have all the memory that a configuration asks for, which is the plan's and not a
// device's. Here it may ask for little.
bool IsSmall(const std::vector<fcp::Intrinsic>& intrinsics) {
  for (const fcp::Intrinsic& intrinsic : intrinsics) {
    for (const fcp::TensorSpec& output : intrinsic.outputs) {
      if (fcp::ElementCount(output.shape).value_or(0) > 1000) return false;
    }
    if (!IsSmall(intrinsic.inner)) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const fcp::Result<std::vector<fcp::Intrinsic>> intrinsics = fcp::ParseConfiguration(bytes);
  if (!intrinsics.ok() || !IsSmall(*intrinsics)) return 0;
  fcp::Result<fcp::CheckpointAggregator> aggregator = fcp::CheckpointAggregator::Create(bytes);
  if (!aggregator.ok()) return 0;
  const fcp::Result<std::string> state = aggregator->Serialize();
  if (!state.ok() || !aggregator->MergeSerialized(*state).ok()) std::abort();
  return 0;
}
