package com.google.fcp.testing;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Protobuf messages by hand, for tests of libraries that only see bytes. */
public final class Messages {
  private Messages() {}

  /** tensorflow.DataType and fcp.aggregation.DataType. */
  public static final int FLOAT = 1;

  public static final int DOUBLE = 2;
  public static final int INT32 = 3;
  public static final int STRING = 7;
  public static final int INT64 = 9;

  public static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  public static byte[] varint(long value) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (; (value & ~0x7fL) != 0; value >>>= 7) {
      out.write((int) value & 0x7f | 0x80);
    }
    out.write((int) value);
    return out.toByteArray();
  }

  public static byte[] field(int number, long value) {
    return concat(varint((long) number << 3), varint(value));
  }

  public static byte[] field(int number, byte[] bytes) {
    return concat(varint((long) number << 3 | 2), varint(bytes.length), bytes);
  }

  public static byte[] field(int number, String text) {
    return field(number, text.getBytes(StandardCharsets.UTF_8));
  }

  public static byte[] floats(float... values) {
    ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      buffer.putFloat(value);
    }
    return buffer.array();
  }

  /** A tensorflow.TensorProto: a vector of floats. */
  public static byte[] vector(float... values) {
    return concat(field(1, FLOAT), field(2, field(2, field(1, values.length))), field(4, floats(values)));
  }

  /** A tensorflow.TensorProto: a scalar string. */
  public static byte[] string(String value) {
    return concat(field(1, STRING), field(2, ""), field(8, value));
  }

  /** A tensorflow.TensorProto: a vector of strings. */
  public static byte[] strings(String... values) {
    byte[] proto = concat(field(1, STRING), field(2, field(2, field(1, values.length))));
    for (String value : values) {
      proto = concat(proto, field(8, value));
    }
    return proto;
  }

  /** tensorflow.AttrValue.type. */
  public static byte[] type(int dtype) {
    return field(6, dtype);
  }

  /** tensorflow.AttrValue.list of types. */
  public static byte[] types(int... dtypes) {
    byte[] packed = new byte[0];
    for (int dtype : dtypes) {
      packed = concat(packed, varint(dtype));
    }
    return field(1, field(6, packed));
  }

  public static byte[] attribute(String key, byte[] attrValue) {
    return field(5, concat(field(1, key), field(2, attrValue)));
  }

  /** A GraphDef of one node; graphs are concatenations of these. The inputs are separated by commas. */
  public static byte[] node(String name, String op, String inputs, byte[]... attributes) {
    byte[] node = concat(field(1, name), field(2, op));
    for (String input : inputs.split(",")) {
      if (!input.isEmpty()) {
        node = concat(node, field(3, input));
      }
    }
    return field(1, concat(node, concat(attributes)));
  }

  public static byte[] placeholder(String name, int dtype) {
    return node(name, "Placeholder", "", attribute("dtype", type(dtype)));
  }

  /** A graph that writes a V1 checkpoint: run "save" with "file", "names" and "x", a vector of floats. */
  public static byte[] saveGraph() {
    return concat(
        placeholder("file", STRING),
        placeholder("names", STRING),
        placeholder("x", FLOAT),
        node("save", "Save", "file,names,x", attribute("T", types(FLOAT))));
  }

  /** A graph that reads a vector of floats from a V1 checkpoint: fetch "restore" with "file" and "name". */
  public static byte[] restoreGraph() {
    return concat(
        placeholder("file", STRING),
        placeholder("name", STRING),
        node("restore", "Restore", "file,name", attribute("dt", type(FLOAT))));
  }

  /** An fcp.aggregation.Configuration with one federated_sum of a vector of floats. */
  public static byte[] federatedSum(String input, String output, int size) {
    return field(
        2, concat(field(1, "federated_sum"), field(4, field(2, spec(input, size))), field(5, spec(output, size))));
  }

  /** An fcp.aggregation.TensorSpecProto: a vector of floats. */
  public static byte[] spec(String name, int size) {
    return concat(field(1, name), field(2, FLOAT), field(3, field(1, varint(size))));
  }
}
