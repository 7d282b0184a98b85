// Conversions between Java and C++. Nothing here throws a C++ exception; a failed conversion leaves
// a Java exception pending.
#ifndef SHUFFLER_NATIVE_JNI_JNI_UTIL_H_
#define SHUFFLER_NATIVE_JNI_JNI_UTIL_H_

#include <jni.h>

#include <string>
#include <string_view>

#include "shuffler/native/common/byte_buffer.h"
#include "shuffler/native/common/status.h"

namespace fcp {

// Copies the array into `bytes`. `what` names the argument in errors. INVALID_ARGUMENT for null.
Status ToBytes(JNIEnv* env, jbyteArray array, const std::string& what, ByteBuffer* bytes);
// In modified UTF-8, which is UTF-8 for every name and path that occurs.
Result<std::string> ToString(JNIEnv* env, jstring string, const char* what);
// Length of an array of objects; INVALID_ARGUMENT for null.
Result<jsize> LengthOf(JNIEnv* env, jobjectArray array, const char* what);

// Owns the local reference to one element of an array, so that long arrays do not fill the JVM's
// table of references.
template <typename T>
class Element {
 public:
  Element(JNIEnv* env, jobjectArray array, jsize index)
      : env_(env), object_(static_cast<T>(env->GetObjectArrayElement(array, index))) {}
  ~Element() { env_->DeleteLocalRef(object_); }
  Element(const Element&) = delete;
  Element& operator=(const Element&) = delete;
  T get() const { return object_; }

 private:
  JNIEnv* env_;
  T object_;
};

// RESOURCE_EXHAUSTED if no Java array can hold it.
Result<jbyteArray> ToJavaBytes(JNIEnv* env, std::string_view bytes);

// Throws `exception_class`, whose constructor takes (int code, String message). Bytes of the
// message that are not printable ASCII are escaped: it may quote any input.
void Throw(JNIEnv* env, const char* exception_class, const Status& status);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_JNI_JNI_UTIL_H_
