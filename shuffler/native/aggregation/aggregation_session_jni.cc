// com.google.fcp.aggregation.AggregationSession: conversions only.

#include <jni.h>

#include <mutex>
#include <optional>

#include "shuffler/native/aggregation/checkpoint_aggregator.h"
#include "shuffler/native/jni/handle_table.h"
#include "shuffler/native/jni/jni_util.h"

namespace fcp {
namespace {

struct Session {
  std::mutex mutex;                                // held during every use of the aggregator
  std::optional<CheckpointAggregator> aggregator;  // none once it was serialized or reported
};

HandleTable<Session>& Sessions() {
  static auto* table = new HandleTable<Session>();  // never destroyed: threads may outlive main
  return *table;
}

// Calls `use(CheckpointAggregator&)`, which returns a Status, while no other thread uses the
// session.
template <typename Use>
Status WithAggregator(jlong handle, bool consume, Use use) {
  FCP_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, Sessions().Get(handle));
  const std::lock_guard<std::mutex> lock(session->mutex);
  if (!session->aggregator)
    return FailedPrecondition("the session was serialized or reported already");
  FCP_RETURN_IF_ERROR(use(*session->aggregator));
  if (consume) session->aggregator.reset();
  return {};
}

void ThrowIfError(JNIEnv* env, const Status& status) {
  if (!status.ok()) Throw(env, "com/google/fcp/aggregation/AggregationException", status);
}

// Takes all elements of `arrays` into `aggregator`, or, if one of them is bad, none.
template <typename Take>
Status TakeAll(JNIEnv* env, jobjectArray arrays, const char* what, CheckpointAggregator* aggregator,
               Take take) {
  FCP_ASSIGN_OR_RETURN(const jsize count, LengthOf(env, arrays, what));
  FCP_ASSIGN_OR_RETURN(CheckpointAggregator batch, aggregator->Empty());
  for (jsize i = 0; i < count; ++i) {
    const std::string name = std::string(what) + "[" + std::to_string(i) + "]";
    const Element<jbyteArray> element(env, arrays, i);
    FCP_ASSIGN_OR_RETURN(const ByteBuffer bytes, ToBytes(env, element.get(), name.c_str()));
    if (const Status status = take(&batch, bytes.view()); !status.ok()) {
      return {status.code(), name + ": " + status.message()};
    }
  }
  return aggregator->Merge(batch);
}

// `bytes` of a session that is used up by giving them.
template <typename Give>
jbyteArray Consume(JNIEnv* env, jlong handle, Give give) {
  jbyteArray array = nullptr;
  ThrowIfError(env, WithAggregator(
                        handle, /*consume=*/true, [&](CheckpointAggregator& aggregator) -> Status {
                          FCP_ASSIGN_OR_RETURN(const std::string bytes, give(aggregator));
                          FCP_ASSIGN_OR_RETURN(array, ToJavaBytes(env, bytes));
                          return {};
                        }));
  return array;
}

Result<jlong> Create(JNIEnv* env, jbyteArray configuration) {
  FCP_ASSIGN_OR_RETURN(const ByteBuffer bytes, ToBytes(env, configuration, "configuration"));
  FCP_ASSIGN_OR_RETURN(CheckpointAggregator aggregator, CheckpointAggregator::Create(bytes.view()));
  auto session = std::make_shared<Session>();
  session->aggregator = std::move(aggregator);
  return Sessions().Add(std::move(session));
}

Status MergeWith(JNIEnv* env, jlong handle, jbyteArray configuration, jobjectArray serialized) {
  FCP_ASSIGN_OR_RETURN(const ByteBuffer bytes, ToBytes(env, configuration, "configuration"));
  FCP_ASSIGN_OR_RETURN(const CheckpointAggregator theirs,
                       CheckpointAggregator::Create(bytes.view()));
  return WithAggregator(handle, /*consume=*/false, [&](CheckpointAggregator& aggregator) -> Status {
    if (!aggregator.Fits(theirs))
      return InvalidArgument("the configuration is not that of this session");
    return TakeAll(env, serialized, "serialized", &aggregator,
                   [](CheckpointAggregator* batch, std::string_view state) {
                     return batch->MergeSerialized(state);
                   });
  });
}

}  // namespace
}  // namespace fcp

extern "C" {

JNIEXPORT jlong JNICALL
Java_com_google_fcp_aggregation_AggregationSession_createNativeFromByteArray(
    JNIEnv* env, jclass, jbyteArray configuration) {
  const fcp::Result<jlong> handle = fcp::Create(env, configuration);
  fcp::ThrowIfError(env, handle.status());
  return handle.ok() ? *handle : 0;
}

JNIEXPORT void JNICALL
Java_com_google_fcp_aggregation_AggregationSession_closeNative(JNIEnv*, jclass, jlong handle) {
  fcp::Sessions().Close(handle);
}

JNIEXPORT void JNICALL Java_com_google_fcp_aggregation_AggregationSession_runAccumulate(
    JNIEnv* env, jclass, jlong handle, jobjectArray checkpoints) {
  fcp::ThrowIfError(
      env,
      fcp::WithAggregator(handle, /*consume=*/false, [&](fcp::CheckpointAggregator& aggregator) {
        return fcp::TakeAll(env, checkpoints, "checkpoints", &aggregator,
                            [](fcp::CheckpointAggregator* batch, std::string_view checkpoint) {
                              return batch->Accumulate(checkpoint);
                            });
      }));
}

JNIEXPORT void JNICALL Java_com_google_fcp_aggregation_AggregationSession_mergeWith(
    JNIEnv* env, jclass, jlong handle, jbyteArray configuration, jobjectArray serialized) {
  fcp::ThrowIfError(env, fcp::MergeWith(env, handle, configuration, serialized));
}

JNIEXPORT jbyteArray JNICALL
Java_com_google_fcp_aggregation_AggregationSession_serialize(JNIEnv* env, jclass, jlong handle) {
  return fcp::Consume(env, handle,
                      [](const fcp::CheckpointAggregator& aggregator) -> fcp::Result<std::string> {
                        return aggregator.Serialize();
                      });
}

JNIEXPORT jbyteArray JNICALL
Java_com_google_fcp_aggregation_AggregationSession_runReport(JNIEnv* env, jclass, jlong handle) {
  return fcp::Consume(
      env, handle, [](const fcp::CheckpointAggregator& aggregator) { return aggregator.Report(); });
}

}  // extern "C"
