package com.google.ondevicepersonalization.federatedcompute.shuffler.fuzz;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** HTTP/1.1 byte by byte: what is sent need not be HTTP. */
final class RawHttp {
  private static final int PATIENCE_MILLISECONDS = 60_000;

  private RawHttp() {}

  /**
   * An answer.
   *
   * @param status 0 if the server closed the connection without one
   */
  record Answer(int status, String head, String body) {}

  /** Sends bytes over a connection of their own, and reads what comes until the server closes it. */
  static Answer send(int port, byte[] request) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.setSoTimeout(PATIENCE_MILLISECONDS);
      try {
        socket.getOutputStream().write(request);
        // A request that is cut has its end here.
        socket.shutdownOutput();
      } catch (SocketException refusedEarly) {
        // The answer may be there nevertheless.
      }
      return parse(readAll(socket.getInputStream()));
    }
  }

  private static byte[] readAll(InputStream stream) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    byte[] buffer = new byte[1 << 14];
    try {
      for (int count = stream.read(buffer); count >= 0; count = stream.read(buffer)) {
        all.write(buffer, 0, count);
      }
    } catch (SocketException reset) {
      // By a server that does not read the rest of a request.
    }
    return all.toByteArray();
  }

  private static Answer parse(byte[] bytes) {
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    int end = text.indexOf("\r\n\r\n");
    if (end < 0) {
      return new Answer(0, "", text);
    }
    String head = text.substring(0, end);
    if (!head.matches("(?s)HTTP/1\\.[01] [1-5][0-9]{2} ?.*")) {
      throw new AssertionError("expected an answer of HTTP, found " + head);
    }
    int status = Integer.parseInt(head.substring(9, 12));
    String body = text.substring(end + 4);
    return status == 100 ? parse(body.getBytes(StandardCharsets.ISO_8859_1)) : new Answer(status, head, body);
  }

  /** Bytes of a request: the head is ISO 8859-1. */
  static byte[] request(String line, List<String> headers, byte[] body) {
    ByteArrayOutputStream request = new ByteArrayOutputStream();
    request.writeBytes((line + "\r\n" + String.join("\r\n", headers) + "\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1));
    request.writeBytes(body);
    return request.toByteArray();
  }
}
