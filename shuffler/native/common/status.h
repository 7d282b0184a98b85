// Errors as values: this code is compiled without exceptions, and none may cross JNI.
#ifndef SHUFFLER_NATIVE_COMMON_STATUS_H_
#define SHUFFLER_NATIVE_COMMON_STATUS_H_

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace fcp {

// The canonical codes of Google's APIs (google/rpc/code.proto), which TensorFlow uses too: only
// those that we return. Java's exceptions carry the number.
enum class Code : int {
  kOk = 0,
  kInvalidArgument = 3,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kOutOfRange = 11,
  kInternal = 13,
  kDataLoss = 15,
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  // TensorFlow's codes go beyond those of `Code`; they are passed on as they are.
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  // One line for a person; may hold any bytes of the input.
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status InvalidArgument(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}
inline Status FailedPrecondition(std::string message) {
  return {Code::kFailedPrecondition, std::move(message)};
}
inline Status ResourceExhausted(std::string message) {
  return {Code::kResourceExhausted, std::move(message)};
}
inline Status OutOfRange(std::string message) { return {Code::kOutOfRange, std::move(message)}; }
inline Status Internal(std::string message) { return {Code::kInternal, std::move(message)}; }
inline Status DataLoss(std::string message) { return {Code::kDataLoss, std::move(message)}; }

// A value, or the error for which there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T&& value) : value_(std::move(value)) {}       // NOLINT: conversion is the point
  Result(const T& value) : value_(value) {}             // NOLINT
  Result(Status status) : status_(std::move(status)) {  // NOLINT
    if (status_.ok())
      std::abort();  // a value is missing: a mistake of the caller, not of the input
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& operator*() & { return Checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->Checked(); }
  T&& operator*() && { return std::move(Checked()); }
  T* operator->() { return &Checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->Checked(); }

 private:
  T& Checked() {
    if (!value_) std::abort();
    return *value_;
  }

  Status status_;
  std::optional<T> value_;
};

}  // namespace fcp

#define FCP_RETURN_IF_ERROR(expression)                                               \
  do {                                                                                \
    if (::fcp::Status fcp_status = (expression); !fcp_status.ok()) return fcp_status; \
  } while (false)

#define FCP_CONCAT_INNER(a, b) a##b
#define FCP_CONCAT(a, b) FCP_CONCAT_INNER(a, b)
#define FCP_ASSIGN_OR_RETURN(declaration, expression)                                             \
  auto FCP_CONCAT(fcp_result_, __LINE__) = (expression);                                          \
  if (!FCP_CONCAT(fcp_result_, __LINE__).ok()) return FCP_CONCAT(fcp_result_, __LINE__).status(); \
  declaration = *std::move(FCP_CONCAT(fcp_result_, __LINE__))

#endif  // SHUFFLER_NATIVE_COMMON_STATUS_H_
