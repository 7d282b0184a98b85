// Merges any bytes as the state of an aggregation with every intrinsic.

#include <cstdlib>

#include "shuffler/native/aggregation/checkpoint_aggregator.h"
#include "shuffler/native/aggregation/seeded_random.h"
#include "shuffler/native/common/byte_buffer.h"

namespace {

fcp::CheckpointAggregator Create() {
  fcp::ByteBuffer configuration;
  if (!fcp::ReadFile("shuffler/native/fuzz/corpus/configuration/every_intrinsic", &configuration)
           .ok())
    std::abort();
  return *fcp::CheckpointAggregator::Create(configuration.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fcp::CheckpointAggregator& empty = *new fcp::CheckpointAggregator(Create());
  fcp::SeededRandom random(1);
  fcp::Result<fcp::CheckpointAggregator> aggregator = empty.Empty();
  if (!aggregator.ok()) std::abort();
  const fcp::Result<std::string> before = aggregator->Serialize();
  const fcp::Status merged =
      aggregator->MergeSerialized({reinterpret_cast<const char*>(data), size});
  const fcp::Result<std::string> after = aggregator->Serialize();
  if (!after.ok()) std::abort();  // a state alone cannot go beyond its type
  if (!merged.ok()) {
    if (*after != *before) std::abort();  // what is refused changes nothing
    return 0;
  }
  // What was taken in comes back.
  fcp::Result<fcp::CheckpointAggregator> other = aggregator->Empty();
  if (!other.ok() || !other->MergeSerialized(*after).ok() || *other->Serialize() != *after)
    std::abort();
  (void)other->Report(random);
  return 0;
}
