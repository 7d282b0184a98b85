package com.google.ondevicepersonalization.federatedcompute.shuffler.common.plans;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.tensorflow.framework.TensorProto;

/** Numbers in TensorFlow's tensors. */
final class Numbers {
  private Numbers() {}

  /**
   * The first number of a tensor of floats, doubles, ints, longs or booleans; 0 of one of another type, and of one without elements.
   */
  static double first(TensorProto tensor) {
    // TensorProto: the values are bytes in tensor_content, or stand in the field of their type.
    ByteBuffer content = tensor.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    boolean packed = content.hasRemaining();
    return switch (tensor.getDtype()) {
      case DT_FLOAT -> packed ? content.getFloat() : tensor.getFloatValCount() > 0 ? tensor.getFloatVal(0) : 0;
      case DT_DOUBLE -> packed ? content.getDouble() : tensor.getDoubleValCount() > 0 ? tensor.getDoubleVal(0) : 0;
      case DT_INT32 -> packed ? content.getInt() : tensor.getIntValCount() > 0 ? tensor.getIntVal(0) : 0;
      case DT_INT64 -> packed ? content.getLong() : tensor.getInt64ValCount() > 0 ? tensor.getInt64Val(0) : 0;
      case DT_BOOL -> (packed ? content.get() != 0 : tensor.getBoolValCount() > 0 && tensor.getBoolVal(0)) ? 1 : 0;
      default -> 0;
    };
  }
}
