// Objects that Java names by a number. A number, unlike an address, can be checked: an unknown or
// closed one is an error, and an object lives until the last call that uses it returns, whatever
// another thread closes.
#ifndef SHUFFLER_NATIVE_JNI_HANDLE_TABLE_H_
#define SHUFFLER_NATIVE_JNI_HANDLE_TABLE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "shuffler/native/common/status.h"

namespace fcp {

template <typename T>
class HandleTable {
 public:
  // Never 0 and never used again.
  int64_t Add(std::shared_ptr<T> object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    objects_.emplace(++last_, std::move(object));
    return last_;
  }

  // FAILED_PRECONDITION if it was closed or never existed.
  Result<std::shared_ptr<T>> Get(int64_t handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = objects_.find(handle);
    if (found == objects_.end()) return FailedPrecondition("the session is closed");
    return found->second;
  }

  // Does nothing if it was closed. The object is destroyed outside of the lock, when its last user
  // lets go.
  void Close(int64_t handle) {
    std::shared_ptr<T> object;  // before the lock, so destroyed after it
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto found = objects_.find(handle); found != objects_.end()) {
      object = std::move(found->second);
      objects_.erase(found);
    }
  }

 private:
  std::mutex mutex_;
  int64_t last_ = 0;
  std::unordered_map<int64_t, std::shared_ptr<T>> objects_;
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_JNI_HANDLE_TABLE_H_
