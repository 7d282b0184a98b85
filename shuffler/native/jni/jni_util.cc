#include "shuffler/native/jni/jni_util.h"

#include <cstdint>

namespace fcp {

Status ToBytes(JNIEnv* env, jbyteArray array, const std::string& what, ByteBuffer* bytes) {
  if (array == nullptr) return InvalidArgument(what + " is null");
  const jsize size = env->GetArrayLength(array);
  FCP_RETURN_IF_ERROR(bytes->Resize(static_cast<size_t>(size), what));
  env->GetByteArrayRegion(array, 0, size, reinterpret_cast<jbyte*>(bytes->data()));
  return {};
}

Result<std::string> ToString(JNIEnv* env, jstring string, const char* what) {
  if (string == nullptr) return InvalidArgument(std::string(what) + " is null");
  const char* text = env->GetStringUTFChars(string, nullptr);
  if (text == nullptr) return ResourceExhausted(std::string("no memory for ") + what);
  std::string copy(text, static_cast<size_t>(env->GetStringUTFLength(string)));
  env->ReleaseStringUTFChars(string, text);
  return copy;
}

Result<jsize> LengthOf(JNIEnv* env, jobjectArray array, const char* what) {
  if (array == nullptr) return InvalidArgument(std::string(what) + " is null");
  return env->GetArrayLength(array);
}

Result<jbyteArray> ToJavaBytes(JNIEnv* env, std::string_view bytes) {
  if (bytes.size() > INT32_MAX - 8) {  // the largest array of HotSpot
    return ResourceExhausted("the result has " + std::to_string(bytes.size()) +
                             " bytes, more than a Java array can hold");
  }
  const jbyteArray array = env->NewByteArray(static_cast<jsize>(bytes.size()));
  if (array == nullptr)
    return ResourceExhausted("no Java heap for a result of " + std::to_string(bytes.size()) +
                             " bytes");
  env->SetByteArrayRegion(array, 0, static_cast<jsize>(bytes.size()),
                          reinterpret_cast<const jbyte*>(bytes.data()));
  return array;
}

void Throw(JNIEnv* env, const char* exception_class, const Status& status) {
  if (env->ExceptionCheck()) return;  // the JVM's own, such as OutOfMemoryError, says more
  std::string message;
  for (const char c : status.message()) {
    if (c >= ' ' && c <= '~') {
      message.push_back(c);
    } else {
      static constexpr char kHex[] = "0123456789abcdef";
      message +=
          c == '\n' ? std::string("\n") : std::string{'\\', 'x', kHex[c >> 4 & 15], kHex[c & 15]};
    }
  }
  const jclass type = env->FindClass(exception_class);
  if (type == nullptr) return;
  const jmethodID constructor = env->GetMethodID(type, "<init>", "(ILjava/lang/String;)V");
  if (constructor == nullptr) return;
  const jstring text = env->NewStringUTF(message.c_str());
  if (text == nullptr) return;
  const jobject exception =
      env->NewObject(type, constructor, static_cast<jint>(status.code()), text);
  if (exception != nullptr) env->Throw(static_cast<jthrowable>(exception));
}

}  // namespace fcp
