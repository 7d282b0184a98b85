package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import com.google.fcp.aggregation.proto.Configuration;
import com.google.fcp.aggregation.proto.Configuration.IntrinsicConfig;
import com.google.fcp.aggregation.proto.Configuration.IntrinsicConfig.IntrinsicArg;
import com.google.fcp.aggregation.proto.DataType;
import com.google.fcp.aggregation.proto.TensorShapeProto;
import com.google.fcp.aggregation.proto.TensorSpecProto;
import com.google.internal.federated.plan.PlanProto.ServerAggregationConfig;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import java.util.List;
import tensorflow.Struct;

/** What a plan says is to be aggregated, in the words of the aggregation library: names and fields differ, the meaning does not. */
final class ServerAggregations {
  // Aggregations in aggregations: group-by needs two levels. The library has the same bound.
  private static final int DEEPEST = 8;

  private ServerAggregations() {}

  /**
   * The configuration of the library.
   *
   * @throws IllegalArgumentException if the plan asks for something that the library does not have
   */
  static Configuration configuration(ServerPhaseV2 phase) {
    if (phase.getAggregationsCount() == 0) {
      throw new IllegalArgumentException("plan: expected at least one aggregation, found none");
    }
    return Configuration.newBuilder().addAllIntrinsicConfigs(intrinsics(phase.getAggregationsList(), 1)).build();
  }

  private static List<IntrinsicConfig> intrinsics(List<ServerAggregationConfig> aggregations, int depth) {
    if (depth > DEEPEST) {
      throw new IllegalArgumentException("plan: aggregations are nested more than " + DEEPEST + " times");
    }
    return aggregations.stream().map(aggregation -> intrinsic(aggregation, depth)).toList();
  }

  private static IntrinsicConfig intrinsic(ServerAggregationConfig aggregation, int depth) {
    IntrinsicConfig.Builder intrinsic = IntrinsicConfig.newBuilder().setIntrinsicUri(aggregation.getIntrinsicUri());
    for (ServerAggregationConfig.IntrinsicArg argument : aggregation.getIntrinsicArgsList()) {
      if (!argument.hasInputTensor()) {
        throw new IllegalArgumentException(
            "plan: expected input tensors as arguments of " + aggregation.getIntrinsicUri() + ", found something else");
      }
      intrinsic.addIntrinsicArgs(IntrinsicArg.newBuilder().setInputTensor(spec(argument.getInputTensor())));
    }
    aggregation.getOutputTensorsList().forEach(output -> intrinsic.addOutputTensors(spec(output)));
    return intrinsic.addAllInnerIntrinsics(intrinsics(aggregation.getInnerAggregationsList(), depth + 1)).build();
  }

  private static TensorSpecProto spec(Struct.TensorSpecProto spec) {
    if (spec.getShape().getUnknownRank()) {
      throw new IllegalArgumentException("plan: expected a shape of known rank for the tensor " + spec.getName());
    }
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (org.tensorflow.framework.TensorShapeProto.Dim dimension : spec.getShape().getDimList()) {
      shape.addDimSizes(dimension.getSize());
    }
    // The numbers of the types are TensorFlow's.
    DataType type = DataType.forNumber(spec.getDtypeValue());
    if (type == null || type == DataType.DT_INVALID) {
      throw new IllegalArgumentException("plan: tensor " + spec.getName() + " has the type " + spec.getDtype() + ", which is not aggregated");
    }
    return TensorSpecProto.newBuilder().setName(spec.getName()).setDtype(type).setShape(shape).build();
  }
}
