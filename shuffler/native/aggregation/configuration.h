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

// INVALID_ARGUMENT: malformed, no intrinsic, an unknown type, an unnamed tensor, a shape that is
// not fully known, two outputs of one name. The uris are not looked at.
Result<std::vector<Intrinsic>> ParseConfiguration(std::string_view bytes);

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_CONFIGURATION_H_
