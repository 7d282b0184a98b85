package com.google.ondevicepersonalization.federatedcompute.shuffler.common.crypto;

import com.fasterxml.jackson.core.Base64Variant;
import com.fasterxml.jackson.core.Base64Variants;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;

/**
 * What devices upload and the aggregator leaves: {@code {"keyId": id, "encryptedPayload": base64, "associatedData": base64}}.
 *
 * @param keyId names the key pair
 * @param encryptedPayload HPKE of gzip of the data, with the associated data as context info
 * @param associatedData not encrypted; empty so far
 */
record EncryptedPayload(String keyId, byte[] encryptedPayload, byte[] associatedData) {
  private static final JsonFactory JSON = new JsonFactory();
  private static final Base64Variant BASE64 =
      Base64Variants.MIME_NO_LINEFEEDS.withReadPadding(Base64Variant.PaddingReadBehaviour.PADDING_ALLOWED);

  /** Says whether bytes are meant to be JSON: no checkpoint or state begins so. */
  static boolean isJson(byte[] bytes) {
    return bytes.length > 0 && bytes[0] == '{';
  }

  /**
   * Reads JSON; fields that it does not know are passed over.
   *
   * @throws PayloadException if it is malformed or lacks a field
   */
  static EncryptedPayload parse(byte[] json) throws PayloadException {
    String keyId = null;
    byte[] payload = null;
    byte[] associated = null;
    try (JsonParser parser = JSON.createParser(json)) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        boolean text = parser.nextToken() == JsonToken.VALUE_STRING;
        if (text && field.equals("keyId")) {
          keyId = parser.getText();
        } else if (text && field.equals("encryptedPayload")) {
          // Straight from the bytes: a text of this length would be refused.
          payload = parser.getBinaryValue(BASE64);
        } else if (text && field.equals("associatedData")) {
          associated = parser.getBinaryValue(BASE64);
        } else {
          parser.skipChildren();
        }
      }
      if (parser.currentToken() != JsonToken.END_OBJECT || parser.nextToken() != null) {
        throw new PayloadException("expected one JSON object, found more or less");
      }
    } catch (IOException malformed) {
      throw new PayloadException("expected the JSON of an encrypted payload, found something malformed");
    }
    if (keyId == null || payload == null || associated == null) {
      throw new PayloadException("expected keyId, encryptedPayload and associatedData, all of them texts");
    }
    return new EncryptedPayload(keyId, payload, associated);
  }

  byte[] toJson() {
    ByteArrayOutputStream json = new ByteArrayOutputStream(encryptedPayload.length / 3 * 4 + 256);
    try (JsonGenerator generator = JSON.createGenerator(json)) {
      generator.writeStartObject();
      generator.writeStringField("keyId", keyId);
      generator.writeFieldName("encryptedPayload");
      generator.writeBinary(BASE64, encryptedPayload, 0, encryptedPayload.length);
      generator.writeFieldName("associatedData");
      generator.writeBinary(BASE64, associatedData, 0, associatedData.length);
      generator.writeEndObject();
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    return json.toByteArray();
  }
}
