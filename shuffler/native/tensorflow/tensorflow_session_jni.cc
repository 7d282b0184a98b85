// com.google.fcp.tensorflow.TensorflowSession: conversions only.

#include <jni.h>

#include "shuffler/native/checkpoint/checkpoint.h"
#include "shuffler/native/common/byte_buffer.h"
#include "shuffler/native/jni/handle_table.h"
#include "shuffler/native/jni/jni_util.h"
#include "shuffler/native/tensorflow/session.h"

namespace fcp {
namespace {

HandleTable<TensorflowSession>& Sessions() {
  static auto* table =
      new HandleTable<TensorflowSession>();  // never destroyed: threads may outlive main
  return *table;
}

void ThrowIfError(JNIEnv* env, const Status& status) {
  if (!status.ok()) Throw(env, "com/google/fcp/tensorflow/TensorflowException", status);
}

Result<std::vector<std::string>> Names(JNIEnv* env, jobjectArray array, const char* what) {
  FCP_ASSIGN_OR_RETURN(const jsize count, LengthOf(env, array, what));
  std::vector<std::string> names;
  for (jsize i = 0; i < count; ++i) {
    const Element<jstring> element(env, array, i);
    FCP_ASSIGN_OR_RETURN(std::string name, ToString(env, element.get(), what));
    names.push_back(std::move(name));
  }
  return names;
}

Result<jlong> Create(JNIEnv* env, jbyteArray graph_def) {
  ByteBuffer bytes;
  FCP_RETURN_IF_ERROR(ToBytes(env, graph_def, "graphDef", &bytes));
  FCP_ASSIGN_OR_RETURN(std::unique_ptr<TensorflowSession> session,
                       TensorflowSession::Create(bytes.view()));
  return Sessions().Add(std::move(session));
}

Status Run(JNIEnv* env, jlong handle, jobjectArray in_names, jobjectArray in_tensors,
           jobjectArray out_names, jobjectArray out_tensors, jobjectArray target_nodes) {
  FCP_ASSIGN_OR_RETURN(const std::shared_ptr<TensorflowSession> session, Sessions().Get(handle));
  FCP_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(env, in_names, "inNames"));
  FCP_ASSIGN_OR_RETURN(const jsize in_count, LengthOf(env, in_tensors, "inTensorProtos"));
  FCP_ASSIGN_OR_RETURN(const std::vector<std::string> outputs, Names(env, out_names, "outNames"));
  FCP_ASSIGN_OR_RETURN(const jsize out_count, LengthOf(env, out_tensors, "outTensorProtos"));
  FCP_ASSIGN_OR_RETURN(const std::vector<std::string> targets,
                       Names(env, target_nodes, "targetNodes"));
  if (static_cast<size_t>(in_count) != names.size() ||
      static_cast<size_t>(out_count) != outputs.size()) {
    return InvalidArgument("expected as many tensors as names, found " + std::to_string(in_count) +
                           " tensors for " + std::to_string(names.size()) +
                           " inputs and room for " + std::to_string(out_count) + " of " +
                           std::to_string(outputs.size()) + " outputs");
  }
  std::vector<ByteBuffer> buffers;
  std::vector<TensorflowSession::Feed> feeds;
  for (jsize i = 0; i < in_count; ++i) {
    const Element<jbyteArray> element(env, in_tensors, i);
    ByteBuffer bytes;
    FCP_RETURN_IF_ERROR(ToBytes(env, element.get(), "an element of inTensorProtos", &bytes));
    feeds.push_back({names[static_cast<size_t>(i)], bytes.view()});
    buffers.push_back(std::move(bytes));
  }
  FCP_ASSIGN_OR_RETURN(const std::vector<std::string> results,
                       session->Run(feeds, outputs, targets));
  for (jsize i = 0; i < out_count; ++i) {
    FCP_ASSIGN_OR_RETURN(const jbyteArray array, ToJavaBytes(env, results[static_cast<size_t>(i)]));
    env->SetObjectArrayElement(out_tensors, i, array);
    env->DeleteLocalRef(array);
  }
  return {};
}

Status ValidateCheckpoint(JNIEnv* env, jstring file, jint max_tensor_bytes) {
  FCP_ASSIGN_OR_RETURN(const std::string path, ToString(env, file, "file"));
  if (max_tensor_bytes < 0) return InvalidArgument("maxTensorBytes is negative");
  ByteBuffer bytes;
  FCP_RETURN_IF_ERROR(ReadFile(path, &bytes));
  Result<CheckpointReader> reader = CheckpointReader::Open(bytes.view());
  const Status status = reader.ok()
                            ? reader->CheckTensorSizes(static_cast<uint64_t>(max_tensor_bytes))
                            : reader.status();
  if (!status.ok()) return {status.code(), path + ": " + status.message()};
  return {};
}

}  // namespace
}  // namespace fcp

extern "C" {

JNIEXPORT jlong JNICALL Java_com_google_fcp_tensorflow_TensorflowSession_createNativeFromByteArray(
    JNIEnv* env, jclass, jbyteArray graph_def) {
  const fcp::Result<jlong> handle = fcp::Create(env, graph_def);
  fcp::ThrowIfError(env, handle.status());
  return handle.ok() ? *handle : 0;
}

JNIEXPORT void JNICALL Java_com_google_fcp_tensorflow_TensorflowSession_closeNative(JNIEnv*, jclass,
                                                                                    jlong handle) {
  fcp::Sessions().Close(handle);
}

JNIEXPORT void JNICALL Java_com_google_fcp_tensorflow_TensorflowSession_runNative(
    JNIEnv* env, jclass, jlong handle, jobjectArray in_names, jobjectArray in_tensors,
    jobjectArray out_names, jobjectArray out_tensors, jobjectArray target_nodes) {
  fcp::ThrowIfError(
      env, fcp::Run(env, handle, in_names, in_tensors, out_names, out_tensors, target_nodes));
}

JNIEXPORT void JNICALL Java_com_google_fcp_tensorflow_TensorflowSession_validateCheckpoint(
    JNIEnv* env, jclass, jstring file, jint max_tensor_bytes) {
  fcp::ThrowIfError(env, fcp::ValidateCheckpoint(env, file, max_tensor_bytes));
}

JNIEXPORT jstring JNICALL
Java_com_google_fcp_tensorflow_TensorflowSession_checkTensorflow(JNIEnv* env, jclass) {
  const fcp::Result<std::string> version = fcp::CheckTensorflow();
  fcp::ThrowIfError(env, version.status());
  return version.ok() ? env->NewStringUTF(version->c_str()) : nullptr;
}

}  // extern "C"
