#include "shuffler/native/aggregation/configuration.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "shuffler/native/common/wire.h"

namespace fcp {
namespace {

// Intrinsics in intrinsics: group-by and differential privacy need two levels. Bounds the
// recursion.
constexpr int kMaxDepth = 8;

Result<Shape> ParseShape(std::string_view bytes) {
  std::string sizes;
  WireReader reader(bytes, "TensorShapeProto");
  while (reader.Next()) {
    if (reader.number() == 1) FCP_RETURN_IF_ERROR(reader.AppendVarints(sizeof(int64_t), &sizes));
  }
  FCP_RETURN_IF_ERROR(reader.status());
  Shape shape;
  for (size_t at = 0; at < sizes.size(); at += sizeof(int64_t))
    shape.push_back(Load<int64_t>(sizes.data() + at));
  return shape;
}

Result<TensorSpec> ParseTensorSpec(std::string_view bytes, bool may_be_unnamed) {
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
  if (spec.name.empty() && !may_be_unnamed)
    return InvalidArgument("configuration: a tensor has no name");
  spec.dtype = static_cast<DataType>(dtype);
  if (dtype > INT32_MAX || DataTypeName(spec.dtype) == nullptr) {
    return InvalidArgument("configuration: tensor " + spec.name + " has the unknown type " +
                           std::to_string(dtype));
  }
  Shape known = spec.shape;
  std::replace(known.begin(), known.end(), kUnknownSize, int64_t{1});
  if (!ElementCount(known)) {
    return InvalidArgument("configuration: tensor " + spec.name + " has the impossible shape " +
                           ShapeString(spec.shape));
  }
  return spec;
}

Status ParseArgument(std::string_view bytes, Intrinsic* intrinsic) {
  WireReader reader(bytes, "IntrinsicArg");
  bool found = false;
  while (reader.Next()) {
    if (reader.number() == 2) {
      FCP_ASSIGN_OR_RETURN(const std::string_view spec, reader.Bytes());
      FCP_ASSIGN_OR_RETURN(TensorSpec input, ParseTensorSpec(spec, /*may_be_unnamed=*/false));
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
        FCP_ASSIGN_OR_RETURN(TensorSpec output, ParseTensorSpec(field, /*may_be_unnamed=*/true));
        if (!output.name.empty() && !outputs->insert(output.name).second) {
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

std::vector<TensorSpec> AllInputs(const Intrinsic& intrinsic) {
  std::vector<TensorSpec> inputs = intrinsic.inputs;
  for (const Intrinsic& inner : intrinsic.inner) {
    for (TensorSpec& input : AllInputs(inner)) inputs.push_back(std::move(input));
  }
  return inputs;
}

std::vector<TensorSpec> AllOutputs(const Intrinsic& intrinsic) {
  std::vector<TensorSpec> outputs;
  for (const TensorSpec& output : intrinsic.outputs) {
    if (!output.name.empty()) outputs.push_back(output);
  }
  for (const Intrinsic& inner : intrinsic.inner) {
    for (TensorSpec& output : AllOutputs(inner)) outputs.push_back(std::move(output));
  }
  return outputs;
}

Status CheckForm(const Intrinsic& intrinsic, const IntrinsicForm& form) {
  const auto count = [](size_t inputs, size_t outputs, size_t parameters, size_t inner) {
    return std::to_string(inputs) + " inputs, " + std::to_string(outputs) + " outputs, " +
           std::to_string(parameters) + " parameters, " + std::to_string(inner) +
           " inner intrinsics";
  };
  const std::string expected = count(form.inputs, form.outputs, form.parameters, form.inner);
  const std::string found = count(intrinsic.inputs.size(), intrinsic.outputs.size(),
                                  intrinsic.parameters.size(), intrinsic.inner.size());
  if (found == expected) return {};
  return InvalidArgument(intrinsic.uri + ": expected " + expected + ", found " + found);
}

Status CheckSameTypeAndShape(const Intrinsic& intrinsic, const TensorSpec& input,
                             const TensorSpec& output) {
  const auto describe = [](const TensorSpec& spec) {
    return spec.name + " is " + DataTypeName(spec.dtype) + ShapeString(spec.shape);
  };
  if (input.dtype != output.dtype || input.shape != output.shape) {
    return InvalidArgument(intrinsic.uri + ": input " + describe(input) + " but output " +
                           describe(output));
  }
  if (!ElementCount(input.shape)) {
    return InvalidArgument(intrinsic.uri + ": input " + describe(input) + ", expected known sizes");
  }
  return {};
}

Result<double> NumberParameter(const Intrinsic& intrinsic, size_t index, const char* name) {
  uint64_t dtype = 0;
  Shape shape;
  std::string values;  // little-endian
  WireReader reader(intrinsic.parameters[index], "TensorProto");
  while (reader.Next()) {
    switch (reader.number()) {
      case 1: {
        FCP_ASSIGN_OR_RETURN(dtype, reader.Varint());
        break;
      }
      case 2: {
        FCP_ASSIGN_OR_RETURN(const std::string_view bytes, reader.Bytes());
        FCP_ASSIGN_OR_RETURN(shape, ParseShape(bytes));
        break;
      }
      case 4: {
        FCP_ASSIGN_OR_RETURN(const std::string_view content, reader.Bytes());
        values.append(content);
        break;
      }
      case 5:
      case 6: {
        FCP_ASSIGN_OR_RETURN(const std::string_view numbers,
                             reader.Fixed(reader.number() == 5 ? sizeof(float) : sizeof(double)));
        values.append(numbers);
        break;
      }
      case 7:
      case 8:
        FCP_RETURN_IF_ERROR(reader.AppendVarints(reader.number() == 7 ? 4 : 8, &values));
        break;
      default:
        break;
    }
  }
  FCP_RETURN_IF_ERROR(reader.status());
  const auto type = static_cast<DataType>(dtype);
  const size_t width = dtype <= INT32_MAX ? DataTypeSize(type) : 0;
  double number = NAN;
  if (width > 0 && values.size() == width && ElementCount(shape) == 1) {
    const char* at = values.data();
    if (type == DataType::kFloat) number = Load<float>(at);
    if (type == DataType::kDouble) number = Load<double>(at);
    if (type == DataType::kInt32) number = Load<int32_t>(at);
    if (type == DataType::kInt64) number = static_cast<double>(Load<int64_t>(at));
    if (type == DataType::kUint64) number = static_cast<double>(Load<uint64_t>(at));
  }
  if (!std::isfinite(number)) {
    return InvalidArgument(intrinsic.uri + ": parameter " + std::to_string(index) + " (" + name +
                           ") is not a finite number alone");
  }
  return number;
}

}  // namespace fcp
