#include "shuffler/native/tensorflow/session.h"

#include <cstdint>

#include "shuffler/native/common/wire.h"
#include "tensorflow/c/tf_tensor.h"
#include "tensorflow/c/tf_tstring.h"

namespace fcp {
namespace {

// ConfigProto { graph_options = 10 { place_pruned_graph = 6: true } },
// tensorflow/core/protobuf/config.proto.
constexpr char kConfig[] = {0x52, 0x02, 0x30, 0x01};

template <typename T, void (*kDelete)(T*)>
struct Deleter {
  void operator()(T* object) const { kDelete(object); }
};
template <typename T, void (*kDelete)(T*)>
using Owned = std::unique_ptr<T, Deleter<T, kDelete>>;

using TensorPtr = Owned<TF_Tensor, TF_DeleteTensor>;

// Receives the outcome of a call of the C API.
class TfStatus {
 public:
  TF_Status* get() { return status_.get(); }
  Status Take(const char* what) const {
    if (TF_GetCode(status_.get()) == TF_OK) return {};
    return {static_cast<Code>(TF_GetCode(status_.get())),
            std::string(what) + ": " + TF_Message(status_.get())};
  }

 private:
  Owned<TF_Status, TF_DeleteStatus> status_{TF_NewStatus()};
};

// Parsed by TensorFlow, which knows all the ways in which a TensorProto may hold its values.
Result<TensorPtr> ParseTensor(std::string_view tensor_proto) {
  const Owned<TF_Buffer, TF_DeleteBuffer> buffer(
      TF_NewBufferFromString(tensor_proto.data(), tensor_proto.size()));
  TensorPtr tensor(TF_AllocateTensor(TF_FLOAT, nullptr, 0, sizeof(float)));  // to be replaced
  TfStatus status;
  TF_TensorFromProto(buffer.get(), tensor.get(), status.get());
  FCP_RETURN_IF_ERROR(status.Take("tensor"));
  return tensor;
}

// TensorProto { DataType dtype = 1; TensorShapeProto tensor_shape = 2; bytes tensor_content = 4;
// repeated bytes string_val = 8; } The C API has no function for this direction.
Result<std::string> SerializeTensor(const TF_Tensor* tensor) {
  const TF_DataType type = TF_TensorType(tensor);
  std::string shape;
  for (int d = 0; d < TF_NumDims(tensor); ++d) {
    std::string dimension;
    AppendVarintField(1, static_cast<uint64_t>(TF_Dim(tensor, d)), &dimension);
    AppendBytesField(2, dimension, &shape);
  }
  std::string proto;
  AppendVarintField(1, static_cast<uint64_t>(type), &proto);
  AppendBytesField(2, shape, &proto);
  if (type == TF_STRING) {
    const auto* strings = static_cast<const TF_TString*>(TF_TensorData(tensor));
    for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) {
      AppendBytesField(8, {TF_StringGetDataPointer(&strings[i]), TF_StringGetSize(&strings[i])},
                       &proto);
    }
  } else if (TF_DataTypeSize(type) > 0) {
    AppendBytesField(
        4, {static_cast<const char*>(TF_TensorData(tensor)), TF_TensorByteSize(tensor)}, &proto);
  } else {
    return InvalidArgument("expected numbers or strings, found data type " + std::to_string(type));
  }
  return proto;
}

}  // namespace

Result<std::unique_ptr<TensorflowSession>> TensorflowSession::Create(std::string_view graph_def) {
  std::unique_ptr<TensorflowSession> session(new TensorflowSession());
  const Owned<TF_Buffer, TF_DeleteBuffer> buffer(
      TF_NewBufferFromString(graph_def.data(), graph_def.size()));
  const Owned<TF_ImportGraphDefOptions, TF_DeleteImportGraphDefOptions> import(
      TF_NewImportGraphDefOptions());
  TfStatus status;
  TF_GraphImportGraphDef(session->graph_, buffer.get(), import.get(), status.get());
  FCP_RETURN_IF_ERROR(status.Take("graph"));
  const Owned<TF_SessionOptions, TF_DeleteSessionOptions> options(TF_NewSessionOptions());
  TF_SetConfig(options.get(), kConfig, sizeof kConfig, status.get());
  FCP_RETURN_IF_ERROR(status.Take("session options"));
  session->session_ = TF_NewSession(session->graph_, options.get(), status.get());
  FCP_RETURN_IF_ERROR(status.Take("session"));
  return session;
}

TensorflowSession::~TensorflowSession() {
  if (session_ != nullptr) {
    TfStatus status;  // of closing: there is nobody left to tell
    TF_CloseSession(session_, status.get());
    TF_DeleteSession(session_, status.get());
  }
  TF_DeleteGraph(graph_);
}

Result<TF_Output> TensorflowSession::FindOutput(const std::string& name) {
  const size_t colon = name.find(':');
  int index = 0;
  if (colon != std::string::npos) {
    // At most five digits: no graph has more outputs, and no number overflows.
    const std::string digits = name.substr(colon + 1);
    if (digits.empty() || digits.size() > 5 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      return InvalidArgument("expected a tensor name such as \"operation:0\", found \"" + name +
                             "\"");
    }
    for (const char digit : digits) index = 10 * index + (digit - '0');
  }
  TF_Operation* operation = TF_GraphOperationByName(graph_, name.substr(0, colon).c_str());
  if (operation == nullptr)
    return InvalidArgument("the graph has no operation for tensor \"" + name + "\"");
  if (index >= TF_OperationNumOutputs(operation)) {
    return InvalidArgument("the operation of tensor \"" + name + "\" has only " +
                           std::to_string(TF_OperationNumOutputs(operation)) + " outputs");
  }
  return TF_Output{operation, index};
}

Result<std::vector<std::string>> TensorflowSession::Run(const std::vector<Feed>& inputs,
                                                        const std::vector<std::string>& outputs,
                                                        const std::vector<std::string>& targets) {
  std::vector<TF_Output> input_ports, output_ports;
  std::vector<TF_Operation*> target_operations;
  std::vector<TensorPtr> owned;
  std::vector<TF_Tensor*> input_tensors;
  for (const Feed& feed : inputs) {
    FCP_ASSIGN_OR_RETURN(const TF_Output port, FindOutput(feed.name));
    Result<TensorPtr> tensor = ParseTensor(feed.tensor_proto);
    if (!tensor.ok()) {
      return Status(tensor.status().code(),
                    "input \"" + feed.name + "\": " + tensor.status().message());
    }
    input_ports.push_back(port);
    input_tensors.push_back(tensor->get());
    owned.push_back(*std::move(tensor));
  }
  for (const std::string& name : outputs) {
    FCP_ASSIGN_OR_RETURN(const TF_Output port, FindOutput(name));
    output_ports.push_back(port);
  }
  for (const std::string& name : targets) {
    TF_Operation* operation = TF_GraphOperationByName(graph_, name.c_str());
    if (operation == nullptr)
      return InvalidArgument("the graph has no operation \"" + name + "\" to run");
    target_operations.push_back(operation);
  }

  std::vector<TF_Tensor*> output_tensors(outputs.size(), nullptr);
  TfStatus status;
  TF_SessionRun(session_, /*run_options=*/nullptr, input_ports.data(), input_tensors.data(),
                static_cast<int>(inputs.size()), output_ports.data(), output_tensors.data(),
                static_cast<int>(outputs.size()), target_operations.data(),
                static_cast<int>(targets.size()),
                /*run_metadata=*/nullptr, status.get());
  std::vector<TensorPtr> owned_outputs;
  for (TF_Tensor* tensor : output_tensors) owned_outputs.emplace_back(tensor);
  FCP_RETURN_IF_ERROR(status.Take("run"));

  std::vector<std::string> results;
  for (size_t i = 0; i < outputs.size(); ++i) {
    Result<std::string> proto = SerializeTensor(owned_outputs[i].get());
    if (!proto.ok())
      return InvalidArgument("output \"" + outputs[i] + "\": " + proto.status().message());
    results.push_back(*std::move(proto));
    owned_outputs[i].reset();
  }
  return results;
}

Result<std::string> CheckTensorflow() {
  // GraphDef { node = 1 { name = 1, op = 2, input = 3, attr = 5 { key = 1, value = 2 } } }: sum = x
  // + x.
  const auto attribute = [](std::string_view key, std::string_view value) {
    std::string entry;
    AppendBytesField(1, key, &entry);
    AppendBytesField(2, value, &entry);
    return entry;
  };
  std::string type;
  AppendVarintField(6, TF_FLOAT, &type);  // AttrValue.type
  std::string x, sum, graph;
  AppendBytesField(1, "x", &x);
  AppendBytesField(2, "Placeholder", &x);
  AppendBytesField(5, attribute("dtype", type), &x);
  AppendBytesField(1, "sum", &sum);
  AppendBytesField(2, "AddV2", &sum);
  AppendBytesField(3, "x", &sum);
  AppendBytesField(3, "x", &sum);
  AppendBytesField(5, attribute("T", type), &sum);
  AppendBytesField(1, x, &graph);
  AppendBytesField(1, sum, &graph);

  const auto scalar = [](float value) {
    std::string content, proto;
    AppendFixed(value, &content);
    AppendVarintField(1, TF_FLOAT, &proto);
    AppendBytesField(2, "", &proto);
    AppendBytesField(4, content, &proto);
    return proto;
  };
  FCP_ASSIGN_OR_RETURN(const std::unique_ptr<TensorflowSession> session,
                       TensorflowSession::Create(graph));
  FCP_ASSIGN_OR_RETURN(const std::vector<std::string> result,
                       session->Run({{"x", scalar(1.25f)}}, {"sum"}, {}));
  if (result[0] != scalar(2.5f))
    return Internal("TensorFlow " + std::string(TF_Version()) + " computes 1.25 + 1.25 wrongly");
  return std::string(TF_Version());
}

}  // namespace fcp
