package com.google.ondevicepersonalization.federatedcompute.shuffler.common.aggregation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.fcp.aggregation.proto.Configuration;
import com.google.internal.federated.plan.PlanProto.ServerAggregationConfig;
import com.google.internal.federated.plan.PlanProto.ServerPhaseV2;
import com.google.protobuf.TextFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ServerAggregationsTest {
  private static ServerPhaseV2 phase(String aggregation) throws TextFormat.ParseException {
    return TextFormat.parse("aggregations {" + aggregation + "}", ServerPhaseV2.class);
  }

  @Test
  void namesTypesAndShapesAreKept() throws Exception {
    Configuration found = ServerAggregations.configuration(phase("""
        intrinsic_uri: "fedsql_group_by"
        intrinsic_args { input_tensor { name: "key" dtype: DT_STRING shape { dim { size: -1 } } } }
        output_tensors { name: "out" dtype: DT_STRING shape { dim { size: -1 } } }
        inner_aggregations {
          intrinsic_uri: "GoogleSQL:sum"
          intrinsic_args { input_tensor { name: "x" dtype: DT_FLOAT shape { dim { size: 2 } dim { size: 3 } } } }
          output_tensors { name: "y" dtype: DT_DOUBLE shape {} }
        }
        """));
    assertThat(found).isEqualTo(TextFormat.parse("""
        intrinsic_configs {
          intrinsic_uri: "fedsql_group_by"
          intrinsic_args { input_tensor { name: "key" dtype: DT_STRING shape { dim_sizes: -1 } } }
          output_tensors { name: "out" dtype: DT_STRING shape { dim_sizes: -1 } }
          inner_intrinsics {
            intrinsic_uri: "GoogleSQL:sum"
            intrinsic_args { input_tensor { name: "x" dtype: DT_FLOAT shape { dim_sizes: 2 dim_sizes: 3 } } }
            output_tensors { name: "y" dtype: DT_DOUBLE shape {} }
          }
        }
        """, Configuration.class));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "intrinsic_uri: 'f' intrinsic_args { state_tensor { name: 'x' } } | expected input tensors as arguments of f",
    "output_tensors { name: 'x' dtype: DT_BOOL shape {} } | tensor x has the type DT_BOOL, which is not aggregated",
    "output_tensors { name: 'x' dtype: DT_FLOAT shape { unknown_rank: true } } | expected a shape of known rank for the tensor x",
  })
  void whatTheLibraryDoesNotHaveIsNamed(String aggregation, String message) throws Exception {
    ServerPhaseV2 phase = phase(aggregation.replace('\'', '"'));
    assertThatThrownBy(() -> ServerAggregations.configuration(phase))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void deepNestingIsRefused() {
    ServerAggregationConfig nested = ServerAggregationConfig.getDefaultInstance();
    for (int i = 0; i < 8; i++) {
      nested = ServerAggregationConfig.newBuilder().addInnerAggregations(nested).build();
    }
    ServerPhaseV2 phase = ServerPhaseV2.newBuilder().addAggregations(nested).build();
    assertThatThrownBy(() -> ServerAggregations.configuration(phase)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> ServerAggregations.configuration(ServerPhaseV2.getDefaultInstance()))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
