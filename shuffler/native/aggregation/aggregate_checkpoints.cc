// Aggregates V1 checkpoints: the library on the command line, for tests against TensorFlow.
//
//   aggregate_checkpoints CONFIGURATION OUTPUT CHECKPOINT...
//
// CONFIGURATION holds a serialized fcp.aggregation.Configuration. The checkpoints are taken in by
// two aggregators in turn, whose states are serialized and merged, so that every way through the
// library is taken. Exit code 1 with one line on standard error on bad input.

#include <cstdio>

#include "shuffler/native/aggregation/checkpoint_aggregator.h"
#include "shuffler/native/common/byte_buffer.h"

namespace fcp {
namespace {

Status Aggregate(int count, char** arguments) {
  FCP_ASSIGN_OR_RETURN(const ByteBuffer configuration, ReadFile(arguments[1]));
  FCP_ASSIGN_OR_RETURN(CheckpointAggregator first,
                       CheckpointAggregator::Create(configuration.view()));
  FCP_ASSIGN_OR_RETURN(CheckpointAggregator second, first.Empty());
  for (int i = 3; i < count; ++i) {
    FCP_ASSIGN_OR_RETURN(const ByteBuffer checkpoint, ReadFile(arguments[i]));
    FCP_RETURN_IF_ERROR((i % 2 ? first : second).Accumulate(checkpoint.view()));
  }
  FCP_RETURN_IF_ERROR(first.MergeSerialized(second.Serialize()));
  FCP_ASSIGN_OR_RETURN(const std::string report, first.Report());
  std::FILE* output = std::fopen(arguments[2], "wb");
  if (output == nullptr) return InvalidArgument(std::string("cannot write ") + arguments[2]);
  const bool written = std::fwrite(report.data(), 1, report.size(), output) == report.size();
  if (std::fclose(output) != 0 || !written)
    return InvalidArgument(std::string("cannot write ") + arguments[2]);
  return {};
}

}  // namespace
}  // namespace fcp

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: aggregate_checkpoints CONFIGURATION OUTPUT CHECKPOINT...\n");
    return 64;
  }
  const fcp::Status status = fcp::Aggregate(count, arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "aggregate_checkpoints: %s\n", status.message().c_str());
  return 1;
}
