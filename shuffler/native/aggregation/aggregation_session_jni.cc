// com.google.fcp.aggregation.AggregationSession: conversions only.

#include <jni.h>

#include <mutex>
#include <optional>

#include "shuffler/native/aggregation/checkpoint_aggregator.h"
#include "shuffler/native/checkpoint/checkpoint.h"
#include "shuffler/native/jni/handle_table.h"
#include "shuffler/native/jni/jni_util.h"

namespace fcp {
namespace {

struct Session {
  std::mutex mutex;                                // held during every use of the aggregator
  std::optional<CheckpointAggregator> aggregator;  // none once it was serialized or reported
  ByteBuffer scratch;                              // what is taken in, a copy of Java's
};

HandleTable<Session>& Sessions() {
  static auto* table = new HandleTable<Session>();  // never destroyed: threads may outlive main
  return *table;
}

// Calls `use(CheckpointAggregator&, ByteBuffer& scratch)`, which returns a Status, while no other
// thread uses the session.
template <typename Use>
Status WithAggregator(jlong handle, bool consume, Use use) {
  FCP_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, Sessions().Get(handle));
  const std::lock_guard<std::mutex> lock(session->mutex);
  if (!session->aggregator)
    return FailedPrecondition("the session was serialized or reported already");
  FCP_RETURN_IF_ERROR(use(*session->aggregator, session->scratch));
  if (consume) {
    session->aggregator.reset();
    session->scratch = ByteBuffer();
  }
  return {};
}

void ThrowIfError(JNIEnv* env, const Status& status) {
  if (!status.ok()) Throw(env, "com/google/fcp/aggregation/AggregationException", status);
}

// Takes all elements of `arrays` into `aggregator`, or, if one of them is bad, none: several come
// together in a batch first.
template <typename Take>
Status TakeAll(JNIEnv* env, jobjectArray arrays, const char* what, CheckpointAggregator* aggregator,
               ByteBuffer* scratch, Take take) {
  FCP_ASSIGN_OR_RETURN(const jsize count, LengthOf(env, arrays, what));
  std::optional<CheckpointAggregator> batch;
  if (count > 1) {
    FCP_ASSIGN_OR_RETURN(batch, aggregator->Empty());
  }
  for (jsize i = 0; i < count; ++i) {
    const std::string name = std::string(what) + "[" + std::to_string(i) + "]";
    const Element<jbyteArray> element(env, arrays, i);
    FCP_RETURN_IF_ERROR(ToBytes(env, element.get(), name, scratch));
    const Status status = take(batch ? &*batch : aggregator, scratch->view());
    if (!status.ok()) return {status.code(), name + ": " + status.message()};
  }
  return batch ? aggregator->Merge(*batch) : Status();
}

// `bytes` of a session that is used up by giving them.
template <typename Give>
jbyteArray Consume(JNIEnv* env, jlong handle, Give give) {
  jbyteArray array = nullptr;
  ThrowIfError(env, WithAggregator(handle, /*consume=*/true,
                                   [&](CheckpointAggregator& aggregator, ByteBuffer&) -> Status {
                                     FCP_ASSIGN_OR_RETURN(const std::string bytes,
                                                          give(aggregator));
                                     FCP_ASSIGN_OR_RETURN(array, ToJavaBytes(env, bytes));
                                     return {};
                                   }));
  return array;
}

Result<jlong> Create(JNIEnv* env, jbyteArray configuration) {
  ByteBuffer bytes;
  FCP_RETURN_IF_ERROR(ToBytes(env, configuration, "configuration", &bytes));
  FCP_ASSIGN_OR_RETURN(CheckpointAggregator aggregator, CheckpointAggregator::Create(bytes.view()));
  auto session = std::make_shared<Session>();
  session->aggregator = std::move(aggregator);
  return Sessions().Add(std::move(session));
}

Status MergeWith(JNIEnv* env, jlong handle, jbyteArray configuration, jobjectArray serialized) {
  ByteBuffer bytes;
  FCP_RETURN_IF_ERROR(ToBytes(env, configuration, "configuration", &bytes));
  FCP_ASSIGN_OR_RETURN(const CheckpointAggregator theirs,
                       CheckpointAggregator::Create(bytes.view()));
  return WithAggregator(handle, /*consume=*/false,
                        [&](CheckpointAggregator& aggregator, ByteBuffer& scratch) -> Status {
                          if (!aggregator.Fits(theirs))
                            return InvalidArgument("the configuration is not that of this session");
                          return TakeAll(env, serialized, "serialized", &aggregator, &scratch,
                                         [](CheckpointAggregator* batch, std::string_view state) {
                                           return batch->MergeSerialized(state);
                                         });
                        });
}

Status CheckFinite(JNIEnv* env, jbyteArray checkpoint) {
  ByteBuffer bytes;
  FCP_RETURN_IF_ERROR(ToBytes(env, checkpoint, "checkpoint", &bytes));
  FCP_ASSIGN_OR_RETURN(const CheckpointReader reader, CheckpointReader::Open(bytes.view()));
  return reader.CheckFinite();
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
      fcp::WithAggregator(handle, /*consume=*/false,
                          [&](fcp::CheckpointAggregator& aggregator, fcp::ByteBuffer& scratch) {
                            return fcp::TakeAll(
                                env, checkpoints, "checkpoints", &aggregator, &scratch,
                                [](fcp::CheckpointAggregator* batch, std::string_view checkpoint) {
                                  fcp::SystemRandom random;
                                  return batch->Accumulate(checkpoint, random);
                                });
                          }));
}

JNIEXPORT void JNICALL Java_com_google_fcp_aggregation_AggregationSession_mergeWith(
    JNIEnv* env, jclass, jlong handle, jbyteArray configuration, jobjectArray serialized) {
  fcp::ThrowIfError(env, fcp::MergeWith(env, handle, configuration, serialized));
}

JNIEXPORT jbyteArray JNICALL
Java_com_google_fcp_aggregation_AggregationSession_serialize(JNIEnv* env, jclass, jlong handle) {
  return fcp::Consume(env, handle, [](const fcp::CheckpointAggregator& aggregator) {
    return aggregator.Serialize();
  });
}

JNIEXPORT jbyteArray JNICALL
Java_com_google_fcp_aggregation_AggregationSession_runReport(JNIEnv* env, jclass, jlong handle) {
  return fcp::Consume(env, handle, [](const fcp::CheckpointAggregator& aggregator) {
    fcp::SystemRandom random;
    return aggregator.Report(random);
  });
}

JNIEXPORT void JNICALL Java_com_google_fcp_aggregation_AggregationSession_checkFinite(
    JNIEnv* env, jclass, jbyteArray checkpoint) {
  fcp::ThrowIfError(env, fcp::CheckFinite(env, checkpoint));
}

}  // extern "C"
