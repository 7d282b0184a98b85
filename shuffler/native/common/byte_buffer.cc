#include "shuffler/native/common/byte_buffer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fcp {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::string& path)
      : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~FileDescriptor() {
    if (number_ >= 0) close(number_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

Status Unreadable(const std::string& path, const char* why) {
  return InvalidArgument("cannot read " + path + ": " + why);
}

}  // namespace

Status ByteBuffer::Resize(size_t size, const std::string& what) {
  if (size > capacity_ || data_ == nullptr) {
    data_.reset();  // first, so that never both are there
    capacity_ = size_ = 0;
    data_.reset(static_cast<char*>(std::malloc(size > 0 ? size : 1)));
    if (data_ == nullptr)
      return ResourceExhausted("no memory for " + std::to_string(size) + " bytes of " + what);
    capacity_ = size;
  }
  size_ = size;
  return {};
}

Status ReadFile(const std::string& path, ByteBuffer* content) {
  const FileDescriptor file(path);
  struct stat attributes;
  if (file.number() < 0 || fstat(file.number(), &attributes) != 0)
    return Unreadable(path, std::strerror(errno));
  if (!S_ISREG(attributes.st_mode)) return Unreadable(path, "not a regular file");
  const auto size = static_cast<size_t>(attributes.st_size);
  FCP_RETURN_IF_ERROR(content->Resize(size, path));
  for (size_t at = 0; at < size;) {
    const ssize_t n = read(file.number(), content->data() + at, size - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Unreadable(path, std::strerror(errno));
    if (n == 0) return Unreadable(path, "it became shorter meanwhile");
    at += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace fcp
