package com.google.ondevicepersonalization.federatedcompute.shuffler.common.messages;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** JSON of records: the names of the components, nothing for what is absent; fields of newer versions are passed over. */
final class MessageJson {
  private static final JsonMapper MAPPER = JsonMapper.builder()
      .addModule(new Jdk8Module())
      .serializationInclusion(JsonInclude.Include.NON_ABSENT)
      .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
      .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
      .build();

  private MessageJson() {}

  static Message message(Record message) {
    try {
      return new Message(MAPPER.writeValueAsString(message), Map.of());
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static <R extends Record> R parse(String json, Class<R> type) {
    R parsed;
    try {
      parsed = MAPPER.readValue(json, type);
    } catch (JsonProcessingException malformed) {
      throw new IllegalArgumentException("expected the JSON of " + type.getSimpleName() + ", found something else");
    }
    if (parsed == null) {
      throw new IllegalArgumentException("expected the JSON of " + type.getSimpleName() + ", found null");
    }
    for (RecordComponent component : type.getRecordComponents()) {
      Object value = value(component, parsed);
      boolean missing = value == null || value instanceof List<?> list && list.stream().anyMatch(element -> element == null);
      if (missing && component.getType() != Optional.class) {
        throw new IllegalArgumentException(type.getSimpleName() + ": expected " + component.getName() + ", found none");
      }
    }
    return parsed;
  }

  private static Object value(RecordComponent component, Record of) {
    try {
      return component.getAccessor().invoke(of);
    } catch (IllegalAccessException | InvocationTargetException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
