package com.google.ondevicepersonalization.federatedcompute.shuffler.common.tasks;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;

/** Messages in JSON columns (proto3's JSON mapping); fields of newer versions are passed over. */
final class Json {
  private static final JsonFormat.Printer PRINTER = JsonFormat.printer().omittingInsignificantWhitespace();
  private static final JsonFormat.Parser PARSER = JsonFormat.parser().ignoringUnknownFields();

  private Json() {}

  static String print(Message message) {
    try {
      return PRINTER.print(message);
    } catch (InvalidProtocolBufferException problem) {
      throw new IllegalStateException("a message that has no JSON: " + problem.getMessage(), problem);
    }
  }

  static <B extends Message.Builder> B parse(String json, B builder) {
    try {
      PARSER.merge(json, builder);
      return builder;
    } catch (InvalidProtocolBufferException problem) {
      throw new IllegalStateException("the database has JSON that is no " + builder.getDescriptorForType().getName(), problem);
    }
  }
}
