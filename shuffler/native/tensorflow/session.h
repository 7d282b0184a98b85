// A TensorFlow session over one graph, through TensorFlow's C API.
#ifndef SHUFFLER_NATIVE_TENSORFLOW_SESSION_H_
#define SHUFFLER_NATIVE_TENSORFLOW_SESSION_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/common/status.h"
#include "tensorflow/c/c_api.h"

namespace fcp {

// Thread-safe: TensorFlow runs calls side by side. Must not be destroyed during a call.
class TensorflowSession {
 public:
  // A tensor of the graph, "operation" or "operation:index", and its value as a serialized
  // tensorflow.TensorProto.
  struct Feed {
    std::string name;
    std::string_view tensor_proto;
  };

  // `graph_def`: a serialized tensorflow.GraphDef. Only the part of the graph that a call needs is
  // placed (place_pruned_graph), so operations without a kernel on this machine do no harm until
  // they are run.
  static Result<std::unique_ptr<TensorflowSession>> Create(std::string_view graph_def);

  ~TensorflowSession();
  TensorflowSession(const TensorflowSession&) = delete;
  TensorflowSession& operator=(const TensorflowSession&) = delete;

  // Feeds `inputs`, runs the operations `targets`, and returns the tensors `outputs` as serialized
  // TensorProtos in their order. INVALID_ARGUMENT: malformed or unknown names, tensors that cannot
  // be parsed or, of the outputs, that are neither numbers nor strings. Else TensorFlow's own
  // error.
  Result<std::vector<std::string>> Run(const std::vector<Feed>& inputs,
                                       const std::vector<std::string>& outputs,
                                       const std::vector<std::string>& targets);

 private:
  TensorflowSession() = default;

  Result<TF_Output> FindOutput(const std::string& name);

  TF_Graph* graph_ = TF_NewGraph();
  TF_Session* session_ = nullptr;
};

// "2.14.1", once a small graph was built and run; the error if that failed.
Result<std::string> CheckTensorflow();

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_TENSORFLOW_SESSION_H_
