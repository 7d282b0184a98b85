#include "shuffler/native/aggregation/configuration.h"

#include <set>

#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

// Intrinsics in intrinsics: group-by and differential privacy need two levels. Bounds the
// recursion.
constexpr int kMaxDepth = 8;

Result<Shape> ParseShape(std::string_view bytes) {
  std::vector<uint64_t> sizes;
  WireReader reader(bytes, "TensorShapeProto");
  while (reader.Next()) {
    if (reader.number() == 1) FCP_RETURN_IF_ERROR(reader.AppendVarints(&sizes));
  }
  FCP_RETURN_IF_ERROR(reader.status());
  return Shape(sizes.begin(), sizes.end());
}

Result<TensorSpec> ParseTensorSpec(std::string_view bytes) {
  TensorSpec spec;
  uint64_t dtype = 0;
  WireReader reader(bytes, "TensorSpecProto");
  while (reader.Next()) {
    if (reader.number() == 1) {
      FCP_ASSIGN_OR_RETURN(const std::string_view name, reader.Bytes());
      spec.name.assign(name);
    } else if (reader.number() == 2) {
      FCP_ASSIGN_OR_RETURN(dtype, reader.Varint());
    } else if (reader.number() == 3) {
      FCP_ASSIGN_OR_RETURN(const std::string_view shape, reader.Bytes());
      FCP_ASSIGN_OR_RETURN(spec.shape, ParseShape(shape));
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (spec.name.empty()) return InvalidArgument("configuration: a tensor has no name");
  spec.dtype = static_cast<DataType>(dtype);
  if (dtype > INT32_MAX || DataTypeName(spec.dtype) == nullptr) {
    return InvalidArgument("configuration: tensor " + spec.name + " has the unknown type " +
                           std::to_string(dtype));
  }
  if (!ElementCount(spec.shape)) {
    return InvalidArgument("configuration: tensor " + spec.name + " has the shape " +
                           ShapeString(spec.shape) + ", expected known sizes");
  }
  return spec;
}

Status ParseArgument(std::string_view bytes, Intrinsic* intrinsic) {
  WireReader reader(bytes, "IntrinsicArg");
  bool found = false;
  while (reader.Next()) {
    if (reader.number() == 2) {
      FCP_ASSIGN_OR_RETURN(const std::string_view spec, reader.Bytes());
      FCP_ASSIGN_OR_RETURN(TensorSpec input, ParseTensorSpec(spec));
      intrinsic->inputs.push_back(std::move(input));
      found = true;
    } else if (reader.number() == 3) {
      FCP_ASSIGN_OR_RETURN(const std::string_view parameter, reader.Bytes());
      intrinsic->parameters.emplace_back(parameter);
      found = true;
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (!found)
    return InvalidArgument("configuration: an argument is neither an input tensor nor a parameter");
  return {};
}

Result<Intrinsic> ParseIntrinsic(std::string_view bytes, int depth,
                                 std::set<std::string>* outputs) {
  if (depth > kMaxDepth) return InvalidArgument("configuration: intrinsics are nested too deeply");
  Intrinsic intrinsic;
  WireReader reader(bytes, "IntrinsicConfig");
  while (reader.Next()) {
    if (reader.number() != 1 && (reader.number() < 4 || reader.number() > 6)) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view field, reader.Bytes());
    switch (reader.number()) {
      case 1:
        intrinsic.uri.assign(field);
        break;
      case 4:
        FCP_RETURN_IF_ERROR(ParseArgument(field, &intrinsic));
        break;
      case 5: {
        FCP_ASSIGN_OR_RETURN(TensorSpec output, ParseTensorSpec(field));
        if (!outputs->insert(output.name).second) {
          return InvalidArgument("configuration: two outputs are named " + output.name);
        }
        intrinsic.outputs.push_back(std::move(output));
        break;
      }
      default: {
        FCP_ASSIGN_OR_RETURN(Intrinsic inner, ParseIntrinsic(field, depth + 1, outputs));
        intrinsic.inner.push_back(std::move(inner));
      }
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  return intrinsic;
}

}  // namespace

Result<std::vector<Intrinsic>> ParseConfiguration(std::string_view bytes) {
  std::vector<Intrinsic> intrinsics;
  std::set<std::string> outputs;
  WireReader reader(bytes, "Configuration");
  while (reader.Next()) {
    if (reader.number() != 2) continue;
    FCP_ASSIGN_OR_RETURN(const std::string_view field, reader.Bytes());
    FCP_ASSIGN_OR_RETURN(Intrinsic intrinsic, ParseIntrinsic(field, 1, &outputs));
    intrinsics.push_back(std::move(intrinsic));
  }
  FCP_RETURN_IF_ERROR(reader.status());
  if (intrinsics.empty())
    return InvalidArgument("configuration: expected at least one intrinsic, found none");
  return intrinsics;
}

}  // namespace fcp
