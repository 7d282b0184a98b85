// What a session aggregates: fcp.aggregation.Configuration, as the plan states it.
//
//   Configuration   { repeated IntrinsicConfig intrinsic_configs = 2; }
//   IntrinsicConfig { string intrinsic_uri = 1; repeated IntrinsicArg intrinsic_args = 4;
//                     repeated TensorSpecProto output_tensors = 5; repeated IntrinsicConfig
//                     inner_intrinsics = 6; }
//   IntrinsicArg    { oneof arg { TensorSpecProto input_tensor = 2; TensorProto parameter = 3; } }
//   TensorSpecProto { string name = 1; DataType dtype = 2; TensorShapeProto shape = 3 { repeated
//   int64 dim_sizes = 1; } }
#ifndef SHUFFLER_NATIVE_AGGREGATION_CONFIGURATION_H_
#define SHUFFLER_NATIVE_AGGREGATION_CONFIGURATION_H_

#include <string>
#include <string_view>
#include <vector>

#include "shuffler/native/common/status.h"
#include "shuffler/native/common/tensor.h"

namespace fcp {

struct Intrinsic {
  std::string uri;
  std::vector<TensorSpec> inputs;
  std::vector<std::string>
      parameters;  // serialized TensorProto; which ones there are, the uri says
  std::vector<TensorSpec> outputs;
  std::vector<Intrinsic> inner;

  friend bool operator==(const Intrinsic& a, const Intrinsic& b) {
    return a.uri == b.uri && a.inputs == b.inputs && a.parameters == b.parameters &&
           a.outputs == b.outputs && a.inner == b.inner;
  }
};

// INVALID_ARGUMENT: malformed, no intrinsic, an unknown type, an unnamed input, an impossible
// shape, two outputs of one name. The uris are not looked at.
Result<std::vector<Intrinsic>> ParseConfiguration(std::string_view bytes);

// The inputs of an intrinsic and then of its inner intrinsics.
std::vector<TensorSpec> AllInputs(const Intrinsic& intrinsic);
// The outputs likewise, except those without a name, which are not wanted.
std::vector<TensorSpec> AllOutputs(const Intrinsic& intrinsic);

// How many of each an intrinsic must have.
struct IntrinsicForm {
  size_t inputs;
  size_t outputs;
  size_t parameters = 0;
  size_t inner = 0;
};

// INVALID_ARGUMENT if the intrinsic is of another form.
Status CheckForm(const Intrinsic& intrinsic, const IntrinsicForm& form);
// INVALID_ARGUMENT if the two differ in type or shape, or if a size is unknown.
Status CheckSameTypeAndShape(const Intrinsic& intrinsic, const TensorSpec& input,
                             const TensorSpec& output);

// The number that an intrinsic has as parameter `index`. INVALID_ARGUMENT if it is no finite number
// alone; `name` names it in errors.
//   TensorProto { DataType dtype = 1; TensorShapeProto shape = 2; bytes content = 4; repeated float
//   float_val = 5; repeated double double_val = 6; repeated int32 int_val = 7; repeated int64
//   int64_val = 8; }
Result<double> NumberParameter(const Intrinsic& intrinsic, size_t index, const char* name);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_CONFIGURATION_H_
