// Bytes whose memory comes from malloc, so that a lack of it is an error and not the end of the
// process.
#ifndef SHUFFLER_NATIVE_COMMON_BYTE_BUFFER_H_
#define SHUFFLER_NATIVE_COMMON_BYTE_BUFFER_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "shuffler/native/common/status.h"

namespace fcp {

class ByteBuffer {
 public:
  // Makes room for `size` bytes, which are not initialized; what was there is lost. Memory that is
  // enough is kept: fresh pages cost as much as adding up their content. RESOURCE_EXHAUSTED if
  // there is none; `what` names the bytes in the error.
  Status Resize(size_t size, const std::string& what);

  char* data() { return data_.get(); }
  std::string_view view() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char[], Free> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Reads a file into `content`. A copy, not a mapping: a file that shrinks meanwhile must not raise
// SIGBUS in a JVM. INVALID_ARGUMENT, with the path and the reason, if it cannot be read.
Status ReadFile(const std::string& path, ByteBuffer* content);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_BYTE_BUFFER_H_
