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
  // RESOURCE_EXHAUSTED if there is no memory. The bytes are not initialized. `what` names them in
  // the error.
  static Result<ByteBuffer> Allocate(size_t size, const std::string& what);

  char* data() { return data_.get(); }
  std::string_view view() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char[], Free> data_;
  size_t size_ = 0;
};

// The content of a file. A copy, not a mapping: a file that shrinks meanwhile must not raise SIGBUS
// in a JVM. INVALID_ARGUMENT, with the path and the reason, if it cannot be read.
Result<ByteBuffer> ReadFile(const std::string& path);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_COMMON_BYTE_BUFFER_H_
