package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Type;
import org.springframework.core.MethodParameter;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpInputMessage;
import org.springframework.http.converter.HttpMessageConverter;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.servlet.mvc.method.annotation.RequestBodyAdviceAdapter;

/** Messages in requests are small: one that is not is not read into memory. */
@RestControllerAdvice
final class LimitedBodies extends RequestBodyAdviceAdapter {
  /** Most bytes of a message. */
  static final int LIMIT = 1 << 20;

  /** A message that is too large. */
  static final class TooLargeException extends RuntimeException {
    private static final long serialVersionUID = 1;

    TooLargeException() {
      super("expected a message of at most " + LIMIT + " bytes, found more");
    }
  }

  @Override
  public boolean supports(MethodParameter parameter, Type type, Class<? extends HttpMessageConverter<?>> converter) {
    return true;
  }

  @Override
  public HttpInputMessage beforeBodyRead(
      HttpInputMessage message, MethodParameter parameter, Type type, Class<? extends HttpMessageConverter<?>> converter)
      throws IOException {
    if (message.getHeaders().getContentLength() > LIMIT) {
      throw new TooLargeException();
    }
    InputStream body = new Limited(message.getBody());
    return new HttpInputMessage() {
      @Override
      public InputStream getBody() {
        return body;
      }

      @Override
      public HttpHeaders getHeaders() {
        return message.getHeaders();
      }
    };
  }

  private static final class Limited extends FilterInputStream {
    private int left = LIMIT;

    Limited(InputStream stream) {
      super(stream);
    }

    @Override
    public int read() throws IOException {
      int octet = in.read();
      return count(octet < 0 ? -1 : 1) < 0 ? -1 : octet;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
      return count(in.read(buffer, offset, length));
    }

    @Override
    public boolean markSupported() {
      return false;
    }

    private int count(int read) {
      left -= Math.max(read, 0);
      if (left < 0) {
        throw new TooLargeException();
      }
      return read;
    }
  }
}
