// Aggregates V1 checkpoints: the library on the command line, for tests against TensorFlow.
//
//   aggregate_checkpoints CONFIGURATION OUTPUT CHUNK CHECKPOINT...
//
// CONFIGURATION holds a serialized fcp.aggregation.Configuration. Every CHUNK checkpoints are taken
// in by an aggregator of their own, whose state is serialized and merged into the whole, so that
// every way through the library is taken. Exit code 1 with one line on standard error on bad input.

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "shuffler/native/aggregation/checkpoint_aggregator.h"
#include "shuffler/native/common/byte_buffer.h"

namespace fcp {
namespace {

Status Aggregate(int count, char** arguments) {
  ByteBuffer content;
  FCP_RETURN_IF_ERROR(ReadFile(arguments[1], &content));
  FCP_ASSIGN_OR_RETURN(CheckpointAggregator whole, CheckpointAggregator::Create(content.view()));
  const int chunk = std::atoi(arguments[3]);
  if (chunk < 1) return InvalidArgument("CHUNK is not a positive number");
  SystemRandom random;
  for (int i = 4; i < count;) {
    FCP_ASSIGN_OR_RETURN(CheckpointAggregator part, whole.Empty());
    for (const int end = std::min(i + chunk, count); i < end; ++i) {
      FCP_RETURN_IF_ERROR(ReadFile(arguments[i], &content));
      FCP_RETURN_IF_ERROR(part.Accumulate(content.view(), random));
    }
    FCP_ASSIGN_OR_RETURN(const std::string state, part.Serialize());
    FCP_RETURN_IF_ERROR(whole.MergeSerialized(state));
  }
  FCP_ASSIGN_OR_RETURN(const std::string report, whole.Report(random));
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
  if (count < 4) {
    std::fprintf(stderr, "usage: aggregate_checkpoints CONFIGURATION OUTPUT CHUNK CHECKPOINT...\n");
    return 64;
  }
  const fcp::Status status = fcp::Aggregate(count, arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "aggregate_checkpoints: %s\n", status.message().c_str());
  return 1;
}
